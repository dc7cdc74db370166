#include <weir/core/random.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <random>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::random_stream;

TEST(random, known_answers) {
  // From an independent implementation of splitmix64, FNV-1a and xoshiro256++: the stream of a seed never changes.
  const auto first_four = [](random_stream r) { return std::array{r(), r(), r(), r()}; };
  EXPECT_EQ(first_four(random_stream{}), (std::array<std::uint64_t, 4>{0xc7c9810f3d1cf2b7u, 0x1bc47e2107165ab2u,
                                                                       0x2563b8b8ca5bdbb5u, 0xd38b15572668e0c7u}));
  EXPECT_EQ(
      first_four(random_stream(42, "arrivals")),
      (std::array<std::uint64_t, 4>{0x8e7b4158c703a978u, 0xbb409fca421ddbe9u, 0x545612c052d3f099u, 0xf81c2d6469bb55d9u}));
  EXPECT_EQ(
      first_four(random_stream(42, "jitter")),
      (std::array<std::uint64_t, 4>{0xae362042c4ab054du, 0x6c44e74c58828f46u, 0x0fbd31797adb1a99u, 0x4a9f56520f8b27d1u}));
}

TEST(random, a_copy_continues_at_the_same_position) {
  random_stream a{7};
  static_cast<void>(a());
  random_stream b = a;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(a(), b());
}

TEST(random, is_a_standard_generator) {
  static_assert(std::uniform_random_bit_generator<random_stream>);
  EXPECT_EQ(random_stream::min(), 0u);
  EXPECT_EQ(random_stream::max(), ~std::uint64_t{0});
}

TEST(random, uniform_is_in_the_unit_interval_with_the_right_moments) {
  random_stream r{1, "uniform"};
  constexpr int draws = 200'000;
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < draws; ++i) {
    const double u = r.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    sum += u;
    squares += u * u;
  }
  const double mean = sum / draws;
  // Five standard errors: 0.289 / sqrt(200000) is 0.00065.
  EXPECT_NEAR(mean, 0.5, 0.0033);
  EXPECT_NEAR(squares / draws - mean * mean, 1.0 / 12.0, 0.002);
}

TEST(random, below_stays_below_and_is_even) {
  random_stream r{2, "below"};
  constexpr std::uint64_t n = 7;
  constexpr int draws = 70'000;
  std::array<int, n> seen{};
  for (int i = 0; i < draws; ++i) {
    const auto x = r.below(n);
    ASSERT_LT(x, n);
    ++seen[x];
  }
  double chi_squared = 0;
  for (const int count : seen) {
    const double off = count - draws / static_cast<double>(n);
    chi_squared += off * off / (draws / static_cast<double>(n));
  }
  EXPECT_LT(chi_squared, 30.0);  // six degrees of freedom: p < 0.0001
}

TEST(random, below_at_its_edges) {
  random_stream r{3};
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(r.below(0), 0u);
    EXPECT_EQ(r.below(1), 0u);
    EXPECT_LT(r.below(2), 2u);
    EXPECT_LT(r.below(~std::uint64_t{0}), ~std::uint64_t{0});
  }
}

TEST(random, below_is_unbiased_where_the_modulus_would_not_be) {
  // n = 2^64 * 2/3: a plain modulus would draw the lower half of [0, n) twice as often as the upper one.
  random_stream r{4};
  constexpr std::uint64_t n = 12'297'829'382'473'034'410u;
  int lower = 0;
  for (int i = 0; i < 20'000; ++i) lower += r.below(n) < n / 2 ? 1 : 0;
  EXPECT_NEAR(lower, 10'000, 400);
}

TEST(random, between_includes_both_ends) {
  random_stream r{5};
  bool low = false;
  bool high = false;
  for (int i = 0; i < 1000; ++i) {
    const auto d = r.between(-1ns, 2ns);
    ASSERT_GE(d, -1ns);
    ASSERT_LE(d, 2ns);
    low = low || d == -1ns;
    high = high || d == 2ns;
  }
  EXPECT_TRUE(low && high);
  EXPECT_EQ(r.between(5ms, 5ms), 5ms);
}

TEST(random, between_covers_the_whole_range_of_duration) {
  random_stream r{6};
  int negative = 0;
  for (int i = 0; i < 1000; ++i) negative += r.between(weir::duration::min(), weir::duration::max()) < 0ns ? 1 : 0;
  EXPECT_GT(negative, 400);
  EXPECT_LT(negative, 600);
}

/// Sample mean and standard deviation of `draws` numbers.
template <class Draw>
std::pair<double, double> moments(int draws, Draw draw) {
  double sum = 0;
  double squares = 0;
  for (int i = 0; i < draws; ++i) {
    const double x = draw();
    sum += x;
    squares += x * x;
  }
  const double mean = sum / draws;
  return {mean, std::sqrt(squares / draws - mean * mean)};
}

TEST(random, exponential_has_its_mean_and_is_never_negative) {
  random_stream r{8};
  const auto [mean, deviation] = moments(100'000, [&r] {
    const double x = r.exponential(20.0);
    EXPECT_GE(x, 0.0);
    return x;
  });
  EXPECT_NEAR(mean, 20.0, 0.4);
  EXPECT_NEAR(deviation, 20.0, 0.6);
  EXPECT_GE(r.exponential(weir::duration{20ms}), 0ns);
}

TEST(random, exponential_stops_at_the_longest_duration) {
  random_stream r{7};
  for (int i = 0; i < 100; ++i) {
    const weir::duration d = r.exponential(weir::duration::max());
    ASSERT_GE(d, 0ns);
    ASSERT_LE(d, weir::duration::max());
  }
}

TEST(random, normal_is_standard) {
  random_stream r{9};
  const auto [mean, deviation] = moments(100'000, [&r] { return r.normal(); });
  EXPECT_NEAR(mean, 0.0, 0.02);
  EXPECT_NEAR(deviation, 1.0, 0.02);
}

TEST(random, lognormal_has_its_mean_and_variation) {
  random_stream r{10};
  const auto [mean, deviation] = moments(200'000, [&r] { return r.lognormal(50.0, 0.5); });
  EXPECT_NEAR(mean, 50.0, 0.5);
  EXPECT_NEAR(deviation / mean, 0.5, 0.02);
  EXPECT_DOUBLE_EQ(random_stream{11}.lognormal(50.0, 0.0), 50.0);
}

}  // namespace
