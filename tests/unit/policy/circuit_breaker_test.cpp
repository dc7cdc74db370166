// A closed circuit: what trips it, what does not, what a refusal says, permits, and who may be told.
#include <weir/policy/circuit_breaker.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/circuit_breaker_harness.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class CircuitBreaker : public testing_support::circuit_breaker_harness {};

TEST_F(CircuitBreaker, AdmitsUntilTheFailureRateIsReached) {
  make();
  EXPECT_TRUE(fail());
  EXPECT_TRUE(fail());
  EXPECT_TRUE(succeed());
  EXPECT_EQ(state(), breaker_state::closed);
  EXPECT_TRUE(succeed());  // 2 of 4: exactly at the threshold, on a success
  EXPECT_EQ(state(), breaker_state::open);
  EXPECT_FALSE(succeed());
  EXPECT_THAT(events(), ElementsAre("opened: failure_rate"));
  EXPECT_EQ(log.opened->front().failure_rate, 0.5);
  EXPECT_EQ(look().trips, 1u);
}

TEST_F(CircuitBreaker, NeedsItsMinimumOfCalls) {
  make();
  for (int i = 0; i < 3; ++i) fail();
  EXPECT_EQ(state(), breaker_state::closed);
  EXPECT_EQ(look().over_calls.failure_rate, std::nullopt);
  fail();
  EXPECT_EQ(state(), breaker_state::open);
  EXPECT_EQ(look().over_calls.failure_rate, 1.0);
}

TEST_F(CircuitBreaker, StaysClosedJustBelowTheThreshold) {
  config.over_calls = {.size = 100, .trip = {.minimum_calls = 10, .failure_rate = 0.3}};
  make();
  for (int i = 0; i < 100; ++i) run(i % 5 == 4 ? outcome::failure : outcome::success);
  EXPECT_EQ(state(), breaker_state::closed);
  while (state() == breaker_state::closed) {
    EXPECT_LT(look().over_calls.counts.failures, 30u);
    fail();
  }
  EXPECT_EQ(look().over_calls.counts, (window_counts{.calls = 100, .failures = 30}));
}

// 57.5 % and the like are no binary fractions: 23 of 40 must still count as reached, by the quick look and by the verdict.
TEST_F(CircuitBreaker, ReachesThresholdsThatAreNoBinaryFractions) {
  for (std::uint32_t n = 1; n <= 200; ++n) {
    for (std::uint32_t f = 1; f <= n; ++f) {
      const trip_thresholds trip{.minimum_calls = n, .failure_rate = static_cast<double>(f) / static_cast<double>(n)};
      detail::breaker_windows windows{{.over_time = {.slicing = {.length = {}}}, .over_calls = {.size = n, .trip = trip}},
                                      {}};
      for (const std::uint32_t failures : {f - 1, f}) {
        windows.clear(failures, {});
        windows.give_to(failures);
        bool suspect = false;
        for (std::uint32_t i = 0; i < n; ++i)
          suspect = windows.record(failures, i < failures, false, {}).has(detail::unfinished::suspect);
        ASSERT_EQ(suspect, failures == f) << failures << " of " << n;
        ASSERT_EQ(windows.judge(0, {}).has_value(), failures == f) << failures << " of " << n;
      }
    }
  }
}

TEST_F(CircuitBreaker, SlowCallsTripWhetherTheySucceedOrFail) {
  config.slow_threshold = 100ms;
  config.over_calls.trip.failure_rate = 0;
  make();
  run(outcome::success, 100ms);  // not more than the threshold
  run(outcome::success, 101ms);
  run(outcome::success, 1ms);
  EXPECT_EQ(state(), breaker_state::closed);
  run(outcome::failure, 5s);
  EXPECT_THAT(events(), ElementsAre("opened: slow_rate"));
  EXPECT_EQ(log.opened->front().slow_rate, 0.5);
}

