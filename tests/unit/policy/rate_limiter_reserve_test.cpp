// Tokens taken in advance, and costs that are known afterwards.
#include <weir/policy/rate_limiter.hpp>

#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;
using limiter_type = basic_rate_limiter<manual_clock>;

class RateLimiterReserve : public testing::Test {
 protected:
  duration wait(const result<limiter_type::reservation>& r) const { return r->due - clock.now(); }

  manual_clock clock;
  limiter_type limiter{{.name = "mail", .limit = {10, 1s}, .burst = 3}, {}, clock};
};

TEST_F(RateLimiterReserve, SaysWhenTheTokensWillBeThere) {
  EXPECT_EQ(wait(limiter.reserve({.cost = 2})), 0ns);
  EXPECT_EQ(wait(limiter.reserve({.cost = 2})), 100ms);
  EXPECT_EQ(wait(limiter.reserve({.cost = 3})), 400ms);
  EXPECT_EQ(wait(limiter.reserve()), 500ms);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 600ms) << "after those who have reserved";
  clock.advance(450ms);
  EXPECT_EQ(wait(limiter.reserve()), 150ms);
  EXPECT_EQ(wait(limiter.reserve({.cost = 0})), 0ns);
  EXPECT_EQ(limiter.snapshot().admitted, 6u);
}

TEST_F(RateLimiterReserve, RefusesWhatWouldComeTooLateAndTakesNothing) {
  EXPECT_TRUE(limiter.reserve({.cost = 3}));
  const auto late = limiter.reserve({.deadline = clock.now() + 200ms - 1ns, .cost = 2});
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), errc::would_miss_deadline);
  EXPECT_EQ(late.error().predicted_wait(), 200ms);
  EXPECT_EQ(late.error().policy(), "mail");
  EXPECT_EQ(wait(limiter.reserve({.deadline = clock.now() + 200ms, .cost = 2})), 200ms);
  EXPECT_EQ(limiter.reserve({.cost = 4}).error(), errc::never_admissible);
  const auto s = limiter.snapshot();
  EXPECT_EQ(s.would_miss_deadline, 1u);
  EXPECT_EQ(s.arrivals(), 4u);
}

TEST_F(RateLimiterReserve, EndsAtWhatTheWordHolds) {
  limiter_type fast{{.limit = {1'000'000'000, 1s}, .burst = 4'000'000'000}, {}, clock};
  std::uint64_t promised = 0;
  for (; promised < 100'000; ++promised) {
    const auto r = fast.reserve({.cost = 4'000'000'000});
    if (r) continue;
    EXPECT_EQ(r.error(), errc::rate_limited);
    clock.advance(r.error().retry_after() - 1ns);
    EXPECT_FALSE(fast.reserve({.cost = 4'000'000'000}));
    clock.advance(1ns);
    EXPECT_TRUE(fast.reserve({.cost = 4'000'000'000}));
    break;
  }
  EXPECT_GT(promised, 900u) << "an hour is 900 bursts of four seconds";
  EXPECT_LT(promised, 100'000u);
}

TEST_F(RateLimiterReserve, CancelledTokensGoToWhoeverAsksNext) {
  EXPECT_TRUE(limiter.reserve({.cost = 3}));
  auto second = limiter.reserve({.cost = 2});
  auto third = limiter.reserve();
  EXPECT_EQ(wait(third), 300ms);
  second->permit.cancel();
  second->permit.cancel();
  EXPECT_EQ(third->due - clock.now(), 300ms) << "nobody comes sooner";
  EXPECT_EQ(wait(limiter.reserve()), 200ms);
  EXPECT_EQ(wait(limiter.reserve()), 300ms);
  EXPECT_EQ(wait(limiter.reserve()), 400ms);
  const auto s = limiter.snapshot();
  EXPECT_EQ(s.cancelled, 1u);
  EXPECT_EQ(s.admitted, 5u);
}

TEST_F(RateLimiterReserve, DoesNotOvertakeAQueue) {
  limiter.set_waiting(true);
  EXPECT_EQ(limiter.reserve({.cost = 2}).error(), errc::rate_limited);
  EXPECT_EQ(limiter.reserve({.cost = 2}).error().retry_after(), 200ms);
  limiter.set_waiting(false);
  EXPECT_TRUE(limiter.reserve({.cost = 2}));
}

TEST_F(RateLimiterReserve, APromiseStaysOneOfAsManyTokensUnderAnotherRate) {
  EXPECT_TRUE(limiter.reserve({.cost = 3}));
  EXPECT_EQ(wait(limiter.reserve({.cost = 3})), 300ms);
  EXPECT_EQ(limiter.reconfigure({.limit = {100, 1s}, .burst = 3}), std::nullopt);
  EXPECT_EQ(wait(limiter.reserve()), 40ms) << "three owed and one's own, ten times faster";
}

TEST_F(RateLimiterReserve, TheTrueCostIsSettledAfterwards) {
  auto cheap = limiter.try_acquire({.cost = 3});
  cheap->settle(1);
  EXPECT_FALSE(*cheap);
  cheap->settle(3);  // once
  EXPECT_TRUE(limiter.try_acquire({.cost = 2}));
  clock.advance(1s);
  auto dear = limiter.try_acquire();
  dear->settle(8);  // more than there was: five are owed
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 600ms);
  clock.advance(1h);
  auto exact = limiter.try_acquire({.cost = 2});
  exact->settle(2);
  EXPECT_EQ(limiter.snapshot().tokens_approx, 1u);
  auto before = limiter.try_acquire();
  EXPECT_EQ(limiter.reconfigure({.limit = {10, 1s}, .burst = 3}, inherit::reset), std::nullopt);
  before->settle(3);
  EXPECT_EQ(limiter.snapshot().tokens_approx, 3u) << "a permit of another configuration";
}

TEST_F(RateLimiterReserve, ASettledDebtEndsAtWhatTheWordHolds) {
  limiter_type slow{{.limit = {1, 24h * 50}, .burst = 1}, {}, clock};
  slow.try_acquire()->settle(4'000'000'000);
  const duration wait_for_one = slow.try_acquire().error().retry_after();
  EXPECT_GT(wait_for_one, 24h * 50);
  clock.advance(wait_for_one);
  EXPECT_TRUE(slow.try_acquire());
}

TEST_F(RateLimiterReserve, KnowsHowLongManyTokensTake) {
  EXPECT_EQ(limiter.refill_time(0), 0ns);
  EXPECT_EQ(limiter.refill_time(1), 100ms);
  EXPECT_EQ(limiter.refill_time(1'000'000), 100'000s);
  EXPECT_EQ(limiter.refill_time(~std::uint64_t{0}), duration::max());
  limiter_type third{{.limit = {3, 1s}, .burst = 1}, {}, clock};
  EXPECT_LE(third.refill_time(1), 333'333'334ns);
  EXPECT_GE(third.refill_time(1), 333'333'332ns);
  EXPECT_GE(third.refill_time(3'000'000'000), 1'000'000'000s - 1us);
  EXPECT_LE(third.refill_time(3'000'000'000), 1'000'000'000s);
}

TEST_F(RateLimiterReserve, PromisesAreSpacedAsTheRateSays) {
  for (int i = 0; i < 3; ++i) EXPECT_EQ(wait(limiter.reserve()), 0ns);
  for (int i = 1; i < 10'000; ++i) ASSERT_EQ(wait(limiter.reserve()), i * 100ms);
}

}  // namespace
}  // namespace weir
