#pragma once
/// \file
/// How widely counts scatter around what was forecast of them, in spans of different lengths.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace weir::inline v0::detail {

/// Variance over mean of the counts in spans of 1, 2, 4, ... 128 bins: 1 for a Poisson process, 0 for a regular one.
class count_dispersion {
 public:
  explicit count_dispersion(double bin, double memory) noexcept : bin_(bin), memory_(memory) {}

  /// A bin has ended. `rate` is what is known now, per second (negative: unknown), and `basis` how many seconds of
  /// counting it rests on: the forecast for the spans that begin.
  void count(double in_bin, double rate, double basis) noexcept {
    ++bins_;
    double length = bin_;
    for (std::size_t j = 0; j < levels; ++j, length *= 2) {
      span& s = spans_[j];
      s.count += in_bin;
      if (bins_ % (std::uint64_t{1} << j) != 0) return;
      in_bin = s.count;
      if (s.expected >= 0) {
        const double kept = std::exp(-length / memory_);
        const double error = in_bin - s.expected;
        s.errors = s.errors * kept + error * error * s.certainty;
        s.sum = s.sum * kept + s.expected;
      }
      s.count = 0;
      s.expected = rate * length;
      s.certainty = 1 / (1 + length / basis);  // the rest of the error is the forecast's own
    }
  }

  /// Of the counts in so many seconds, at this rate. Few observations lean on those of shorter spans, and those on a
  /// Poisson process.
  [[nodiscard]] double over(double seconds, double rate) const noexcept {
    double length = bin_;
    double at = 1;
    double before = 1;
    for (const span& s : spans_) {
      before = at;
      const double weight = rate * length;
      at = (s.errors + at * weight) / (s.sum + weight);
      if (length >= seconds || &s == &spans_.back()) break;
      length *= 2;
    }
    if (length <= bin_) return at;
    if (length > seconds) return before + (at - before) * (2 * seconds / length - 1);
    // Correlations that fade leave a rest like 1/length.
    return at + std::max(at - before, 0.0) * (1 - length / seconds);
  }

  /// Ended.
  [[nodiscard]] std::uint64_t bins() const noexcept { return bins_; }

 private:
  static constexpr std::size_t levels = 8;
  struct span {
    double count = 0;
    double expected = -1;        // when it began; negative: is not judged
    double certainty = 1;        // of that
    double errors = 0, sum = 0;  // squared errors, and what was expected, faded
  };

  double bin_, memory_;  // seconds
  std::uint64_t bins_ = 0;
  std::array<span, levels> spans_{};
};

}  // namespace weir::inline v0::detail
