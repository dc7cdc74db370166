#include <weir/core/random.hpp>
#include <weir/stats/coarse_histogram.hpp>

#include <gtest/gtest.h>

#include <cmath>

namespace weir {
namespace {

using namespace std::chrono_literals;

TEST(CoarseHistogram, ReportsEachValueWithinASixteenth) {
  random_stream random{1, "coarse"};
  for (int i = 0; i < 2000; ++i) {
    const duration value{static_cast<duration::rep>(std::exp2(40 * random.uniform()))};
    coarse_histogram one;
    one.record(value);
    histogram seen;
    one.add_to(seen);
    const auto expected = static_cast<double>(value.count());
    ASSERT_NEAR(static_cast<double>(seen.max().count()), expected, expected / 16) << value.count();
    ASSERT_EQ(one.sum(), value);
    ASSERT_EQ(seen.sum(), value);
  }
}

TEST(CoarseHistogram, CountsWhatIsTooShortAndTooLong) {
  coarse_histogram h;
  for (const duration d : {duration{-5}, duration{0}, duration{24h}, duration::max() / 4}) h.record(d);
  EXPECT_EQ(h.count(), 4u);
  EXPECT_EQ(h.sum(), 24h + duration::max() / 4);
  histogram seen;
  seen.record(1ms);
  h.add_to(seen);
  EXPECT_EQ(seen.count(), 5u) << "added to what was there";
  EXPECT_EQ(seen.sum(), h.sum() + 1ms);
  EXPECT_EQ(seen.min(), 0ns);
  EXPECT_GT(seen.max(), 1000s);
}

}  // namespace
}  // namespace weir
