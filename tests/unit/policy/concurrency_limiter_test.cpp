#include <weir/policy/concurrency_limiter.hpp>

#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

using weir::concurrency_limiter;
using weir::errc;
using weir::outcome;

struct counting_listener final : weir::capacity_listener {
  void on_capacity() noexcept override { ++calls; }
  int calls = 0;
};

void expect_balanced(const weir::concurrency_limiter_snapshot& s, std::uint64_t arrivals) {
  EXPECT_EQ(s.arrivals(), arrivals);
  EXPECT_EQ(s.admitted, s.success + s.failure + s.overload + s.ignored + s.calls_in_flight());
}

TEST(concurrency_limiter, admits_up_to_the_limit_and_again_after_a_release) {
  concurrency_limiter limiter{{.name = "hashing", .limit = 2}};
  auto first = limiter.try_acquire();
  auto second = limiter.try_acquire();
  ASSERT_TRUE(first);
  ASSERT_TRUE(second);
  const auto third = limiter.try_acquire();
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error(), errc::over_capacity);
  EXPECT_EQ(third.error().policy(), "hashing");
  EXPECT_EQ(third.error().retry_after(), weir::duration::zero());
  first->release(outcome::success);
  EXPECT_TRUE(limiter.try_acquire());
}

TEST(concurrency_limiter, weighted_calls_take_their_cost) {
  concurrency_limiter limiter{{.limit = 10}};
  auto seven = limiter.try_acquire({.cost = 7});
  ASSERT_TRUE(seven);
  EXPECT_EQ(seven->cost(), 7u);
  EXPECT_EQ(limiter.try_acquire({.cost = 4}).error(), errc::over_capacity);
  auto three = limiter.try_acquire({.cost = 3});
  EXPECT_TRUE(three);
  EXPECT_EQ(limiter.snapshot().slots_in_use, 10u);
  seven->release(outcome::success);
  EXPECT_EQ(limiter.snapshot().slots_in_use, 3u);
}

TEST(concurrency_limiter, more_than_the_limit_is_never_admissible) {
  concurrency_limiter limiter{{.limit = 3}};
  EXPECT_TRUE(limiter.try_acquire({.cost = 3}));
  for (const std::uint32_t cost : {4u, 1u << 31, std::numeric_limits<std::uint32_t>::max()}) {
    const auto refused = limiter.try_acquire({.cost = cost});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), errc::never_admissible);
    EXPECT_EQ(refused.error(), weir::condition::never);
  }
  EXPECT_EQ(limiter.snapshot().never_admissible, 3u);
}

TEST(concurrency_limiter, cost_zero_takes_nothing) {
  concurrency_limiter limiter{{.limit = 1}};
  auto holder = limiter.try_acquire();
  auto nothing = limiter.try_acquire({.cost = 0});
  ASSERT_TRUE(nothing);
  EXPECT_EQ(limiter.snapshot().slots_in_use, 1u);
  nothing->release(outcome::success);
  EXPECT_EQ(limiter.snapshot().slots_in_use, 1u);
  EXPECT_EQ(limiter.snapshot().success, 1u);
}

TEST(concurrency_limiter, the_largest_limit_works) {
  constexpr std::uint32_t most = std::numeric_limits<std::int32_t>::max();
  concurrency_limiter limiter{{.limit = most}};
  auto all = limiter.try_acquire({.cost = most});
  ASSERT_TRUE(all);
  EXPECT_EQ(limiter.try_acquire().error(), errc::over_capacity);
  EXPECT_EQ(limiter.snapshot().slots_in_use, most);
  EXPECT_FALSE(limiter.snapshot().waiting) << "slots do not run over into the flag";
}

TEST(concurrency_limiter, wrong_limits_are_refused_by_name) {
  for (const std::uint32_t limit : {0u, 1u << 31, ~0u}) {
    const auto wrong = validate(weir::concurrency_limiter_config{.limit = limit});
    ASSERT_TRUE(wrong);
    EXPECT_EQ(wrong->field, "concurrency_limiter_config.limit");
    EXPECT_THROW(concurrency_limiter{{.limit = limit}}, std::invalid_argument);
    concurrency_limiter limiter{{.limit = 5}};
    EXPECT_TRUE(limiter.reconfigure({.limit = limit}));
    EXPECT_EQ(limiter.snapshot().limit, 5u) << "a wrong config changes nothing";
  }
  EXPECT_FALSE(validate(weir::concurrency_limiter_config{}));
}

TEST(concurrency_limiter, every_way_to_end_gives_back_exactly_once_and_is_counted) {
  concurrency_limiter limiter{{.limit = 8}};
  for (const outcome o : {outcome::success, outcome::failure, outcome::overload, outcome::ignored}) {
    auto permit = limiter.try_acquire();
    permit->release(o);
    permit->release(o);
    permit->cancel();
    EXPECT_FALSE(*permit);
  }
  {
    auto dropped = limiter.try_acquire();
  }
  limiter.try_acquire()->release(weir::completion{.result = outcome::failure});
  limiter.try_acquire()->cancel();
  const auto s = limiter.snapshot();
  EXPECT_EQ(s.success, 1u);
  EXPECT_EQ(s.failure, 2u);
  EXPECT_EQ(s.overload, 1u);
  EXPECT_EQ(s.ignored, 2u);
  EXPECT_EQ(s.cancelled, 1u);
  EXPECT_EQ(s.admitted, 6u) << "without the cancelled one";
  EXPECT_EQ(s.slots_in_use, 0u);
  expect_balanced(s, 7);
}

