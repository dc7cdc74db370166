#pragma once
/// \file
/// What a queue's alarm is set to, kept right although the alarm is set outside of the queue's lock.

#include <weir/core/alarm.hpp>
#include <weir/core/time.hpp>

#include <cstdint>
#include <optional>
#include <utility>

namespace weir::inline v0::detail {

/// Not thread-safe: all under the queue's lock. One thread at a time sets the alarm, and goes on until it is set to the
/// latest plan: two could set it out of order.
class alarm_setting {
 public:
  struct step {
    alarm_ref alarm;
    time_point at;

    void set() noexcept { at == never ? alarm.disarm() : alarm.arm(at); }
  };

  [[nodiscard]] bool attached() const noexcept { return static_cast<bool>(alarm_); }
  /// Whether a thread is, or may be, inside of the alarm.
  [[nodiscard]] bool in_use() const noexcept { return setting_; }

  /// Precondition: not in use.
  void attach(alarm_ref alarm) noexcept {
    alarm_ = alarm;
    at_ = never;
  }
  void rang() noexcept { at_ = never; }

  /// The alarm has to ring at `t`, or earlier. true: the caller has to set it, step by step, after unlocking.
  [[nodiscard]] bool plan(time_point t) noexcept {
    // One that rings early is harmless, so it is not put off; except to let an event loop run out when all is done.
    if (t >= at_ && (t != never || at_ == never)) return false;
    at_ = t;
    ++plans_;
    return !std::exchange(setting_, true);
  }

  /// For the thread that sets: the next step, unless the alarm is set to the latest plan. `done`: 0 at first.
  [[nodiscard]] std::optional<step> next(std::uint64_t& done) noexcept {
    if (done == plans_) {
      setting_ = false;
      return std::nullopt;
    }
    done = plans_;
    return step{alarm_, at_};
  }

 private:
  alarm_ref alarm_;
  time_point at_ = never;  // what the alarm is set to, or will be by who is setting it
  std::uint64_t plans_ = 0;
  bool setting_ = false;
};

}  // namespace weir::inline v0::detail
