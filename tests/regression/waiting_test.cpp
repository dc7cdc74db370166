// Peer defects of waiting, and of calls that throw: who waits for nothing, who is forgotten, who is served twice. README.md
// says which peer did what.
#include <regression/crew.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <barrier>
#include <optional>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <utility>

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing_support::run_crew;

using slots_type = basic_concurrency_limiter<manual_clock>;
using bucket = basic_rate_limiter<manual_clock>;
template <class Policy>
using queue_of = basic_wait_queue<Policy, manual_clock>;

/// Waits and counts how often it was told that it need not any more.
template <class Policy>
struct waiter : wait_operation<typename Policy::permit> {
  waiter() {
    this->complete = [](wait_node& node, wait_outcome) noexcept { static_cast<waiter&>(node).completions.fetch_add(1); };
  }
  std::atomic<int> completions{0};
};

// --- F-D4. Resilience4j: a wait that cannot succeed sleeps for its whole time-out first, though that is known from the
// beginning; and an interrupted waiter keeps the place that it has reserved.

TEST(regression_fd4, AWaitThatCannotMakeItIsRefusedAtOnce) {
  manual_clock clock;
  bucket tokens{{.limit = {1, 1s}, .burst = 2}, {}, clock};
  queue_of<bucket> queue{tokens, {.max_wait = 1h}, {}, clock};
  EXPECT_TRUE(queue.try_acquire({.cost = 2}));
  const time_point before = clock.now();
  // Blocks this thread, if it does not know: the clock stands still.
  const auto answer = queue.acquire({.deadline = before + 900ms});
  EXPECT_EQ(answer.error(), errc::would_miss_deadline);
  EXPECT_EQ(answer.error().predicted_wait(), 1s);
  EXPECT_EQ(answer.error().retry_after(), 100ms);
  EXPECT_EQ(clock.now(), before);
  waiter<bucket> one, two;
  EXPECT_FALSE(queue.start(one, {.deadline = before + 1s + 1ns})) << "this one can";
  EXPECT_EQ(queue.start(two, {.deadline = before + 1900ms})->error(), errc::would_miss_deadline) << "behind it";
  clock.advance(1s);
  queue.on_alarm();
  EXPECT_TRUE(one.take());
}

// Where the first in line takes all that there can be at once, nobody behind it could be served by that.
template <class Policy>
void expect_refusal_behind_the_first(Policy& tokens, manual_clock& clock) {
  queue_of<Policy> queue{tokens, {.max_wait = 1h}, {}, clock};
  EXPECT_TRUE(queue.try_acquire());
  waiter<Policy> one, two, three;
  EXPECT_FALSE(queue.start(one));
  const auto answer = queue.start(two, {.deadline = clock.now() + 1500ms});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->error(), errc::would_miss_deadline);
  EXPECT_EQ(answer->error().predicted_wait(), 2s);
  EXPECT_FALSE(queue.start(two, {.deadline = clock.now() + 2s + 1ns})) << "this one can";
  EXPECT_EQ(queue.start(three, {.deadline = clock.now() + 2999ms})->error(), errc::would_miss_deadline);
  queue.close();
}

TEST(regression_fd4, AWaitBehindOneThatTakesAllIsRefusedAtOnceToo) {
  manual_clock clock;
  bucket tokens{{.limit = {1, 1s}, .burst = 1}, {}, clock};
  expect_refusal_behind_the_first(tokens, clock);
  basic_window_limiter<manual_clock> window{{.limit = {1, 1s}}, {}, clock};
  expect_refusal_behind_the_first(window, clock);
}