// F-D10: a peer's listeners gave back twice.
TEST(concurrency_limiter, moving_permits_moves_the_obligation) {
  concurrency_limiter limiter{{.limit = 3}};
  auto a = *limiter.try_acquire({.cost = 2});
  auto b = *limiter.try_acquire();
  concurrency_limiter::permit c{std::move(a)};
  a.release(outcome::success);  // NOLINT(bugprone-use-after-move): moved-from permits are empty
  a.cancel();
  EXPECT_EQ(limiter.snapshot().slots_in_use, 3u);
  c = std::move(b);
  EXPECT_EQ(limiter.snapshot().slots_in_use, 1u) << "what was overwritten went back";
  auto& same = c;
  c = std::move(same);
  EXPECT_EQ(limiter.snapshot().slots_in_use, 1u);
}

// F-D5: shrinking does not wait for the calls in flight, and does not hold up new ones longer than the limit does.
TEST(concurrency_limiter, shrinking_drains_and_growing_admits_at_once) {
  concurrency_limiter limiter{{.name = "kept", .limit = 4}};
  std::vector<concurrency_limiter::permit> held;
  for (int i = 0; i < 4; ++i) held.push_back(*limiter.try_acquire());
  EXPECT_FALSE(limiter.reconfigure({.limit = 2}));
  EXPECT_EQ(limiter.snapshot().limit, 2u);
  EXPECT_EQ(limiter.snapshot().slots_in_use, 4u);
  EXPECT_EQ(limiter.name().view(), "kept");
  held.pop_back();
  held.pop_back();
  EXPECT_FALSE(limiter.try_acquire()) << "two of two";
  held.pop_back();
  held.push_back(*limiter.try_acquire());
  EXPECT_FALSE(limiter.try_acquire());
  EXPECT_FALSE(limiter.reconfigure({.limit = 3}));
  EXPECT_TRUE(limiter.try_acquire());
}

TEST(concurrency_limiter, newcomers_do_not_overtake_waiters) {
  concurrency_limiter limiter{{.limit = 2}};
  counting_listener queue;
  limiter.attach(&queue);
  auto held = limiter.try_acquire();
  held->release(outcome::success);
  EXPECT_EQ(queue.calls, 0) << "nobody waits";

  limiter.set_waiting(true);
  EXPECT_TRUE(limiter.snapshot().waiting);
  EXPECT_EQ(limiter.try_acquire().error(), errc::over_capacity);
  auto granted = limiter.try_acquire_for_waiter({});
  auto other = limiter.try_acquire_for_waiter({});
  EXPECT_TRUE(granted);
  EXPECT_EQ(limiter.try_acquire_for_waiter({}).error(), errc::over_capacity);

  EXPECT_EQ(limiter.snapshot().over_capacity, 1u) << "a waiter that goes on waiting is not refused";

  granted->release(outcome::failure);
  EXPECT_EQ(queue.calls, 1);
  other->cancel();
  EXPECT_EQ(queue.calls, 2);
  EXPECT_FALSE(limiter.reconfigure({.limit = 3}));
  EXPECT_EQ(queue.calls, 3) << "growing is capacity too";

  limiter.set_waiting(false);
  EXPECT_TRUE(limiter.try_acquire());
  EXPECT_EQ(queue.calls, 3);
  EXPECT_EQ(limiter.next_available(1, limiter.now()), weir::never);
  limiter.attach(nullptr);
}

TEST(concurrency_limiter, observers_hear_of_refusals_and_changes) {
  struct recorder {
    std::vector<std::pair<errc, std::uint32_t>>* refusals;
    std::vector<std::uint32_t>* limits;
    void on(const weir::concurrency_rejected& e) { refusals->emplace_back(e.why, e.cost); }
    void on(const weir::concurrency_limit_changed& e) {
      limits->push_back(e.before);
      limits->push_back(e.after);
    }
  };
  std::vector<std::pair<errc, std::uint32_t>> refusals;
  std::vector<std::uint32_t> limits;
  weir::manual_clock clock;
  weir::basic_concurrency_limiter<weir::manual_clock, recorder> limiter{{.limit = 1}, {&refusals, &limits}, clock};
  auto held = limiter.try_acquire();
  EXPECT_FALSE(limiter.try_acquire());
  EXPECT_FALSE(limiter.try_acquire({.cost = 2}));
  EXPECT_FALSE(limiter.reconfigure({.limit = 9}));
  EXPECT_EQ(refusals, (std::vector<std::pair<errc, std::uint32_t>>{{errc::over_capacity, 1}, {errc::never_admissible, 2}}));
  EXPECT_EQ(limits, (std::vector<std::uint32_t>{1, 9}));
  EXPECT_EQ(limiter.now(), clock.now());
}

#ifndef NDEBUG
TEST(concurrency_limiter_death, a_permit_that_outlives_its_limiter_is_caught) {
  EXPECT_DEATH(
      {
        std::optional<concurrency_limiter::permit> survivor;
        concurrency_limiter limiter{{.limit = 1}};
        survivor.emplace(*limiter.try_acquire());
      },
      "outlives");
}
#endif

}  // namespace
