#pragma once
/// \file
/// `rate_limiter`: a token bucket. So many calls per second on average, `burst` at once.
///
/// ```cpp
/// weir::rate_limiter limiter{{.name = "search", .limit = {.permits = 500, .per = 1s}, .burst = 50}};
/// auto permit = limiter.try_acquire();
/// if (!permit) return too_many_requests(permit.error().retry_after());   // exact, if nobody else comes in between
/// ```
/// Over any interval of length T, at most burst + rate * T tokens are issued, plus those that `permit::cancel` put back.
/// Tokens can also be taken in advance (`reserve`), and the true cost of a call be told afterwards (`permit::settle`).
///
/// The generic cell rate algorithm (ITU-T I.371) on one 64-bit word, kept in tokens instead of time: the word holds the
/// *level*, the tokens issued since an origin; a bucket that was full for a while has its level raised to what has been
/// refilled. Thread-safe, lock-free, no allocation; one compare-and-swap to admit, none to refuse. A mutex is taken only to
/// put another configuration into force, and every few hours or after a long idle time to move the origin.

#include <weir/core/admission.hpp>
#include <weir/core/config.hpp>
#include <weir/core/default_clock.hpp>
#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/listener_slot.hpp>
#include <weir/core/detail/mutex.hpp>
#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/core/observer.hpp>
#include <weir/policy/detail/refill_line.hpp>
#include <weir/policy/rate_limiter_config.hpp>
#include <weir/stats/counter.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <utility>

namespace weir::inline v0 {

/// Models `waitable_policy`. Pinned; permits must not outlive it. Memory: 2.4 KB.
///
/// An older `now` sees the bucket as it was refilled by then, which is emptier: tokens are never credited twice. A clock
/// that leaps forward and comes back finds the tokens of the leap spent, and gets new ones when it reaches that time again.
template <clock_source Clock = default_clock, class Observer = null_observer>
class basic_rate_limiter {
 public:
  /// The right to one call, spent as soon as it is given: ending it does nothing. See `permit_type`.
  class [[nodiscard]] permit {
   public:
    permit(permit&& other) noexcept
        : limiter_(std::exchange(other.limiter_, nullptr)), cost_(other.cost_), epoch_(other.epoch_) {}
    permit& operator=(permit&& other) noexcept {
      limiter_ = std::exchange(other.limiter_, nullptr);
      cost_ = other.cost_;
      epoch_ = other.epoch_;
      return *this;
    }
    ~permit() = default;

    void release(const completion&) noexcept { limiter_ = nullptr; }
    void release(outcome) noexcept { limiter_ = nullptr; }
    /// The call was never started: its tokens go back into the bucket, which does not get fuller than `burst`, and the
    /// arrival counts as cancelled. Nothing goes back after a `reconfigure`. A bucket that has filled up in the meantime
    /// keeps no record of that: a permit that is cancelled late can let its tokens be issued right after a full burst.
    void cancel() noexcept {
      if (auto* limiter = std::exchange(limiter_, nullptr)) limiter->refund(cost_, epoch_);
    }

    /// The call has turned out to cost `cost`: takes what is missing, as a debt if need be, or puts back what is too much.
    /// Ends the permit. Nothing is taken or put back after a `reconfigure`. A debt ends at what `reserve` could take.
    void settle(std::uint32_t cost) noexcept {
      if (auto* limiter = std::exchange(limiter_, nullptr)) limiter->settle_up(cost_, cost, epoch_);
    }

    [[nodiscard]] explicit operator bool() const noexcept { return limiter_ != nullptr; }
    /// Tokens taken.
    [[nodiscard]] std::uint32_t cost() const noexcept { return cost_; }

   private:
    friend class basic_rate_limiter;
    permit(basic_rate_limiter* limiter, std::uint32_t cost, std::uint32_t epoch) noexcept
        : limiter_(limiter), cost_(cost), epoch_(epoch) {}

    basic_rate_limiter* limiter_;
    std::uint32_t cost_;
    std::uint32_t epoch_;
  };

