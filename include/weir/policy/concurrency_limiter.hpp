#pragma once
/// \file
/// `concurrency_limiter`: at most so many calls at once. For whatever breaks when too many use it at the same time.
///
/// Strict: the slots in use never exceed the limit that was in force when they were taken, at no instant, also while the
/// limit shrinks. Shrinking never blocks: what is above the new limit drains, and nobody is admitted until it has.
///
/// ```cpp
/// weir::concurrency_limiter limiter{{.name = "hashing", .limit = 3}};
/// auto permit = limiter.try_acquire();
/// if (!permit) return too_busy(permit.error());
/// ...
/// permit->release(weir::outcome::success);
/// ```
/// Thread-safe, lock-free, no allocation. One compare-and-swap to admit, none to refuse, one fetch_sub to release. Not an
/// add-and-undo: while a large request undoes, smaller ones that fit would be refused.

#include <weir/core/admission.hpp>
#include <weir/core/config.hpp>
#include <weir/core/default_clock.hpp>
#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/listener_slot.hpp>
#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/core/observer.hpp>
#include <weir/stats/counter.hpp>

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace weir::inline v0 {

struct concurrency_limiter_config {
  std::string name = "concurrency_limiter";
  std::uint32_t limit = 64;  ///< slots, 1 .. 2^31 - 1
};

[[nodiscard]] inline std::optional<config_error> validate(const concurrency_limiter_config& config) {
  constexpr std::uint32_t most = (std::uint32_t{1} << 31) - 1;
  if (config.limit < 1 || config.limit > most) {
    return config_error{"concurrency_limiter_config.limit",
                        "must be in [1, " + std::to_string(most) + "], is " + std::to_string(config.limit)};
  }
  return std::nullopt;
}

/// A call was refused.
struct concurrency_rejected {
  weir::name name;
  std::uint64_t sequence;
  errc why;  ///< over_capacity or never_admissible
  std::uint32_t cost;
};

/// `reconfigure` put another limit into force.
struct concurrency_limit_changed {
  weir::name name;
  std::uint64_t sequence;
  std::uint32_t before, after;
};

/// What a concurrency limiter has done. Calls, not slots, unless said otherwise. Exact when nothing happens at the same
/// time; otherwise each number is of a moment during the call, and `calls_in_flight()` is never negative.
struct concurrency_limiter_snapshot {
  std::uint32_t limit = 0;             ///< slots
  std::uint32_t slots_in_use = 0;      ///< may exceed `limit` after a shrink, until they drain
  bool waiting = false;                ///< a queue waits for slots; newcomers are refused
  std::uint64_t admitted = 0;          ///< and not cancelled: success + failure + overload + ignored + in flight
  std::uint64_t over_capacity = 0;     ///< refused: no slots, or others were waiting
  std::uint64_t never_admissible = 0;  ///< refused: asked for more than the limit
  std::uint64_t success = 0, failure = 0, overload = 0, ignored = 0;  ///< how admitted calls ended
  std::uint64_t cancelled = 0;                                        ///< admitted, never started, taken back

  [[nodiscard]] std::uint64_t rejected() const noexcept { return over_capacity + never_admissible; }
  [[nodiscard]] std::uint64_t arrivals() const noexcept { return admitted + rejected() + cancelled; }
  [[nodiscard]] std::uint64_t calls_in_flight() const noexcept { return admitted - success - failure - overload - ignored; }
};

/// Models `waitable_policy`. Pinned; permits must not outlive it (asserted). Memory: 2.2 KB.
template <clock_source Clock = default_clock, class Observer = null_observer>
class basic_concurrency_limiter {
 public:
  /// The right to use `cost` slots until it ends. See `permit_type`.
  class [[nodiscard]] permit {
   public:
    permit(permit&& other) noexcept : limiter_(std::exchange(other.limiter_, nullptr)), cost_(other.cost_) {}
    permit& operator=(permit&& other) noexcept {
      if (this != &other) {
        release(outcome::ignored);
        limiter_ = std::exchange(other.limiter_, nullptr);
        cost_ = other.cost_;
      }
      return *this;
    }
    ~permit() { release(outcome::ignored); }

    /// Gives the slots back; only the outcome is of interest here. On an empty permit: nothing.
    void release(const completion& c) noexcept { release(c.result); }
    void release(outcome o) noexcept {
      if (auto* limiter = std::exchange(limiter_, nullptr)) limiter->give_back(cost_, ended(o));
    }
    /// The call was never started: gives the slots back and counts the arrival as cancelled.
    void cancel() noexcept {
      if (auto* limiter = std::exchange(limiter_, nullptr)) limiter->give_back(cost_, cancelled);
    }

    [[nodiscard]] explicit operator bool() const noexcept { return limiter_ != nullptr; }
    /// Slots held; of a permit that has ended: that it held.
    [[nodiscard]] std::uint32_t cost() const noexcept { return cost_; }

   private:
    friend class basic_concurrency_limiter;
    permit(basic_concurrency_limiter* limiter, std::uint32_t cost) noexcept : limiter_(limiter), cost_(cost) {}

    basic_concurrency_limiter* limiter_;
    std::uint32_t cost_;
  };

  /// Errors: std::invalid_argument naming the field.
  explicit basic_concurrency_limiter(concurrency_limiter_config config, Observer observer = {}, Clock clock = {})
      : clock_(std::move(clock)),
        publisher_(std::move(observer)),
        name_(validated(config).name),
        word_(std::uint64_t{config.limit} << limit_shift) {}
  basic_concurrency_limiter(const basic_concurrency_limiter&) = delete;
  basic_concurrency_limiter& operator=(const basic_concurrency_limiter&) = delete;
  ~basic_concurrency_limiter() { assert(in_use(word_.load(detail::relaxed)) == 0 && "a permit outlives its limiter"); }

  /// Takes `c.cost` slots at once or refuses; never waits, never reads the clock. Cost 0 takes nothing and is always
  /// admitted. Errors: over_capacity (no slots, or others wait for them), never_admissible (cost > limit). `retry_after` is
  /// zero: only a release brings slots. What the previous holder of a slot did before its release happens before what the
  /// next one does. Thread-safe. Complexity: O(1), retried only when another thread changed the word.
  [[nodiscard]] result<permit> try_acquire(const call& c = {}) noexcept { return acquire_slots(c.cost, waiting_bit); }

  /// For the queue in front: as `try_acquire`, though somebody waits. A refusal is an answer to nobody, the waiter goes on
  /// waiting: it is neither counted nor published (and the queue asks under its lock).
  [[nodiscard]] result<permit> try_acquire_for_waiter(const call& c) noexcept { return acquire_slots(c.cost, 0); }

  /// The queue in front; nullptr detaches. A release that began while the flag was set may still call the old listener:
  /// detach when no other thread is in a release. Not concurrent with calls that wait.
  void attach(capacity_listener* listener) { listener_.attach(listener); }

  /// By the listener only: while set, newcomers are refused, and every release calls it.
  void set_waiting(bool waiting) noexcept {
    if (waiting) {
      word_.fetch_or(waiting_bit, detail::acq_rel);
    } else {
      word_.fetch_and(~waiting_bit, detail::acq_rel);
    }
  }

  /// `never`: the passing of time brings no slots.
  [[nodiscard]] time_point next_available(std::uint32_t, time_point) const noexcept { return never; }

  /// Applies another limit at once and never blocks. Carries over: the name (that of the new config is not used), permits,
  /// counters. Slots in use above a smaller limit drain; a waiting queue is told in either direction, since the request at
  /// its head may fit now, or never. Thread-safe. Returns: what is wrong with the config, which then was not applied.
  std::optional<config_error> reconfigure(const concurrency_limiter_config& config) {
    if (auto wrong = validate(config)) return wrong;
    std::uint64_t seen = word_.load(detail::relaxed);
    while (!word_.compare_exchange_weak(seen, (seen & ~limit_mask) | std::uint64_t{config.limit} << limit_shift,
                                        detail::acq_rel, detail::relaxed)) {
    }
    tell(seen);
    publisher_.publish(
        [&](std::uint64_t sequence) { return concurrency_limit_changed{name_, sequence, limit_of(seen), config.limit}; });
    return std::nullopt;
  }

  [[nodiscard]] concurrency_limiter_snapshot snapshot() const noexcept {
    concurrency_limiter_snapshot s;
    s.success = counters_.read(success);
    s.failure = counters_.read(failure);
    s.overload = counters_.read(overload);
    s.ignored = counters_.read(ignored);
    s.cancelled = counters_.read(cancelled);
    // After the endings, so that a call that is seen to end is seen to have begun.
    s.admitted = counters_.read(admitted) - s.cancelled;
    s.over_capacity = counters_.read(over_capacity);
    s.never_admissible = counters_.read(never_admissible);
    const std::uint64_t word = word_.load(detail::relaxed);
    s.limit = limit_of(word);
    s.slots_in_use = in_use(word);
    s.waiting = (word & waiting_bit) != 0;
    return s;
  }

  [[nodiscard]] time_point now() const noexcept { return clock_.now(); }
  [[nodiscard]] weir::name name() const noexcept { return name_; }

 private:
  // {limit : 31 | waiting : 1 | in use : 32}. All that decides is in one word, so one compare-and-swap decides it.
  static constexpr unsigned limit_shift = 33;
  static constexpr std::uint64_t limit_mask = ~std::uint64_t{0} << limit_shift;
  static constexpr std::uint64_t waiting_bit = std::uint64_t{1} << 32;

  enum counter : std::size_t {
    success,
    failure,
    overload,
    ignored,  // in the order of `outcome`
    cancelled,
    admitted,
    over_capacity,
    never_admissible,
    counter_count
  };

  static constexpr counter ended(outcome o) noexcept { return static_cast<counter>(o); }
  static constexpr std::uint32_t limit_of(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> limit_shift);
  }
  static constexpr std::uint32_t in_use(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word); }

  /// `barrier`: the bits of the word that refuse whatever the slots say.
  result<permit> acquire_slots(std::uint32_t cost, std::uint64_t barrier) noexcept {
    if (cost != 0) [[likely]] {
      std::uint64_t seen = word_.load(detail::relaxed);
      do {
        const std::uint32_t limit = limit_of(seen), used = in_use(seen);
        if (cost > limit) [[unlikely]]
          return refuse(errc::never_admissible, never_admissible, cost, barrier != 0);
        if ((seen & barrier) != 0 || used > limit - cost) {
          return refuse(errc::over_capacity, over_capacity, cost, barrier != 0);
        }
      } while (!word_.compare_exchange_weak(seen, seen + cost, detail::acq_rel, detail::relaxed));
    }
    counters_.add(admitted);
    return permit{this, cost};
  }

  rejection refuse(errc why, counter reason, std::uint32_t cost, bool tell_it) noexcept {
    if (tell_it) {
      counters_.add(reason);
      publisher_.publish([&](std::uint64_t sequence) { return concurrency_rejected{name_, sequence, why, cost}; });
    }
    return rejection{why, name_};
  }

  void give_back(std::uint32_t cost, counter how) noexcept {
    // Before the slots: who sees them free may destroy the limiter.
    counters_.add(how);
    if (cost != 0) tell(word_.fetch_sub(cost, detail::acq_rel));
  }

  /// `before`: the word as a change of capacity found it.
  void tell(std::uint64_t before) noexcept {
    if ((before & waiting_bit) == 0) [[likely]]
      return;
    listener_.tell();
  }

  [[no_unique_address]] Clock clock_;
  [[no_unique_address]] detail::publisher<Observer> publisher_;
  weir::name name_;
  detail::listener_slot listener_;
  alignas(detail::cache_line) detail::atomic<std::uint64_t> word_;
  counter_set<counter_count> counters_;
};

using concurrency_limiter = basic_concurrency_limiter<>;
static_assert(waitable_policy<concurrency_limiter>);

}  // namespace weir::inline v0
