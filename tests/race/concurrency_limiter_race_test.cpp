// The concurrency limiter under threads, watched by counters of the test's own.
#include <weir/policy/concurrency_limiter.hpp>

#include <weir/core/random.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <latch>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace {

using weir::concurrency_limiter;
using weir::outcome;

constexpr int threads = 3;
constexpr int rounds = 15'000;

/// What the test itself has counted.
struct tally {
  std::atomic<std::uint64_t> arrivals{0}, admitted{0}, over_capacity{0}, never{0}, cancelled{0}, ended[4]{};
};

void use(concurrency_limiter& limiter, std::atomic<std::int64_t>& held, tally& count, std::uint64_t seed,
         std::latch& all_run, const auto& after_admission) {
  weir::random_stream random{seed, "race"};
  all_run.arrive_and_wait();
  for (int i = 0; i < rounds; ++i) {
    const auto cost = static_cast<std::uint32_t>(1 + random.below(4));
    ++count.arrivals;
    auto permit = limiter.try_acquire({.cost = cost});
    if (!permit) {
      ++(permit.error() == weir::errc::never_admissible ? count.never : count.over_capacity);
      continue;
    }
    ++count.admitted;
    after_admission(held.fetch_add(cost) + cost);
    if (random.below(64) == 0) std::this_thread::yield();
    held.fetch_sub(cost);
    if (random.below(5) == 0) {
      permit->cancel();
      ++count.cancelled;
    } else {
      const auto o = static_cast<outcome>(random.below(4));
      permit->release(o);
      ++count.ended[static_cast<std::size_t>(o)];
    }
  }
}

void expect_balanced(const weir::concurrency_limiter_snapshot& s, const tally& count) {
  EXPECT_EQ(s.slots_in_use, 0u);
  EXPECT_EQ(s.calls_in_flight(), 0u);
  EXPECT_EQ(s.arrivals(), count.arrivals);
  EXPECT_EQ(s.admitted + s.cancelled, count.admitted);
  EXPECT_EQ(s.cancelled, count.cancelled);
  EXPECT_EQ(s.over_capacity, count.over_capacity);
  EXPECT_EQ(s.never_admissible, count.never);
  EXPECT_EQ(s.success, count.ended[0]);
  EXPECT_EQ(s.failure, count.ended[1]);
  EXPECT_EQ(s.overload, count.ended[2]);
  EXPECT_EQ(s.ignored, count.ended[3]);
}

TEST(concurrency_limiter_race, in_use_never_exceeds_the_limit) {
  constexpr std::int64_t limit = 5;
  concurrency_limiter limiter{{.limit = limit}};
  std::atomic<std::int64_t> held = 0, highest = 0;
  std::atomic<int> running = threads;
  std::latch all_run{threads + 1};
  tally count;
  {
    std::vector<std::jthread> users;
    for (int t = 0; t < threads; ++t) {
      users.emplace_back([&, t] {
        use(limiter, held, count, static_cast<std::uint64_t>(t), all_run, [&](std::int64_t now) {
          for (auto seen = highest.load(); now > seen && !highest.compare_exchange_weak(seen, now);) {
          }
        });
        --running;
      });
    }
    all_run.arrive_and_wait();
    while (running > 0) {
      const auto s = limiter.snapshot();
      ASSERT_LE(s.slots_in_use, limit);
      ASSERT_LT(s.calls_in_flight(), std::uint64_t{1} << 60) << "negative";
      std::this_thread::yield();
    }
  }
  EXPECT_LE(highest, limit);
  expect_balanced(limiter.snapshot(), count);
}