  /// Tokens that are taken, but may be used from `due` on only.
  struct reservation {
    basic_rate_limiter::permit permit;
    time_point due;  ///< never before the call's `now`
  };

  /// Starts with a full bucket. Errors: std::invalid_argument naming the field.
  explicit basic_rate_limiter(rate_limiter_config config, Observer observer = {}, Clock clock = {})
      : clock_(std::move(clock)),
        publisher_(std::move(observer)),
        config_(validated(std::move(config))),
        name_(config_.name) {
    settle(config_);
    // An origin that is beyond the horizon of every instant: the first call sets it, on the time line of its `now`.
    refill_line line = refill_line::of(config_.limit, config_.burst);
    line.origin = read_clock.time_since_epoch().count();
    lines_[0].write(line, 0);
  }
  basic_rate_limiter(const basic_rate_limiter&) = delete;
  basic_rate_limiter& operator=(const basic_rate_limiter&) = delete;

  /// Takes `c.cost` tokens at once or refuses; never waits. Cost 0 takes nothing and is always admitted. Errors:
  /// rate_limited with the exact time until the same call would be admitted if nobody else came (while a queue waits: at
  /// least the time in which its cost is refilled), never_admissible (cost > burst). Thread-safe. Complexity: O(1), retried
  /// only when another thread changed the word.
  [[nodiscard]] result<permit> try_acquire(const call& c = {}) noexcept { return take(c, waiting_bit); }

  /// For the queue in front: as `try_acquire`, though somebody waits; a refusal is neither counted nor published.
  [[nodiscard]] result<permit> try_acquire_for_waiter(const call& c) noexcept { return take(c, 0); }

  /// Takes `c.cost` tokens at once, though they may not be there yet, and says when they will be. To give up, cancel the
  /// permit: its tokens go to whoever asks next. Nobody who has reserved after it comes sooner, so as many tokens as were
  /// cancelled can meet the last of them: one word knows how much was taken, not by whom. Errors: never_admissible (cost >
  /// burst), would_miss_deadline with the predicted wait (due after `c.deadline`; nothing is taken), rate_limited (a queue
  /// waits, or more would be promised than the word can hold: at least one burst, at least an hour). Thread-safe.
  [[nodiscard]] result<reservation> reserve(const call& c = {}) noexcept {
    const time_point now = resolved(c.now);
    for (;;) {
      const std::uint64_t change = changes_.load(detail::acquire);
      std::uint64_t seen = word_.load(detail::acquire);
      const auto [line, epoch] = lines_[slot_of(seen)].read();
      const std::uint64_t since = line.since_origin(now);
      if (line.beyond(since)) [[unlikely]] {
        if (still(change)) move_origin(now);
        continue;
      }
      const std::uint64_t done = line.refilled(since);
      const bool fits = c.cost <= line.burst >> line.fraction;
      const std::uint64_t level = fits ? std::max(level_of(seen), done) + (std::uint64_t{c.cost} << line.fraction) : 0;
      const time_point due = level <= line.burst + done ? now : std::max(now, line.when(level - line.burst));
      const bool too_much = level > done + refill_line::most_ahead;
      const bool taken = fits && c.cost != 0 && due <= c.deadline && !too_much && (seen & waiting_bit) == 0;
      if (taken) {
        if (!word_.compare_exchange_weak(seen, with_level(seen, level), detail::acq_rel, detail::relaxed)) continue;
      } else if (!still(change)) {
        continue;
      }
      if (taken || c.cost == 0) {
        counters_.add(admitted);
        return reservation{permit{this, c.cost, epoch}, c.cost == 0 ? now : due};
      }
      if (!fits) return refuse(errc::never_admissible, never_admissible, c.cost, duration::zero(), true);
      if (due > c.deadline) {
        refuse(errc::would_miss_deadline, would_miss_deadline, c.cost, duration::zero(), true);
        return rejection{errc::would_miss_deadline, name_, duration::zero(), elapsed(now, due)};
      }
      const std::uint64_t enough =
          too_much ? level - refill_line::most_ahead : done + (std::uint64_t{c.cost} << line.fraction);
      return refuse(errc::rate_limited, rate_limited, c.cost, elapsed(now, line.when(enough)), true);
    }
  }

