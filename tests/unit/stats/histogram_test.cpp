#include <weir/stats/histogram.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::duration;
using weir::histogram;
using weir::recording_histogram;

double relative_error(duration reported, duration recorded) {
  return std::abs(static_cast<double>((reported - recorded).count())) / static_cast<double>(recorded.count());
}

TEST(histogram, empty_says_zero) {
  const histogram h;
  EXPECT_TRUE(h.empty());
  EXPECT_EQ(h.count(), 0u);
  EXPECT_EQ(h.min(), 0ns);
  EXPECT_EQ(h.max(), 0ns);
  EXPECT_EQ(h.mean(), 0ns);
  EXPECT_EQ(h.sum(), 0ns);
  EXPECT_EQ(h.quantile(0.99), 0ns);
  EXPECT_TRUE(h.buckets().empty());
}

// Every bucket edge, both neighbours, and the middles, over the whole range.
TEST(histogram, a_reported_value_is_within_one_128th_over_the_whole_range) {
  using layout = weir::detail::histogram_layout;
  double worst = 0;
  for (std::size_t i = 0; i + 1 < layout::buckets; ++i) {
    const std::uint64_t low = layout::low(i), next = layout::low(i + 1);
    ASSERT_LT(low, next);
    for (const std::uint64_t ns : {low, low + (next - low) / 3, next - 1}) {
      ASSERT_EQ(layout::index(ns), i) << ns;
      histogram h;
      // Others around it, so that minimum and maximum do not give the exact value away.
      h.record(0ns);
      h.record(duration{static_cast<std::int64_t>(ns)});
      h.record(2h);
      const duration recorded{static_cast<std::int64_t>(ns)};
      if (ns < 128) {
        ASSERT_EQ(h.quantile(0.5), recorded);
      } else {
        worst = std::max(worst, relative_error(h.quantile(0.5), recorded));
      }
    }
  }
  EXPECT_LE(worst, 1.0 / 128);
  EXPECT_GT(worst, 1.0 / 130) << "the documented bound is the actual one";
}

TEST(histogram, the_range_is_more_than_an_hour_and_ends_in_the_exact_maximum) {
  histogram h;
  h.record(4'363s);
  h.record(0ns);
  h.record(9h);
  h.record(10h);
  EXPECT_LE(relative_error(h.quantile(0.5), 4'363s), 1.0 / 128);
  EXPECT_EQ(h.quantile(0.75), 10h) << "the last bucket is reported as the maximum";
  EXPECT_EQ(h.max(), 10h);
  EXPECT_EQ(h.buckets().back().high, duration::max());
  EXPECT_EQ(h.buckets().back().count, 2u);
  h.record(duration::max());
  EXPECT_EQ(h.max(), duration::max());
  EXPECT_EQ(h.sum(), duration::max()) << "stops there";
}

TEST(histogram, negative_durations_count_as_zero) {
  histogram h;
  h.record(-1ns);
  h.record(duration::min());
  EXPECT_EQ(h.count(), 2u);
  EXPECT_EQ(h.min(), 0ns);
  EXPECT_EQ(h.max(), 0ns);
  EXPECT_EQ(h.sum(), 0ns);
}

TEST(histogram, count_mean_min_max_are_exact) {
  histogram h;
  h.record(1'000'003ns, 3);
  h.record(7'000'001ns);
  h.record(5ns, 0);
  EXPECT_EQ(h.count(), 4u);
  EXPECT_EQ(h.min(), 1'000'003ns);
  EXPECT_EQ(h.max(), 7'000'001ns);
  EXPECT_EQ(h.sum(), 10'000'010ns);
  EXPECT_EQ(h.mean(), 2'500'002ns);
}

TEST(histogram, quantiles_are_ranks) {
  histogram h;
  for (int i = 1; i <= 100; ++i) h.record(duration{i});  // below 128 ns every value has its own bucket
  EXPECT_EQ(h.quantile(-1), 1ns);
  EXPECT_EQ(h.quantile(0), 1ns);
  EXPECT_EQ(h.quantile(0.001), 1ns);
  EXPECT_EQ(h.quantile(0.07), 7ns) << "0.07 * 100 is above 7 in doubles";
  EXPECT_EQ(h.quantile(0.5), 50ns);
  EXPECT_EQ(h.quantile(0.501), 51ns);
  EXPECT_EQ(h.quantile(0.99), 99ns);
  EXPECT_EQ(h.quantile(0.9999), 100ns);
  EXPECT_EQ(h.quantile(1), 100ns);
  EXPECT_EQ(h.quantile(2), 100ns);
}

TEST(histogram, merging_is_recording_both) {
  histogram a, b, both;
  for (const duration d : {3ms, 5ms, 900ms}) {
    a.record(d);
    both.record(d);
  }
  for (const duration d : {duration{10us}, duration{2ms}, duration{2h}}) {
    b.record(d, 2);
    both.record(d, 2);
  }
  histogram other_way = b;
  other_way.merge(a);
  a.merge(b);
  EXPECT_EQ(a, both);
  EXPECT_EQ(other_way, both);

  histogram empty;
  empty.merge(a);
  EXPECT_EQ(empty, a);
  a.merge(histogram{});
  EXPECT_EQ(empty, a);
}

TEST(histogram, merging_with_itself_doubles) {
  histogram h;
  h.record(3ms);
  h.record(3s);
  h.merge(h);
  EXPECT_EQ(h.count(), 4u);
  EXPECT_EQ(h.sum(), 6'006ms);
  EXPECT_EQ(h.buckets().front().count, 2u);
}

TEST(histogram, equality_sees_contents_not_history) {
  histogram upwards, downwards, other;
  upwards.record(1us);
  upwards.record(1s);
  downwards.record(1s);
  downwards.record(1us);
  other.record(1us);
  other.record(1001ms);
  EXPECT_EQ(upwards, downwards);
  EXPECT_NE(upwards, other);
}

TEST(histogram, buckets_partition_the_records) {
  histogram h;
  h.record(100ns, 2);
  h.record(1ms, 5);
  const auto buckets = h.buckets();
  ASSERT_EQ(buckets.size(), 2u);
  EXPECT_EQ(buckets[0], (histogram::bucket{100ns, 101ns, 2}));
  EXPECT_LE(buckets[1].low, 1ms);
  EXPECT_GT(buckets[1].high, 1ms);
  EXPECT_EQ(buckets[1].count, 5u);
}

TEST(recording_histogram, snapshot_equals_a_histogram_of_the_same_values) {
  recording_histogram recording;
  histogram expected;
  EXPECT_EQ(recording.snapshot(), expected);
  for (const duration d : {duration{5ms}, duration{-4ns}, duration{77s}, duration{3h}, duration{123'456'789ns}}) {
    recording.record(d);
    expected.record(d);
    EXPECT_EQ(recording.snapshot(), expected);
  }
}

TEST(recording_histogram, the_sum_does_not_wrap_at_64_bits) {
  recording_histogram recording;
  recording.record(duration::max());
  recording.record(duration::max());
  recording.record(duration::max());
  EXPECT_EQ(recording.snapshot().mean(), duration::max());
}

TEST(recording_histogram, memory_is_what_the_header_says) { EXPECT_EQ(sizeof(recording_histogram), 21'120u); }

}  // namespace
