// Peer defects of limiters: decisions in two steps, permits that are given back twice or never, limits that change while
// they are in use. README.md says which peer did what.
#include <regression/crew.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <concepts>
#include <deque>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing_support::run_crew;
using testing_support::run_crew_beside;

using bucket = basic_rate_limiter<manual_clock>;
using window = basic_window_limiter<manual_clock>;

template <class Policy>
int take_all(Policy& policy) {
  int taken = 0;
  while (policy.try_acquire()) ++taken;
  return taken;
}

// --- F-D5. Resilience4j: a bulkhead shrinks by acquiring permits, uninterruptibly and under a lock: the operator waits for
// calls to end, and new calls wait behind the operator.

TEST(regression_fd5, ShrinkingNeverBlocks) {
  concurrency_limiter slots{{.limit = 10}};
  std::vector<concurrency_limiter::permit> held;
  for (int i = 0; i < 8; ++i) held.push_back(slots.try_acquire().value());
  EXPECT_FALSE(slots.reconfigure({.limit = 3}));  // by the very thread that holds them
  EXPECT_EQ(slots.snapshot().limit, 3u);
  for (std::size_t in_use = 8; in_use >= 3; --in_use) {
    EXPECT_EQ(slots.try_acquire().error(), errc::over_capacity) << in_use;
    EXPECT_EQ(slots.snapshot().slots_in_use, in_use);
    held.pop_back();
  }
  EXPECT_TRUE(slots.try_acquire());
}

TEST(regression_fd5, NobodyInLineStallsWhileItShrinks) {
  concurrency_limiter slots{{.limit = 4}};
  wait_queue queue{slots, {.max_wait = 1h, .predict = false}};
  std::deque<concurrency_limiter::permit> held;
  for (int i = 0; i < 4; ++i) held.push_back(slots.try_acquire().value());
  std::deque<wait_operation<concurrency_limiter::permit>> waiting(4);
  for (auto& op : waiting) {
    op.complete = [](wait_node&, wait_outcome) noexcept {};
    ASSERT_FALSE(queue.start(op));
  }
  EXPECT_FALSE(slots.reconfigure({.limit = 2}));
  held.clear();
  EXPECT_EQ(queue.snapshot().admitted_after_wait, 2u);
  EXPECT_FALSE(slots.reconfigure({.limit = 1}));
  EXPECT_FALSE(slots.reconfigure({.limit = 3}));
  EXPECT_EQ(queue.snapshot().admitted_after_wait, 3u) << "growing serves at once";
  waiting[0].take()->release(outcome::success);
  EXPECT_EQ(queue.snapshot().admitted_after_wait, 4u);
}

// --- F-D9, F-D11, F-D13. concurrency-limits, Sentinel, Envoy: look whether there is room, then take it: between the two,
// others do the same.

TEST(regression_fd9, TheGlobalLimitHoldsFromEightThreads) {
  constexpr unsigned threads = 8;
  constexpr std::uint32_t limit = 7;
  concurrency_limiter slots{{.limit = limit}};
  std::atomic<std::uint32_t> inside{0};
  std::atomic<std::uint64_t> wrong{0}, admitted{0};
  run_crew(threads, [&](unsigned me) {
    for (unsigned i = 0; i < 30'000; ++i) {
      const std::uint32_t cost = 1 + (i + me) % 3;
      auto permit = slots.try_acquire({.cost = cost, .tenant = me});
      if (!permit) continue;
      ++admitted;
      wrong += inside.fetch_add(cost) + cost > limit;
      if (i % 16 == 0) std::this_thread::yield();
      inside.fetch_sub(cost);
    }
  });
  EXPECT_EQ(wrong, 0u);
  EXPECT_GT(admitted, 1000u);
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
}

/// Eight threads ask at the same instant, again and again; `expected` are there each time. `again` brings them back.
template <class Policy, class Again>
void expect_exactly(Policy& policy, std::uint64_t expected, const Again& again) {
  constexpr unsigned threads = 8;
  constexpr int rounds = 600;
  std::atomic<std::uint64_t> admitted{0}, wrong{0};
  std::barrier step{threads};
  run_crew(threads, [&](unsigned me) {
    for (int round = 0; round < rounds; ++round) {
      std::vector<typename Policy::permit> held;
      step.arrive_and_wait();
      for (unsigned i = 0; i < 4; ++i) {
        if (auto permit = policy.try_acquire()) held.push_back(std::move(*permit));
      }
      admitted += held.size();
      step.arrive_and_wait();
      if (me == 0) wrong += admitted.exchange(0) != expected;
      for (auto& permit : held) permit.release(outcome::success);
      if (me == 0) again();
      step.arrive_and_wait();
    }
  });
  EXPECT_EQ(wrong, 0u);
}