TEST_F(CircuitBreaker, MeasuresTheCallItself) {
  config.slow_threshold = 100ms;
  make();
  for (int i = 0; i < 4; ++i) {
    auto p = ask();
    clock.advance(i < 2 ? 50ms : 150ms);
    p->release(outcome::success);
  }
  EXPECT_THAT(events(), ElementsAre("opened: slow_rate"));
}

TEST_F(CircuitBreaker, TakesTheCallersWordForTheTime) {
  config.slow_threshold = 100ms;
  make();
  const time_point t = clock.now() + 7s;
  for (int i = 0; i < 4; ++i) {
    auto p = ask({.now = t});
    p->release({.result = outcome::success, .now = t + 101ms});
  }
  EXPECT_EQ(breaker->snapshot().state, breaker_state::open);
  EXPECT_EQ(look().until_probe, 10s + 7s + 101ms);
}

TEST_F(CircuitBreaker, WithoutASlowThresholdNoCallIsSlow) {
  make();
  for (int i = 0; i < 10; ++i) run(outcome::success, 24h);
  EXPECT_EQ(look().over_calls.counts, (window_counts{.calls = 10}));
}

TEST_F(CircuitBreaker, ATimeWindowForgets) {
  config.over_calls.size = 0;
  config.over_time = {.slicing = {.length = 10s, .slices = 10}, .trip = {.minimum_calls = 4, .failure_rate = 0.5}};
  make();
  for (int i = 0; i < 3; ++i) fail();
  clock.advance(10s);
  fail();
  EXPECT_EQ(look().over_time.counts, (window_counts{.calls = 1, .failures = 1}));
  EXPECT_EQ(state(), breaker_state::closed);
  for (int i = 0; i < 3; ++i) fail();
  EXPECT_EQ(state(), breaker_state::open);
}

// Brpc's two windows: a short strict one and a long lenient one, and the circuit opens when either says so.
TEST_F(CircuitBreaker, OfTwoWindowsEitherTrips) {
  config.over_calls = {.size = 5, .trip = {.minimum_calls = 5, .failure_rate = 0.8}};
  config.over_time = {.slicing = {.length = 100s, .slices = 10}, .trip = {.minimum_calls = 20, .failure_rate = 0.25}};
  make();
  for (int i = 0; i < 4; ++i) fail();
  succeed();
  EXPECT_THAT(events(), ElementsAre("opened: failure_rate"));  // 4 of the last 5
  breaker->set_state(breaker_state::closed);
  events();
  int calls = 0;
  while (state() == breaker_state::closed && calls < 100) run(calls++ % 4 == 0 ? outcome::failure : outcome::success);
  EXPECT_EQ(calls, 20);  // 5 of 20 in the last 100 s, never more than 2 of the last 5
  EXPECT_THAT(events(), ElementsAre("opened: failure_rate"));
}

TEST_F(CircuitBreaker, ConsecutiveFailuresTripBelowTheMinimum) {
  config.over_calls.size = 0;
  config.consecutive_failures = 3;
  make();
  fail();
  fail();
  succeed();
  fail();
  fail();
  run(outcome::ignored);
  run(outcome::overload);
  EXPECT_EQ(state(), breaker_state::closed);
  fail();  // neither the ignored one nor the overload broke the row
  EXPECT_THAT(events(), ElementsAre("opened: consecutive_failures"));
}

TEST_F(CircuitBreaker, OverloadIsCountedApartAndDoesNotTrip) {
  make();
  for (int i = 0; i < 10; ++i) run(outcome::overload);
  EXPECT_EQ(state(), breaker_state::closed);
  EXPECT_EQ(look().over_calls.counts, (window_counts{.overload = 10}));
  EXPECT_EQ(look().overload, 10u);
  // Nor does it dilute: three failures and a success among overloads are three of four.
  fail();
  fail();
  run(outcome::overload);
  fail();
  EXPECT_EQ(state(), breaker_state::closed);
  succeed();
  EXPECT_EQ(state(), breaker_state::open);
}

