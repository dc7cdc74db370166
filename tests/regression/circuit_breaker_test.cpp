// Peer defects of a circuit breaker's states: transitions by hand, results that come late, probes that never come back,
// observers that call back. README.md says which peer did what.
#include <support/circuit_breaker_harness.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing_support::circuit_breaker_harness;

// --- F-D3. Resilience4j: a transition that throws has already marked the circuit as not closed: it then refuses (or, asked
// in another way, admits) for ever, and its thresholds are dead.

using regression_fd3 = circuit_breaker_harness;

TEST_F(regression_fd3, AFailedTransitionLeavesNoHalfState) {
  make();
  for (const auto& [from, to] : {std::pair{breaker_state::closed, breaker_state::half_open},
                                 {breaker_state::metrics_only, breaker_state::half_open},
                                 {breaker_state::metrics_only, breaker_state::open}}) {
    SCOPED_TRACE(std::string{to_string(from)} + " to " + to_string(to));
    ASSERT_TRUE(breaker->set_state(from));
    fail();
    auto held = ask();
    events();
    const auto before = look();
    EXPECT_FALSE(breaker->set_state(to));
    const auto after = look();
    EXPECT_EQ(after.state, from);
    EXPECT_EQ(after.generation, before.generation);
    EXPECT_EQ(after.openings, before.openings);
    EXPECT_EQ(after.over_calls.counts, before.over_calls.counts);
    EXPECT_EQ(events(), std::vector<std::string>{});
    // It admits, and what was under way still counts.
    EXPECT_TRUE(succeed());
    held->release(outcome::failure);
    EXPECT_EQ(look().late, before.late);
    EXPECT_EQ(look().over_calls.counts.failures, 2u);
  }
  breaker->set_state(breaker_state::closed);
  breaker->set_state(breaker_state::half_open);
  trip();  // its thresholds are alive
}

TEST_F(regression_fd3, AFailedReconfigurationLeavesNoHalfState) {
  make();
  fail();
  auto held = ask();
  const auto before = look();
  auto wrong = config;
  wrong.over_calls = {.size = 3, .trip = {.minimum_calls = 1, .failure_rate = 0.1}};
  wrong.probes.failure_rate = 2;  // found last
  EXPECT_EQ(breaker->reconfigure(wrong).value().field, "circuit_breaker_config.probes.failure_rate");
  held->release(outcome::failure);
  fail();
  EXPECT_EQ(look().over_calls.counts.calls, 3u);
  EXPECT_EQ(look().generation, before.generation);
  fail();
  EXPECT_EQ(state(), breaker_state::open) << "at the old threshold";
}

// --- F-D15. Resilience4j: the release of a permit from the closed state gives a probe back that it never had.

using regression_fd15 = circuit_breaker_harness;

TEST_F(regression_fd15, AReleaseFromAnEarlierStateMintsNoProbe) {
  make();
  std::vector<permit> of_closed;
  for (int i = 0; i < 4; ++i) of_closed.push_back(std::move(ask()).value());
  trip();
  clock.advance(10s);
  std::vector<permit> probes;
  for (int i = 0; i < 2; ++i) probes.push_back(std::move(ask()).value());
  ASSERT_FALSE(ask()) << "two probes, no more";
  of_closed[0].release(outcome::ignored);
  EXPECT_FALSE(ask());
  of_closed[1].cancel();
  EXPECT_FALSE(ask());
  of_closed.clear();  // dropped
  EXPECT_FALSE(ask());
  EXPECT_EQ(look().probes_in_flight, 2u);
  probes[0].release(outcome::ignored);
  EXPECT_TRUE(ask()) << "one that was a probe does";
}

// --- A-D1. failsafe-go and Polly: a late result counts in whatever state the circuit is in by then; Polly closes a
// half-open circuit on any success.

using regression_ad1 = circuit_breaker_harness;

TEST_F(regression_ad1, ALateSuccessClosesNothingAndALateFailureOpensNothing) {
  make();
  std::vector<permit> early;
  for (int i = 0; i < 12; ++i) early.push_back(std::move(ask()).value());
  trip();
  early[0].release(outcome::success);
  early[1].release(outcome::failure);
  EXPECT_EQ(state(), breaker_state::open);
  permit probe = first_probe();
  for (int i = 2; i < 6; ++i) early[static_cast<std::size_t>(i)].release(outcome::success);
  EXPECT_EQ(state(), breaker_state::half_open);
  for (int i = 6; i < 8; ++i) early[static_cast<std::size_t>(i)].release(outcome::failure);
  EXPECT_EQ(state(), breaker_state::half_open);
  EXPECT_EQ(look().probes.counts, window_counts{});
  probe.release(outcome::success);
  EXPECT_TRUE(succeed());
  ASSERT_EQ(state(), breaker_state::closed);
  early.clear();
  EXPECT_EQ(look().over_calls.counts, window_counts{}) << "nor do they count in the next closed state";
  EXPECT_EQ(look().late, 12u);
  EXPECT_EQ(look().trips, 1u);
}