TEST(regression_fd4, AnInterruptedWaiterGivesItsPlaceBack) {
  manual_clock clock;
  bucket tokens{{.limit = {1, 1s}, .burst = 1}, {}, clock};
  queue_of<bucket> queue{tokens, {.max_wait = 1h}, {}, clock};
  EXPECT_TRUE(queue.try_acquire());
  waiter<bucket> first, second, third;
  for (auto* each : {&first, &second, &third}) ASSERT_FALSE(queue.start(*each));
  EXPECT_TRUE(queue.cancel(first));
  EXPECT_TRUE(queue.withdraw(second));
  EXPECT_EQ(queue.next_event(), clock.now() + 1s) << "the third is now the first";
  clock.advance(1s);
  queue.on_alarm();
  EXPECT_EQ(first.take().error(), errc::cancelled);
  EXPECT_TRUE(third.take()) << "with the token for which the first had waited";
  EXPECT_EQ(second.completions, 0);
  clock.advance(1s);
  EXPECT_TRUE(queue.try_acquire()) << "nothing is reserved for those who have gone";
}

TEST(regression_fd4, AnInterruptedThreadReturnsAndTakesNothing) {
  manual_clock clock;
  bucket tokens{{.limit = {1, 1s}, .burst = 1}, {}, clock};
  queue_of<bucket> queue{tokens, {.max_wait = 1h}, {}, clock};
  EXPECT_TRUE(queue.try_acquire());
  std::stop_source stop;
  {
    std::jthread blocked{[&] { EXPECT_EQ(queue.acquire({}, stop.get_token()).error(), errc::cancelled); }};
    while (queue.snapshot().waiting == 0) std::this_thread::yield();
    stop.request_stop();
  }
  clock.advance(1s);
  EXPECT_TRUE(queue.try_acquire());
}

// --- F-D6. failsafe-go: a call that panics keeps its permit. (Asynchronously: unit/asio, co_run_faults and async_run.)

TEST(regression_fd6, AnExceptionGivesThePermitsBack) {
  manual_clock clock;
  slots_type slots{{.limit = 1}, {}, clock};
  basic_circuit_breaker<manual_clock> breaker{{}, {}, clock};
  queue_of<slots_type> queue{slots, {}, {}, clock};
  pipeline chain{queue, breaker};
  for (int i = 0; i < 5; ++i) {
    EXPECT_THROW((void)chain.run([]() -> int { throw std::runtime_error{"call"}; }), std::runtime_error);
    EXPECT_THROW((void)chain.run([] { throw 1; }), int);
    struct {
      outcome operator()(int) const { throw std::logic_error{"classifier"}; }
    } throwing;
    EXPECT_THROW((void)chain.run_classified(throwing, {}, [] { return 1; }), std::logic_error);
    try {
      auto held = chain.try_acquire();
      EXPECT_TRUE(held);
      throw std::runtime_error{"under a permit"};
    } catch (const std::runtime_error&) {
    }
  }
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
  const auto s = breaker.snapshot();
  EXPECT_EQ(s.in_flight, 0u);
  EXPECT_EQ(s.failure, 10u) << "what the call throws is the callee's";
  EXPECT_EQ(s.ignored, 10u) << "the rest is ours";
  EXPECT_TRUE(chain.run([] { return 1; }).has_value());
}

// --- Sentinel and others: who is refused further in has taken a probe of the breaker outside for good, or counts as a
// failure of the callee. Polly: a probe that its caller cancels closes the circuit.

TEST(regression_fd6, ARefusalFurtherInIsNoEvidenceAndGivesTheProbeBack) {
  manual_clock clock;
  circuit_breaker_config config{.consecutive_failures = 1};
  config.open_for = {.initial = 1s, .multiplier = 1, .jitter = jitter_kind::none};
  config.probes.count = 1;
  basic_circuit_breaker<manual_clock> breaker{config, {}, clock};
  slots_type slots{{.limit = 1}, {}, clock};
  pipeline chain{breaker, slots};
  chain.try_acquire()->release(outcome::failure);
  clock.advance(1s);
  {
    const auto full = slots.try_acquire();
    for (int i = 0; i < 3; ++i) EXPECT_EQ(chain.try_acquire().error(), errc::over_capacity) << i;
  }
  for (int i = 0; i < 3; ++i) {
    auto probe = chain.try_acquire();
    ASSERT_TRUE(probe) << i;
    probe->cancel();
  }
  EXPECT_EQ(breaker.snapshot().state, breaker_state::half_open);
  EXPECT_EQ(breaker.snapshot().failure, 1u);
  EXPECT_TRUE(chain.run([] {}));
  EXPECT_EQ(breaker.snapshot().state, breaker_state::closed);
}

