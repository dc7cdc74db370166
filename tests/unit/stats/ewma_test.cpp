#include <weir/stats/ewma.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

namespace {

using namespace std::chrono_literals;
using weir::ewma;
using weir::time_point;

constexpr time_point start{1h};

TEST(ewma, empty_says_zero) {
  const ewma e{1s};
  EXPECT_TRUE(e.empty());
  EXPECT_EQ(e.mean(), 0);
  EXPECT_EQ(e.rate(start), 0);
  EXPECT_EQ(e.weight(start), 0);
}

TEST(ewma, samples_of_one_instant_weigh_the_same) {
  ewma e{1s};
  for (const double value : {1.0, 2.0, 6.0}) e.record(value, start);
  EXPECT_DOUBLE_EQ(e.mean(), 3);
  EXPECT_DOUBLE_EQ(e.weight(start), 3);
}

TEST(ewma, what_is_tau_old_weighs_one_over_e) {
  ewma e{10s};
  e.record(0, start);
  e.record(1, start + 10s);
  EXPECT_DOUBLE_EQ(e.mean(), 1 / (1 + std::exp(-1)));
  EXPECT_DOUBLE_EQ(e.weight(start + 20s), (1 + std::exp(-1)) * std::exp(-1));
}

TEST(ewma, the_mean_is_kept_without_samples_and_forgotten_with_them) {
  ewma e{1s};
  e.record(5, start);
  EXPECT_DOUBLE_EQ(e.mean(), 5);
  e.record(7, start + 1h);
  EXPECT_DOUBLE_EQ(e.mean(), 7);
  EXPECT_DOUBLE_EQ(e.weight(start + 1h), 1);
}

TEST(ewma, the_rate_of_even_events_is_right_from_early_on) {
  ewma e{1s};
  time_point now = start;
  for (int i = 0; i < 10'000; ++i, now += 1ms) {
    e.record(0, now);
    if (i >= 200) {
      ASSERT_NEAR(e.rate(now), 1000, 10) << i;
    }
  }
  EXPECT_NEAR(e.rate(now + 1s), 1000 * std::exp(-1), 5) << "fades";
  EXPECT_NEAR(e.rate(now + 1h), 0, 1e-9);
}

TEST(ewma, one_sample_makes_no_enormous_rate) {
  ewma e{10s};
  e.record(1, start);
  EXPECT_NEAR(e.rate(start), 1.05, 0.01) << "as if it had taken a second";
  EXPECT_LE(e.rate(start + 1ns), 1.06);
}

TEST(ewma, an_older_now_counts_as_the_latest) {
  ewma straight{1s}, hostile{1s};
  for (const auto at : {0ms, 500ms, 500ms, 900ms}) straight.record(static_cast<double>(at.count()), start + at);
  hostile.record(0, start);
  hostile.record(500, start + 500ms);
  hostile.record(500, start - 1h);
  hostile.record(900, start + 900ms);
  EXPECT_DOUBLE_EQ(hostile.mean(), straight.mean());
  EXPECT_DOUBLE_EQ(hostile.rate(start), straight.rate(start + 900ms));
  EXPECT_TRUE(std::isfinite(hostile.rate(time_point::min())));
  EXPECT_TRUE(std::isfinite(hostile.rate(time_point::max())));
}

}  // namespace
