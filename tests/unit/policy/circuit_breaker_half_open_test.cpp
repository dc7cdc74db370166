// A half-open circuit: the budget of probes, their leases, the decision, and the ramp behind it.
#include <weir/policy/circuit_breaker.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/circuit_breaker_harness.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

class CircuitBreakerHalfOpen : public testing_support::circuit_breaker_harness {
 protected:
  /// Tripped, its open time over, all events so far forgotten.
  void make_due() {
    make();
    trip();
    clock.advance(10s);
    events();
  }
};

TEST_F(CircuitBreakerHalfOpen, GoodProbesCloseIt) {
  make_due();
  EXPECT_TRUE(succeed());
  EXPECT_EQ(state(), breaker_state::half_open);
  EXPECT_TRUE(succeed());
  EXPECT_THAT(events(), ElementsAre("half opened", "closed"));
  EXPECT_EQ(look().over_calls.counts, window_counts{}) << "a closed circuit begins with an empty window";
}

TEST_F(CircuitBreakerHalfOpen, AdmitsItsBudgetAndNoMore) {
  config.probes.count = 3;
  make_due();
  std::vector<permit> probes;
  for (int i = 0; i < 3; ++i) probes.push_back(ask().value());
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().retry_after(), 10s) << "the end of the earliest lease";
  probes[0].release(outcome::success);
  EXPECT_FALSE(ask()) << "a result does not give its probe back";
  EXPECT_EQ(look().probes_in_flight, 2u);
}

TEST_F(CircuitBreakerHalfOpen, HandsOutAtMostSoManyAtOnce) {
  config.probes = {.count = 5, .max_concurrent = 2, .failure_rate = 1};
  make_due();
  auto first = ask();
  auto second = ask();
  EXPECT_FALSE(ask());
  first->release(outcome::success);
  EXPECT_EQ(state(), breaker_state::closed) << "with a threshold of 100 % one success decides";
  second->release(outcome::failure);
  EXPECT_EQ(state(), breaker_state::closed);
}

TEST_F(CircuitBreakerHalfOpen, ConcurrencyComesBackWithEachResult) {
  config.probes = {.count = 4, .max_concurrent = 1, .decide_early = false};
  make_due();
  for (int i = 0; i < 4; ++i) {
    auto probe = ask();
    ASSERT_TRUE(probe);
    EXPECT_FALSE(ask());
    probe->release(outcome::success);
  }
  EXPECT_EQ(state(), breaker_state::closed);
}

TEST_F(CircuitBreakerHalfOpen, DecidesAsSoonAsTheRestCanChangeNothing) {
  struct row {
    const char* results;  // s, f
    breaker_state after_last, before_last;
  };
  config.probes = {.count = 5, .failure_rate = 0.5};
  for (const row& r : {row{"fff", breaker_state::open, breaker_state::half_open},
                       row{"sfsff", breaker_state::open, breaker_state::half_open},
                       row{"sss", breaker_state::closed, breaker_state::half_open},
                       row{"fsfss", breaker_state::closed, breaker_state::half_open}}) {
    SCOPED_TRACE(r.results);
    make();
    arrivals = 0;
    trip();
    clock.advance(10s);
    for (const char* c = r.results; *c != '\0'; ++c) {
      run(*c == 's' ? outcome::success : outcome::failure);
      EXPECT_EQ(state(), c[1] == '\0' ? r.after_last : r.before_last);
    }
  }
}

TEST_F(CircuitBreakerHalfOpen, ToldToWaitItDecidesAfterAllDecisiveProbes) {
  config.probes = {.count = 5, .failure_rate = 0.5, .decisive = 3, .decide_early = false};
  make_due();
  fail();
  fail();
  EXPECT_EQ(state(), breaker_state::half_open);
  succeed();
  EXPECT_THAT(events(), ElementsAre("half opened", "opened: probes_failed"));
}

TEST_F(CircuitBreakerHalfOpen, SlowProbesOpenItAgain) {
  config.slow_threshold = 100ms;
  make_due();
  run(outcome::success, 101ms);
  EXPECT_THAT(events(), ElementsAre("half opened", "opened: probes_slow"));
}

TEST_F(CircuitBreakerHalfOpen, AnOverloadIsAnAnswerAndNoFailure) {
  make_due();
  run(outcome::overload);
  EXPECT_EQ(state(), breaker_state::half_open);
  run(outcome::overload);
  EXPECT_EQ(state(), breaker_state::closed);
}

