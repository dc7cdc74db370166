#pragma once
/// \file
/// `window_limiter`: never more than so many in any interval of a given length. "50 users per 10 seconds", whichever 10
/// seconds somebody looks at.
///
/// ```cpp
/// weir::window_limiter limiter{{.name = "entrance", .limit = {.permits = 50, .per = 10s}}};
/// auto permit = limiter.try_acquire();
/// if (!permit) return come_back(permit.error().retry_after());   // exact, if nobody else comes in between
/// ```
/// A token bucket of the same rate issues up to twice as many in its first `per` (burst, and what is refilled meanwhile).
/// Use `rate_limiter` for averages, this where a contract counts.
///
/// One short lock to admit: at two threads that beats a lock-free ring with helping (65 against 81 ns), and it is simpler.
/// Refusing takes none while nothing is free.

#include <weir/core/admission.hpp>
#include <weir/core/config.hpp>
#include <weir/core/default_clock.hpp>
#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/listener_slot.hpp>
#include <weir/core/detail/mutex.hpp>
#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/core/observer.hpp>
#include <weir/policy/detail/issue_log.hpp>
#include <weir/policy/detail/sliding_counter.hpp>
#include <weir/policy/window_limiter_config.hpp>
#include <weir/stats/counter.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

namespace weir::inline v0 {

/// Models `waitable_policy`. Pinned; permits must not outlive it. Memory: 2.4 KB and 8 bytes per permit of the limit.
///
/// The limit holds over the *recorded* instants: a call whose `now` is older than the newest recorded one is recorded as of
/// that one. So a clock that goes back issues nothing twice. Beyond 73 years from the clock's epoch time stands still.
template <clock_source Clock = default_clock, class Observer = null_observer>
class basic_window_limiter {
 public:
  /// The right to one call, spent as soon as it is given: ending it does nothing. See `permit_type`.
  class [[nodiscard]] permit {
   public:
    permit(permit&& other) noexcept
        : limiter_(std::exchange(other.limiter_, nullptr)),
          token_(other.token_),
          at_(other.at_),
          cost_(other.cost_),
          epoch_(other.epoch_) {}
    permit& operator=(permit&& other) noexcept {
      limiter_ = std::exchange(other.limiter_, nullptr);
      token_ = other.token_;
      at_ = other.at_;
      cost_ = other.cost_;
      epoch_ = other.epoch_;
      return *this;
    }
    ~permit() = default;

    void release(const completion&) noexcept { limiter_ = nullptr; }
    void release(outcome) noexcept { limiter_ = nullptr; }
    /// The call was never started: its tokens count no longer, and the arrival counts as cancelled. If they were the
    /// newest, others can have them at once; else when the tokens before them have left the window. If another limit has
    /// come into force meanwhile, they count until they have left it themselves. The limit holds for all that were not
    /// cancelled.
    void cancel() noexcept {
      if (auto* limiter = std::exchange(limiter_, nullptr)) limiter->refund(*this);
    }

    [[nodiscard]] explicit operator bool() const noexcept { return limiter_ != nullptr; }
    /// Tokens taken.
    [[nodiscard]] std::uint32_t cost() const noexcept { return cost_; }
    /// The instant that the limit is held by.
    [[nodiscard]] time_point recorded_at() const noexcept { return at_; }

   private:
    friend class basic_window_limiter;
    permit(basic_window_limiter* limiter, std::uint64_t token, time_point at, std::uint32_t cost,
           std::uint32_t epoch) noexcept
        : limiter_(limiter), token_(token), at_(at), cost_(cost), epoch_(epoch) {}

    basic_window_limiter* limiter_;
    std::uint64_t token_;
    time_point at_;
    std::uint32_t cost_, epoch_;
  };

  /// Errors: std::invalid_argument naming the field.
  explicit basic_window_limiter(window_limiter_config config, Observer observer = {}, Clock clock = {})
      : clock_(std::move(clock)),
        publisher_(std::move(observer)),
        name_(validated(config).name),
        limit_(config.limit),
        issued_(make(config)) {}
  basic_window_limiter(const basic_window_limiter&) = delete;
  basic_window_limiter& operator=(const basic_window_limiter&) = delete;

  /// Takes `c.cost` tokens at once or refuses; never waits. Cost 0 takes nothing and is always admitted. Errors:
  /// rate_limited with the exact time until the same call would be admitted if nobody else came (while a queue waits: at
  /// least a fair share's time), never_admissible (cost > limit). Thread-safe. Complexity: O(cost).
  [[nodiscard]] result<permit> try_acquire(const call& c = {}) noexcept { return take(c.now, c.cost, true); }

