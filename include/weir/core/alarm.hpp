#pragma once
/// \file
/// The timer seam. A queue, pool or room needs exactly one timer, whatever the number of its waiters: it says when it next
/// has something to do, and the shell's timer (Asio, manual, simulated) calls it back then.

#include <weir/core/time.hpp>

namespace weir::inline v0 {

/// One timer. `arm(t)` replaces an earlier time and may be called from any thread, under no lock of the caller; `t` may lie
/// in the past. It may fire early or once too often: who is called back looks at the clock. `disarm()` drops what is
/// pending.
template <class A>
concept alarm = requires(A& a, time_point t) {
  { a.arm(t) } noexcept;
  { a.disarm() } noexcept;
};

/// A reference to any alarm. Empty by default; arming an empty one does nothing. Must not outlive the alarm.
class alarm_ref {
 public:
  constexpr alarm_ref() noexcept = default;

  template <alarm A>
    requires(!std::same_as<A, alarm_ref>)
  explicit constexpr alarm_ref(A& a) noexcept
      : object_(&a),
        arm_([](void* object, time_point t) noexcept { static_cast<A*>(object)->arm(t); }),
        disarm_([](void* object) noexcept { static_cast<A*>(object)->disarm(); }) {}

  void arm(time_point t) noexcept {
    if (object_ != nullptr) arm_(object_, t);
  }
  void disarm() noexcept {
    if (object_ != nullptr) disarm_(object_);
  }
  [[nodiscard]] explicit constexpr operator bool() const noexcept { return object_ != nullptr; }

 private:
  void* object_ = nullptr;
  void (*arm_)(void*, time_point) noexcept = nullptr;
  void (*disarm_)(void*) noexcept = nullptr;
};

}  // namespace weir::inline v0