  /// When `cost` tokens will be there if nobody else takes any: `now` if they are; `never` if cost > burst.
  [[nodiscard]] time_point next_available(std::uint32_t cost, time_point now) const noexcept {
    now = resolved(now);
    for (;;) {
      const std::uint64_t change = changes_.load(detail::acquire);
      const std::uint64_t seen = word_.load(detail::acquire);
      const auto [line, epoch] = lines_[slot_of(seen)].read();
      if (!still(change)) continue;
      if (cost > line.burst >> line.fraction) return never;
      const std::uint64_t done = line.refilled(line.since_origin(now));
      const std::uint64_t due = due_at(line, level_of(seen), done, cost);
      return due <= done ? now : std::max(now, line.when(due));
    }
  }

  /// How long it takes to refill `cost` tokens, be it more than the burst.
  [[nodiscard]] duration refill_time(std::uint64_t cost) const noexcept {
    for (;;) {
      const std::uint64_t change = changes_.load(detail::acquire);
      const refill_line line = lines_[slot_of(word_.load(detail::acquire))].read().line;
      if (still(change)) return line.time_for(cost);
    }
  }

  /// The queue in front; nullptr detaches. A cancellation that began while the flag was set may still call the old
  /// listener: detach when no other thread is in one. Not concurrent with calls that wait.
  void attach(capacity_listener* listener) { listener_.attach(listener); }

  /// By the listener only: while set, newcomers are refused, and whatever brings tokens but time calls it.
  void set_waiting(bool waiting) noexcept {
    if (waiting) {
      word_.fetch_or(waiting_bit, detail::acq_rel);
    } else {
      word_.fetch_and(~waiting_bit, detail::acq_rel);
    }
  }

  /// Empties the bucket: the callee has said 429. Debts stay. Thread-safe.
  void drain(time_point now = read_clock) noexcept {
    now = resolved(now);
    for (;;) {
      const std::uint64_t change = changes_.load(detail::acquire);
      std::uint64_t seen = word_.load(detail::acquire);
      const auto [line, epoch] = lines_[slot_of(seen)].read();
      const std::uint64_t since = line.since_origin(now);
      if (line.beyond(since)) {
        if (still(change)) move_origin(now);
        continue;
      }
      const std::uint64_t empty = std::max(level_of(seen), line.refilled(since) + line.burst);
      if (word_.compare_exchange_weak(seen, with_level(seen, empty), detail::acq_rel, detail::relaxed)) break;
    }
    publisher_.publish([&](std::uint64_t sequence) { return rate_limit_drained{name_, sequence}; });
  }

  /// Applies another rate and burst at once. Carries over: tokens as `how` says (a debt stays one of as many tokens,
  /// however fast the new rate), counters, and the name (that of the new config is not used). Permits from before get no
  /// refund. A waiting queue is told. Thread-safe. Returns: what is wrong with the config, which then was not applied.
  std::optional<config_error> reconfigure(rate_limiter_config config, inherit how = inherit::as_is) {
    if (auto wrong = validate(config)) return wrong;
    settle(config);
    const time_point now = clock_.now();
    rate before;
    std::uint64_t found;
    {
      detail::scoped_lock lock{mutex_};
      before = config_.limit;
      config_.limit = config.limit;
      config_.burst = config.burst;
      found = install(refill_line::of(config.limit, config.burst), how, now, ++epoch_);
    }
    tell(found);
    publisher_.publish([&](std::uint64_t sequence) { return rate_limit_changed{name_, sequence, before, config.limit}; });
    return std::nullopt;
  }

