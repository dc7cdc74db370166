#include <scenario/arrivals.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

using namespace weir;
using namespace weir::scenario;
using namespace std::chrono_literals;

scenario::load ramp(std::vector<stage> stages, double start = 0) {
  scenario::load l;
  l.executor = executor::ramping_arrival_rate;
  l.start_rate = start;
  l.stages = std::move(stages);
  return l;
}

scenario::load constant(double rate, duration length, duration unit = 1s) {
  scenario::load l;
  l.executor = executor::constant_arrival_rate;
  l.rate = rate;
  l.length = length;
  l.time_unit = unit;
  return l;
}

std::vector<duration> all_of(arrival_plan plan) {
  std::vector<duration> out;
  while (const auto at = plan.next()) out.push_back(*at);
  return out;
}

std::vector<duration> uniform(const scenario::load& l) {
  return all_of(arrival_plan{rate_profile{l}, arrivals::uniform, random_stream{}});
}

// The fifth report's three cases; the numbers that its tool must have planned.
const scenario::load case1 = ramp({{5s, 20}, {5s, 40}, {5s, 80}, {5s, 160}, {5s, 320}, {5s, 160}});
const scenario::load case2 = ramp({{10s, 5}, {10s, 10}, {10s, 15}, {5s, 20}});
const scenario::load case3 = ramp({{10s, 6}, {10s, 8}, {10s, 10}, {10s, 12}, {10s, 14}});

TEST(RateProfile, PlansTheJourneysOfTheReport) {
  EXPECT_DOUBLE_EQ(rate_profile{case1}.total(), 3500);
  EXPECT_DOUBLE_EQ(rate_profile{case2}.total(), 312.5);
  EXPECT_DOUBLE_EQ(rate_profile{case3}.total(), 430);
  EXPECT_EQ(uniform(case1).size(), 3500u);
  EXPECT_EQ(uniform(case2).size(), 312u);
  EXPECT_EQ(uniform(case3).size(), 430u);
}

TEST(RateProfile, InterpolatesBetweenStages) {
  const rate_profile p{case1};
  EXPECT_DOUBLE_EQ(p.rate_at(0s), 0);
  EXPECT_DOUBLE_EQ(p.rate_at(2500ms), 10);
  EXPECT_DOUBLE_EQ(p.rate_at(5s), 20);
  EXPECT_DOUBLE_EQ(p.rate_at(7500ms), 30);
  EXPECT_DOUBLE_EQ(p.rate_at(27500ms), 240);
  EXPECT_DOUBLE_EQ(p.rate_at(30s), 0) << "the load is over";
  EXPECT_DOUBLE_EQ(p.rate_at(-1s), 0);
  EXPECT_DOUBLE_EQ(p.integral(5s), 50);
  EXPECT_DOUBLE_EQ(p.integral(1h), 3500);
  EXPECT_EQ(p.length(), 30s);
}

TEST(RateProfile, InverseUndoesTheIntegral) {
  for (const scenario::load& l : {case1, case2, case3, ramp({{3s, 0}, {2s, 0}, {4s, 9}, {0s, 2}, {5s, 2}}, 7)}) {
    const rate_profile p{l};
    for (double area = 0.25; area < p.total(); area += 0.25) {
      const auto at = p.inverse(area);
      ASSERT_TRUE(at.has_value()) << area;
      ASSERT_NEAR(p.integral(*at), area, 1e-5) << area;
    }
    EXPECT_EQ(p.inverse(p.total() * 1.001), std::nullopt);
  }
}

TEST(RateProfile, StageOfNoLengthIsAJump) {
  const rate_profile p{ramp({{5s, 100}, {0s, 7}, {5s, 7}})};
  EXPECT_DOUBLE_EQ(p.rate_at(5s - 1ns), 100 * (1 - 2e-10));
  EXPECT_DOUBLE_EQ(p.rate_at(5s), 7);
  EXPECT_DOUBLE_EQ(p.total(), 250 + 35);
}

TEST(RateProfile, FindsTheEndOfTheOverload) {
  EXPECT_EQ(rate_profile{case1}.last_above(14), 30s);
  EXPECT_EQ(rate_profile{case1}.last_above(240), 27500ms);
  EXPECT_EQ(rate_profile{case1}.last_above(400), std::nullopt);
  EXPECT_EQ((rate_profile{ramp({{5s, 100}, {0s, 7}, {15s, 7}})}.last_above(14)), 5s);
}

TEST(RateProfile, CountsRatesPerTimeUnit) {
  EXPECT_DOUBLE_EQ((rate_profile{constant(120, 10s, 1min)}.total()), 20);
  EXPECT_DOUBLE_EQ((rate_profile{constant(120, 10s, 1min)}.rate_at(1s)), 2);
}

TEST(RateProfile, ClosedLoopHasNone) {
  scenario::load l;
  l.executor = executor::constant_vus;
  l.length = 10s;
  EXPECT_DOUBLE_EQ(rate_profile{l}.total(), 0);
  EXPECT_TRUE(uniform(l).empty());
}

TEST(ArrivalPlan, UniformArrivalsAreExactlySpaced) {
  const auto at = uniform(constant(10, 1s));
  ASSERT_EQ(at.size(), 10u);
  for (std::size_t i = 0; i < at.size(); ++i) EXPECT_EQ(at[i], 100ms * static_cast<int>(i + 1)) << i;
}

