#pragma once
/// \file
/// `default_clock`: the time line of steady_clock, read from the processor's time stamp counter where the kernel itself
/// trusts it (half the price and it overlaps with the atomics behind it), from steady_clock elsewhere.

#include <weir/core/detail/tsc_clock.hpp>
#include <weir/core/time.hpp>

namespace weir::inline v0 {

/// A value without state: all copies read one process-wide clock. Thread-safe; `now()` never goes back within a thread. Not
/// for signal handlers.
///
/// Follows steady_clock by corrections once a second: about 1 µs apart (10 µs in the first second), as far apart as
/// steady_clock itself is slewed within a second (at most 500 ppm, 0.5 ms), never more than 1 ms unnoticed for longer than
/// a second. Slewed, not stepped; if the counter proves unreliable it is given up for good: steady_clock answers, after at
/// most two seconds of standing still. The choice is made at run time, at the first readings. See docs/adr/0005.
struct default_clock {
  [[nodiscard]] time_point now() const noexcept { return detail::tsc_clock::instance().now(); }

  /// Sleeping always goes by steady_clock: the two agree far better than a wake-up is precise.
  void wait_until(std::condition_variable& v, std::unique_lock<std::mutex>& lock, time_point t) const {
    steady_clock_source{}.wait_until(v, lock, t);
  }
};
static_assert(waitable_clock<default_clock>);

}  // namespace weir::inline v0