TEST_F(CircuitBreakerHalfOpen, AProbeThatSaysWhenOpensUntilThen) {
  config.retry_after_limit = 1min;
  make_due();
  auto probe = ask();
  probe->release({.result = outcome::overload, .retry_after = 33s});
  EXPECT_EQ(state(), breaker_state::open);
  EXPECT_EQ(look().until_probe, 33s);
}

// gobreaker, Polly and resilience4j (by default) refuse for ever once a probe never comes back (A-D3).
TEST_F(CircuitBreakerHalfOpen, A_D3_AProbeThatNeverReturnsIsAFailureWhenItsLeaseEnds) {
  config.probes = {.count = 1, .lease = 3s};
  make_due();
  auto lost = ask();
  clock.advance(3s - 1ns);
  EXPECT_FALSE(ask());
  EXPECT_EQ(state(), breaker_state::half_open);
  clock.advance(1ns);
  EXPECT_FALSE(ask());
  EXPECT_THAT(events(), ElementsAre("half opened", "expired: 1", "opened: probes_failed"));
  EXPECT_EQ(look().probes_expired, 1u);
  clock.advance(10s);
  EXPECT_TRUE(succeed());
  EXPECT_EQ(state(), breaker_state::closed);
  lost->release(outcome::failure);
  EXPECT_EQ(state(), breaker_state::closed);
  EXPECT_EQ(look().late, 1u);
}

TEST_F(CircuitBreakerHalfOpen, NoStateIsStuckWhenNobodyEverReports) {
  config.probes = {.count = 3, .max_concurrent = 2, .lease = 1s};
  make_due();
  std::vector<permit> lost;
  for (int i = 0; i < 200; ++i) {
    if (auto asked = ask()) lost.push_back(std::move(*asked));
    clock.advance(700ms);
  }
  EXPECT_GT(lost.size(), 20u) << "it keeps probing";
  EXPECT_GT(look().trips, 8u);
  EXPECT_GT(look().probes_expired, 20u);
}

TEST_F(CircuitBreakerHalfOpen, AResultAtTheEndOfItsLeaseIsLate) {
  config.probes = {.count = 2, .lease = 3s, .failure_rate = 1};
  make_due();
  auto late = ask();
  clock.advance(3s);
  late->release(outcome::success);
  EXPECT_EQ(look().late, 1u);
  EXPECT_EQ(state(), breaker_state::half_open) << "the lease is a failure, the success behind it nothing";
  EXPECT_EQ(look().probes.counts, (window_counts{.calls = 1, .failures = 1}));
  succeed();
  EXPECT_EQ(state(), breaker_state::closed);
}

TEST_F(CircuitBreakerHalfOpen, ALateProbeCannotReportForTheOneInItsSlot) {
  config.probes = {.count = 3, .max_concurrent = 1, .lease = 1s, .failure_rate = 1};
  make_due();
  auto late = ask();
  clock.advance(1s);
  auto second = ask();
  ASSERT_TRUE(second);
  late->release(outcome::success);
  EXPECT_EQ(state(), breaker_state::half_open);
  EXPECT_EQ(look().probes_in_flight, 1u);
  second->release(outcome::success);
  EXPECT_EQ(state(), breaker_state::closed);
}

TEST_F(CircuitBreakerHalfOpen, TheLeaseFollowsTheSlowThreshold) {
  config.slow_threshold = 400ms;
  make_due();
  auto first = ask();
  auto second = ask();
  EXPECT_EQ(ask().error().retry_after(), 800ms);
}

TEST_F(CircuitBreakerHalfOpen, LeasesThatEndedLongAgoCountFromWhenTheyEnded) {
  config.probes = {.count = 1, .lease = 3s};
  make_due();
  auto lost = ask();
  clock.advance(3s + 4s);
  EXPECT_EQ(look().until_probe, 6s) << "open since the end of the lease, four seconds ago";
  EXPECT_EQ(log.opened->back().at, clock.now() - 4s);
  clock.advance(6s);
  EXPECT_TRUE(succeed());
}

TEST_F(CircuitBreakerHalfOpen, DroppedIgnoredAndCancelledProbesAreRefunded) {
  make_due();
  for (int i = 0; i < 50; ++i) {
    auto probe = ask();
    ASSERT_TRUE(probe) << i;
    if (i % 3 == 0) probe->release(outcome::ignored);
    if (i % 3 == 1) probe->cancel();
  }
  EXPECT_EQ(state(), breaker_state::half_open);
  EXPECT_EQ(look().probes.counts, window_counts{});
  succeed();
  succeed();
  EXPECT_EQ(state(), breaker_state::closed);
}

