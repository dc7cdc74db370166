#pragma once
/// \file
/// Where a waitable policy keeps the one queue that stands in front of it.

#include <weir/core/admission.hpp>
#include <weir/core/detail/atomic.hpp>

#include <stdexcept>

namespace weir::inline v0::detail {

class listener_slot {
 public:
  /// nullptr detaches. Errors: std::logic_error if there is a listener already, which then stays: two queues in front of
  /// one policy would each wait for wake-ups that the other one gets.
  void attach(capacity_listener* listener) {
    capacity_listener* none = nullptr;
    if (listener == nullptr) {
      listener_.store(nullptr, release);
    } else if (!listener_.compare_exchange_strong(none, listener, acq_rel, relaxed)) {
      throw std::logic_error{"weir: a policy can have one queue in front of it, and this one has it already"};
    }
  }

  void tell() noexcept {
    if (auto* listener = listener_.load(acquire)) listener->on_capacity();
  }

 private:
  atomic<capacity_listener*> listener_{nullptr};
};

}  // namespace weir::inline v0::detail