  /// For the queue in front: as `try_acquire`, though somebody waits; a refusal is neither counted nor published.
  [[nodiscard]] result<permit> try_acquire_for_waiter(const call& c) noexcept { return take(c.now, c.cost, false); }

  /// When `cost` tokens will be there if nobody else takes any: `now` if they are; `never` if cost > limit.
  [[nodiscard]] time_point next_available(std::uint32_t cost, time_point now) const noexcept {
    now = bounded(resolved(now));
    if (cost == 0) return now;
    detail::scoped_lock lock{mutex_};
    if (cost > limit_.permits) return never;
    const time_point due = available(cost, std::max(now, newest_));
    return due <= std::max(now, newest_) ? now : due;
  }

  /// How long at least it takes until `cost` more have become free once the window is full: whole windows.
  [[nodiscard]] duration refill_time(std::uint64_t cost) const noexcept {
    detail::scoped_lock lock{mutex_};
    const auto windows = detail::uint128{cost / limit_.permits} * static_cast<std::uint64_t>(limit_.per.count());
    return windows < detail::uint128{INT64_MAX} ? duration{static_cast<duration::rep>(windows)} : duration::max();
  }

  /// The queue in front; nullptr detaches. A cancellation that began while the flag was set may still call the old
  /// listener: detach when no other thread is in one. Not concurrent with calls that wait.
  void attach(capacity_listener* listener) { listener_.attach(listener); }

  /// By the listener only: while set, newcomers are refused, and whatever brings tokens but time calls it.
  void set_waiting(bool waiting) noexcept {
    detail::scoped_lock lock{mutex_};
    waiting_ = waiting;
  }

  /// Applies another limit at once. Carries over: counters, the name, and
  /// - exact: the instants of tokens issued as far as they are known, the others taken to be as new as they can have been,
  ///   and cancelled ones that still keep a place count again: so the new limit holds also for intervals that began before;
  /// - approximate: both counts; under another `per`, all that they count is taken to be of its present period.
  ///
  /// Permits from before get no refund. `precision` remains that of the construction. A waiting queue is told. Returns what
  /// is wrong, and then nothing has changed. Errors: std::bad_alloc. Thread-safe. Complexity: exact, O(new limit) under the
  /// lock (some nanoseconds per permit); the memory is allocated and freed outside of it.
  std::optional<config_error> reconfigure(const window_limiter_config& config) {
    if (auto wrong = validate(config)) return wrong;
    issues next = make(config);
    const time_point now = bounded(clock_.now());
    rate before;
    bool tell = false;
    {
      detail::scoped_lock lock{mutex_};
      if (next.index() != issued_.index()) {
        return config_error{"window_limiter_config.precision", "remains that of the construction"};
      }
      newest_ = std::max(newest_, now);
      if (auto* log = std::get_if<detail::issue_log>(&next)) log->inherit(std::get<detail::issue_log>(issued_), newest_);
      if (auto* counter = std::get_if<detail::sliding_counter>(&next)) {
        counter->inherit(std::get<detail::sliding_counter>(issued_), newest_);
      }
      issued_.swap(next);
      before = std::exchange(limit_, config.limit);
      ++epoch_;
      show_next();
      tell = waiting_;
    }
    if (tell) listener_.tell();
    publisher_.publish([&](std::uint64_t sequence) { return window_limit_changed{name_, sequence, before, config.limit}; });
    return std::nullopt;
  }

  /// Complexity: O(log limit).
  [[nodiscard]] window_limiter_snapshot snapshot() const noexcept {
    const time_point now = bounded(clock_.now());
    window_limiter_snapshot s;
    s.cancelled = counters_.read(cancelled);
    s.admitted = counters_.read(admitted) - s.cancelled;  // after the cancelled ones, so that it is not negative
    s.rate_limited = counters_.read(rate_limited);
    s.never_admissible = counters_.read(never_admissible);
    detail::scoped_lock lock{mutex_};
    s.limit = limit_;
    s.precision =
        std::holds_alternative<detail::issue_log>(issued_) ? window_precision::exact : window_precision::approximate;
    s.waiting = waiting_;
    const time_point at = std::max(now, newest_);
    s.used = std::visit([at](const auto& issued) { return issued.used(at); }, issued_);
    return s;
  }

  [[nodiscard]] time_point now() const noexcept { return clock_.now(); }
  [[nodiscard]] weir::name name() const noexcept { return name_; }

 private:
  using issues = std::variant<detail::issue_log, detail::sliding_counter>;
  enum counter : std::size_t { admitted, rate_limited, never_admissible, cancelled, counter_count };

