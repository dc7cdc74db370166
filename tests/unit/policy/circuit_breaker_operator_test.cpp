// What an operator does: states by command, the initial one, running calls watched, and another configuration while calls
// go on.
#include <weir/policy/circuit_breaker.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/circuit_breaker_harness.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class CircuitBreakerOperator : public testing_support::circuit_breaker_harness {};

TEST_F(CircuitBreakerOperator, ForcedOpenRefusesUntilToldOtherwise) {
  make();
  EXPECT_TRUE(breaker->set_state(breaker_state::forced_open));
  clock.advance(24h * 365 * 50);
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().retry_after(), 0s) << "nobody knows";
  EXPECT_EQ(look().until_probe, 0s);
  EXPECT_TRUE(breaker->set_state(breaker_state::closed));
  EXPECT_TRUE(succeed());
  EXPECT_THAT(events(), ElementsAre("forced: closed to forced_open", "forced: forced_open to closed"));
}

TEST_F(CircuitBreakerOperator, DisabledAdmitsAndRecordsNothing) {
  make();
  breaker->set_state(breaker_state::disabled);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(fail());
  const auto s = look();
  EXPECT_EQ(s.state, breaker_state::disabled);
  EXPECT_EQ(s.over_calls.counts, window_counts{});
  EXPECT_EQ(s.failure, 100u);
}

TEST_F(CircuitBreakerOperator, MetricsOnlyRecordsAndSaysWhatItWouldHaveDone) {
  config.initial_state = breaker_state::metrics_only;
  make();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(fail());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(succeed());
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(fail());
  EXPECT_EQ(look().over_calls.failure_rate, 1.0);
  EXPECT_THAT(events(), ElementsAre("would open: failure_rate", "would open: failure_rate"));
  EXPECT_EQ(look().would_trips, 2u);
  EXPECT_EQ(look().trips, 0u);
}

TEST_F(CircuitBreakerOperator, EveryStateCanBeTheFirst) {
  const std::vector<std::pair<breaker_state, bool>> admits{
      {breaker_state::closed, true},       {breaker_state::open, false},    {breaker_state::half_open, true},
      {breaker_state::forced_open, false}, {breaker_state::disabled, true}, {breaker_state::metrics_only, true}};
  for (const auto& [initial, admitted] : admits) {
    SCOPED_TRACE(to_string(initial));
    config.initial_state = initial;
    make();
    arrivals = 0;
    EXPECT_EQ(state(), initial);
    EXPECT_EQ(succeed(), admitted);
  }
  config.initial_state = breaker_state::open;
  make();
  arrivals = 0;
  EXPECT_EQ(look().until_probe, 10s);
  first_probe().release(outcome::success);
}

TEST_F(CircuitBreakerOperator, EveryTransitionExceptThreeIsAllowed) {
  const auto all = {breaker_state::closed,      breaker_state::open,     breaker_state::half_open,
                    breaker_state::forced_open, breaker_state::disabled, breaker_state::metrics_only};
  for (const breaker_state from : all) {
    for (const breaker_state to : all) {
      SCOPED_TRACE(std::string{to_string(from)} + " to " + to_string(to));
      config.initial_state = from;
      make();
      const bool refused =
          (from == breaker_state::closed && to == breaker_state::half_open) ||
          (from == breaker_state::metrics_only && (to == breaker_state::half_open || to == breaker_state::open));
      EXPECT_EQ(breaker->set_state(to), !refused);
      EXPECT_EQ(state(), refused ? from : to);
      EXPECT_EQ(look().generation, refused ? 1u : 2u);
    }
  }
}

