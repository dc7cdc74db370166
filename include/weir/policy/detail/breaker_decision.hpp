#pragma once
/// \file
/// What goes into the breaker's core and what comes out of it: results, decisions, and events for the observer, which the
/// shell publishes once the lock is released.

#include <weir/core/admission.hpp>
#include <weir/policy/circuit_breaker_events.hpp>
#include <weir/policy/detail/breaker_windows.hpp>
#include <weir/policy/detail/flight_table.hpp>

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>

namespace weir::inline v0::detail {

/// What an admission decided. A rejection's retry_after is zero where nothing but a result can end it.
struct breaker_admission {
  bool admitted = false;
  std::uint64_t generation = 0;
  flight_ticket ticket{};
  duration retry_after{};
};

/// One result, with everything resolved: `took` is zero where it was not measured.
struct breaker_result {
  std::uint64_t generation = 0;
  flight_ticket ticket{};
  outcome what = outcome::ignored;
  time_point now{};
  duration took{};
  duration retry_after{};
  unfinished left{};
};

enum class breaker_event_kind : std::uint8_t { opened, half_opened, closed, forced, leases_expired, would_open };

/// One event of any kind. No initialisers: a list of them costs nothing until it is used.
struct breaker_event {
  breaker_event_kind kind;
  bool by_time_limit;      // closed
  breaker_state from, to;  // forced
  std::uint32_t count;     // opened: openings; leases_expired: probes
  time_point at;
  duration open_for;   // opened
  open_reason reason;  // opened, would_open
  double failure_rate, slow_rate;
};

/// The events of one operation, which are few: expired leases, what follows from them, and what the operation itself does.
class breaker_events {
 public:
  breaker_event& push(breaker_event_kind kind, time_point at) noexcept {
    assert(size_ < items_.size());
    breaker_event& e = items_[size_ < items_.size() ? size_++ : size_ - 1];
    e = breaker_event{};
    e.kind = kind;
    e.at = at;
    return e;
  }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] const breaker_event* begin() const noexcept { return items_.data(); }
  [[nodiscard]] const breaker_event* end() const noexcept { return items_.data() + size_; }
  /// Precondition: !empty().
  [[nodiscard]] breaker_event& back() noexcept { return items_[size_ - 1]; }

 private:
  std::array<breaker_event, 4> items_;
  std::size_t size_ = 0;
};

}  // namespace weir::inline v0::detail