// --- F-D8. Failsafe: a waiter that has given up still stands in line, and swallows a permit for ever.

TEST(regression_fd8, AnAbandonedWaiterSwallowsNoPermit) {
  manual_clock clock;
  slots_type slots{{.limit = 1}, {}, clock};
  queue_of<slots_type> queue{slots, {.max_wait = 1s}, {}, clock};
  for (int i = 0; i < 4; ++i) {
    SCOPED_TRACE(i);
    auto held = queue.try_acquire();
    ASSERT_TRUE(held);
    waiter<slots_type> timed_out, cancelled, withdrawn;
    for (auto* each : {&timed_out, &cancelled, &withdrawn}) ASSERT_FALSE(queue.start(*each));
    EXPECT_TRUE(queue.cancel(cancelled));
    EXPECT_TRUE(queue.withdraw(withdrawn));
    clock.advance(1s);
    if (i % 2 == 0) queue.on_alarm();  // or the release is the first to see the time
    held->release(outcome::success);
    EXPECT_EQ(timed_out.take().error(), errc::wait_timeout);
    EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
    EXPECT_FALSE(slots.snapshot().waiting);
  }
  EXPECT_TRUE(queue.try_acquire());
}

TEST(regression_fd8, AGrantThatNobodyTakesIsGivenBack) {
  manual_clock clock;
  slots_type slots{{.limit = 1}, {}, clock};
  queue_of<slots_type> queue{slots, {}, {}, clock};
  {
    waiter<slots_type> gone;
    auto held = queue.try_acquire();
    ASSERT_FALSE(queue.start(gone));
    held->release(outcome::success);
    EXPECT_EQ(gone.completions, 1);
    EXPECT_EQ(slots.snapshot().slots_in_use, 1u);
  }
  EXPECT_TRUE(queue.try_acquire());
}

// --- F-D12. Sentinel: what is beyond a bound is not checked at all. A-D6. LifoBlockingLimiter: tests the length of its
// line, then adds to it: the bound is exceeded.

TEST(regression_fd12, AFullQueueRefuses) {
  manual_clock clock;
  slots_type slots{{.limit = 1}, {}, clock};
  queue_of<slots_type> queue{slots, {.capacity = 2}, {}, clock};
  auto held = queue.try_acquire();
  std::array<waiter<slots_type>, 4> all;
  EXPECT_FALSE(queue.start(all[0]));
  EXPECT_FALSE(queue.start(all[1]));
  for (std::size_t i : {2u, 3u}) {
    EXPECT_EQ(queue.start(all[i])->error(), errc::queue_full);
    EXPECT_EQ(queue.try_acquire().error(), errc::over_capacity) << "nor does anybody get in beside it";
  }
  queue.close();
}

TEST(regression_ad6, TheBoundHoldsFromEightThreads) {
  constexpr unsigned threads = 8, rounds = 300;
  manual_clock clock;
  slots_type slots{{.limit = 1}, {}, clock};
  queue_of<slots_type> queue{slots, {.capacity = 5}, {}, clock};
  const auto held = queue.try_acquire();
  std::atomic<int> wrong{0};
  std::barrier step{threads};
  run_crew(threads, [&](unsigned me) {
    for (unsigned round = 0; round < rounds; ++round) {
      waiter<slots_type> one, two;
      step.arrive_and_wait();
      const bool waits[] = {!queue.start(one), !queue.start(two)};
      step.arrive_and_wait();
      if (me == 0) wrong += queue.snapshot().waiting != 5;
      step.arrive_and_wait();
      if (waits[0]) wrong += !queue.withdraw(one);
      if (waits[1]) wrong += !queue.withdraw(two);
    }
  });
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(queue.snapshot().queue_full, rounds * (2 * threads - 5));
}

// --- A-D5. puddle measures the waits that succeed, HikariCP mixes in those that time out: neither shows how long who
// waited.

