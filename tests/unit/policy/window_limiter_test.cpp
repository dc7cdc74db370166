#include <weir/policy/window_limiter.hpp>

#include <weir/policy/rate_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;
using limiter_type = basic_window_limiter<manual_clock>;

class WindowLimiter : public testing::Test {
 protected:
  limiter_type make(std::uint64_t permits, duration per, window_precision precision = window_precision::exact) {
    return limiter_type{{.name = "entrance", .limit = {permits, per}, .precision = precision}, {}, clock};
  }
  static std::uint64_t take_all(limiter_type& limiter) {
    std::uint64_t taken = 0;
    while (limiter.try_acquire()) ++taken;
    return taken;
  }

  manual_clock clock;
};

TEST_F(WindowLimiter, FiftyInTenSecondsWhicheverTenSeconds) {
  limiter_type limiter = make(50, 10s);
  clock.advance(9s);
  EXPECT_EQ(take_all(limiter), 50u);
  clock.advance(9s);  // the edge of a fixed window lies in between
  EXPECT_EQ(take_all(limiter), 0u);
  const auto refused = limiter.try_acquire();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), errc::rate_limited);
  EXPECT_EQ(refused.error().policy(), "entrance");
  EXPECT_EQ(refused.error().retry_after(), 1s);
  clock.advance(1s - 1ns);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 1ns);
  clock.advance(1ns);
  EXPECT_EQ(take_all(limiter), 50u) << "those of (t, t + 10 s] do not include t";
}

TEST_F(WindowLimiter, GivesEachTokenBackWhenItsOwnTimeIsOver) {
  limiter_type limiter = make(3, 10s);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(limiter.try_acquire());
    clock.advance(2s);
  }  // at 0, 2 and 4; now 6
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 4s);
  EXPECT_EQ(limiter.try_acquire({.cost = 2}).error().retry_after(), 6s);
  EXPECT_EQ(limiter.try_acquire({.cost = 3}).error().retry_after(), 8s);
  EXPECT_EQ(limiter.snapshot().used, 3u);
  clock.advance(6s);
  EXPECT_EQ(limiter.snapshot().used, 1u);
  EXPECT_TRUE(limiter.try_acquire({.cost = 2}));
}

TEST_F(WindowLimiter, NothingFitsThatIsLargerThanTheLimit) {
  limiter_type limiter = make(3, 10s);
  EXPECT_EQ(limiter.try_acquire({.cost = 4}).error(), errc::never_admissible);
  EXPECT_EQ(limiter.next_available(4, clock.now()), never);
  EXPECT_TRUE(limiter.try_acquire({.cost = 3}));
  EXPECT_TRUE(limiter.try_acquire({.cost = 0})) << "takes nothing";
  const auto s = limiter.snapshot();
  EXPECT_EQ(s.never_admissible, 1u);
  EXPECT_EQ(s.admitted, 2u);
  EXPECT_EQ(s.arrivals(), 3u);
}

TEST_F(WindowLimiter, AnOlderNowIsRecordedAsTheNewest) {
  limiter_type limiter = make(2, 10s);
  const time_point t = clock.now();
  const auto first = limiter.try_acquire({.now = t});
  const auto second = limiter.try_acquire({.now = t - 1h});
  ASSERT_TRUE(first && second);
  EXPECT_EQ(second->recorded_at(), t);
  EXPECT_EQ(limiter.try_acquire({.now = t - 1h}).error().retry_after(), 1h + 10s);
  EXPECT_EQ(limiter.try_acquire({.now = t + 10s - 1ns}).error().retry_after(), 1ns);
  EXPECT_TRUE(limiter.try_acquire({.now = t + 10s}));
}

TEST_F(WindowLimiter, TheNewestCancelledTokenCanBeHadAtOnce) {
  limiter_type limiter = make(2, 10s);
  EXPECT_TRUE(limiter.try_acquire());
  auto never_started = limiter.try_acquire();
  EXPECT_FALSE(limiter.try_acquire());
  never_started->cancel();
  EXPECT_EQ(limiter.snapshot().used, 1u);
  EXPECT_TRUE(limiter.try_acquire());
  EXPECT_FALSE(limiter.try_acquire());
  never_started->cancel();  // nothing is left to cancel
  EXPECT_FALSE(limiter.try_acquire());
  const auto s = limiter.snapshot();
  EXPECT_EQ(s.admitted, 2u);
  EXPECT_EQ(s.cancelled, 1u);
  EXPECT_EQ(s.arrivals(), 6u);
}

TEST_F(WindowLimiter, AnOlderCancelledTokenCanBeHadWhenThoseBeforeItAreGone) {
  limiter_type limiter = make(3, 10s);
  EXPECT_TRUE(limiter.try_acquire());  // at 0
  clock.advance(4s);
  auto never_started = limiter.try_acquire();  // at 4
  EXPECT_TRUE(limiter.try_acquire());
  never_started->cancel();
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 6s);
  clock.advance(6s);
  EXPECT_EQ(take_all(limiter), 2u) << "the first and the cancelled one, not the third";
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 4s);
}

