// The rate limiter under threads, watched by counters of the test's own. Time is a number that the threads move.
#include <weir/policy/rate_limiter.hpp>

#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::duration;
using weir::time_point;
using limiter_type = weir::basic_rate_limiter<weir::manual_clock>;

constexpr int threads = 3;
constexpr time_point start{24h};

/// Takes one token after another until refused, then moves the shared time on by `step`, while `go_on(round)`. The bucket
/// is empty each time before time goes on, so it is never full again and no token is lost. Returns the tokens taken.
std::uint64_t exhaust(limiter_type& limiter, std::atomic<duration::rep>& time, duration step,
                      std::atomic<std::uint64_t>& refused, const auto& go_on) {
  std::uint64_t taken = 0;
  for (int round = 0; go_on(round); ++round) {
    for (;;) {
      const time_point now{duration{time.load()}};
      if (!limiter.try_acquire({.now = now})) break;
      ++taken;
    }
    ++refused;
    time.fetch_add(step.count());
  }
  return taken;
}

// A thread that lags behind refuses by its older time, so at the end the last tokens are still there.
std::uint64_t rest(limiter_type& limiter, time_point now, std::atomic<std::uint64_t>& refused) {
  std::uint64_t taken = 0;
  while (limiter.try_acquire({.now = now})) ++taken;
  ++refused;
  return taken;
}