TEST_F(regression_ad1, OfTwoFollowingHalfOpenStatesEachHasItsOwnProbes) {
  make();
  trip();
  permit slow_probe = first_probe();
  EXPECT_TRUE(fail());  // of two, one failure is enough
  ASSERT_EQ(state(), breaker_state::open);
  permit second = first_probe();
  slow_probe.release(outcome::success);
  EXPECT_EQ(look().probes.counts.calls, 0u);
  EXPECT_EQ(look().probes_in_flight, 1u);
  second.release(outcome::success);
  EXPECT_EQ(state(), breaker_state::half_open) << "one of two";
}

// --- A-D3. gobreaker (and Polly, failsafe-go, Sentinel): if the probes never report, the circuit refuses for ever.

using regression_ad3 = circuit_breaker_harness;

TEST_F(regression_ad3, ADroppedProbeFreesItsSlotAtOnce) {
  make();
  trip();
  clock.advance(10s);
  for (int i = 0; i < 10; ++i) {
    auto one = ask(), two = ask();
    EXPECT_TRUE(one && two) << i;
    EXPECT_FALSE(ask());
  }
  EXPECT_TRUE(succeed());
  EXPECT_TRUE(succeed());
  EXPECT_EQ(state(), breaker_state::closed);
}

TEST_F(regression_ad3, AProbeThatNeverReportsEndsWithItsLease) {
  config.probes.lease = 3s;
  make();
  trip();
  std::vector<permit> lost;
  for (int i = 0; i < 5; ++i) {
    lost.push_back(first_probe());
    lost.push_back(std::move(ask()).value());
    const auto refused = ask();
    EXPECT_EQ(refused.error().retry_after(), 3s) << "and says when";
    clock.advance(3s);
    EXPECT_EQ(state(), breaker_state::open);
  }
  first_probe().release(outcome::success);
  EXPECT_TRUE(succeed());
  EXPECT_EQ(state(), breaker_state::closed) << "not stuck";
  EXPECT_EQ(look().in_flight, 10u);
  lost.clear();
  EXPECT_EQ(look().late, 10u);
}

// --- A-D2. gobreaker calls its hook under the mutex: one that reads the state hangs. failsafe-go unlocks in the middle of
// a transition to call it.

/// Does what it is told at any event, but not again while it does.
struct calling_back {
  struct shared {
    std::function<void()> action;
    int events = 0;
    bool inside = false;
  };
  std::shared_ptr<shared> told = std::make_shared<shared>();

  template <class Event>
  void on(const Event&) {
    ++told->events;
    if (told->inside || !told->action) return;
    told->inside = true;
    told->action();
    told->inside = false;
  }
};

TEST(regression_ad2, ABreakersObserverMayCallBack) {
  manual_clock clock;
  calling_back observer;
  circuit_breaker_config config{.consecutive_failures = 3};
  config.open_for = {.initial = 10s, .multiplier = 1, .jitter = jitter_kind::none};
  config.probes.count = 1;
  basic_circuit_breaker<manual_clock, calling_back> breaker{config, observer, clock};
  breaker_state seen{};
  observer.told->action = [&] {
    seen = breaker.snapshot().state;
    EXPECT_FALSE(breaker.reconfigure(config));
    if (auto permit = breaker.try_acquire()) permit->release(outcome::success);
  };
  const auto fail = [&] { breaker.try_acquire().value().release(outcome::failure); };
  for (int i = 0; i < 3; ++i) fail();
  EXPECT_EQ(seen, breaker_state::open) << "the transition is complete when it is told";
  clock.advance(10s);
  fail();  // half-open, and open again
  EXPECT_EQ(observer.told->events, 3);
  EXPECT_EQ(seen, breaker_state::open);
  // It may even undo what it is told.
  observer.told->action = [&] { EXPECT_TRUE(breaker.set_state(breaker_state::closed)); };
  EXPECT_TRUE(breaker.set_state(breaker_state::forced_open));
  EXPECT_EQ(breaker.snapshot().state, breaker_state::closed);
  for (int i = 0; i < 3; ++i) fail();
  EXPECT_EQ(breaker.snapshot().state, breaker_state::closed);
  EXPECT_EQ(breaker.snapshot().trips, 3u);
}