TEST(regression_ad5, EachOutcomeHasItsOwnWaits) {
  manual_clock clock;
  slots_type slots{{.limit = 1}, {}, clock};
  queue_of<slots_type> queue{slots, {.max_wait = 1h, .predict = false}, {}, clock};
  auto held = queue.try_acquire();
  waiter<slots_type> granted, timed_out, cancelled, closed;
  ASSERT_FALSE(queue.start(granted));
  ASSERT_FALSE(queue.start(timed_out, {.deadline = clock.now() + 2ms}));
  ASSERT_FALSE(queue.start(cancelled));
  ASSERT_FALSE(queue.start(closed));
  clock.advance(1ms);
  held->release(outcome::success);
  clock.advance(1ms);
  queue.on_alarm();
  clock.advance(1ms);
  EXPECT_TRUE(queue.cancel(cancelled));
  clock.advance(1ms);
  queue.close();
  duration expected = 0ms;
  for (const wait_outcome how :
       {wait_outcome::granted, wait_outcome::timed_out, wait_outcome::cancelled, wait_outcome::closed}) {
    const histogram waits = queue.waits(how);
    EXPECT_EQ(waits.count(), 1u) << static_cast<int>(how);
    EXPECT_EQ(waits.max(), expected += 1ms) << static_cast<int>(how);
  }
  EXPECT_EQ(queue.waits(wait_outcome::shed).count(), 0u);
}

// --- A-D10. A time-out and a hand-off (and here a cancellation) at the same instant: two completions for one waiter, or a
// permit that nobody has.

TEST(regression_ad10, OneEndsTheWaitAndNoPermitIsLost) {
  constexpr unsigned rounds = 4000;
  manual_clock clock;
  slots_type slots{{.limit = 1}, {}, clock};
  queue_of<slots_type> queue{slots, {.max_wait = 1s, .predict = false}, {}, clock};
  std::optional<waiter<slots_type>> op;
  std::optional<slots_type::permit> held;
  std::array<unsigned, wait_outcome_count> ended{};
  std::atomic<unsigned> arrived{0};
  // Awake, so that both really go at once.
  const auto meet = [&, meetings = 0u]() mutable {
    const unsigned all = 2 * ++meetings;
    arrived.fetch_add(1);
    for (unsigned spins = 0; arrived.load() < all; ++spins) {
      if (spins > 2000) std::this_thread::yield();
    }
  };
  run_crew(2, [&](unsigned me) {
    auto step = meet;
    for (unsigned round = 0; round < rounds; ++round) {
      if (me == 0) {
        op.emplace();
        held.emplace(queue.try_acquire().value());
        EXPECT_FALSE(queue.start(*op));
      }
      step();
      for (unsigned pause = (round / 4 * (me == 0 ? 7 : 13)) % 128; pause > 0; --pause) (void)arrived.load();
      const unsigned kind = round % 4;  // now and then one of them comes alone
      if (me == 0) {
        if (kind != 1) held->release(outcome::success);
      } else if (kind == 1 || kind == 2) {
        clock.set(op->deadline);
        queue.on_alarm();
      } else if (kind == 3) {
        queue.cancel(*op);
      }
      step();
      if (me != 0) continue;
      held->release(outcome::success);
      EXPECT_EQ(op->completions, 1);
      ++ended[static_cast<std::size_t>(op->ended)];
      const auto answer = op->take();
      EXPECT_EQ(slots.snapshot().slots_in_use, answer ? 1u : 0u);
    }
  });
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
  EXPECT_FALSE(slots.snapshot().waiting);
  const auto s = queue.snapshot();
  EXPECT_EQ(s.admitted_after_wait, ended[static_cast<std::size_t>(wait_outcome::granted)]);
  EXPECT_EQ(s.wait_timeout, ended[static_cast<std::size_t>(wait_outcome::timed_out)]);
  EXPECT_EQ(s.cancelled, ended[static_cast<std::size_t>(wait_outcome::cancelled)]);
  EXPECT_GE(s.admitted_after_wait, rounds / 4);
  EXPECT_GE(s.wait_timeout, rounds / 4);
}

}  // namespace
}  // namespace weir