TEST_F(CircuitBreakerOperator, TheSameStateBeginsAfresh) {
  make();
  fail();
  auto early = ask();
  breaker->set_state(breaker_state::closed);
  EXPECT_EQ(look().over_calls.counts, window_counts{});
  early->release(outcome::failure);
  EXPECT_EQ(look().over_calls.counts, window_counts{});
  EXPECT_EQ(look().late, 1u);
  breaker->set_state(breaker_state::open);
  clock.advance(6s);
  breaker->set_state(breaker_state::open);
  EXPECT_EQ(look().until_probe, 10s);
  EXPECT_EQ(look().openings, 2u);
  EXPECT_EQ(look().trips, 0u);
}

TEST_F(CircuitBreakerOperator, AnOpenCircuitCanBeMadeToProbeNow) {
  make();
  trip();
  EXPECT_TRUE(breaker->set_state(breaker_state::half_open));
  EXPECT_TRUE(succeed());
  EXPECT_TRUE(succeed());
  EXPECT_EQ(state(), breaker_state::closed);
}

TEST_F(CircuitBreakerOperator, ClosingByHandForgetsTheOpeningsBefore) {
  config.open_for = {.initial = 1s, .multiplier = 2, .jitter = jitter_kind::none};
  make();
  trip();
  clock.advance(1s);
  fail();
  EXPECT_EQ(look().until_probe, 2s);
  breaker->set_state(breaker_state::closed);
  trip();
  EXPECT_EQ(look().until_probe, 1s);
}

// None of the peers counts calls that still run: a dependency that hangs trips nothing until its time-outs come in.
TEST_F(CircuitBreakerOperator, WatchedCallsThatRunTooLongTripBeforeTheyEnd) {
  config.slow_threshold = 1s;
  config.watch_running = 100;
  make();
  std::vector<permit> hanging;
  for (int i = 0; i < 6; ++i) hanging.push_back(ask().value());
  clock.advance(1s);
  EXPECT_TRUE(succeed());
  EXPECT_EQ(look().running_slow, 0u) << "not longer than the threshold";
  clock.advance(1ns);
  EXPECT_FALSE(ask());
  EXPECT_THAT(events(), ElementsAre("opened: slow_rate"));
  EXPECT_NEAR(log.opened->back().slow_rate, 6.0 / 7, 1e-9);
}

TEST_F(CircuitBreakerOperator, WatchedCallsAreCorrectedWhenTheyEnd) {
  config.slow_threshold = 1s;
  config.watch_running = 100;
  config.over_calls.trip = {.minimum_calls = 10, .failure_rate = 0.5, .slow_rate = 0.5};
  make();
  std::vector<permit> running;
  for (int i = 0; i < 4; ++i) running.push_back(ask().value());
  clock.advance(2s);
  EXPECT_EQ(look().running_slow, 4u);
  running[0].release({.result = outcome::success, .took = 2s});  // slow indeed: counts once, in the window
  running[1].release(outcome::ignored);                          // says nothing after all
  running[2].cancel();
  EXPECT_EQ(look().running_slow, 1u);
  EXPECT_EQ(look().over_calls.counts, (window_counts{.calls = 1, .slow = 1}));
  running[3].release(outcome::success);
  EXPECT_EQ(look().running_slow, 0u);
  EXPECT_EQ(look().over_calls.counts, (window_counts{.calls = 2, .slow = 2}));
}

TEST_F(CircuitBreakerOperator, WhatCountsAsSlowAlreadyDoesSoUntilItEnds) {
  config.slow_threshold = 1s;
  config.watch_running = 100;
  make();
  auto marked = ask();
  clock.advance(2s);
  auto young = ask();
  EXPECT_EQ(look().running_slow, 1u);
  config.slow_threshold = 1min;
  breaker->reconfigure(config);
  clock.advance(2s);
  EXPECT_EQ(look().running_slow, 1u) << "and no other";
  marked->release(outcome::success);
  EXPECT_EQ(look().running_slow, 0u);
  EXPECT_EQ(look().over_calls.counts, (window_counts{.calls = 1}));
}