TEST(rate_limiter_race, issues_exactly_burst_plus_rate_times_time) {
  constexpr std::uint64_t burst = 1'000'000;  // so large that the bucket is not full again after the start
  constexpr int rounds = 20'000;
  constexpr duration step = 700ns;
  limiter_type limiter{{.limit = {1, 1us}, .burst = burst}};
  std::atomic<duration::rep> time{start.time_since_epoch().count()};
  std::atomic<std::uint64_t> taken = 0, refused = 0;
  // Empty from the start, else the threads would spend their time on the first bucket.
  for (std::uint64_t i = 0; i < burst / 500'000; ++i) {
    ASSERT_TRUE(limiter.try_acquire({.now = start, .cost = 500'000}));
    taken += 500'000;
  }
  const std::uint64_t before = 2;
  {
    std::vector<std::jthread> users;
    for (int t = 0; t < threads; ++t) {
      users.emplace_back([&] { taken += exhaust(limiter, time, step, refused, [](int round) { return round < rounds; }); });
    }
  }
  const time_point end{duration{time.load()}};
  taken += rest(limiter, end, refused);
  const auto length = static_cast<std::uint64_t>((end - start).count());
  ASSERT_EQ(length, std::uint64_t{threads} * rounds * 700);
  EXPECT_EQ(taken, burst + length / 1000);
  const auto s = limiter.snapshot();
  EXPECT_EQ(s.admitted, taken - burst + before);
  EXPECT_EQ(s.rate_limited, refused);
}

// The same while the configuration is replaced by an equal one and the origin moves: no token is lost or made. (The rate is
// a whole number of units per nanosecond, so that nothing is rounded.)
TEST(rate_limiter_race, reconfiguring_neither_makes_nor_loses_tokens) {
  constexpr std::uint64_t burst = 10'000'000;
  constexpr std::uint64_t enough = 20'000;
  limiter_type limiter{{.limit = {1, 1024ns}, .burst = burst}};
  std::atomic<duration::rep> time{start.time_since_epoch().count()};
  std::atomic<std::uint64_t> taken = 0, refused = 0;
  ASSERT_TRUE(limiter.try_acquire({.now = start, .cost = burst}));
  std::atomic<std::uint64_t> changes = 0;
  std::latch all_run{threads + 1};
  {
    std::vector<std::jthread> users;
    for (int t = 0; t < threads; ++t) {
      users.emplace_back([&] {
        all_run.arrive_and_wait();
        taken += exhaust(limiter, time, 1024ns, refused, [&](int round) { return round < 100 || changes < enough; });
      });
    }
    all_run.arrive_and_wait();
    // The limiter's own clock stands still, far behind: a reconfiguration at an older time must not credit twice.
    for (; changes < enough; ++changes) {
      ASSERT_FALSE(limiter.reconfigure({.limit = {1, 1024ns}, .burst = burst}));
    }
  }
  const time_point end{duration{time.load()}};
  taken += rest(limiter, end, refused);
  EXPECT_EQ(taken, static_cast<std::uint64_t>((end - start) / 1024ns));
  const auto s = limiter.snapshot();
  EXPECT_EQ(s.admitted, taken + 1);
  EXPECT_EQ(s.rate_limited, refused);
}

// Rates that differ a thousandfold take turns; three, so that neither of the two places for them always holds the same.
// Had one decision been made with parts of two configurations, it would show: the bucket is empty, and each configuration
// has one answer to that.
TEST(rate_limiter_race, no_decision_mixes_two_configurations) {
  constexpr std::uint64_t enough = 20'000;
  const weir::rate_limiter_config configs[] = {
      {.limit = {1, 1s}, .burst = 3}, {.limit = {1, 1ms}, .burst = 3000}, {.limit = {1, 1us}, .burst = 77}};
  weir::manual_clock clock;
  limiter_type limiter{configs[0], {}, clock};
  limiter.drain();
  std::atomic<int> wrong = 0;
  std::atomic<std::uint64_t> admitted = 0, asked = 0;
  std::atomic<bool> done = false;
  std::latch all_run{threads + 1};
  {
    std::vector<std::jthread> users;
    for (int t = 0; t < threads; ++t) {
      users.emplace_back([&] {
        all_run.arrive_and_wait();
        while (!done) {
          const auto permit = limiter.try_acquire();
          if (permit) {
            ++admitted;
          } else if (const duration wait = permit.error().retry_after(); wait != 1s && wait != 1ms && wait != 1us) {
            ++wrong;
          }
          const auto never = limiter.try_acquire({.cost = 3001});
          if (never || never.error() != weir::errc::never_admissible) ++wrong;
          ++asked;
        }
      });
    }
    all_run.arrive_and_wait();
    for (std::uint64_t i = 0; i < enough || asked < 10 * enough; ++i) {
      ASSERT_FALSE(limiter.reconfigure(configs[(i + 1) % 3]));
    }
    done = true;
  }
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(admitted, 0u) << "time stood still over an empty bucket";
}

// Cancelled admissions are as if they had not been: what is left is burst minus what was kept.
TEST(rate_limiter_race, cancelling_puts_back_exactly_what_was_taken) {
  constexpr std::uint64_t burst = 4'000'000'000;
  constexpr int rounds = 20'000;
  weir::manual_clock clock;
  limiter_type limiter{{.limit = {1, 1ms}, .burst = burst}, {}, clock};
  std::atomic<std::uint64_t> kept = 0, cancelled = 0;
  {
    std::vector<std::jthread> users;
    for (int t = 0; t < threads; ++t) {
      users.emplace_back([&, t] {
        for (int i = 0; i < rounds; ++i) {
          const auto cost = static_cast<std::uint32_t>(1 + (i + t) % 7);
          auto permit = limiter.try_acquire({.cost = cost});
          if (i % 3 == 0) {
            kept += cost;
          } else {
            permit->cancel();
            ++cancelled;
          }
        }
      });
    }
  }
  const auto s = limiter.snapshot();
  EXPECT_EQ(s.tokens_approx, burst - kept);
  EXPECT_EQ(s.cancelled, cancelled);
  EXPECT_EQ(s.arrivals(), std::uint64_t{threads} * rounds);
}

// All threads find the line used up at once: one moves the origin, and the bucket is full once.
TEST(rate_limiter_race, the_origin_moves_once) {
  constexpr std::uint64_t burst = 50;
  weir::manual_clock clock;
  limiter_type limiter{{.limit = {1'000'000'000, 1s}, .burst = burst}, {}, clock};
  for (int i = 0; i < 200; ++i) {
    clock.set(time_point{24h * 30 * (i + 1)});
    std::atomic<std::uint64_t> taken = 0;
    {
      std::vector<std::jthread> users;
      for (int t = 0; t < threads; ++t) {
        users.emplace_back([&] {
          while (limiter.try_acquire()) ++taken;
        });
      }
    }
    ASSERT_EQ(taken, burst) << "month " << i;
  }
}

// Reservations from all threads: each instant of the schedule is promised once, and none is left out.
TEST(rate_limiter_race, each_token_is_promised_to_one_reservation) {
  limiter_type limiter{{.limit = {10, 1s}, .burst = 1}};
  constexpr int each = 3000;
  std::vector<std::vector<time_point>> due(threads);
  {
    std::latch together{threads};
    std::vector<std::jthread> crew;
    for (int me = 0; me < threads; ++me) {
      crew.emplace_back([&, me] {
        together.arrive_and_wait();
        for (int i = 0; i < each; ++i) {
          auto promised = limiter.reserve({.now = start});
          if (promised) due[static_cast<std::size_t>(me)].push_back(promised->due);
        }
      });
    }
  }
  std::vector<time_point> all;
  for (const auto& some : due) all.insert(all.end(), some.begin(), some.end());
  std::sort(all.begin(), all.end());
  ASSERT_EQ(all.size(), static_cast<std::size_t>(threads * each));
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i], start + i * 100ms) << i;
}

}  // namespace