  [[nodiscard]] rate_limiter_snapshot snapshot() const noexcept {
    const time_point now = clock_.now();
    rate_limiter_snapshot s;
    s.cancelled = counters_.read(cancelled);
    s.admitted = counters_.read(admitted) - s.cancelled;  // after the cancelled ones, so that it is not negative
    s.rate_limited = counters_.read(rate_limited);
    s.never_admissible = counters_.read(never_admissible);
    s.would_miss_deadline = counters_.read(would_miss_deadline);
    detail::scoped_lock lock{mutex_};
    s.limit = config_.limit;
    s.burst = config_.burst;
    const std::uint64_t word = word_.load(detail::acquire);
    const auto [line, epoch] = lines_[slot_of(word)].read();
    const std::int64_t units = line.balance(level_of(word), line.refilled(line.since_origin(now)));
    s.tokens_approx = static_cast<std::uint64_t>(std::max<std::int64_t>(units, 0)) >> line.fraction;
    s.waiting = (word & waiting_bit) != 0;
    return s;
  }

  [[nodiscard]] time_point now() const noexcept { return clock_.now(); }
  [[nodiscard]] weir::name name() const noexcept { return name_; }

 private:
  using refill_line = detail::refill_line;

  // {generation : 8 | waiting : 1 | level : 55}. The line that the level counts on lies in the slot of the generation's
  // parity. An admission is proved right by its compare-and-swap: a slot is written again only after the generation has
  // moved on. (Unless 256 generations pass in between, each of them a `reconfigure`, and the level is the same to the
  // unit.) A refusal, which writes nothing, is proved right by `changes_`, which counts the writing of slots.
  static constexpr unsigned generation_shift = 56;
  static constexpr std::uint64_t waiting_bit = std::uint64_t{1} << refill_line::level_bits;
  static constexpr std::uint64_t level_mask = waiting_bit - 1;

  enum counter : std::size_t { admitted, rate_limited, never_admissible, would_miss_deadline, cancelled, counter_count };

  static constexpr std::size_t slot_of(std::uint64_t word) noexcept { return (word >> generation_shift) & 1; }
  static constexpr std::uint64_t level_of(std::uint64_t word) noexcept { return word & level_mask; }
  static constexpr std::uint64_t with_level(std::uint64_t word, std::uint64_t level) noexcept {
    return (word & ~level_mask) | level;
  }
  /// How much must have been refilled when `cost` is granted; what the bucket lacks of it is still to come.
  static constexpr std::uint64_t due_at(const refill_line& line, std::uint64_t level, std::uint64_t done,
                                        std::uint64_t cost) noexcept {
    const std::uint64_t after = std::max(level, done) + (cost << line.fraction);
    return after > line.burst ? after - line.burst : 0;
  }

  static void settle(rate_limiter_config& config) noexcept {
    if (config.burst == 0) config.burst = config.limit.permits;
  }
  time_point resolved(time_point t) const noexcept { return t == read_clock ? clock_.now() : t; }
  bool still(std::uint64_t change) const noexcept { return changes_.load(detail::relaxed) == change; }

  /// `barrier`: the bits of the word that refuse whatever the level says.
  result<permit> take(const call& c, std::uint64_t barrier) noexcept {
    const time_point now = resolved(c.now);
    for (;;) {
      const std::uint64_t change = changes_.load(detail::acquire);
      std::uint64_t seen = word_.load(detail::acquire);
      const auto [line, epoch] = lines_[slot_of(seen)].read();
      const std::uint64_t since = line.since_origin(now);
      if (line.beyond(since)) [[unlikely]] {
        if (still(change)) move_origin(now);
        continue;
      }
      if (c.cost == 0) [[unlikely]] {
        counters_.add(admitted);
        return permit{this, 0, epoch};
      }
      const bool fits = c.cost <= line.burst >> line.fraction;
      const std::uint64_t done = line.refilled(since);
      std::uint64_t due = fits ? due_at(line, level_of(seen), done, c.cost) : 0;
      if (fits && due <= done && (seen & barrier) == 0) [[likely]] {
        const std::uint64_t level = std::max(level_of(seen), done) + (std::uint64_t{c.cost} << line.fraction);
        if (!word_.compare_exchange_weak(seen, with_level(seen, level), detail::acq_rel, detail::relaxed)) continue;
        counters_.add(admitted);
        return permit{this, c.cost, epoch};
      }
      if (!still(change)) continue;
      if (!fits) return refuse(errc::never_admissible, never_admissible, c.cost, duration::zero(), barrier != 0);
      // There are tokens, but others wait for them.
      if (due <= done) due = done + (std::uint64_t{c.cost} << line.fraction);
      return refuse(errc::rate_limited, rate_limited, c.cost, elapsed(now, line.when(due)), barrier != 0);
    }
  }