TEST(ArrivalPlan, UniformRampFollowsTheSquareRoot) {
  const auto at = uniform(ramp({{10s, 20}}));  // integral t²: the i-th at sqrt(i)
  ASSERT_EQ(at.size(), 100u);
  for (std::size_t i = 0; i < at.size(); ++i) {
    const duration expected{std::llround(std::sqrt(static_cast<double>(i + 1)) * 1e9)};
    EXPECT_LE(std::abs((at[i] - expected).count()), 2) << i;
  }
}

TEST(ArrivalPlan, NoRateNoArrivals) {
  EXPECT_TRUE(uniform(constant(0, 10s)).empty());
  EXPECT_TRUE(all_of(arrival_plan{rate_profile{constant(0, 10s)}, arrivals::poisson, random_stream{1, "a"}}).empty());
}

TEST(ArrivalPlan, IsDeterministicAndInOrder) {
  const auto plan = [](std::uint64_t seed) {
    return all_of(arrival_plan{rate_profile{case1}, arrivals::poisson, random_stream{seed, "arrivals/users"}});
  };
  EXPECT_EQ(plan(4), plan(4));
  EXPECT_NE(plan(4), plan(5));
  const auto at = plan(4);
  EXPECT_TRUE(std::is_sorted(at.begin(), at.end()));
  EXPECT_LE(at.back(), 30s);
}

// 400 seeds of a Poisson variable with mean 3500: the mean of their counts has a standard deviation of 59.2 / 20 = 3.0,
// their variance 3500 * sqrt(2 / 399) = 248. Four of each; the seeds are fixed, so that this passes always or never.
TEST(ArrivalPlan, PoissonCountsHaveTheMeanAndTheVarianceOfTheRate) {
  double sum = 0;
  double squares = 0;
  constexpr int runs = 400;
  for (std::uint64_t seed = 0; seed < runs; ++seed) {
    const auto n = static_cast<double>(
        all_of(arrival_plan{rate_profile{case1}, arrivals::poisson, random_stream{seed, "arrivals/users"}}).size());
    sum += n;
    squares += n * n;
  }
  const double mean = sum / runs;
  EXPECT_NEAR(mean, 3500, 4 * 3.0);
  EXPECT_NEAR((squares - runs * mean * mean) / (runs - 1), 3500, 4 * 248);
}

// Of 20,000 exponential gaps with mean 10 ms, mean and standard deviation lie within 4 * 10 / sqrt(20000) = 0.28 ms (0.57).
TEST(ArrivalPlan, PoissonGapsAreExponential) {
  const auto at =
      all_of(arrival_plan{rate_profile{constant(100, 200s)}, arrivals::poisson, random_stream{7, "arrivals/users"}});
  double sum = 0;
  double squares = 0;
  duration last{};
  std::size_t longer_than_mean = 0;
  for (const duration t : at) {
    const double gap = static_cast<double>((t - last).count()) * 1e-6;
    last = t;
    sum += gap;
    squares += gap * gap;
    if (gap > 10) ++longer_than_mean;
  }
  const auto n = static_cast<double>(at.size());
  const double mean = sum / n;
  EXPECT_NEAR(n, 20000, 4 * std::sqrt(20000));
  EXPECT_NEAR(mean, 10, 0.28);
  EXPECT_NEAR(std::sqrt(squares / n - mean * mean), 10, 0.57);
  EXPECT_NEAR(static_cast<double>(longer_than_mean) / n, std::exp(-1.0), 4 * std::sqrt(0.368 * 0.632 / n));
}

TEST(ScaleRates, MultipliesArrivalRatesAndNothingElse) {
  definition d;
  d.loads = {ramp({{5s, 20}}, 4), constant(10, 1s)};
  scenario::load vus;
  vus.executor = executor::ramping_vus;
  vus.stages = {{5s, 20}};
  vus.vus = 3;
  d.loads.push_back(vus);
  scale_rates(d, 1.5);
  EXPECT_DOUBLE_EQ(d.loads[0].start_rate, 6);
  EXPECT_DOUBLE_EQ(d.loads[0].stages[0].target, 30);
  EXPECT_EQ(d.loads[0].stages[0].length, 5s);
  EXPECT_DOUBLE_EQ(d.loads[1].rate, 15);
  EXPECT_DOUBLE_EQ(d.loads[2].stages[0].target, 20);
  EXPECT_EQ(d.loads[2].vus, 3u);
}

TEST(VusAt, FollowsTheStages) {
  scenario::load l;
  l.executor = executor::ramping_vus;
  l.vus = 0;
  l.stages = {{10s, 10}, {5s, 10}, {0s, 4}, {4s, 0}};
  EXPECT_EQ(vus_at(l, 0s), 0u);
  EXPECT_EQ(vus_at(l, 999ms), 0u);
  EXPECT_EQ(vus_at(l, 1s), 1u);
  EXPECT_EQ(vus_at(l, 12s), 10u);
  EXPECT_EQ(vus_at(l, 15s), 4u);
  EXPECT_EQ(vus_at(l, 17s), 2u);
  EXPECT_EQ(vus_at(l, 1h), 0u);
}

}  // namespace