TEST_F(CircuitBreaker, OverloadCountsAsFailureWhereConfigured) {
  config.overload_is_failure = true;
  make();
  for (int i = 0; i < 4; ++i) run(outcome::overload);
  EXPECT_THAT(events(), ElementsAre("opened: failure_rate"));
  EXPECT_EQ(look().overload, 4u);
  EXPECT_EQ(look().failure, 0u);
}

TEST_F(CircuitBreaker, IgnoredResultsAreNoEvidence) {
  make();
  for (int i = 0; i < 100; ++i) run(outcome::ignored);
  fail();
  EXPECT_EQ(look().over_calls.counts, (window_counts{.calls = 1, .failures = 1}));
}

// Resilience4j's "open because of this result" left the circuit refusing for ever while it said that it was closed (F-D3).
TEST_F(CircuitBreaker, F_D3_OneResultThatSaysWhenOpensUntilThenAndComesBack) {
  config.retry_after_limit = 5min;
  make();
  auto p = ask();
  p->release({.result = outcome::overload, .retry_after = 42s});
  EXPECT_THAT(events(), ElementsAre("opened: retry_after"));
  EXPECT_EQ(state(), breaker_state::open);
  EXPECT_EQ(look().until_probe, 42s);
  EXPECT_EQ(look().openings, 0u) << "the backoff stays where it was";
  clock.advance(42s - 1ns);
  EXPECT_FALSE(succeed());
  clock.advance(1ns);
  EXPECT_TRUE(succeed());
  EXPECT_TRUE(succeed());
  EXPECT_EQ(state(), breaker_state::closed);
  for (int i = 0; i < 4; ++i) fail();
  EXPECT_EQ(state(), breaker_state::open) << "thresholds must still trip afterwards";
}

TEST_F(CircuitBreaker, RetryAfterIsBoundedAndOffByDefault) {
  make();
  auto p = ask();
  p->release({.result = outcome::overload, .retry_after = 42s});
  EXPECT_EQ(state(), breaker_state::closed);
  config.retry_after_limit = 1min;
  EXPECT_EQ(breaker->reconfigure(config), std::nullopt);
  auto q = ask();
  q->release({.result = outcome::overload, .retry_after = 24h * 365});
  EXPECT_EQ(look().until_probe, 1min);
}

TEST_F(CircuitBreaker, ARefusalSaysWhoWhyAndWhenToComeBack) {
  config.name = "payments";
  make();
  trip();
  clock.advance(3s);
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), errc::circuit_open);
  EXPECT_EQ(refused.error().policy(), "payments");
  EXPECT_EQ(refused.error().retry_after(), 7s);
}

TEST_F(CircuitBreaker, RefusedJustBeforeRetryAfterAndAdmittedExactlyThen) {
  make();
  trip();
  const duration wait = ask().error().retry_after();
  clock.advance(wait - 1ns);
  EXPECT_FALSE(succeed());
  EXPECT_FALSE(look().probes_due);
  clock.advance(1ns);
  EXPECT_TRUE(look().probes_due);
  EXPECT_EQ(state(), breaker_state::open) << "the next call makes it half-open, not the clock";
  EXPECT_TRUE(succeed());
}

TEST_F(CircuitBreaker, OpenTimesGrowAndAreForgottenAfterAClosedPeriod) {
  config.open_for = {.initial = 1s, .multiplier = 2, .cap = 5s, .jitter = jitter_kind::none};
  config.openings_forgotten_after = 60s;
  make();
  trip();
  for (const duration expected : {1s, 2s, 4s, 5s, 5s}) {
    EXPECT_EQ(look().until_probe, expected);
    clock.advance(expected);
    fail();
    if (state() == breaker_state::half_open) fail();
  }
  // Closed again, but not for long enough: the row goes on.
  clock.advance(5s);
  succeed();
  succeed();
  ASSERT_EQ(state(), breaker_state::closed);
  clock.advance(59s);
  trip();
  EXPECT_EQ(look().until_probe, 5s);
  clock.advance(5s);
  succeed();
  succeed();
  clock.advance(60s);
  trip();
  EXPECT_EQ(look().until_probe, 1s);
  EXPECT_EQ(look().openings, 1u);
}