TEST(regression_ad2, ALimitersObserverMayCallBack) {
  manual_clock clock;
  calling_back observer;
  basic_rate_limiter<manual_clock, calling_back> tokens{{.limit = {1, 1s}}, observer, clock};
  basic_concurrency_limiter<manual_clock, calling_back> slots{{.limit = 1}, observer, clock};
  basic_window_limiter<manual_clock, calling_back> window{{.limit = {1, 1s}}, observer, clock};
  const auto refuse_twice = [&](auto& policy, const auto& change) {
    auto held = policy.try_acquire();
    EXPECT_TRUE(held);
    int called = 0;
    observer.told->action = [&] {
      ++called;
      (void)policy.snapshot();
      (void)policy.try_acquire();
      EXPECT_FALSE(change());
    };
    EXPECT_FALSE(policy.try_acquire());
    EXPECT_FALSE(change());
    EXPECT_EQ(called, 2);
  };
  refuse_twice(tokens, [&] { return tokens.reconfigure({.limit = {1, 1s}}); });
  refuse_twice(slots, [&] { return slots.reconfigure({.limit = 1}); });
  refuse_twice(window, [&] { return window.reconfigure({.limit = {1, 1s}}); });
}

TEST(regression_ad2, AQueuesObserverMayCallBack) {
  manual_clock clock;
  calling_back observer;
  using slots_type = basic_concurrency_limiter<manual_clock>;
  slots_type slots{{.limit = 1}, {}, clock};
  basic_wait_queue<slots_type, manual_clock, calling_back> queue{slots, {.capacity = 1}, observer, clock};
  observer.told->action = [&] {
    (void)queue.snapshot();
    (void)queue.try_acquire();
    queue.on_alarm();
    EXPECT_FALSE(queue.reconfigure({.capacity = 1}));
  };
  wait_operation<slots_type::permit> op, other;
  op.complete = other.complete = [](wait_node&, wait_outcome) noexcept {};
  auto held = queue.try_acquire();
  EXPECT_FALSE(queue.start(op));
  EXPECT_EQ(queue.start(other)->error(), errc::queue_full);
  EXPECT_EQ(observer.told->events, 1);
  held->release(outcome::success);
  EXPECT_EQ(observer.told->events, 2) << "granted";
  EXPECT_TRUE(op.take());
}

// --- F-D12. Sentinel: beyond 6000 resources rules are silently not checked.

TEST(regression_fd12, CallsBeyondTheWatchedOnesStillCount) {
  manual_clock clock;
  circuit_breaker_config config{.slow_threshold = 1s, .watch_running = 2};
  config.over_time.trip = {.minimum_calls = 6, .slow_rate = 1};
  basic_circuit_breaker<manual_clock> breaker{config, {}, clock};
  std::vector<decltype(breaker)::permit> permits;
  for (int i = 0; i < 6; ++i) permits.push_back(std::move(breaker.try_acquire()).value());
  clock.advance(2s);
  EXPECT_EQ(breaker.snapshot().running_slow, 2u);
  permits.clear();  // ignored: no evidence
  for (int i = 0; i < 6; ++i) permits.push_back(std::move(breaker.try_acquire()).value());
  clock.advance(2s);
  for (auto& permit : permits) permit.release(outcome::success);
  EXPECT_EQ(breaker.snapshot().over_time.counts.slow, 6u);
  EXPECT_EQ(breaker.snapshot().state, breaker_state::open);
}

TEST(regression_fd12, ABoundIsRefusedAndNotCutOff) {
  EXPECT_THROW(circuit_breaker({.over_calls = {.size = 10'000'001}}), std::invalid_argument);
  EXPECT_THROW(circuit_breaker({.probes = {.count = 100'001}}), std::invalid_argument);
  EXPECT_THROW(circuit_breaker({.slow_threshold = 1s, .watch_running = 1'000'001}), std::invalid_argument);
  EXPECT_THROW(window_limiter({.limit = {10'000'001, 1s}}), std::invalid_argument);
  EXPECT_THROW(concurrency_limiter({.limit = 0}), std::invalid_argument);
  concurrency_limiter slots{{.limit = 1}};
  EXPECT_THROW(wait_queue(slots, {.capacity = 1'000'001}), std::invalid_argument);
  // A request that asks for more than there can ever be is refused, not given what there is.
  EXPECT_EQ(slots.try_acquire({.cost = 2}).error(), errc::never_admissible);
  EXPECT_EQ(slots.try_acquire({.cost = UINT32_MAX}).error(), errc::never_admissible);
}

}  // namespace
}  // namespace weir
