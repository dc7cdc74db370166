#include <weir/room/poll_hints.hpp>

#include <weir/core/random.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::duration;
using weir::poll_after;
using weir::poll_config;

double seconds(duration d) { return std::chrono::duration<double>{d}.count(); }

/// The sum of f(k) for k = 0 ... n - 1, of an f that changes slowly: steps of half a percent, each as long as at its
/// middle.
double sum_of(std::uint64_t n, const std::function<double(std::uint64_t)>& f) {
  double sum = 0;
  for (std::uint64_t k = 0; k < n;) {
    const std::uint64_t step = std::min(n - k, std::max<std::uint64_t>(1, k / 200));
    sum += static_cast<double>(step) * f(k + (step - 1) / 2);
    k += step;
  }
  return sum;
}

struct room {
  std::uint64_t waiting;
  double rate;
  poll_config config;

  /// Asked by all seats together, per second.
  [[nodiscard]] double polls() const {
    return sum_of(waiting, [&](std::uint64_t k) { return 1 / seconds(poll_after(k, waiting, rate, config)); });
  }
  /// ... if each asked as late as it may.
  [[nodiscard]] double least() const {
    return sum_of(waiting, [&](std::uint64_t k) {
      return 1 / std::max(seconds(config.shortest), (static_cast<double>(k) + 1) / rate / 2);
    });
  }
};

