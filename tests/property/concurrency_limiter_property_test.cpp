// The concurrency limiter against a plain counter: the same random history, the same decisions, the same ledger.
#include <weir/policy/concurrency_limiter.hpp>

#include <weir/core/random.hpp>

#include "support/seeds.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace {

using weir::concurrency_limiter;
using weir::errc;
using weir::outcome;
using weir::random_stream;

struct counting_listener final : weir::capacity_listener {
  void on_capacity() noexcept override { ++calls; }
  std::uint64_t calls = 0;
};

struct counter_model {
  std::uint32_t limit;
  std::uint64_t in_use = 0;
  bool waiting = false;
  std::uint64_t arrivals = 0, over_capacity = 0, never_admissible = 0, cancelled = 0, told = 0;
  std::uint64_t ended[4] = {};

  /// 0: admitted. A waiter that is refused goes on waiting: that is no arrival.
  errc ask(std::uint32_t cost, bool for_waiter) {
    errc refused{};
    if (cost > limit) {
      refused = errc::never_admissible;
      never_admissible += !for_waiter;
    } else if (cost != 0 && ((waiting && !for_waiter) || in_use + cost > limit)) {
      refused = errc::over_capacity;
      over_capacity += !for_waiter;
    } else {
      in_use += cost;
    }
    arrivals += refused == errc{} || !for_waiter;
    return refused;
  }
  void give_back(std::uint32_t cost) {
    in_use -= cost;
    if (waiting && cost != 0) ++told;
  }
};

TEST(concurrency_limiter_property, decides_as_a_plain_counter) {
  for (const std::uint64_t seed : weir::testing_support::seeds(300)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "limiter"};
    const auto random_limit = [&] { return static_cast<std::uint32_t>(1 + random.below(20)); };
    counter_model model{.limit = random_limit()};
    concurrency_limiter limiter{{.limit = model.limit}};
    counting_listener queue;
    limiter.attach(&queue);
    std::vector<concurrency_limiter::permit> held;
    for (int step = 0; step < 400; ++step) {
      const std::uint64_t what = random.below(20);
      if (what == 0) {
        model.limit = random_limit();
        ASSERT_FALSE(limiter.reconfigure({.limit = model.limit}));
        model.told += model.waiting;
      } else if (what == 1) {
        model.waiting = random.below(2) == 0;
        limiter.set_waiting(model.waiting);
      } else if (what < 11 || held.empty()) {
        const auto cost = static_cast<std::uint32_t>(random.below(random.below(4) == 0 ? 25 : 4));
        const bool for_waiter = random.below(3) == 0;
        auto permit = for_waiter ? limiter.try_acquire_for_waiter({.cost = cost}) : limiter.try_acquire({.cost = cost});
        const errc expected = model.ask(cost, for_waiter);
        ASSERT_EQ(permit.has_value(), expected == errc{}) << "step " << step;
        if (permit) {
          held.push_back(std::move(*permit));
        } else {
          ASSERT_EQ(permit.error(), expected);
        }
      } else {
        const std::size_t which = random.below(held.size());
        std::swap(held[which], held.back());
        concurrency_limiter::permit permit = std::move(held.back());
        held.pop_back();
        model.give_back(permit.cost());
        if (random.below(5) == 0) {
          permit.cancel();
          ++model.cancelled;
        } else {
          const auto o = static_cast<outcome>(random.below(4));
          permit.release(o);
          ++model.ended[static_cast<std::size_t>(o)];
        }
      }
      const auto s = limiter.snapshot();
      ASSERT_EQ(s.slots_in_use, model.in_use);
      ASSERT_EQ(s.calls_in_flight(), held.size());
      ASSERT_EQ(s.arrivals(), model.arrivals);
      ASSERT_EQ(queue.calls, model.told);
    }
    const auto s = limiter.snapshot();
    EXPECT_EQ(s.over_capacity, model.over_capacity);
    EXPECT_EQ(s.never_admissible, model.never_admissible);
    EXPECT_EQ(s.cancelled, model.cancelled);
    EXPECT_EQ(s.success, model.ended[0]);
    EXPECT_EQ(s.failure, model.ended[1]);
    EXPECT_EQ(s.overload, model.ended[2]);
    EXPECT_EQ(s.ignored, model.ended[3]);
  }
}

}  // namespace
