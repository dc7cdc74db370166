#pragma once
/// \file
/// Latency histograms with a bounded relative error: `histogram`, a value that drivers, snapshots and reports add up, and
/// `recording_histogram`, which many threads record into without a lock.
///
/// Log-linear buckets (the layout of HdrHistogram, G. Tene): 64 per power of two. A reported value lies within 1/128
/// (0.78 %) of the recorded one from 0 to 4363 s (72 minutes); below 128 ns it is exact. Longer ones count in the last
/// bucket, which is reported as the exact maximum.
///
/// ```cpp
/// weir::histogram latencies;
/// latencies.record(took);
/// report(latencies.quantile(0.99), latencies.max(), latencies.count());
/// ```

#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/int128.hpp>
#include <weir/core/time.hpp>
#include <weir/stats/counter.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::inline v0 {
namespace detail {

/// Which bucket a duration falls into: 2^SubBits for each power of two, up to 2^ValueBits ns. Bucket i of octave e >= 0 is
/// 2^e ns wide.
template <unsigned SubBits, unsigned ValueBits>
struct log_linear_layout {
  static constexpr unsigned sub_bits = SubBits;
  static constexpr std::size_t per_octave = std::size_t{1} << sub_bits;
  static constexpr unsigned value_bits = ValueBits;
  static constexpr std::size_t octaves = value_bits - sub_bits + 1;
  static constexpr std::size_t buckets = octaves * per_octave;

  static constexpr std::uint64_t clamped(duration d) noexcept {
    return d.count() > 0 ? static_cast<std::uint64_t>(d.count()) : 0;
  }
  static constexpr std::size_t index(std::uint64_t ns) noexcept {
    if (ns >> value_bits != 0) return buckets - 1;
    const auto width = static_cast<unsigned>(std::bit_width(ns));
    const unsigned e = width > sub_bits + 1 ? width - sub_bits - 1 : 0;
    return e * per_octave + static_cast<std::size_t>(ns >> e);
  }
  /// The smallest value in bucket `i`; of bucket `buckets`: the end of the range.
  static constexpr std::uint64_t low(std::size_t i) noexcept {
    const std::size_t e = i < 2 * per_octave ? 0 : i / per_octave - 1;
    return static_cast<std::uint64_t>(i - e * per_octave) << e;
  }
  static constexpr std::uint64_t middle(std::size_t i) noexcept { return low(i) + (low(i + 1) - 1 - low(i)) / 2; }
};
/// Of the two fine histograms.
using histogram_layout = log_linear_layout<6, 42>;

}  // namespace detail

/// A value: copyable, mergeable, comparable. Not thread-safe. Memory: 80 bytes, and once something is recorded 512 bytes
/// for each power of two between the smallest and the largest value (1 ms to 1 s: 5.6 KB; at most 18.9 KB).
class histogram {
 public:
  /// A bucket that is not empty: `count` values in [low, high). The last bucket of the layout ends at `duration::max()`.
  struct bucket {
    duration low, high;
    std::uint64_t count;

    friend bool operator==(const bucket&, const bucket&) = default;
  };

  /// Negative durations count as 0. Errors: std::bad_alloc when the range grows. Complexity: O(1), amortised.
  void record(duration value, std::uint64_t count = 1) {
    if (count == 0) return;
    const std::uint64_t ns = layout::clamped(value);
    const std::size_t i = layout::index(ns);
    cover(i / layout::per_octave, i / layout::per_octave);
    counts_[i - first_octave_ * layout::per_octave] += count;
    note(ns, ns, count, detail::uint128{ns} * count);
  }

  /// As if everything recorded in `other` had been recorded here. Errors: std::bad_alloc. Complexity: O(buckets).
  void merge(const histogram& other) {
    if (other.empty()) return;
    cover(other.first_octave_, other.last_octave());
    const std::size_t shift = (other.first_octave_ - first_octave_) * layout::per_octave;
    // By index, so that merging with itself doubles.
    for (std::size_t i = 0, n = other.counts_.size(); i < n; ++i) counts_[i + shift] += other.counts_[i];
    note(other.min_, other.max_, other.count_, other.sum_);
  }