TEST_F(CircuitBreakerOperator, BeyondItsBoundCallsAreNotWatchedButCount) {
  config.slow_threshold = 1s;
  config.watch_running = 2;
  config.over_calls = {.size = 100, .trip = {.minimum_calls = 50}};
  make();
  std::vector<permit> running;
  for (int i = 0; i < 6; ++i) running.push_back(ask().value());
  clock.advance(2s);
  EXPECT_EQ(look().running_slow, 2u);
  for (auto& p : running) p.release(outcome::success);
  EXPECT_EQ(look().over_calls.counts, (window_counts{.calls = 6, .slow = 6}));
}

TEST_F(CircuitBreakerOperator, AWrongConfigurationChangesNothing) {
  make();
  auto wrong = config;
  wrong.over_calls.trip.failure_rate = 1.5;
  const auto error = breaker->reconfigure(wrong);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->field, "circuit_breaker_config.over_calls.trip.failure_rate");
  trip();
}

TEST_F(CircuitBreakerOperator, AWindowOfTheSameShapeIsKept) {
  config.over_time = {.slicing = {.length = 60s, .slices = 6}, .trip = {.minimum_calls = 1000}};
  make();
  for (int i = 0; i < 3; ++i) fail();
  config.over_calls.trip.minimum_calls = 3;
  config.over_time.slicing.slices = 60;
  EXPECT_EQ(breaker->reconfigure(config), std::nullopt);
  EXPECT_EQ(look().over_calls.counts.calls, 3u);
  EXPECT_EQ(look().over_time.counts.calls, 0u);
  EXPECT_EQ(state(), breaker_state::closed) << "judged with the next result";
  succeed();
  EXPECT_EQ(state(), breaker_state::open);
}

TEST_F(CircuitBreakerOperator, ReconfiguringKeepsTheOpenTimeAndTheProbes) {
  config.probes = {.count = 4, .max_concurrent = 1, .failure_rate = 1};
  make();
  trip();
  clock.advance(4s);
  config.open_for.initial = 1h;
  config.probes.max_concurrent = 3;
  breaker->reconfigure(config);
  EXPECT_EQ(look().until_probe, 6s);
  permit probe = first_probe(6s);
  config.probes = {.count = 100, .max_concurrent = 100, .failure_rate = 1};
  breaker->reconfigure(config);
  EXPECT_EQ(look().probes_in_flight, 1u);
  std::vector<permit> more;
  for (int i = 0; i < 99; ++i) more.push_back(ask().value());
  EXPECT_FALSE(ask());
  EXPECT_EQ(look().probes_in_flight, 100u) << "each has its lease";
  probe.release(outcome::success);
  EXPECT_EQ(state(), breaker_state::closed);
}

TEST_F(CircuitBreakerOperator, FewerProbesThanAreBackDecideAtOnce) {
  config.probes = {.count = 10, .decide_early = false};
  make();
  trip();
  clock.advance(10s);
  succeed();
  succeed();
  EXPECT_EQ(state(), breaker_state::half_open);
  config.probes.count = 2;
  breaker->reconfigure(config);
  EXPECT_EQ(state(), breaker_state::closed);
}

TEST_F(CircuitBreakerOperator, CallsCanBeginAndCeaseToBeMeasuredAndWatched) {
  make();
  auto before = ask();
  config.slow_threshold = 1s;
  config.watch_running = 10;
  breaker->reconfigure(config);
  clock.advance(5s);
  before->release(outcome::success);  // nobody looked at the clock when it began
  EXPECT_EQ(look().over_calls.counts, (window_counts{.calls = 1}));
  auto watched = ask();
  clock.advance(5s);
  EXPECT_EQ(look().running_slow, 1u);
  config.watch_running = 0;
  breaker->reconfigure(config);
  EXPECT_EQ(look().running_slow, 0u);
  watched->release(outcome::success);
  EXPECT_EQ(look().over_calls.counts, (window_counts{.calls = 2, .slow = 1}));
}

}  // namespace
}  // namespace weir