  rejection refuse(errc why, counter reason, std::uint32_t cost, duration retry_after, bool tell_it) noexcept {
    if (tell_it) {
      counters_.add(reason);
      publisher_.publish([&](std::uint64_t sequence) { return rate_rejected{name_, sequence, why, cost, retry_after}; });
    }
    return rejection{why, name_, retry_after};
  }

  void refund(std::uint32_t cost, std::uint32_t permit_epoch) noexcept {
    counters_.add(cancelled);
    put_back(cost, permit_epoch);
  }

  void put_back(std::uint32_t cost, std::uint32_t permit_epoch) noexcept {
    const std::uint64_t seen = change_level(permit_epoch, [cost](const refill_line& line, std::uint64_t level) {
      return level - std::min(level, std::uint64_t{cost} << line.fraction);
    });
    tell(seen);
  }

  void settle_up(std::uint32_t paid, std::uint32_t cost, std::uint32_t permit_epoch) noexcept {
    if (cost < paid) put_back(paid - cost, permit_epoch);
    if (cost <= paid) return;
    const time_point now = clock_.now();
    change_level(permit_epoch, [extra = cost - paid, now](const refill_line& line, std::uint64_t level) {
      // A line that is used up counts as refilled to its end; the next admission moves its origin.
      const std::uint64_t done = std::min(line.refilled(line.since_origin(now)), refill_line::most_ahead);
      const std::uint64_t present = std::max(level, done), most = std::max(present, done + refill_line::most_ahead);
      return present +
             static_cast<std::uint64_t>(std::min<detail::uint128>(most - present, detail::uint128{extra} << line.fraction));
    });
  }

  /// Changes the level to what `next(line, level)` says, unless the configuration is no longer that of `permit_epoch`.
  /// Returns the word that it found.
  template <class Next>
  std::uint64_t change_level(std::uint32_t permit_epoch, Next next) noexcept {
    for (;;) {
      const std::uint64_t change = changes_.load(detail::acquire);
      std::uint64_t seen = word_.load(detail::acquire);
      const auto [line, epoch] = lines_[slot_of(seen)].read();
      if (epoch != permit_epoch) {
        if (still(change)) return 0;
        continue;
      }
      const std::uint64_t level = next(line, level_of(seen));
      if (word_.compare_exchange_weak(seen, with_level(seen, level), detail::acq_rel, detail::relaxed)) return seen;
    }
  }

  /// The same configuration on a line that begins near `now`, unless another thread was faster.
  [[gnu::cold, gnu::noinline]] void move_origin(time_point now) noexcept {
    detail::scoped_lock lock{mutex_};
    const std::uint64_t seen = word_.load(detail::acquire);
    const auto [line, epoch] = lines_[slot_of(seen)].read();
    const std::uint64_t since = line.since_origin(now);
    if (!line.beyond(since)) return;
    refill_line next = line;
    std::uint64_t passed = 0;
    if (level_of(seen) > line.refilled(since)) {
      // By whole periods, which refill whole units: what was promised for a nanosecond still comes in it.
      const auto per = static_cast<std::uint64_t>(config_.limit.per.count());
      const std::uint64_t divisor = std::gcd(config_.limit.permits, per);
      const std::uint64_t periods = since / (per / divisor);
      next.origin += static_cast<std::int64_t>(periods * (per / divisor));
      passed = static_cast<std::uint64_t>((detail::uint128{periods} * (config_.limit.permits / divisor)) << line.fraction);
    }
    if (passed != 0 && !next.beyond(next.since_origin(now))) {
      put_into_force(next, epoch, [&](std::uint64_t level) { return level - std::min(level, passed); });
    } else {
      // A full bucket can begin anew at once. One with periods of months loses less than a unit.
      install(line, inherit::as_is, now, epoch);
    }
  }

