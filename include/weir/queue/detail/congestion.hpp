#pragma once
/// \file
/// When a line is too slow: `codel` sheds, `overload` turns it round. Sans-I/O; not thread-safe.

#include <weir/core/time.hpp>
#include <weir/queue/discipline.hpp>

#include <algorithm>

namespace weir::inline v0::detail {

/// See `codel_config`. "oldest": since when the oldest waits; `never`: nobody does.
class codel {
 public:
  codel() noexcept = default;
  /// The first interval begins at `now`; read_clock: with the first look at the time.
  codel(const codel_config& config, time_point now) noexcept : target_(config.target), interval_(config.interval) {
    if (config.on) ends_ = now == read_clock ? now : later(now, interval_);
  }

  void granted(duration waited) noexcept { shortest_ = std::min(shortest_, waited); }

  /// When the interval ends, at which time `turn` is due; `never`: off.
  [[nodiscard]] time_point ends() const noexcept { return ends_; }
  /// Precondition: now >= ends().
  void turn(time_point now, time_point oldest) noexcept {
    // What was granted before the interval that has just ended tells nothing about it.
    const bool none = shortest_ == duration::max() || elapsed(ends_, now) >= interval_;
    slow_ = none ? oldest != never && elapsed(oldest, now) > target_ : shortest_ > target_;
    shortest_ = duration::max();
    ends_ = later(now, interval_);
  }

  [[nodiscard]] bool is_slow() const noexcept { return slow_; }
  /// Whether who waits since then is to be shed.
  [[nodiscard]] bool sheds(time_point since, time_point now) const noexcept {
    return slow_ && now > later(since, 2 * target_);
  }
  /// When there is something to do, if nothing happens. Precondition: somebody waits.
  [[nodiscard]] time_point next_event(time_point oldest) const noexcept {
    if (!slow_) return ends_;
    return std::min(ends_, later(later(oldest, 2 * target_), duration{1}));
  }

 private:
  duration target_{}, interval_{};
  duration shortest_ = duration::max();  // that was granted in this interval
  time_point ends_ = never;              // read_clock: the first begins with the first look at the time
  bool slow_ = false;
};

/// Overloaded: once the oldest has waited for more than `target` for at least `interval`, until that has not been so for at
/// least `interval`.
class overload {
 public:
  overload() noexcept = default;
  explicit overload(const codel_config& config) noexcept : target_(config.target), interval_(config.interval) {}

  /// The oldest has changed. `oldest`: since when it waits; `never`: nobody does.
  void oldest_is(time_point oldest, time_point now) noexcept {
    pass(now);
    const time_point above = oldest == never ? never : later(oldest, target_);
    if (late_after_ < now && above >= now) calm_since_ = now;
    if (late_after_ >= now || above >= now) late_after_ = above;
  }

  [[nodiscard]] bool is_on(time_point now) noexcept {
    pass(now);
    return on_;
  }

 private:
  /// The oldest is the same since the last change.
  void pass(time_point now) noexcept {
    if (on_ && elapsed(calm_since_, std::min(now, late_after_)) >= interval_) on_ = false;
    if (!on_ && elapsed(late_after_, now) >= interval_) on_ = true;
  }

  duration target_{}, interval_{};
  bool on_ = false;
  time_point late_after_ = never;       // since when the oldest waits for more than target, or from when on it will
  time_point calm_since_ = read_clock;  // since when it did not, before that
};

}  // namespace weir::inline v0::detail
