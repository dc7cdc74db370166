#pragma once
/// \file
/// What a circuit breaker tells: its events, in the past tense, and its snapshot.

#include <weir/core/name.hpp>
#include <weir/core/time.hpp>
#include <weir/policy/circuit_breaker_config.hpp>
#include <weir/stats/window_counts.hpp>

#include <cstdint>
#include <optional>

namespace weir::inline v0 {

/// What opened a circuit.
enum class open_reason : std::uint8_t {
  failure_rate,          ///< of one of the windows
  slow_rate,             ///< of one of the windows, running calls included where they are watched
  consecutive_failures,  ///< so many with no success between
  retry_after,           ///< one overload said when to come back
  probes_failed,         ///< failure rate of the probes, expired leases included
  probes_slow,           ///< slow rate of the probes
  time_limit,            ///< half-open for too long without a decision
};

[[nodiscard]] constexpr const char* to_string(open_reason r) noexcept {
  switch (r) {
    case open_reason::failure_rate: return "failure_rate";
    case open_reason::slow_rate: return "slow_rate";
    case open_reason::consecutive_failures: return "consecutive_failures";
    case open_reason::retry_after: return "retry_after";
    case open_reason::probes_failed: return "probes_failed";
    case open_reason::probes_slow: return "probes_slow";
    case open_reason::time_limit: return "time_limit";
  }
  return "?";
}

/// The circuit opened by itself. The rates are those that it was judged by; zero where none was.
struct circuit_opened {
  weir::name name;
  std::uint64_t sequence = 0;
  time_point at;
  open_reason reason{};
  double failure_rate = 0;
  double slow_rate = 0;
  duration open_for{};
  std::uint32_t openings = 0;  ///< in a row, this one included unless a retry_after was the reason
};

/// The first call after the open time made it half-open, and is its first probe.
struct circuit_half_opened {
  weir::name name;
  std::uint64_t sequence = 0;
  time_point at;
};

/// The probes closed the circuit, or, with `by_time_limit`, the end of the half-open state did.
struct circuit_closed {
  weir::name name;
  std::uint64_t sequence = 0;
  time_point at;
  bool by_time_limit = false;
};

/// An operator set the state. Sent instead of the events above.
struct circuit_state_forced {
  weir::name name;
  std::uint64_t sequence = 0;
  time_point at;
  breaker_state from{};
  breaker_state to{};
};

/// Probes were not reported before their deadline and count as failures.
struct probe_lease_expired {
  weir::name name;
  std::uint64_t sequence = 0;
  time_point at;
  std::uint32_t probes = 1;  ///< how many, found at once
};

/// In state metrics_only: a threshold was reached that would have opened a closed circuit. Once per crossing.
struct circuit_would_open {
  weir::name name;
  std::uint64_t sequence = 0;
  time_point at;
  open_reason reason{};
  double failure_rate = 0;
  double slow_rate = 0;
};

/// What one window holds, and its rates once its minimum of calls is reached.
struct window_view {
  window_counts counts{};
  std::optional<double> failure_rate{};
  std::optional<double> slow_rate{};
};

/// One look at a breaker: state, windows and probes are those of one instant. The ledger balances: arrivals = admitted +
/// rejected + cancelled, and admitted = success + failure + overload + ignored + in_flight. It is exact when nobody is
/// calling; otherwise in_flight may include calls that were admitted while it was read, and is never negative.
struct circuit_breaker_snapshot {
  breaker_state state = breaker_state::closed;
  bool probes_due = false;        ///< open, and its time is over: the next call is a probe
  std::uint64_t generation = 0;   ///< counts states entered; a permit of another generation is late
  duration until_probe{};         ///< open: until the next call may probe; zero otherwise
  double admitted_share = 1;      ///< below 1 during the recovery ramp
  std::uint64_t trips = 0;        ///< times it opened by itself
  std::uint32_t openings = 0;     ///< in a row, the operator's included, those by a retry_after not
  std::uint64_t would_trips = 0;  ///< times it would have opened in state metrics_only

  window_view over_time{};   ///< empty while half-open; while open, what opened it, ageing
  window_view over_calls{};  ///< the same
  window_view probes{};      ///< results of the half-open state; kept while open if they opened it
  std::uint32_t probes_in_flight = 0;
  std::uint64_t probes_expired = 0;  ///< leases that ended, since construction
  std::uint32_t running_slow = 0;    ///< watched calls that run longer than slow_threshold

  // The ledger, since construction.
  std::uint64_t admitted = 0;
  std::uint64_t rejected = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t success = 0;
  std::uint64_t failure = 0;
  std::uint64_t overload = 0;
  std::uint64_t ignored = 0;
  std::uint64_t late = 0;  ///< of these and of `cancelled`: came back after the state, or the lease, that admitted them
  std::uint64_t in_flight = 0;
};

}  // namespace weir::inline v0
