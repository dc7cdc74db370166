#pragma once
/// \file
/// Time as weir sees it: one time line, nanoseconds, always passed in or read from a clock *value*.
///
/// Cores take `now` as an argument. Shells are templates on a clock and read it once per operation, before any lock, and
/// again after every wait. An older `now` is legal input everywhere: it can never corrupt a window or credit tokens twice.
///
/// ```cpp
/// weir::steady_clock_source clock;
/// weir::time_point deadline = weir::later(clock.now(), std::chrono::milliseconds{800});
/// ```

#include <chrono>
#include <concepts>
#include <condition_variable>
#include <limits>
#include <mutex>

namespace weir::inline v0 {

using duration = std::chrono::nanoseconds;
/// The time line of `std::chrono::steady_clock`, so that deadlines made by the user with that clock are understood.
using time_point = std::chrono::time_point<std::chrono::steady_clock, duration>;

/// "No deadline", "only a release can bring capacity", "nothing to wait for".
inline constexpr time_point never = time_point::max();

/// Default of `call::now` and `completion::now`: the policy reads its own clock.
inline constexpr time_point read_clock = time_point::min();

/// A clock is a value; copies of it show the same time. `now()` is thread-safe and never goes back within one thread.
template <class C>
concept clock_source = std::copy_constructible<C> && requires(const C& c) {
  { c.now() } noexcept -> std::same_as<time_point>;
};

/// A clock that a thread can sleep by. `wait_until(v, lock, t)` returns when notified, spuriously, or once `now() >= t`;
/// the caller re-checks its condition. `never` waits without a time limit.
template <class C>
concept waitable_clock = clock_source<C> && requires(C& c, std::condition_variable& v, std::unique_lock<std::mutex>& lock,
                                                     time_point t) { c.wait_until(v, lock, t); };

/// `std::chrono::steady_clock` as a clock source: the reference for every other one.
struct steady_clock_source {
  [[nodiscard]] time_point now() const noexcept { return std::chrono::steady_clock::now(); }

  void wait_until(std::condition_variable& v, std::unique_lock<std::mutex>& lock, time_point t) const {
    // libstdc++ converts the deadline to a timespec; the far future must not overflow on the way.
    if (t == never) {
      v.wait(lock);
    } else {
      v.wait_until(lock, t);
    }
  }
};
static_assert(waitable_clock<steady_clock_source>);

/// `t + d` that stops at the ends of the time line instead of overflowing. Range: any `t`, any `d`.
[[nodiscard]] constexpr time_point later(time_point t, duration d) noexcept {
  duration::rep sum{};
  if (__builtin_add_overflow(t.time_since_epoch().count(), d.count(), &sum)) {
    return d.count() > 0 ? time_point::max() : time_point::min();
  }
  return time_point{duration{sum}};
}

/// `to - from` that stops at the ends of `duration` instead of overflowing.
[[nodiscard]] constexpr duration elapsed(time_point from, time_point to) noexcept {
  duration::rep difference{};
  if (__builtin_sub_overflow(to.time_since_epoch().count(), from.time_since_epoch().count(), &difference)) {
    return to > from ? duration::max() : duration::min();
  }
  return duration{difference};
}

}  // namespace weir::inline v0