TEST_F(CircuitBreaker, OpenTimesAreJitteredBySeed) {
  config.open_for = {.initial = 10s, .multiplier = 1, .jitter = jitter_kind::proportional, .fraction = 0.2};
  duration least = duration::max(), most{};
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    config.seed = seed;
    make();
    arrivals = 0;
    trip();
    const duration first = look().until_probe;
    least = std::min(least, first);
    most = std::max(most, first);
    make();
    arrivals = 0;
    trip();
    EXPECT_EQ(look().until_probe, first) << "the same seed must give the same time";
  }
  EXPECT_GE(least, 8s);
  EXPECT_LE(most, 12s);
  EXPECT_GT(most - least, 3s);
}

// Polly and failsafe-go count what an earlier state admitted (A-D1): a success of before closes a half-open circuit.
TEST_F(CircuitBreaker, A_D1_ResultsOfAnEarlierStateMoveNothing) {
  make();
  std::vector<permit> early;
  for (int i = 0; i < 20; ++i) early.push_back(ask().value());
  trip();
  const auto before = look();
  early[0].release(outcome::success);
  early[1].release(outcome::failure);
  EXPECT_EQ(look().over_calls.counts, before.over_calls.counts);
  permit probe = first_probe();
  for (std::size_t i = 2; i < 8; ++i) early[i].release(i % 2 == 0 ? outcome::success : outcome::failure);
  EXPECT_EQ(state(), breaker_state::half_open);
  EXPECT_EQ(look().probes.counts, window_counts{});
  probe.release(outcome::success);
  succeed();
  ASSERT_EQ(state(), breaker_state::closed);
  for (std::size_t i = 8; i < 20; ++i) early[i].release(outcome::failure);
  EXPECT_EQ(state(), breaker_state::closed);
  EXPECT_EQ(look().over_calls.counts, window_counts{});
  const auto s = look();
  EXPECT_EQ(s.late, 20u);
  EXPECT_EQ(s.failure, 4u + 1 + 3 + 12);
  EXPECT_EQ(s.success, 1u + 3 + 2);
}

// An observer that calls back deadlocked in gobreaker, and ran in the middle of a transition in failsafe-go (A-D2).
struct calls_back {
  basic_circuit_breaker<manual_clock, calls_back>** breaker;
  std::vector<breaker_state>* seen;
  void on(const circuit_opened&) {
    seen->push_back((*breaker)->snapshot().state);
    EXPECT_FALSE((*breaker)->try_acquire());
    (*breaker)->set_state(breaker_state::closed);
    EXPECT_TRUE((*breaker)->try_acquire());
  }
};

TEST_F(CircuitBreaker, A_D2_AnObserverMayCallBack) {
  basic_circuit_breaker<manual_clock, calls_back>* self = nullptr;
  std::vector<breaker_state> seen;
  basic_circuit_breaker<manual_clock, calls_back> called{config, calls_back{&self, &seen}, clock};
  self = &called;
  for (int i = 0; i < 4; ++i) called.try_acquire()->release(outcome::failure);
  EXPECT_THAT(seen, ElementsAre(breaker_state::open));
  EXPECT_EQ(called.snapshot().state, breaker_state::closed);
}

struct throws {
  void on(const circuit_opened&) { throw std::runtime_error("observer"); }
};

TEST_F(CircuitBreaker, WhatAnObserverThrowsIsSwallowedAndCounted) {
  basic_circuit_breaker<manual_clock, throws> thrown{config, {}, clock};
  for (int i = 0; i < 4; ++i) thrown.try_acquire()->release(outcome::failure);
  EXPECT_EQ(thrown.swallowed(), 1u);
  EXPECT_EQ(thrown.snapshot().state, breaker_state::open);
}

