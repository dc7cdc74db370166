#include <weir/policy/rate_limiter.hpp>

#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::call;
using weir::duration;
using weir::errc;
using weir::inherit;
using weir::manual_clock;
using weir::outcome;
using limiter_type = weir::basic_rate_limiter<manual_clock>;

struct counting_listener final : weir::capacity_listener {
  void on_capacity() noexcept override { ++calls; }
  int calls = 0;
};

class rate_limiter : public testing::Test {
 protected:
  /// Takes tokens one by one until refused.
  static std::uint64_t take_all(limiter_type& limiter) {
    std::uint64_t taken = 0;
    while (limiter.try_acquire()) ++taken;
    return taken;
  }

  manual_clock clock;
};

TEST_F(rate_limiter, starts_full_and_refills_evenly) {
  limiter_type limiter{{.name = "search", .limit = {10, 1s}, .burst = 3}, {}, clock};
  EXPECT_EQ(take_all(limiter), 3u);
  const auto refused = limiter.try_acquire();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), errc::rate_limited);
  EXPECT_EQ(refused.error().policy(), "search");
  EXPECT_EQ(refused.error().retry_after(), 100ms);
  clock.advance(100ms - 1ns);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 1ns);
  clock.advance(1ns);
  EXPECT_EQ(take_all(limiter), 1u);
  clock.advance(250ms);
  EXPECT_EQ(take_all(limiter), 2u);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 50ms);
  clock.advance(1h);
  EXPECT_EQ(take_all(limiter), 3u) << "never more than the burst";
}

TEST_F(rate_limiter, burst_zero_means_one_period) {
  limiter_type limiter{{.limit = {50, 10s}}, {}, clock};
  EXPECT_EQ(limiter.snapshot().burst, 50u);
  EXPECT_EQ(take_all(limiter), 50u);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 200ms);
}

TEST_F(rate_limiter, n_tokens_at_once) {
  limiter_type limiter{{.limit = {1000, 1s}, .burst = 100}, {}, clock};
  EXPECT_TRUE(limiter.try_acquire({.cost = 60}));
  const auto refused = limiter.try_acquire({.cost = 60});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().retry_after(), 20ms);
  EXPECT_TRUE(limiter.try_acquire({.cost = 40})) << "a refused large request takes nothing";
  clock.advance(100ms);
  EXPECT_TRUE(limiter.try_acquire({.cost = 100}));
}

TEST_F(rate_limiter, more_than_the_burst_is_never_admissible) {
  limiter_type limiter{{.limit = {1000, 1s}, .burst = 5}, {}, clock};
  for (const std::uint32_t cost : {6u, std::numeric_limits<std::uint32_t>::max()}) {
    const auto refused = limiter.try_acquire({.cost = cost});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), errc::never_admissible);
    EXPECT_EQ(refused.error().retry_after(), duration::zero());
    EXPECT_EQ(limiter.next_available(cost, clock.now()), weir::never);
  }
  EXPECT_EQ(take_all(limiter), 5u);
}

TEST_F(rate_limiter, cost_zero_takes_nothing) {
  limiter_type limiter{{.limit = {1, 1s}, .burst = 1}, {}, clock};
  take_all(limiter);
  auto nothing = limiter.try_acquire({.cost = 0});
  EXPECT_TRUE(nothing);
  nothing->cancel();
  EXPECT_FALSE(limiter.try_acquire());
}