TEST_F(WindowLimiter, ATokenThatHasLeftTheWindowIsNotCancelledTwice) {
  limiter_type limiter = make(1, 10s);
  auto old = limiter.try_acquire();
  clock.advance(10s);
  EXPECT_TRUE(limiter.try_acquire());  // took its place
  old->cancel();
  EXPECT_FALSE(limiter.try_acquire());
}

TEST_F(WindowLimiter, TheApproximateOneForgetsEvenly) {
  limiter_type limiter = make(100, 10s, window_precision::approximate);
  clock.set(time_point{100s});
  EXPECT_EQ(take_all(limiter), 100u);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 10s + 100ms);
  clock.advance(12500ms);  // a quarter into the next period: three quarters of the hundred are left
  EXPECT_EQ(limiter.snapshot().used, 75u);
  EXPECT_EQ(take_all(limiter), 25u);
  const auto refused = limiter.try_acquire({.cost = 10});
  clock.advance(refused.error().retry_after() - 1ns);
  EXPECT_FALSE(limiter.try_acquire({.cost = 10}));
  clock.advance(1ns);
  auto permit = limiter.try_acquire({.cost = 10});
  ASSERT_TRUE(permit);
  permit->cancel();
  EXPECT_TRUE(limiter.try_acquire({.cost = 10}));
  clock.advance(1h);
  EXPECT_EQ(limiter.snapshot().used, 0u);
  EXPECT_EQ(take_all(limiter), 100u);
}

TEST_F(WindowLimiter, ALimitThatShrinksCountsWhatWasIssued) {
  limiter_type limiter = make(4, 10s);
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(limiter.try_acquire());
    clock.advance(1s);
  }  // at 0, 1, 2, 3; now 4
  EXPECT_EQ(limiter.reconfigure({.limit = {2, 10s}}), std::nullopt);
  EXPECT_EQ(limiter.name().view(), "entrance");
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 8s) << "when that of 2 leaves, one is left";
  EXPECT_EQ(limiter.reconfigure({.limit = {4, 5s}}), std::nullopt);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 3s) << "two are forgotten, and no later than that of 2";
}

TEST_F(WindowLimiter, ALimitThatGrowsTakesForgottenTokensToBeAsNewAsTheyCanHaveBeen) {
  limiter_type limiter = make(2, 10s);
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(limiter.try_acquire());
    clock.advance(i == 1 ? 10s : 1s);
  }  // at 0, 1, 11, 12; now 13; remembered are the last two
  EXPECT_EQ(limiter.reconfigure({.limit = {4, 20s}}), std::nullopt);
  EXPECT_EQ(limiter.snapshot().used, 4u);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 8s) << "the first came at 1 at the latest";
  EXPECT_EQ(limiter.reconfigure({.limit = {5, 20s}}), std::nullopt);
  EXPECT_EQ(take_all(limiter), 1u);
}

TEST_F(WindowLimiter, APermitFromBeforeAnotherLimitGetsNoRefund) {
  limiter_type limiter = make(4, 10s);
  std::vector<limiter_type::permit> permits;
  for (int i = 0; i < 4; ++i) permits.push_back(*limiter.try_acquire());
  EXPECT_EQ(limiter.reconfigure({.limit = {2, 10s}}), std::nullopt);
  permits[3].cancel();
  EXPECT_EQ(take_all(limiter), 0u) << "three of the four run, though two are remembered";
  EXPECT_EQ(limiter.snapshot().cancelled, 1u);

  clock.set(time_point{});
  limiter_type approximate = make(1, 1s, window_precision::approximate);
  auto old = approximate.try_acquire();  // in the first period of a second
  clock.advance(35s);
  EXPECT_EQ(approximate.reconfigure({.limit = {1, 1000s}, .precision = window_precision::approximate}), std::nullopt);
  EXPECT_TRUE(approximate.try_acquire());  // in the first period of a thousand
  old->cancel();
  EXPECT_EQ(take_all(approximate), 0u);
}

TEST_F(WindowLimiter, ACancelledTokenCountsAgainUnderAnotherLimitUntilItIsOut) {
  limiter_type limiter = make(2, 10s);
  EXPECT_EQ(take_all(limiter), 2u);
  clock.advance(10s);
  auto never_started = limiter.try_acquire();
  EXPECT_TRUE(limiter.try_acquire());
  never_started->cancel();
  EXPECT_EQ(limiter.reconfigure({.limit = {2, 20s}}), std::nullopt);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 20s) << "three are in the longer window";
}