  /// Puts `next`, from `now` on, into force. Returns the word that it replaced.
  std::uint64_t install(refill_line next, inherit how, time_point now, std::uint32_t epoch) noexcept WEIR_REQUIRES(mutex_) {
    const refill_line line = lines_[slot_of(word_.load(detail::acquire))].read().line;
    // Never an earlier origin: the time before the present one has been credited.
    next.origin = std::max(line.origin, now.time_since_epoch().count());
    const std::uint64_t done = line.refilled(line.since_origin(now));
    return put_into_force(next, epoch,
                          [&](std::uint64_t level) { return level_after(line, next, line.balance(level, done), how); });
  }

  /// Writes `next` into the free slot, then makes it the valid one and the level what `level_on_next(level)` says, in one
  /// step. Returns the word that it replaced.
  template <class Level>
  std::uint64_t put_into_force(const refill_line& next, std::uint32_t epoch, Level level_on_next) noexcept
      WEIR_REQUIRES(mutex_) {
    std::uint64_t seen = word_.load(detail::acquire);
    changes_.store(changes_.load(detail::relaxed) + 1, detail::release);
    lines_[slot_of(seen) ^ 1].write(next, epoch);
    std::uint64_t replacement = 0;
    do {
      replacement =
          ((seen >> generation_shift) + 1) << generation_shift | (seen & waiting_bit) | level_on_next(level_of(seen));
    } while (!word_.compare_exchange_weak(seen, replacement, detail::acq_rel, detail::relaxed));
    return seen;
  }

  /// The level at the origin of `next` of a bucket that had `balance` units of `line`. Of a debt of more than three bursts,
  /// only as much as the word holds.
  static std::uint64_t level_after(const refill_line& line, const refill_line& next, std::int64_t balance,
                                   inherit how) noexcept {
    using detail::int128;
    const auto in_next = [&](std::int64_t units) { return (static_cast<int128>(units) << next.fraction) >> line.fraction; };
    const auto burst = static_cast<int128>(next.burst), old_burst = in_next(static_cast<std::int64_t>(line.burst));
    int128 tokens = 0;
    switch (how) {
      case inherit::as_is: tokens = in_next(balance); break;
      case inherit::reset: tokens = burst; break;
      case inherit::proportional: tokens = balance * burst / static_cast<int128>(line.burst); break;
      case inherit::additive: tokens = in_next(balance) + std::max<int128>(burst - old_burst, 0); break;
    }
    return static_cast<std::uint64_t>(std::clamp<int128>(burst - tokens, 0, level_mask));
  }

  /// `before`: the word as a change of the tokens found it.
  void tell(std::uint64_t before) noexcept {
    if ((before & waiting_bit) == 0) [[likely]]
      return;
    listener_.tell();
  }

  [[no_unique_address]] Clock clock_;
  [[no_unique_address]] detail::publisher<Observer> publisher_;
  mutable detail::mutex mutex_;
  rate_limiter_config config_ WEIR_GUARDED_BY(mutex_);
  std::uint32_t epoch_ WEIR_GUARDED_BY(mutex_) = 0;
  weir::name name_;
  detail::listener_slot listener_;
  detail::atomic<std::uint64_t> changes_{0};
  std::array<detail::line_slot, 2> lines_;
  alignas(detail::cache_line) detail::atomic<std::uint64_t> word_{0};
  counter_set<counter_count> counters_;
};

using rate_limiter = basic_rate_limiter<>;
static_assert(waitable_policy<rate_limiter>);

}  // namespace weir::inline v0