// 2.5 ns between tokens: integer nanoseconds would make it 2 or 3, a fifth too many or too few.
TEST_F(rate_limiter, intervals_below_a_nanosecond_do_not_round) {
  for (const std::uint64_t per_second : {400'000'000u, 300'000'000u, 1'000'000'000u, 999'999'999u}) {
    limiter_type limiter{{.limit = {per_second, 1s}, .burst = 1000}, {}, clock};
    take_all(limiter);
    std::uint64_t issued = 0;
    for (int i = 0; i < 1000; ++i) {
      clock.advance(97ns);
      issued += take_all(limiter);
    }
    EXPECT_EQ(issued, per_second * 97'000 / 1'000'000'000) << per_second;
  }
}

TEST_F(rate_limiter, slowest_and_largest_configurations_work) {
  limiter_type slow{{.limit = {1, 24h * 50}, .burst = 1}, {}, clock};
  EXPECT_EQ(take_all(slow), 1u);
  EXPECT_EQ(slow.try_acquire().error().retry_after(), 24h * 50);
  clock.advance(24h * 50 - 1ns);
  EXPECT_FALSE(slow.try_acquire());
  clock.advance(1ns);
  EXPECT_EQ(take_all(slow), 1u);

  const std::uint64_t fifty_days = std::uint64_t{1'000'000'000} * 3600 * 24 * 50;
  limiter_type large{{.limit = {1'000'000'000, 1s}, .burst = fifty_days}, {}, clock};
  EXPECT_EQ(large.snapshot().tokens_approx, fifty_days);
  EXPECT_TRUE(large.try_acquire({.cost = ~0u}));
  EXPECT_EQ(large.snapshot().tokens_approx, fifty_days - ~0u);
}

TEST_F(rate_limiter, wrong_configurations_are_refused_by_name) {
  const std::pair<weir::rate_limiter_config, const char*> wrong[] = {
      {{.limit = {0, 1s}}, "rate_limiter_config.limit.permits"},
      {{.limit = {1, 0s}}, "rate_limiter_config.limit.per"},
      {{.limit = {1, -1s}}, "rate_limiter_config.limit.per"},
      {{.limit = {1'000'000'001, 1s}}, "rate_limiter_config.limit"},
      {{.limit = {~std::uint64_t{0}, 1s}}, "rate_limiter_config.limit"},
      {{.limit = {1, 24h * 50 + 1ns}}, "rate_limiter_config.burst"},
      {{.limit = {1, 24h}, .burst = 51}, "rate_limiter_config.burst"},
      {{.limit = {1, 1s}, .burst = ~std::uint64_t{0}}, "rate_limiter_config.burst"},
  };
  limiter_type limiter{{.limit = {7, 1s}}, {}, clock};
  for (const auto& [config, field] : wrong) {
    const auto error = validate(config);
    ASSERT_TRUE(error) << field;
    EXPECT_EQ(error->field, field);
    EXPECT_THROW(weir::rate_limiter{config}, std::invalid_argument);
    EXPECT_TRUE(limiter.reconfigure(config));
  }
  EXPECT_EQ(limiter.snapshot().limit, (weir::rate{7, 1s})) << "a wrong config changes nothing";
  EXPECT_FALSE(validate(weir::rate_limiter_config{}));
  EXPECT_FALSE(validate(weir::rate_limiter_config{.limit = {1, 24h}, .burst = 50}));
}

TEST_F(rate_limiter, the_time_line_is_that_of_the_calls) {
  weir::rate_limiter limiter{{.limit = {10, 1s}, .burst = 1}};  // its own clock is never asked
  const weir::time_point t{5s};
  EXPECT_TRUE(limiter.try_acquire({.now = t}));
  EXPECT_EQ(limiter.try_acquire({.now = t}).error().retry_after(), 100ms);
  EXPECT_TRUE(limiter.try_acquire({.now = t + 100ms}));
}

TEST_F(rate_limiter, an_older_now_credits_nothing_twice) {
  limiter_type limiter{{.limit = {10, 1s}, .burst = 2}, {}, clock};
  const auto start = clock.now();
  take_all(limiter);
  for (int i = 0; i < 100; ++i) {
    clock.set(start + 100ms);
    EXPECT_EQ(take_all(limiter), i == 0 ? 1u : 0u) << i;
    clock.set(start - 1h);
    EXPECT_EQ(take_all(limiter), 0u) << i;
    clock.set(start);
    EXPECT_EQ(take_all(limiter), 0u) << i;
  }
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 200ms) << "exact from there, too";
}

TEST_F(rate_limiter, a_clock_that_leaps_back_and_forth_buys_nothing) {
  limiter_type limiter{{.limit = {10, 1s}, .burst = 4}, {}, clock};
  const auto start = clock.now();
  take_all(limiter);
  clock.set(start + 24h * 365);  // beyond any origin's horizon
  EXPECT_TRUE(limiter.try_acquire({.cost = 2}));
  clock.set(start);
  EXPECT_EQ(take_all(limiter), 2u) << "what is left in the bucket, and no refill for a year";
  clock.set(start + 24h * 365);
  EXPECT_EQ(take_all(limiter), 0u);
  clock.advance(100ms);
  EXPECT_EQ(take_all(limiter), 1u);
}

// Each wait is a multiple of the interval, so that nothing may be lost or gained where the origin moves.
TEST_F(rate_limiter, moving_the_origin_changes_nothing) {
  for (const weir::rate limit : {weir::rate{1'000'000, 1s}, weir::rate{1, 1s}, weir::rate{1, 1h}}) {
    limiter_type limiter{{.limit = limit, .burst = 10}, {}, clock};
    take_all(limiter);
    const duration interval = limit.per / static_cast<std::int64_t>(limit.permits);
    for (int i = 0; i < 200; ++i) {
      clock.advance(3 * interval);
      ASSERT_EQ(take_all(limiter), 3u) << i;
      clock.advance(3h / interval * interval + interval);
      ASSERT_EQ(take_all(limiter), std::min<std::int64_t>(10, 3h / interval + 1)) << i;
    }
  }
}

TEST_F(rate_limiter, idle_for_ever_is_a_full_bucket) {
  limiter_type limiter{{.limit = {1'000'000'000, 1s}, .burst = 5}, {}, clock};
  take_all(limiter);
  clock.set(weir::time_point{24h * 365 * 200});
  EXPECT_EQ(limiter.next_available(5, clock.now()), clock.now());
  EXPECT_EQ(limiter.snapshot().tokens_approx, 5u);
  EXPECT_EQ(take_all(limiter), 5u);
}

TEST_F(rate_limiter, next_available_is_when_it_will_be_admitted) {
  limiter_type limiter{{.limit = {3, 1s}, .burst = 3}, {}, clock};
  EXPECT_EQ(limiter.next_available(3, clock.now()), clock.now());
  take_all(limiter);
  const auto at = limiter.next_available(2, clock.now());
  EXPECT_EQ(at, clock.now() + 666'666'667ns) << "the first whole nanosecond after two thirds";
  EXPECT_EQ(limiter.next_available(2, weir::read_clock), at);
  EXPECT_FALSE(limiter.try_acquire({.now = at - 1ns, .cost = 2}));
  EXPECT_TRUE(limiter.try_acquire({.now = at, .cost = 2}));
}

TEST_F(rate_limiter, release_is_legal_and_gives_nothing_back) {
  limiter_type limiter{{.limit = {1, 1s}, .burst = 3}, {}, clock};
  auto permit = limiter.try_acquire();
  permit->release(outcome::failure);
  permit->release(weir::completion{});
  permit->cancel();
  EXPECT_TRUE(limiter.try_acquire()) << "dropped";
  EXPECT_EQ(limiter.snapshot().tokens_approx, 1u);
  EXPECT_EQ(limiter.snapshot().cancelled, 0u);
}

TEST_F(rate_limiter, cancelling_puts_the_tokens_back_once) {
  limiter_type limiter{{.limit = {10, 1s}, .burst = 10}, {}, clock};
  auto six = limiter.try_acquire({.cost = 6});
  auto four = limiter.try_acquire({.cost = 4});
  EXPECT_EQ(six->cost(), 6u);
  limiter_type::permit moved{std::move(*six)};
  six->cancel();
  EXPECT_EQ(limiter.snapshot().tokens_approx, 0u) << "a moved-from permit is empty";
  moved.cancel();
  moved.cancel();
  EXPECT_EQ(limiter.snapshot().tokens_approx, 6u);
  clock.advance(300ms);
  four->cancel();
  EXPECT_EQ(limiter.snapshot().tokens_approx, 10u) << "never above the burst";
  EXPECT_EQ(take_all(limiter), 10u);
  const auto s = limiter.snapshot();
  EXPECT_EQ(s.cancelled, 2u);
  EXPECT_EQ(s.admitted, 10u);
  EXPECT_EQ(s.rate_limited, 1u);
  EXPECT_EQ(s.arrivals(), 13u);
}

TEST_F(rate_limiter, a_refund_from_before_a_reconfiguration_is_none) {
  limiter_type limiter{{.limit = {10, 1s}, .burst = 10}, {}, clock};
  auto permit = limiter.try_acquire({.cost = 10});
  EXPECT_FALSE(limiter.reconfigure({.limit = {10, 1s}, .burst = 10}));
  permit->cancel();
  EXPECT_EQ(limiter.snapshot().tokens_approx, 0u);
  EXPECT_EQ(limiter.snapshot().cancelled, 1u);
  // But moving the origin is no reconfiguration.
  clock.advance(24h * 365);
  auto other = limiter.try_acquire({.cost = 7});
  clock.advance(10h);
  EXPECT_EQ(take_all(limiter), 10u);
  other->cancel();
  EXPECT_EQ(take_all(limiter), 7u);
}

// F-D14: a peer that stores "the time when the bucket was empty" rescales balance and debt with the rate.
TEST_F(rate_limiter, another_rate_neither_rescales_tokens_nor_the_past) {
  limiter_type limiter{{.limit = {1, 1s}, .burst = 10}, {}, clock};
  take_all(limiter);
  clock.advance(4s);
  EXPECT_FALSE(limiter.reconfigure({.limit = {1000, 1s}, .burst = 10}));
  EXPECT_EQ(limiter.snapshot().tokens_approx, 4u) << "4 s at the old rate, none at the new";
  EXPECT_EQ(take_all(limiter), 4u);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 1ms);
  clock.advance(2ms);
  EXPECT_FALSE(limiter.reconfigure({.limit = {1, 1s}, .burst = 10}));
  EXPECT_EQ(take_all(limiter), 2u);
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 1s);
}

TEST_F(rate_limiter, a_debt_stays_as_many_tokens) {
  limiter_type limiter{{.limit = {10, 1s}, .burst = 10}, {}, clock};
  const auto start = clock.now();
  take_all(limiter);
  clock.advance(1s);
  take_all(limiter);
  clock.set(start);  // at which the bucket owes the 10 tokens of that second
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 1100ms);
  EXPECT_FALSE(limiter.reconfigure({.limit = {100, 1s}, .burst = 10}));
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 110ms) << "11 tokens at the new rate";
}

TEST_F(rate_limiter, inheritance_is_explicit) {
  const struct {
    inherit how;
    std::uint64_t new_burst, expected;
  } cases[] = {
      {inherit::as_is, 20, 4},     {inherit::as_is, 3, 3},         {inherit::reset, 20, 20},
      {inherit::reset, 3, 3},      {inherit::proportional, 20, 8}, {inherit::proportional, 5, 2},  //
      {inherit::additive, 20, 14}, {inherit::additive, 3, 3},      {inherit::additive, 8, 4},
  };
  for (const auto& c : cases) {
    limiter_type limiter{{.limit = {10, 1s}, .burst = 10}, {}, clock};
    EXPECT_TRUE(limiter.try_acquire({.cost = 6}));
    EXPECT_FALSE(limiter.reconfigure({.limit = {77, 1s}, .burst = c.new_burst}, c.how));
    EXPECT_EQ(limiter.snapshot().tokens_approx, c.expected) << static_cast<int>(c.how) << " to " << c.new_burst;
    EXPECT_EQ(take_all(limiter), c.expected);
  }
}

TEST_F(rate_limiter, many_reconfigurations_wrap_the_generation_and_keep_the_tokens) {
  limiter_type limiter{{.name = "kept", .limit = {1, 1s}, .burst = 100}, {}, clock};
  EXPECT_TRUE(limiter.try_acquire({.cost = 58}));
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(limiter.reconfigure({.limit = {1, 1s}, .burst = 100}));
  EXPECT_EQ(take_all(limiter), 42u);
  EXPECT_EQ(limiter.name().view(), "kept");
}

TEST_F(rate_limiter, draining_empties_the_bucket) {
  limiter_type limiter{{.limit = {10, 1s}, .burst = 10}, {}, clock};
  limiter.drain();
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 100ms);
  limiter.drain();
  EXPECT_EQ(limiter.try_acquire().error().retry_after(), 100ms) << "empty, not deeper";
  clock.advance(1s);
  EXPECT_EQ(limiter.snapshot().tokens_approx, 10u);
  clock.advance(24h * 3650);
  limiter.drain();
  EXPECT_EQ(take_all(limiter), 0u);
}

TEST_F(rate_limiter, newcomers_do_not_overtake_waiters) {
  limiter_type limiter{{.limit = {10, 1s}, .burst = 5}, {}, clock};
  counting_listener queue;
  limiter.attach(&queue);
  limiter.set_waiting(true);
  EXPECT_TRUE(limiter.snapshot().waiting);
  const auto refused = limiter.try_acquire({.cost = 2});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), errc::rate_limited);
  EXPECT_EQ(refused.error().retry_after(), 200ms);
  EXPECT_EQ(limiter.next_available(5, clock.now()), clock.now()) << "for the head of the queue";
  auto granted = limiter.try_acquire_for_waiter({.cost = 5});
  ASSERT_TRUE(granted);
  EXPECT_EQ(limiter.try_acquire_for_waiter({.cost = 2}).error().retry_after(), 200ms);
  EXPECT_EQ(limiter.snapshot().rate_limited, 1u) << "a waiter that goes on waiting is not refused";
  EXPECT_EQ(queue.calls, 0);
  granted->cancel();
  EXPECT_EQ(queue.calls, 1);
  EXPECT_FALSE(limiter.reconfigure({.limit = {20, 1s}, .burst = 5}));
  EXPECT_EQ(queue.calls, 2);
  clock.advance(24h * 365);  // moving the origin keeps the flag
  EXPECT_FALSE(limiter.try_acquire());
  EXPECT_TRUE(limiter.snapshot().waiting);
  limiter.set_waiting(false);
  EXPECT_EQ(take_all(limiter), 5u);
  limiter.attach(nullptr);
}

TEST_F(rate_limiter, observers_hear_of_refusals_changes_and_drains) {
  struct recorder {
    std::vector<weir::rate_rejected>* rejected;
    std::vector<weir::rate_limit_changed>* changed;
    int* drained;
    void on(const weir::rate_rejected& e) { rejected->push_back(e); }
    void on(const weir::rate_limit_changed& e) { changed->push_back(e); }
    void on(const weir::rate_limit_drained&) { ++*drained; }
  };
  std::vector<weir::rate_rejected> rejected;
  std::vector<weir::rate_limit_changed> changed;
  int drained = 0;
  weir::basic_rate_limiter<manual_clock, recorder> limiter{
      {.limit = {10, 1s}, .burst = 1}, {&rejected, &changed, &drained}, clock};
  EXPECT_TRUE(limiter.try_acquire());
  EXPECT_FALSE(limiter.try_acquire());
  EXPECT_FALSE(limiter.try_acquire({.cost = 2}));
  EXPECT_FALSE(limiter.reconfigure({.limit = {20, 1s}}));
  limiter.drain();
  ASSERT_EQ(rejected.size(), 2u);
  EXPECT_EQ(rejected[0].why, errc::rate_limited);
  EXPECT_EQ(rejected[0].retry_after, 100ms);
  EXPECT_EQ(rejected[1].why, errc::never_admissible);
  EXPECT_EQ(rejected[1].cost, 2u);
  ASSERT_EQ(changed.size(), 1u);
  EXPECT_EQ(changed[0].before, (weir::rate{10, 1s}));
  EXPECT_EQ(changed[0].after, (weir::rate{20, 1s}));
  EXPECT_EQ(drained, 1);
}

}  // namespace
