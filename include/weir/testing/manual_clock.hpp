#pragma once
/// \file
/// A clock that stands still until the test moves it, and timers on it. No test of a policy needs to sleep.
///
/// ```cpp
/// weir::manual_clock clock;
/// weir::basic_rate_limiter<weir::manual_clock> limiter{{.limit = {10, 1s}}, {}, clock};
/// clock.advance(100ms);
/// ```

#include <weir/core/alarm.hpp>
#include <weir/core/time.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace weir::inline v0 {

class manual_timer;

/// Copies share one time line, which starts one hour after the epoch, so that there is a past. Thread-safe.
class manual_clock {
 public:
  manual_clock() : line_(std::make_shared<line>()) {}

  [[nodiscard]] time_point now() const noexcept { return time_point{duration{line_->now.load()}}; }

  /// Moves forward, and stops on the way at every timer that is due, in order of time, to run it at its own instant. Never
  /// moves back, also if a timer's function or another thread has gone further; concurrent calls overlap, they do not add
  /// up.
  void advance(duration by) { run_until(later(now(), by)); }

  /// Sets the time without running timers. Going back is allowed: that is what a hostile clock does.
  void set(time_point t) noexcept { line_->now.store(t.time_since_epoch().count()); }

  /// Returns when notified or, spuriously, after a moment of real time: the caller re-checks, so a thread that waits by
  /// this clock notices when a test moves it.
  void wait_until(std::condition_variable& v, std::unique_lock<std::mutex>& lock, time_point t) const {
    if (now() < t) v.wait_for(lock, std::chrono::milliseconds{1});
  }

 private:
  friend class manual_timer;

  struct line {
    std::atomic<duration::rep> now{duration{std::chrono::hours{1}}.count()};
    std::mutex mutex;
    std::vector<manual_timer*> armed;  // guarded by mutex; has room for every timer, so that arming allocates nothing
    std::size_t timers = 0;            // guarded by mutex
  };

  void run_until(time_point target);
  void raise(time_point t) noexcept {
    const duration::rep wanted = t.time_since_epoch().count();
    duration::rep seen = line_->now.load();
    while (seen < wanted && !line_->now.compare_exchange_weak(seen, wanted)) {
    }
  }

  std::shared_ptr<line> line_;
};
static_assert(waitable_clock<manual_clock>);

/// A timer on a manual clock: runs its function when `advance` passes the armed time, on the thread that advances. Models
/// `alarm`. The function may arm the timer again. Must be destroyed on no other thread than the one that advances.
class manual_timer {
 public:
  manual_timer(manual_clock clock, std::function<void()> fire) : clock_(std::move(clock)), fire_(std::move(fire)) {
    std::lock_guard lock{clock_.line_->mutex};
    clock_.line_->armed.reserve(clock_.line_->timers + 1);
    ++clock_.line_->timers;
  }
  ~manual_timer() {
    disarm();
    std::lock_guard lock{clock_.line_->mutex};
    --clock_.line_->timers;
  }
  manual_timer(const manual_timer&) = delete;
  manual_timer& operator=(const manual_timer&) = delete;

  void arm(time_point t) noexcept {
    std::lock_guard lock{clock_.line_->mutex};
    auto& armed = clock_.line_->armed;
    if (std::find(armed.begin(), armed.end(), this) == armed.end()) armed.push_back(this);
    due_ = t;
  }
  void disarm() noexcept {
    std::lock_guard lock{clock_.line_->mutex};
    std::erase(clock_.line_->armed, this);
    due_ = never;
  }
  /// `never` if not armed.
  [[nodiscard]] time_point due() const noexcept {
    std::lock_guard lock{clock_.line_->mutex};
    return due_;
  }

 private:
  friend class manual_clock;

  manual_clock clock_;
  std::function<void()> fire_;
  time_point due_ = never;  // guarded by the line's mutex
};
static_assert(alarm<manual_timer>);

inline void manual_clock::run_until(time_point target) {
  for (;;) {
    manual_timer* first = nullptr;
    {
      std::lock_guard lock{line_->mutex};
      for (manual_timer* timer : line_->armed) {
        if (timer->due_ <= target && (first == nullptr || timer->due_ < first->due_)) first = timer;
      }
      if (first != nullptr) {
        raise(first->due_);
        std::erase(line_->armed, first);
        first->due_ = never;
      }
    }
    if (first == nullptr) break;
    first->fire_();
  }
  raise(target);
}

}  // namespace weir::inline v0