  static issues make(const window_limiter_config& config) {
    if (config.precision == window_precision::exact) return detail::issue_log{config.limit};
    return detail::sliding_counter{config.limit};
  }
  [[nodiscard]] time_point resolved(time_point t) const noexcept { return t == read_clock ? clock_.now() : t; }
  /// Within what the arithmetic has room for: else who asks at the end of time would mint tokens for all who come later.
  static constexpr time_point bounded(time_point t) noexcept {
    return std::clamp(t, detail::issue_log::first_instant, detail::issue_log::last_instant);
  }

  /// Precondition: now >= newest_.
  [[nodiscard]] time_point available(std::uint32_t cost, time_point now) const noexcept WEIR_REQUIRES(mutex_) {
    if (const auto* log = std::get_if<detail::issue_log>(&issued_)) return log->available(cost);
    return std::get_if<detail::sliding_counter>(&issued_)->available(cost, now);
  }

  /// So that who comes before the next token is free need not take the lock.
  void show_next() noexcept WEIR_REQUIRES(mutex_) {
    const auto* log = std::get_if<detail::issue_log>(&issued_);
    const time_point due = log != nullptr ? log->available(1) : time_point::min();
    // An older `now` counts as the newest: if one is free by then, nobody is too early.
    full_until_.store(due > newest_ ? due.time_since_epoch().count() : INT64_MIN, detail::release);
  }

  result<permit> take(time_point now, std::uint32_t cost, bool newcomer) noexcept {
    now = resolved(now);
    if (const auto until = full_until_.load(detail::acquire); cost == 1 && now.time_since_epoch().count() < until) {
      return refuse(errc::rate_limited, rate_limited, cost, elapsed(now, time_point{duration{until}}), newcomer);
    }
    now = bounded(now);
    if (cost == 0) {
      counters_.add(admitted);
      return permit{this, 0, now, 0, 0};
    }
    duration wait{};
    bool fits = false;
    {
      detail::scoped_lock lock{mutex_};
      fits = cost <= limit_.permits;
      if (fits) {
        const time_point at = std::max(now, newest_), due = available(cost, at);
        if (due > at) {
          wait = elapsed(now, due);
        } else if (newcomer && waiting_) {
          // There are tokens, but others wait for them.
          wait = std::max(limit_.per / static_cast<duration::rep>(limit_.permits) * cost, duration{1});
        } else {
          newest_ = at;
          const std::uint64_t token = std::visit([&](auto& issued) { return issued.issue(cost, at); }, issued_);
          show_next();
          counters_.add(admitted);
          return permit{this, token, at, cost, epoch_};
        }
      }
    }
    if (!fits) return refuse(errc::never_admissible, never_admissible, cost, duration::zero(), newcomer);
    return refuse(errc::rate_limited, rate_limited, cost, wait, newcomer);
  }

  rejection refuse(errc why, counter reason, std::uint32_t cost, duration retry_after, bool newcomer) noexcept {
    if (newcomer) {
      counters_.add(reason);
      publisher_.publish([&](std::uint64_t sequence) { return window_rejected{name_, sequence, why, cost, retry_after}; });
    }
    return rejection{why, name_, retry_after};
  }

  void refund(const permit& p) noexcept {
    counters_.add(cancelled);
    bool tell = false;
    if (p.cost_ != 0) {
      detail::scoped_lock lock{mutex_};
      // Tokens of another limit were only checked against that one: without them there may still be too many for this.
      if (p.epoch_ == epoch_) {
        std::visit([&](auto& issued) { issued.cancel(p.token_, p.cost_); }, issued_);
        show_next();
        tell = waiting_;
      }
    }
    if (tell) listener_.tell();
  }

  [[no_unique_address]] Clock clock_;
  [[no_unique_address]] detail::publisher<Observer> publisher_;
  weir::name name_;
  detail::listener_slot listener_;
  alignas(detail::cache_line) detail::atomic<std::int64_t> full_until_{INT64_MIN};
  mutable detail::mutex mutex_;
  bool waiting_ WEIR_GUARDED_BY(mutex_) = false;
  time_point newest_ WEIR_GUARDED_BY(mutex_) = time_point::min();
  rate limit_ WEIR_GUARDED_BY(mutex_);
  std::uint32_t epoch_ WEIR_GUARDED_BY(mutex_) = 0;  // counts limits
  issues issued_ WEIR_GUARDED_BY(mutex_);
  counter_set<counter_count> counters_;
};

using window_limiter = basic_window_limiter<>;
static_assert(waitable_policy<window_limiter>);

}  // namespace weir::inline v0
