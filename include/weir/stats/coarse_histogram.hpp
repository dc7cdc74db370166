#pragma once
/// \file
/// `coarse_histogram`: 2.6 KB, for places that are many (one per connection) and have one writer at a time, who then
/// records without a locked instruction.

#include <weir/core/detail/atomic.hpp>
#include <weir/core/time.hpp>
#include <weir/stats/histogram.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace weir::inline v0 {

/// Eight buckets per power of two: a value is reported within 1/16 (6.3 %) of itself from 0 to 1100 s; longer ones count in
/// the last bucket. The sum is exact up to 584 years.
///
/// Writers must exclude each other (a lock, or the ownership of a connection); readers may read at any time.
class coarse_histogram {
 public:
  /// Negative durations count as 0. Complexity: O(1), two loads and two stores.
  void record(duration value) noexcept {
    const std::uint64_t ns = layout::clamped(value);
    raise(counts_[layout::index(ns)], 1);
    raise(sum_, ns);
  }

  [[nodiscard]] std::uint64_t count() const noexcept {
    std::uint64_t all = 0;
    for (const auto& bucket : counts_) all += bucket.load(detail::relaxed);
    return all;
  }
  [[nodiscard]] duration sum() const noexcept { return duration{static_cast<duration::rep>(sum_.load(detail::relaxed))}; }

  /// Adds what was recorded to `to`, as if each had been the middle of its bucket; but the sum stays exact. Errors:
  /// std::bad_alloc.
  void add_to(histogram& to) const {
    histogram mine;
    for (std::size_t i = 0; i < layout::buckets; ++i) {
      const std::uint64_t n = counts_[i].load(detail::relaxed);
      if (n != 0) mine.record(duration{static_cast<duration::rep>(layout::middle(i))}, n);
    }
    mine.sum_ = sum_.load(detail::relaxed);
    to.merge(mine);
  }

 private:
  using layout = detail::log_linear_layout<3, 40>;

  static void raise(detail::atomic<std::uint64_t>& word, std::uint64_t by) noexcept {
    word.store(word.load(detail::relaxed) + by, detail::relaxed);
  }

  std::array<detail::atomic<std::uint64_t>, layout::buckets> counts_{};
  detail::atomic<std::uint64_t> sum_{0};
};

}  // namespace weir::inline v0