TEST_F(CircuitBreaker, EventsAreNumberedAndNamed) {
  config.name = "numbered";
  make();
  trip();
  clock.advance(10s);
  fail();
  ASSERT_EQ(log.opened->size(), 2u);
  EXPECT_EQ((*log.opened)[0].sequence, 1u);
  EXPECT_EQ((*log.opened)[0].name.view(), "numbered");
  EXPECT_EQ((*log.opened)[1].sequence, 3u);  // half opened was 2
  EXPECT_EQ((*log.opened)[1].openings, 2u);
  EXPECT_EQ((*log.opened)[1].open_for, 10s);
}

TEST_F(CircuitBreaker, AClockThatGoesBackCorruptsNothing) {
  config.over_calls.size = 0;
  config.over_time = {.slicing = {.length = 10s, .slices = 10}, .trip = {.minimum_calls = 50, .failure_rate = 0.5}};
  config.slow_threshold = 1s;
  make();
  const time_point start = clock.now();
  auto p = ask();
  clock.set(start - 30min);
  p->release(outcome::failure);  // ended before it began: took nothing
  for (int i = 0; i < 20; ++i) fail();
  clock.set(start);
  for (int i = 0; i < 28; ++i) fail();
  EXPECT_EQ(look().over_time.counts, (window_counts{.calls = 49, .failures = 49}));
  EXPECT_EQ(state(), breaker_state::closed);
  fail();
  EXPECT_EQ(state(), breaker_state::open);
  // The end of the open time does not move with the clock.
  clock.set(start - 1h + 1s);
  EXPECT_FALSE(succeed());
  clock.set(start + 10s);
  EXPECT_TRUE(succeed());
}

TEST_F(CircuitBreaker, APermitIsGivenBackExactlyOnce) {
  make();
  {
    auto dropped = ask();
    auto moved = std::move(*dropped);
    auto& self = moved;
    moved = std::move(self);
    EXPECT_EQ(look().in_flight, 1u);
    dropped->release(outcome::failure);  // moved from: nothing
    EXPECT_EQ(look().in_flight, 1u);
  }
  EXPECT_EQ(look().ignored, 1u);
  auto first = ask();
  auto second = ask();
  *first = std::move(*second);  // gives the first one back
  EXPECT_EQ(look().ignored, 2u);
  EXPECT_EQ(look().in_flight, 1u);
  first->release(outcome::success);
  first->release(outcome::failure);
  first->cancel();
  const auto s = look();
  EXPECT_EQ(s.success, 1u);
  EXPECT_EQ(s.failure + s.cancelled, 0u);
}

TEST_F(CircuitBreaker, ACancelledPermitWasNeverAdmitted) {
  make();
  auto p = ask();
  p->cancel();
  const auto s = look();
  EXPECT_EQ(s.cancelled, 1u);
  EXPECT_EQ(s.admitted, 0u);
  EXPECT_EQ(s.over_calls.counts, window_counts{});
}

TEST_F(CircuitBreaker, AnExceptionGivesThePermitBackAsIgnored) {
  make();
  try {
    auto p = ask();
    throw std::runtime_error("call");
  } catch (const std::runtime_error&) {
  }
  EXPECT_EQ(look().ignored, 1u);
}

TEST_F(CircuitBreaker, TheSnapshotShowsWhatOpenedIt) {
  make();
  trip();
  EXPECT_EQ(look().over_calls.counts, (window_counts{.calls = 4, .failures = 4}));
  permit probe = first_probe();
  EXPECT_EQ(look().over_calls.counts, window_counts{});
  probe.release(outcome::failure);
  EXPECT_EQ(look().probes.counts, (window_counts{.calls = 1, .failures = 1}));
}

}  // namespace
}  // namespace weir
