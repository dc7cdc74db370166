#pragma once
/// \file
/// `default_clock`: the time line of steady_clock, read from the processor's time stamp counter where the kernel itself
/// trusts it (half the price and it overlaps with the atomics behind it), from steady_clock elsewhere.

#include <weir/core/detail/tsc_clock.hpp>
#include <weir/core/time.hpp>

namespace weir::inline v0 {

/// A value without state: all copies read one process-wide clock. Thread-safe; `now()` never goes back within a thread.
/// Agreement with steady_clock: within 1 µs after the first second (slewed, never stepped); falls back to steady_clock for
/// good if the counter proves unreliable. The choice is made at run time, at the first reading.
struct default_clock {
  [[nodiscard]] time_point now() const noexcept { return detail::tsc_clock::instance().now(); }

  /// Sleeping always goes by steady_clock: the two agree far better than a wake-up is precise.
  void wait_until(std::condition_variable& v, std::unique_lock<std::mutex>& lock, time_point t) const {
    steady_clock_source{}.wait_until(v, lock, t);
  }
};
static_assert(waitable_clock<default_clock>);

}  // namespace weir::inline v0
