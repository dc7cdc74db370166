#pragma once
/// \file
/// `coarse_histogram`: 2.6 KB, for places that are many (one per connection) and have one writer at a time, who then
/// records without a locked instruction.

#include <weir/core/detail/atomic.hpp>
#include <weir/core/time.hpp>
#include <weir/stats/histogram.hpp>

#include <array>
#include <bit>
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
    const auto ns = static_cast<std::uint64_t>(value.count() > 0 ? value.count() : 0);
    raise(counts_[index(ns)], 1);
    raise(sum_, ns);
  }

  [[nodiscard]] std::uint64_t count() const noexcept {
    std::uint64_t all = 0;
    for (const auto& bucket : counts_) all += bucket.load(detail::relaxed);
    return all;
  }
  [[nodiscard]] duration sum() const noexcept { return duration{static_cast<duration::rep>(sum_.load(detail::relaxed))}; }

  /// Adds what was recorded to `to`, as if each had been the middle of its bucket. Errors: std::bad_alloc.
  void add_to(histogram& to) const {
    for (std::size_t i = 0; i < buckets; ++i) {
      const std::uint64_t n = counts_[i].load(detail::relaxed);
      if (n != 0) to.record(duration{static_cast<duration::rep>(low(i) + (low(i + 1) - 1 - low(i)) / 2)}, n);
    }
  }

 private:
  static constexpr unsigned sub_bits = 3, value_bits = 40;
  static constexpr std::size_t per_octave = std::size_t{1} << sub_bits;
  static constexpr std::size_t buckets = (value_bits - sub_bits + 1) * per_octave;

  static constexpr std::size_t index(std::uint64_t ns) noexcept {
    if (ns >> value_bits != 0) return buckets - 1;
    const auto width = static_cast<unsigned>(std::bit_width(ns));
    const unsigned e = width > sub_bits + 1 ? width - sub_bits - 1 : 0;
    return e * per_octave + static_cast<std::size_t>(ns >> e);
  }
  static constexpr std::uint64_t low(std::size_t i) noexcept {
    const std::size_t e = i < 2 * per_octave ? 0 : i / per_octave - 1;
    return static_cast<std::uint64_t>(i - e * per_octave) << e;
  }
  static void raise(detail::atomic<std::uint64_t>& word, std::uint64_t by) noexcept {
    word.store(word.load(detail::relaxed) + by, detail::relaxed);
  }

  std::array<detail::atomic<std::uint64_t>, buckets> counts_{};
  detail::atomic<std::uint64_t> sum_{0};
};

}  // namespace weir::inline v0
