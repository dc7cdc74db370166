// Histograms against the sorted values themselves.
#include <weir/stats/histogram.hpp>

#include <weir/core/random.hpp>

#include "support/seeds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::duration;
using weir::histogram;
using weir::random_stream;

/// Latencies of many shapes: log-normal around some mean, uniform over the whole range, tiny, and a few absurd ones.
duration random_latency(random_stream& random, std::uint64_t shape) {
  switch (shape) {
    case 0: return duration{static_cast<std::int64_t>(random.lognormal(5e6, 2.0))};
    case 1: return random.between(0ns, 4'000s);
    case 2: return random.between(0ns, 300ns);
    case 3: return duration{std::int64_t{1} << random.below(42)};
    default: return random.below(10) == 0 ? random.between(-1s, 10h) : random.exponential(duration{20ms});
  }
}

TEST(histogram_property, agrees_with_the_sorted_values) {
  for (const std::uint64_t seed : weir::testing_support::seeds(150)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "histogram"};
    histogram h, left, right;
    weir::recording_histogram recording;
    std::vector<duration> values;
    const std::uint64_t n = 1 + random.below(random.below(2) == 0 ? 10 : 2000);
    const std::uint64_t shape = random.below(5);
    weir::detail::int128 sum = 0;
    for (std::uint64_t i = 0; i < n; ++i) {
      const duration value = random_latency(random, shape);
      h.record(value);
      recording.record(value);
      (random.below(2) == 0 ? left : right).record(value);
      values.push_back(std::max(value, 0ns));
      sum += values.back().count();
    }
    std::sort(values.begin(), values.end());

    ASSERT_EQ(h.count(), n);
    ASSERT_EQ(h.min(), values.front());
    ASSERT_EQ(h.max(), values.back());
    ASSERT_EQ(h.sum().count(), sum);
    ASSERT_EQ(h.mean().count(), sum / static_cast<weir::detail::int128>(n));
    for (const double q : {0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0, random.uniform()}) {
      const auto rank = static_cast<std::size_t>(std::max(1.0, std::ceil(q * static_cast<double>(n) * (1 - 1e-15))));
      const duration exact = values[rank - 1];
      if (exact > 4'363s) {
        ASSERT_EQ(h.quantile(q), h.max());
      } else {
        ASSERT_LE(std::abs((h.quantile(q) - exact).count()) * 128, exact.count()) << "quantile " << q;
      }
    }

    std::uint64_t below = 0;
    for (const auto& bucket : h.buckets()) {
      const auto inside =
          std::count_if(values.begin(), values.end(), [&](duration v) { return v >= bucket.low && v < bucket.high; });
      ASSERT_EQ(bucket.count, static_cast<std::uint64_t>(inside));
      below += bucket.count;
    }
    ASSERT_EQ(below, n);

    ASSERT_EQ(recording.snapshot(), h);
    left.merge(right);
    ASSERT_EQ(left, h);
  }
}

}  // namespace