  /// The value at or below which a share `q` of the records lies, within 1/128 of it: the ceil(q * count)-th smallest.
  /// q <= 0: min; q >= 1: max; both exact. Empty: zero. In the last bucket: max. Complexity: O(buckets).
  [[nodiscard]] duration quantile(double q) const noexcept {
    if (empty() || !(q > 0)) return min();
    if (q >= 1) return max();
    // 0.07 * 100 must be rank 7, though the nearest double to 0.07 is above it.
    const double exact = std::ceil(std::nextafter(q, 0.0) * static_cast<double>(count_));
    const std::uint64_t rank = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(exact));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= rank) return reported(i + first_octave_ * layout::per_octave);
    }
    return max();
  }

  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  /// Exact; zero if empty.
  [[nodiscard]] duration min() const noexcept { return from(min_); }
  [[nodiscard]] duration max() const noexcept { return from(max_); }
  /// Of the exact values, rounded down; zero if empty.
  [[nodiscard]] duration mean() const noexcept { return from(empty() ? 0 : sum_ / count_); }
  /// Of the exact values; stops at duration::max() (292 years).
  [[nodiscard]] duration sum() const noexcept { return from(sum_); }

  /// The non-empty buckets, in ascending order. Errors: std::bad_alloc.
  [[nodiscard]] std::vector<bucket> buckets() const {
    std::vector<bucket> found;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (counts_[i] == 0) continue;
      const std::size_t b = i + first_octave_ * layout::per_octave;
      found.push_back(
          {from(layout::low(b)), b + 1 == layout::buckets ? duration::max() : from(layout::low(b + 1)), counts_[i]});
    }
    return found;
  }

  /// Whether the same values, as far as buckets tell, and the same exact sum, minimum and maximum were recorded.
  friend bool operator==(const histogram&, const histogram&) = default;

 private:
  friend class recording_histogram;
  friend class coarse_histogram;
  using layout = detail::histogram_layout;

  static duration from(detail::uint128 ns) noexcept {
    constexpr auto most = static_cast<detail::uint128>(duration::max().count());
    return duration{static_cast<duration::rep>(std::min(ns, most))};
  }

  duration reported(std::size_t bucket) const noexcept {
    if (bucket + 1 == layout::buckets) return max();
    return from(std::clamp(layout::middle(bucket), min_, max_));
  }

  std::size_t last_octave() const noexcept { return first_octave_ + counts_.size() / layout::per_octave - 1; }

  /// Makes the storage span the octaves first..last and what it spans already: never more, so that equal contents have
  /// equal storage.
  void cover(std::size_t first, std::size_t last) {
    if (counts_.empty()) {
      counts_.resize((last - first + 1) * layout::per_octave);
      first_octave_ = first;
      return;
    }
    if (last > last_octave()) counts_.resize((last - first_octave_ + 1) * layout::per_octave);
    if (first < first_octave_) {
      counts_.insert(counts_.begin(), (first_octave_ - first) * layout::per_octave, 0);
      first_octave_ = first;
    }
  }

  void note(std::uint64_t low, std::uint64_t high, std::uint64_t count, detail::uint128 sum) noexcept {
    min_ = empty() ? low : std::min(min_, low);
    max_ = std::max(max_, high);
    count_ += count;
    sum_ += sum;
  }

  std::vector<std::uint64_t> counts_;  // whole octaves, from first_octave_ on
  std::size_t first_octave_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t min_ = 0, max_ = 0;
  detail::uint128 sum_ = 0;
};

/// Fixed storage, no allocation, pinned. Thread-safe: any number of threads record while others take snapshots.
/// Memory: 20.6 KB (2368 buckets of 8 bytes, and the striped sum).
class recording_histogram {
 public:
  recording_histogram() noexcept = default;
  recording_histogram(const recording_histogram&) = delete;
  recording_histogram& operator=(const recording_histogram&) = delete;

  /// Negative durations count as 0. Complexity: O(1), one fetch_add; a new minimum or maximum costs a few more.
  void record(duration value) noexcept {
    const std::uint64_t ns = layout::clamped(value);
    std::uint64_t low = min_.load(detail::relaxed);
    while (ns < low && !min_.compare_exchange_weak(low, ns, detail::relaxed)) {
    }
    std::uint64_t high = max_.load(detail::relaxed);
    while (ns > high && !max_.compare_exchange_weak(high, ns, detail::relaxed)) {
    }
    // In two parts: one 64-bit sum of nanoseconds would wrap after 213 days of a thousand waiters.
    sum_.add(sum_low, ns & low_mask);
    if (ns >> low_bits != 0) sum_.add(sum_high, ns >> low_bits);
    // Last, and released: a snapshot that counts this value also has its minimum, maximum and sum.
    counts_[layout::index(ns)].fetch_add(1, detail::release);
  }

  /// What has been recorded. While others record, the parts may differ by the recordings under way: each is in `sum`, `min`
  /// and `max` if it is counted. Errors: std::bad_alloc. Complexity: O(buckets).
  [[nodiscard]] histogram snapshot() const {
    histogram h;
    std::size_t first = layout::buckets, last = 0;
    std::array<std::uint64_t, layout::buckets> counts;
    for (std::size_t i = 0; i < layout::buckets; ++i) {
      counts[i] = counts_[i].load(detail::acquire);
      if (counts[i] == 0) continue;
      first = std::min(first, i);
      last = i;
    }
    if (first == layout::buckets) return h;
    h.cover(first / layout::per_octave, last / layout::per_octave);
    std::uint64_t total = 0;
    for (std::size_t i = first; i <= last; ++i) {
      h.counts_[i - h.first_octave_ * layout::per_octave] = counts[i];
      total += counts[i];
    }
    // A recording under way may have lowered the minimum below the first bucket that is counted already.
    const std::uint64_t low = std::max(min_.load(detail::relaxed), layout::low(first));
    const std::uint64_t end = last + 1 == layout::buckets ? ~std::uint64_t{0} : layout::low(last + 1);
    const std::uint64_t high = std::min(max_.load(detail::relaxed), end - 1);
    h.note(low, high, total, (detail::uint128{sum_.read(sum_high)} << low_bits) + sum_.read(sum_low));
    return h;
  }

 private:
  using layout = detail::histogram_layout;
  static constexpr unsigned low_bits = 20;
  static constexpr std::uint64_t low_mask = (std::uint64_t{1} << low_bits) - 1;
  static constexpr std::size_t sum_low = 0, sum_high = 1;

  std::array<detail::atomic<std::uint64_t>, layout::buckets> counts_{};
  detail::atomic<std::uint64_t> min_{~std::uint64_t{0}};
  detail::atomic<std::uint64_t> max_{0};
  counter_set<2> sum_;
};

}  // namespace weir::inline v0