TEST(regression_fd13, NobodySlipsInBetweenLookingAndTaking) {
  concurrency_limiter slots{{.limit = 1}};
  std::atomic<std::uint64_t> wrong{0};
  run_crew(4, [&](unsigned) {
    for (int i = 0; i < 20'000; ++i) {
      const auto permit = slots.try_acquire();
      if (permit) wrong += slots.snapshot().slots_in_use != 1;
    }
  });
  EXPECT_EQ(wrong, 0u);
  concurrency_limiter twenty{{.limit = 20}};
  expect_exactly(twenty, 20, [] {});
}

TEST(regression_fd11, AnEmptyBucketIsSeenByAll) {
  manual_clock clock;
  bucket tokens{{.limit = {20, 1s}}, {}, clock};
  expect_exactly(tokens, 20, [&] { clock.advance(1s); });
}

TEST(regression_fd11, AFullWindowIsSeenByAll) {
  manual_clock clock;
  window tokens{{.limit = {20, 1s}}, {}, clock};
  expect_exactly(tokens, 20, [&] { clock.advance(1s); });
}

// --- F-D10. concurrency-limits: two reports of one call decrement what is in flight twice, and a resize is two steps.

TEST(regression_fd10, TwoReportsCountOnce) {
  manual_clock clock;
  const auto report_twice = [](auto& policy) {
    auto first = policy.try_acquire();
    auto permit = std::move(*first);
    permit.release(outcome::success);
    permit.release(outcome::failure);
    permit.cancel();
    first->cancel();  // moved from
  };
  concurrency_limiter slots{{.limit = 2}};
  const auto held = slots.try_acquire();
  report_twice(slots);
  EXPECT_EQ(slots.snapshot().slots_in_use, 1u);
  EXPECT_EQ(slots.snapshot().success, 1u);
  EXPECT_EQ(slots.snapshot().failure + slots.snapshot().cancelled, 0u);

  circuit_breaker breaker{{}};
  const auto running = breaker.try_acquire();
  report_twice(breaker);
  EXPECT_EQ(breaker.snapshot().in_flight, 1u);
  EXPECT_EQ(breaker.snapshot().over_time.counts, (window_counts{.calls = 1}));

  // Spent when they were given: a report brings none back.
  bucket tokens{{.limit = {2, 1s}}, {}, clock};
  report_twice(tokens);
  EXPECT_EQ(take_all(tokens), 1);
  window issued{{.limit = {2, 1s}}, {}, clock};
  report_twice(issued);
  EXPECT_EQ(take_all(issued), 1);
}

TEST(regression_fd10, ResizingIsOneStep) {
  concurrency_limiter slots{{.limit = 4}};
  std::atomic<std::uint64_t> wrong{0};
  run_crew_beside(
      3,
      [&](unsigned) {
        for (int i = 0; i < 20'000; ++i) {
          const auto one = slots.try_acquire(), two = slots.try_acquire();
        }
      },
      2000,
      [&](unsigned i) {
        EXPECT_FALSE(slots.reconfigure({.limit = i % 2 == 0 ? 8u : 4u}));
        const auto s = slots.snapshot();
        wrong += s.limit != (i % 2 == 0 ? 8u : 4u) || s.slots_in_use > 8;
      });
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u) << "no slot was lost in a resize";
}

// --- F-D12. Sentinel: beyond 6000 resources rules are silently not checked. Here 32 threads have counters of their own.

TEST(regression_fd12, TheLimitAndTheLedgerHoldBeyondTheThreadsThatHaveCounters) {
  constexpr unsigned threads = 64, calls = 2000;
  concurrency_limiter slots{{.limit = 5}};
  rate_limiter tokens{{.limit = {1, 1h}, .burst = 50}};
  std::atomic<std::uint32_t> inside{0};
  std::atomic<std::uint64_t> wrong{0}, issued{0};
  std::barrier all_run{threads};  // at the same time
  run_crew(threads, [&](unsigned) {
    all_run.arrive_and_wait();
    for (unsigned i = 0; i < calls; ++i) {
      issued += tokens.try_acquire() ? 1 : 0;
      auto permit = slots.try_acquire();
      if (!permit) continue;
      wrong += inside.fetch_add(1) >= 5;
      inside.fetch_sub(1);
      permit->release(outcome::success);
    }
    all_run.arrive_and_wait();
  });
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(issued, 50u);
  const auto s = slots.snapshot();
  EXPECT_EQ(s.arrivals(), std::uint64_t{threads} * calls);
  EXPECT_EQ(s.success, s.admitted);
  EXPECT_EQ(tokens.snapshot().arrivals(), std::uint64_t{threads} * calls);
}

// --- F-D14, and a trap. userver keeps the time at which the bucket was empty: another rate rescales the balance and the
// debt; and whether the first bucket is full depends on how long the machine has been up.