// The limit goes up and down. As long as it is the small one, and what was in use before has drained, nobody may be
// admitted above it: not through a stale limit, not in the middle of a change.
TEST(concurrency_limiter_race, shrinking_holds_from_the_moment_it_has_drained) {
  constexpr std::uint32_t large = 12, small = 4;
  concurrency_limiter limiter{{.limit = large}};
  std::atomic<std::int64_t> held = 0;
  std::atomic<std::uint64_t> era = 0;  // odd: shrunk and drained
  std::atomic<int> over = 0, running = threads;
  std::latch all_run{threads + 1};
  tally count;
  std::uint64_t shrinks = 0;
  {
    std::vector<std::jthread> users;
    for (int t = 0; t < threads; ++t) {
      users.emplace_back([&, t] {
        std::uint64_t before = era.load();
        use(limiter, held, count, static_cast<std::uint64_t>(t), all_run, [&](std::int64_t now) {
          // In the same odd era at two moments: in it all the time between.
          const std::uint64_t after = era.load();
          if (after % 2 == 1 && before == after && now > std::int64_t{small}) ++over;
          before = after;
        });
        --running;
      });
    }
    all_run.arrive_and_wait();
    while (running > 0 || shrinks < 3) {
      EXPECT_FALSE(limiter.reconfigure({.limit = small}));
      while (limiter.snapshot().slots_in_use > small) std::this_thread::yield();
      ++era;
      ++shrinks;
      for (int i = 0; i < 20; ++i) {
        EXPECT_LE(limiter.snapshot().slots_in_use, small);
        std::this_thread::yield();
      }
      ++era;
      EXPECT_FALSE(limiter.reconfigure({.limit = large}));
      std::this_thread::yield();
    }
  }
  EXPECT_EQ(over, 0);
  expect_balanced(limiter.snapshot(), count);
}

// Changes of the limit as fast as they go: each is one step, so no admission or release between is overwritten.
TEST(concurrency_limiter_race, resizing_loses_no_slot) {
  constexpr std::uint32_t most = 9;
  concurrency_limiter limiter{{.limit = most}};
  std::atomic<std::int64_t> held = 0, highest = 0;
  std::atomic<int> running = threads;
  std::latch all_run{threads + 1};
  tally count;
  {
    std::vector<std::jthread> users;
    for (int t = 0; t < threads; ++t) {
      users.emplace_back([&, t] {
        use(limiter, held, count, static_cast<std::uint64_t>(t), all_run, [&](std::int64_t now) {
          if (now > highest) highest = now;
        });
        --running;
      });
    }
    all_run.arrive_and_wait();
    for (std::uint32_t i = 0; running > 0; ++i) {
      EXPECT_FALSE(limiter.reconfigure({.limit = 1 + i % most}));
      if (i % 64 == 0) std::this_thread::yield();
    }
  }
  EXPECT_LE(highest, std::int64_t{most});
  expect_balanced(limiter.snapshot(), count);
}

// What one holder of the only slot wrote, the next one reads: the limiter orders them. (A data race if it did not.)
TEST(concurrency_limiter_race, a_limit_of_one_is_a_lock) {
  concurrency_limiter limiter{{.limit = 1}};
  std::uint64_t plain = 0;
  std::atomic<std::uint64_t> admitted = 0;
  std::latch all_run{threads};
  {
    std::vector<std::jthread> users;
    for (int t = 0; t < threads; ++t) {
      users.emplace_back([&] {
        std::uint64_t mine = 0;
        all_run.arrive_and_wait();
        for (int i = 0; i < rounds; ++i) {
          if (auto permit = limiter.try_acquire()) {
            ++plain;
            ++mine;
          }
          if (i % 64 == 0) std::this_thread::yield();
        }
        admitted += mine;
      });
    }
  }
  EXPECT_EQ(plain, admitted);
}

// The seam to a queue: whenever the flag is set and a slot is released, either the attempt after setting the flag gets the
// slot or the listener is told. Two threads meet in every round.
TEST(concurrency_limiter_race, no_release_goes_unseen_by_a_waiter) {
  struct signalled final : weir::capacity_listener {
    void on_capacity() noexcept override { told.fetch_add(1); }
    std::atomic<std::uint64_t> told{0};
  };
  constexpr int meetings = 40'000;
  concurrency_limiter limiter{{.limit = 1}};
  signalled queue;
  limiter.attach(&queue);
  std::optional<concurrency_limiter::permit> held;
  std::atomic<int> begun = 0, released = 0;
  std::jthread releaser{[&] {
    for (int round = 1; round <= meetings; ++round) {
      while (begun.load() < round) std::this_thread::yield();
      held->release(outcome::success);
      released.store(round);
    }
  }};
  int unseen = 0;
  for (int round = 1; round <= meetings; ++round) {
    held.emplace(*limiter.try_acquire());
    const std::uint64_t told = queue.told;
    begun.store(round);
    for (int i = round % 32; i > 0; --i) static_cast<void>(limiter.now());  // meets at different points
    limiter.set_waiting(true);
    const bool granted = limiter.try_acquire_for_waiter({}).has_value();
    while (released.load() < round) std::this_thread::yield();
    unseen += !granted && queue.told == told;
    limiter.set_waiting(false);
  }
  EXPECT_EQ(unseen, 0) << "would have waited for ever";
  limiter.attach(nullptr);
}

}  // namespace
