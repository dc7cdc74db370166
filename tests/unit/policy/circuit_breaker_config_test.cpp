#include <weir/policy/circuit_breaker_config.hpp>

#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/resilience4j_preset.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

namespace weir {
namespace {

using namespace std::chrono_literals;

TEST(CircuitBreakerConfig, TheDefaultsAreThoseOfTheirPage) {
  const circuit_breaker_config c;
  EXPECT_FALSE(validate(c));
  EXPECT_EQ(c.over_time.slicing, (time_slicing{.length = 10s, .slices = 10, .aligned = false}));
  EXPECT_EQ(c.over_time.trip, (trip_thresholds{.minimum_calls = 20, .failure_rate = 0.5, .slow_rate = 0.5}));
  EXPECT_EQ(c.over_calls.size, 0u);
  EXPECT_EQ(c.slow_threshold, 0s);
  EXPECT_EQ(c.consecutive_failures, 0u);
  EXPECT_FALSE(c.overload_is_failure);
  EXPECT_EQ(c.open_for.initial, 5s);
  EXPECT_EQ(c.open_for.multiplier, 2);
  EXPECT_EQ(c.open_for.cap, 60s);
  EXPECT_EQ(c.open_for.jitter, jitter_kind::proportional);
  EXPECT_EQ(c.open_for.fraction, 0.2);
  EXPECT_EQ(c.probes.count, 5u);
  EXPECT_EQ(c.recovery_ramp.length, 0s);
  EXPECT_EQ(c.initial_state, breaker_state::closed);
}

TEST(CircuitBreakerConfig, EveryWrongFieldIsNamed) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  using edit = std::function<void(circuit_breaker_config&)>;
  const std::vector<std::pair<const char*, edit>> wrong{
      {"over_time.slicing.length", [](auto& c) { c.over_time.slicing.length = -1s; }},
      {"over_time.slicing.length", [](auto& c) { c.over_time.slicing.length = 5ns; }},
      {"over_time.slicing.length", [](auto& c) { c.over_time.slicing.length = 0s; }},
      {"over_time.slicing.slices", [](auto& c) { c.over_time.slicing.slices = 0; }},
      {"over_time.slicing.slices", [](auto& c) { c.over_time.slicing.slices = 100'001; }},
      {"over_time.trip.minimum_calls", [](auto& c) { c.over_time.trip.minimum_calls = 0; }},
      {"over_time.trip.failure_rate", [](auto& c) { c.over_time.trip.failure_rate = 1.01; }},
      {"over_time.trip.failure_rate", [](auto& c) { c.over_time.trip.failure_rate = nan; }},
      {"over_time.trip.slow_rate", [](auto& c) { c.over_time.trip.slow_rate = -0.1; }},
      {"over_calls.size", [](auto& c) { c.over_calls.size = 10'000'001; }},
      {"over_calls.trip.minimum_calls", [](auto& c) { c.over_calls = {.size = 10, .trip = {.minimum_calls = 11}}; }},
      {"over_calls.trip.slow_rate", [](auto& c) { c.over_calls = {.size = 50, .trip = {.slow_rate = nan}}; }},
      {"slow_threshold", [](auto& c) { c.slow_threshold = -1ns; }},
      {"retry_after_limit", [](auto& c) { c.retry_after_limit = -1ns; }},
      {"open_for.initial", [](auto& c) { c.open_for.initial = 0s; }},
      {"open_for.multiplier", [](auto& c) { c.open_for.multiplier = nan; }},
      {"open_for.cap", [](auto& c) { c.open_for.cap = 0s; }},
      {"open_for.jitter", [](auto& c) { c.open_for.jitter = static_cast<jitter_kind>(5); }},
      {"open_margin", [](auto& c) { c.open_margin = -1ns; }},
      {"openings_forgotten_after", [](auto& c) { c.openings_forgotten_after = -1ns; }},
      {"probes.count", [](auto& c) { c.probes.count = 0; }},
      {"probes.count", [](auto& c) { c.probes.count = 100'001; }},
      {"probes.max_concurrent", [](auto& c) { c.probes.max_concurrent = 6; }},
      {"probes.lease", [](auto& c) { c.probes.lease = -1ns; }},
      {"probes.failure_rate", [](auto& c) { c.probes.failure_rate = 0; }},
      {"probes.failure_rate", [](auto& c) { c.probes.failure_rate = nan; }},
      {"probes.slow_rate", [](auto& c) { c.probes.slow_rate = 1.5; }},
      {"probes.decisive", [](auto& c) { c.probes.decisive = 6; }},
      {"probes.time_limit", [](auto& c) { c.probes.time_limit = -1ns; }},
      {"probes.at_time_limit", [](auto& c) { c.probes.at_time_limit = static_cast<undecided>(2); }},
      {"recovery_ramp.length", [](auto& c) { c.recovery_ramp.length = -1ns; }},
      {"recovery_ramp.from", [](auto& c) { c.recovery_ramp.from = 0; }},
      {"recovery_ramp.from", [](auto& c) { c.recovery_ramp.from = nan; }},
      {"watch_running", [](auto& c) { c.watch_running = 10; }},
      {"watch_running", [](auto& c) { c.slow_threshold = 1s, c.watch_running = 1'000'001; }},
      {"initial_state", [](auto& c) { c.initial_state = static_cast<breaker_state>(6); }},
  };
  for (const auto& [field, make_wrong] : wrong) {
    circuit_breaker_config c;
    make_wrong(c);
    const auto error = validate(c);
    ASSERT_TRUE(error) << field;
    EXPECT_EQ(error->field, std::string{"circuit_breaker_config."} + field);
    try {
      circuit_breaker built{c};
      ADD_FAILURE() << field << " was accepted";
    } catch (const std::invalid_argument& e) {
      EXPECT_EQ(e.what(), error->message());
    }
  }
}

TEST(CircuitBreakerConfig, MessagesSayWhatWasFound) {
  EXPECT_EQ(validate(circuit_breaker_config{.probes = {.count = 0}})->message(),
            "circuit_breaker_config.probes.count: must be in [1, 100000], is 0");
  EXPECT_EQ(validate(circuit_breaker_config{.slow_threshold = -5ms})->message(),
            "circuit_breaker_config.slow_threshold: must be >= 0, is -5 ms");
  EXPECT_EQ(validate(circuit_breaker_config{.open_for = {.cap = -1s}})->message(),
            "circuit_breaker_config.open_for.cap: must be > 0, is -1 s");
}

TEST(CircuitBreakerConfig, EachTriggerIsEnoughByItself) {
  circuit_breaker_config c{.over_time = {.slicing = {.length = {}}}};
  EXPECT_TRUE(validate(c)) << "nothing could ever open it";
  c.consecutive_failures = 1;
  EXPECT_FALSE(validate(c));
  c.consecutive_failures = 0;
  c.retry_after_limit = 1s;
  EXPECT_FALSE(validate(c));
  c.retry_after_limit = {};
  c.over_calls.size = 20;
  EXPECT_FALSE(validate(c));
}

TEST(CircuitBreakerConfig, Resilience4jsDefaultsMakeAValidConfiguration) {
  const auto counted = resilience4j_preset({});
  EXPECT_FALSE(validate(counted));
  EXPECT_EQ(counted.over_calls.size, 100u);
  EXPECT_EQ(counted.over_time.slicing.length, 0s);
  const auto timed = resilience4j_preset({.time_based = true, .sliding_window_size = 60});
  EXPECT_FALSE(validate(timed));
  EXPECT_EQ(timed.over_time.slicing, (time_slicing{.length = 60s, .slices = 60, .aligned = true}));
  // A minimum beyond the window is clamped, as there.
  EXPECT_EQ(resilience4j_preset({.sliding_window_size = 7}).over_calls.trip.minimum_calls, 7u);
}

}  // namespace
}  // namespace weir