TEST(regression_fd14, AnotherRateRescalesNeitherBalanceNorDebt) {
  manual_clock clock;
  const time_point start = clock.now();
  bucket limiter{{.limit = {10, 1s}, .burst = 10}, {}, clock};
  EXPECT_EQ(take_all(limiter), 10);
  clock.advance(400ms);
  EXPECT_FALSE(limiter.reconfigure({.limit = {1000, 1s}, .burst = 10}));
  EXPECT_EQ(limiter.snapshot().tokens_approx, 4u) << "the time before was at the old rate";
  EXPECT_EQ(take_all(limiter), 4);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 1ms);
  clock.advance(10ms);
  EXPECT_FALSE(limiter.reconfigure({.limit = {1, 1s}, .burst = 10}));
  EXPECT_EQ(take_all(limiter), 10);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 1s);

  clock.set(start + 1h);
  EXPECT_EQ(take_all(limiter), 10);
  clock.set(start + 1h - 5s);  // five tokens in debt
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 6s);
  EXPECT_FALSE(limiter.reconfigure({.limit = {10, 1s}, .burst = 10}));
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 600ms) << "still five";
}

TEST(regression_fd14, TheFirstBucketIsFullAtAnyTimeOfAnyClock) {
  for (const duration since_epoch : {duration{0}, duration{1}, duration{-1h}, duration{24h * 365 * 100}, duration{5min}}) {
    manual_clock clock;
    clock.set(time_point{since_epoch});
    bucket limiter{{.limit = {1, 1h}, .burst = 7}, {}, clock};
    EXPECT_EQ(take_all(limiter), 7) << since_epoch.count();
    clock.advance(2h);
    EXPECT_EQ(take_all(limiter), 2) << since_epoch.count();
  }
}

// --- A-D7. userver: limit, amount, interval and tokens in five atomics: a reader sees parts of two configurations.

TEST(regression_ad7, NoDecisionAndNoSnapshotMixesTwoConfigurations) {
  const rate_limiter_config configs[] = {
      {.limit = {1, 1s}, .burst = 3}, {.limit = {1, 1ms}, .burst = 3000}, {.limit = {1, 1us}, .burst = 77}};
  manual_clock clock;
  bucket limiter{configs[0], {}, clock};
  limiter.drain();
  std::atomic<std::uint64_t> wrong{0};
  // The bucket is empty and time stands still: each configuration has one answer.
  run_crew_beside(
      3,
      [&](unsigned me) {
        for (int i = 0; i < 15'000; ++i) {
          const auto answer = limiter.try_acquire();
          const duration wait = answer ? 0s : answer.error().retry_after();
          wrong += wait != 1s && wait != 1ms && wait != 1us;
          if (me != 0 || i % 8 != 0) continue;
          const auto s = limiter.snapshot();
          wrong += !(s.limit == configs[0].limit && s.burst == 3) && !(s.limit == configs[1].limit && s.burst == 3000) &&
                   !(s.limit == configs[2].limit && s.burst == 77);
        }
      },
      5000, [&](unsigned i) { wrong += limiter.reconfigure(configs[i % 3]).has_value(); });
  EXPECT_EQ(wrong, 0u);
}

// --- A-D8. folly: rate, burst and time are numbers; which is which, and in what unit, is for the caller to remember.
// tests/compile_fail: int_as_duration, system_clock_deadline, wall_clock_as_source.

TEST(regression_ad8, ANumberIsNoTimeAndAWallClockNoClock) {
  static_assert(!std::convertible_to<double, duration> && !std::convertible_to<int, duration>);
  static_assert(!std::convertible_to<double, time_point>);
  static_assert(!std::convertible_to<std::chrono::system_clock::time_point, time_point>);
  EXPECT_EQ((rate{.permits = 50, .per = 10s}.per), 10'000'000'000ns);
}

// --- A trap: taking first and giving back when it was too much. While a large request gives back, small ones that fit are
// refused.

template <class Policy>
void expect_no_refusal_beside_large_requests(Policy& policy) {
  const auto half = policy.try_acquire({.cost = 5});  // of ten
  ASSERT_TRUE(half);
  std::atomic<std::uint64_t> wrong{0};
  run_crew(4, [&](unsigned me) {
    for (int i = 0; i < 50'000; ++i) {
      if (me % 2 == 0) {
        auto small = policy.try_acquire({.cost = 2});
        if (small) small->cancel();
        wrong += !small;
      } else {
        wrong += policy.try_acquire({.cost = 6}).has_value();
      }
    }
  });
  EXPECT_EQ(wrong, 0u);
}

TEST(regression_trap, ALargeRequestThatIsRefusedRefusesNoSmallOne) {
  manual_clock clock;
  concurrency_limiter slots{{.limit = 10}};
  expect_no_refusal_beside_large_requests(slots);
  bucket tokens{{.limit = {10, 1s}}, {}, clock};
  expect_no_refusal_beside_large_requests(tokens);
}

}  // namespace
}  // namespace weir
