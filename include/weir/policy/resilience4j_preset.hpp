#pragma once
/// \file
/// For people who come from resilience4j: its settings, under its names, as a configuration of weir's circuit breaker that
/// decides as resilience4j 2.x does.
///
/// ```cpp
/// weir::circuit_breaker breaker{weir::resilience4j_preset({.failure_rate_threshold = 25, .sliding_window_size = 50})};
/// ```
/// Not copied are its defects: results of an earlier state do not move a later one, no half-open timer outlives its state,
/// and the clock may go back. What this preset gives up is stated at each field of `resilience4j_settings`.

#include <weir/policy/circuit_breaker_config.hpp>

#include <algorithm>

namespace weir::inline v0 {

/// The settings of resilience4j 2.x with its defaults; thresholds in percent, (0, 100].
struct resilience4j_settings {
  std::string name = "circuit_breaker";
  /// true: TIME_BASED, sliding_window_size whole seconds of the clock. false: COUNT_BASED.
  bool time_based = false;
  std::uint32_t sliding_window_size = 100;
  std::uint32_t minimum_number_of_calls = 100;
  double failure_rate_threshold = 50;
  double slow_call_rate_threshold = 100;
  duration slow_call_duration_threshold = std::chrono::seconds{60};
  /// Probes have no lease: as in the original, ones that never return leave the circuit half-open for ever, unless
  /// max_wait_duration_in_half_open_state is set.
  std::uint32_t permitted_number_of_calls_in_half_open_state = 10;
  duration max_wait_duration_in_half_open_state{};  ///< 0: no limit
  bool transition_to_closed_after_wait = false;     ///< transitionToStateAfterWaitDuration
  duration wait_duration_in_open_state = std::chrono::seconds{60};
  /// With 1 the wait is constant, and without jitter it always ends together for all that opened together.
  double open_multiplier = 1;
  duration max_wait_duration_in_open_state = duration::max();
};

/// The equivalent configuration. Pass it to a breaker, which validates it.
[[nodiscard]] inline circuit_breaker_config resilience4j_preset(const resilience4j_settings& s) {
  // Milliseconds are the ticks of its clock: waits are whole ones, and end when it shows one more.
  constexpr duration tick = std::chrono::milliseconds{1};
  const std::uint32_t permitted = s.permitted_number_of_calls_in_half_open_state;
  const trip_thresholds trip{.minimum_calls = s.time_based ? s.minimum_number_of_calls
                                                           : std::min(s.minimum_number_of_calls, s.sliding_window_size),
                             .failure_rate = s.failure_rate_threshold / 100,
                             .slow_rate = s.slow_call_rate_threshold / 100};
  circuit_breaker_config c;
  c.name = s.name;
  if (s.time_based) {
    c.over_time = {.slicing = {.length = std::chrono::seconds{s.sliding_window_size},
                               .slices = s.sliding_window_size,
                               .aligned = true},
                   .trip = trip};
  } else {
    c.over_time.slicing.length = duration::zero();
    c.over_calls = {.size = s.sliding_window_size, .trip = trip};
  }
  c.slow_threshold = s.slow_call_duration_threshold;
  c.open_for = {.initial = s.wait_duration_in_open_state,
                .multiplier = s.open_multiplier,
                .cap = s.max_wait_duration_in_open_state,
                .jitter = jitter_kind::none,
                .granularity = tick};
  c.open_margin = tick;
  c.openings_forgotten_after = duration::zero();
  c.probes = {.count = permitted,
              .max_concurrent = 0,
              .lease = duration::max(),
              .failure_rate = trip.failure_rate,
              .slow_rate = trip.slow_rate,
              .decisive = std::min(s.minimum_number_of_calls, permitted),
              .decide_early = false,
              .time_limit = s.max_wait_duration_in_half_open_state,
              .at_time_limit = s.transition_to_closed_after_wait ? undecided::closes : undecided::opens};
  return c;
}

}  // namespace weir::inline v0