std::vector<room> rooms() {
  std::vector<room> all;
  for (const double budget : {50.0, 5000.0, 200'000.0}) {
    for (const duration shortest : {duration{1s}, duration{4s}}) {
      for (std::uint64_t waiting = 1; waiting <= 10'000'000; waiting = waiting < 3 ? waiting + 1 : waiting * 10 / 3) {
        for (double rate = 0.1; rate < 10'001; rate *= std::sqrt(10)) {
          all.push_back({waiting, rate, {.budget_per_s = budget, .shortest = shortest}});
        }
      }
    }
  }
  all.push_back({10'000'000, 100, {}});
  return all;
}

TEST(PollHints, StayWithinTheBudget) {
  int within = 0;
  int beyond = 0;
  for (const room& r : rooms()) {
    SCOPED_TRACE(std::to_string(r.waiting) + " waiting, " + std::to_string(r.rate) + "/s, budget " +
                 std::to_string(r.config.budget_per_s));
    const double at_least =
        weir::detail::least_polls_per_s(static_cast<double>(r.waiting), r.rate, seconds(r.config.shortest));
    const double least = r.least();
    ASSERT_LE(least, at_least * 1.002);
    ASSERT_LE(at_least, least + 2 * r.rate) << "close, too";
    const double polls = r.polls();
    if (at_least <= r.config.budget_per_s) {
      ++within;
      ASSERT_LE(polls, r.config.budget_per_s * 1.002);
    } else {
      ++beyond;
      ASSERT_LE(polls, at_least * 1.002) << "what it takes that nobody comes too late";
    }
    ASSERT_LE(sum_of(r.waiting, [&](std::uint64_t k) { return 1 / seconds(poll_after(k, r.waiting, 0, r.config)); }),
              r.config.budget_per_s * 1.002)
        << "rate unknown";
  }
  EXPECT_GT(within, 300);
  EXPECT_GT(beyond, 100);
}

TEST(PollHints, NobodyIsAskedAfterItsTurn) {
  for (const room& r : rooms()) {
    duration before{};
    for (std::uint64_t k = 0; k < r.waiting; k += 1 + k / 10) {
      const duration next = poll_after(k, r.waiting, r.rate, r.config);
      const double wait = (static_cast<double>(k) + 1) / r.rate;
      ASSERT_LE(seconds(next), std::max(seconds(r.config.shortest), wait / 2) + 1e-6)
          << r.waiting << ' ' << r.rate << ' ' << k;
      ASSERT_GE(next, r.config.shortest);
      ASSERT_GE(next, before) << "further back is never sooner: " << r.waiting << ' ' << r.rate << ' ' << k;
      before = next;
    }
  }
}

TEST(PollHints, AreAsShortAsTheBudgetAllows) {
  // A thousand wait, 5 per second: the budget is no matter.
  EXPECT_EQ(poll_after(0, 1000, 5), 1s);
  EXPECT_EQ(poll_after(149, 1000, 5), 1s) << "30 s from its turn";
  EXPECT_NEAR(seconds(poll_after(299, 1000, 5)), 5, 1e-6) << "a twelfth of a minute";
  EXPECT_NEAR(seconds(poll_after(999, 1000, 5)), 200 / 12.0, 1e-6);
  EXPECT_EQ(poll_after(9999, 10'000, 5), 60s) << "at most, of half an hour";
  // A million, 100 per second, of which 3000 are near: what is left of the budget allows more to neither.
  const double left = (5000 - 200 * (1 + std::log(1e6 / 200))) / 2;
  EXPECT_NEAR(seconds(poll_after(2500, 1'000'000, 100)), 3000 / left, 1e-6);
  EXPECT_NEAR(seconds(poll_after(500'000, 1'000'000, 100)), 997'000 / left, 1e-6);
  EXPECT_NEAR(seconds(poll_after(9999, 1'000'000, 100)), 50, 1e-6) << "its turn is in 100 s";
  // Rate unknown.
  EXPECT_EQ(poll_after(7, 1000, 0), 1s);
  EXPECT_EQ(poll_after(7, 1'000'000, 0), 400s);
  EXPECT_EQ(poll_after(7, 1'000'000, -1), 400s);
  EXPECT_EQ(poll_after(7, 1'000'000, std::nan("")), 400s);
  EXPECT_EQ(poll_after(7, 1000, HUGE_VAL), 1s);
}

TEST(PollHints, AnythingIsLegalInput) {
  EXPECT_EQ(poll_after(0, 0, 5), 1s);
  EXPECT_EQ(poll_after(2000, 1000, 5), poll_after(2000, 2001, 5)) << "who is behind the last makes the line longer";
  EXPECT_EQ(poll_after(~std::uint64_t{0}, ~std::uint64_t{0}, 0, {.budget_per_s = 1e-9}), duration::max());
  EXPECT_GT(poll_after(~std::uint64_t{0}, 1, 1e-9), 1h);
}

TEST(PollHints, JitterIsEvenAndKeepsTheMean) {
  EXPECT_EQ(weir::with_jitter(10s, 0), 8s);
  EXPECT_EQ(weir::with_jitter(10s, ~std::uint64_t{0}).count() / 1000, 12'000'000);
  EXPECT_EQ(weir::with_jitter(10s, std::uint64_t{1} << 63), 10s);
  EXPECT_EQ(weir::with_jitter(10s, 77, {.jitter = 0}), 10s);
  EXPECT_EQ(weir::with_jitter(duration::max(), ~std::uint64_t{0}), duration::max());
  weir::random_stream random{1, "jitter"};
  double sum = 0;
  int low = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double s = seconds(weir::with_jitter(10s, random()));
    sum += s;
    low += s < 9 ? 1 : 0;
  }
  EXPECT_NEAR(sum / 10'000, 10, 0.05);
  EXPECT_NEAR(low, 2500, 150);
}

TEST(PollHints, SayWhatIsWrongWithAConfiguration) {
  EXPECT_FALSE(validate(poll_config{}));
  EXPECT_FALSE(validate(poll_config{.shortest = 2s, .longest = 2s}));
  EXPECT_EQ(validate(poll_config{.budget_per_s = 0})->message(), "poll_config.budget_per_s: must be > 0, is 0.000000");
  EXPECT_EQ(validate(poll_config{.shortest = 0s})->field, "poll_config.shortest");
  EXPECT_EQ(validate(poll_config{.shortest = 2s, .longest = 1s})->field, "poll_config.longest");
  EXPECT_EQ(validate(poll_config{.jitter = 1})->field, "poll_config.jitter");
  EXPECT_EQ(validate(poll_config{.jitter = std::nan("")})->field, "poll_config.jitter");
}

}  // namespace