TEST_F(WindowLimiter, ALimitThatIsSetAgainAndAgainStandsInNobodysWay) {
  for (const auto precision : {window_precision::exact, window_precision::approximate}) {
    limiter_type limiter = make(10, 10s, precision), left_alone = make(10, 10s, precision);
    std::uint64_t taken = 0;
    for (int i = 0; i < 100; ++i) {
      const std::uint64_t now = take_all(limiter);
      EXPECT_EQ(now, take_all(left_alone)) << i;
      taken += now;
      clock.advance(5s);
      EXPECT_EQ(limiter.reconfigure({.limit = {10, 10s}, .precision = precision}), std::nullopt);
    }
    EXPECT_GT(taken, 300u);
  }
}

TEST_F(WindowLimiter, AtTheEndsOfTimeItIsStricter) {
  for (const auto precision : {window_precision::exact, window_precision::approximate}) {
    for (const time_point end : {time_point::max(), time_point::min() + 1ns}) {
      limiter_type limiter = make(2, 10s, precision);
      EXPECT_TRUE(limiter.try_acquire({.now = end}));
      EXPECT_TRUE(limiter.try_acquire({.now = end}));
      const auto refused = limiter.try_acquire({.now = end});
      ASSERT_FALSE(refused);
      EXPECT_GT(refused.error().retry_after(), 0s);
      EXPECT_NE(limiter.next_available(1, end), end);
    }
  }
}

TEST_F(WindowLimiter, RefusesWrongConfigurationsByName) {
  const auto problem = [&](const window_limiter_config& c) { return validate(c).value_or(config_error{}).message(); };
  EXPECT_EQ(problem({.limit = {0, 1s}}), "window_limiter_config.limit.permits: must be in [1, 10000000], is 0");
  EXPECT_EQ(problem({.limit = {1, 0s}}), "window_limiter_config.limit.per: must be positive and at most 10 years, is 0 s");
  EXPECT_EQ(problem({.precision = static_cast<window_precision>(7)}),
            "window_limiter_config.precision: must be exact or approximate");
  EXPECT_THROW(make(0, 1s), std::invalid_argument);
  limiter_type limiter = make(1, 10s);
  EXPECT_TRUE(limiter.try_acquire());
  EXPECT_EQ(limiter.reconfigure({.limit = {2, 10s}, .precision = window_precision::approximate})->field,
            "window_limiter_config.precision");
  EXPECT_EQ(limiter.reconfigure({.limit = {2, -1s}})->field, "window_limiter_config.limit.per");
  EXPECT_FALSE(limiter.try_acquire()) << "nothing was applied";
}

TEST_F(WindowLimiter, TellsItsObserver) {
  struct recorder {
    std::vector<std::uint64_t>* sequences;
    duration* retry_after;
    void on(const window_rejected& e) const {
      sequences->push_back(e.sequence);
      *retry_after = e.retry_after;
    }
    void on(const window_limit_changed& e) const { sequences->push_back(1000 + e.before.permits + e.after.permits); }
  };
  std::vector<std::uint64_t> sequences;
  duration retry_after{};
  basic_window_limiter<manual_clock, recorder> limiter{{.limit = {1, 10s}}, {&sequences, &retry_after}, clock};
  EXPECT_TRUE(limiter.try_acquire());
  EXPECT_FALSE(limiter.try_acquire());
  EXPECT_EQ(retry_after, 10s);
  EXPECT_FALSE(limiter.try_acquire_for_waiter({})) << "an answer to nobody";
  EXPECT_EQ(limiter.reconfigure({.limit = {2, 10s}}), std::nullopt);
  EXPECT_EQ(sequences, (std::vector<std::uint64_t>{1, 1003}));
}

// The queue in front: who waits is served first, in order, as tokens become free.
TEST_F(WindowLimiter, AQueueWaitsForItsTokens) {
  limiter_type limiter = make(2, 10s);
  using queue_type = basic_wait_queue<limiter_type, manual_clock>;
  queue_type queue{limiter, {.name = "line", .max_wait = 1h}, {}, clock};
  struct waiter : queue_type::operation {
    waiter() {
      complete = [](wait_node& node, wait_outcome) noexcept { ++static_cast<waiter&>(node).completed; };
    }
    int completed = 0;
  };
  EXPECT_EQ(take_all(limiter), 2u);
  std::vector<waiter> line(3);
  for (auto& each : line) ASSERT_FALSE(queue.start(each));
  clock.advance(10s);
  EXPECT_FALSE(limiter.try_acquire()) << "others wait for them";
  queue.on_alarm();
  EXPECT_EQ(line[0].completed, 1);
  EXPECT_EQ(line[1].completed, 1);
  EXPECT_EQ(line[2].completed, 0);
  line[1].take()->cancel();  // goes to the next in line
  EXPECT_EQ(line[2].completed, 1);
  EXPECT_FALSE(limiter.snapshot().waiting);
}

}  // namespace
}  // namespace weir