// In resilience4j a call that was admitted while closed and given back in half-open minted a probe (F-D15).
TEST_F(CircuitBreakerHalfOpen, F_D15_APermitOfAnotherStateRefundsNoProbe) {
  make();
  std::vector<permit> early;
  for (int i = 0; i < 9; ++i) early.push_back(ask().value());
  trip();
  clock.advance(10s);
  auto first = ask();
  auto second = ask();
  for (std::size_t i = 0; i < early.size(); ++i) {
    if (i % 3 == 0) early[i].release(outcome::ignored);
    if (i % 3 == 1) early[i].cancel();
    if (i % 3 == 2) static_cast<void>(permit{std::move(early[i])});
    EXPECT_FALSE(ask());
  }
  EXPECT_EQ(look().probes_in_flight, 2u);
  EXPECT_EQ(look().late, 9u);
}

TEST_F(CircuitBreakerHalfOpen, RefusesWithoutAskingTheCoreWhileNoProbeIsFree) {
  config.probes = {.count = 1, .lease = 3s};
  make_due();
  auto probe = ask();
  clock.advance(1s);
  EXPECT_EQ(ask().error().retry_after(), 2s);
  probe->cancel();
  EXPECT_TRUE(ask()) << "a refund must open the gate again";
}

TEST_F(CircuitBreakerHalfOpen, ATimeLimitEndsIt) {
  for (const undecided then : {undecided::opens, undecided::closes}) {
    config.probes = {.count = 2, .lease = duration::max(), .time_limit = 5s, .at_time_limit = then};
    make_due();
    arrivals = 4;
    auto lost = ask();
    clock.advance(5s - 1ns);
    EXPECT_EQ(state(), breaker_state::half_open);
    clock.advance(1ns);
    EXPECT_EQ(state(), then == undecided::opens ? breaker_state::open : breaker_state::closed);
    EXPECT_THAT(events(),
                ElementsAre("half opened", then == undecided::opens ? "opened: time_limit" : "closed: time_limit"));
    lost->release(outcome::success);
    EXPECT_EQ(look().late, 1u);
  }
}

TEST_F(CircuitBreakerHalfOpen, ATimeLimitOfAnEarlierStateNeverFires) {
  config.probes.time_limit = 5s;
  make_due();
  succeed();
  breaker->set_state(breaker_state::closed);
  clock.advance(1h);
  EXPECT_EQ(state(), breaker_state::closed);
}

TEST_F(CircuitBreakerHalfOpen, LookingMoreOftenChangesNothing) {
  config.probes = {.count = 1, .lease = 3s};
  config.open_for = {.initial = 1s, .multiplier = 2, .jitter = jitter_kind::proportional};
  std::vector<std::vector<time_point>> openings;
  for (const bool looks : {false, true}) {
    log = {};
    clock.set(time_point{1h});
    make();
    arrivals = 0;
    trip();
    std::vector<permit> lost;
    for (int i = 0; i < 3000; ++i) {
      clock.advance(10ms);
      if (looks) static_cast<void>(look());
      if (i % 100 == 99) {
        if (auto asked = ask()) lost.push_back(std::move(*asked));
      }
    }
    openings.emplace_back();
    for (const auto& e : *log.opened) openings.back().push_back(e.at);
  }
  EXPECT_GT(openings[0].size(), 3u);
  EXPECT_EQ(openings[0], openings[1]);
}

TEST_F(CircuitBreakerHalfOpen, TheRampAdmitsAGrowingShare) {
  config.recovery_ramp = {.length = 10s, .from = 0.1};
  make_due();
  succeed();
  succeed();
  EXPECT_EQ(state(), breaker_state::closed);
  EXPECT_NEAR(look().admitted_share, 0.1, 1e-9);
  std::vector<int> admitted;
  for (int second = 0; second < 12; ++second) {
    admitted.push_back(0);
    for (int i = 0; i < 100; ++i, clock.advance(10ms)) admitted.back() += succeed();
  }
  for (int second = 0; second < 10; ++second) EXPECT_NEAR(admitted[static_cast<std::size_t>(second)], 14.5 + 9 * second, 2);
  EXPECT_EQ(admitted[10], 100);
  EXPECT_EQ(admitted[11], 100);
  EXPECT_EQ(look().admitted_share, 1);
}

TEST_F(CircuitBreakerHalfOpen, ARampingCircuitTripsLikeAnyOther) {
  config.recovery_ramp = {.length = 10s, .from = 1};
  make_due();
  succeed();
  succeed();
  trip();
  EXPECT_EQ(look().admitted_share, 1);
}

}  // namespace
}  // namespace weir
