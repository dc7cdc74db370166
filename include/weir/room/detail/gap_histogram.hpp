#pragma once
/// \file
/// How long it takes from one group of admissions to the next, and how large groups are.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>

namespace weir::inline v0::detail {

/// Gaps by powers of two from a millisecond to half a day, fading. Times in seconds.
class gap_histogram {
 public:
  struct moments {
    double mean, variance;
  };

  /// A gap > 0, and the size of the group before it; what was recorded earlier fades by `gap` / `memory`.
  void record(double gap, double group, double memory) noexcept {
    const double kept = std::exp(-gap / memory);
    for (cell& c : cells_) {
      c.count *= kept;
      c.sum *= kept;
      c.squares *= kept;
    }
    cell& c = cells_[index_of(gap)];
    c.count += 1;
    c.sum += gap;
    c.squares += gap * gap;
    groups_ = groups_ * kept + 1;
    sizes_ = sizes_ * kept + group;
    squares_ = squares_ * kept + group * group;
  }

  [[nodiscard]] bool recorded() const noexcept { return groups_ > 0; }

  /// What is left of a gap that has lasted so long. `otherwise`: its mean if no gap was ever that long.
  [[nodiscard]] moments residual(double lasted, double otherwise) const noexcept {
    double count = 0;
    double sum = 0;
    double squares = 0;
    double low = shortest;
    for (std::size_t i = 0; i < cells_.size(); ++i, low *= 2) {
      const cell& c = cells_[i];
      if (c.count <= 0) continue;
      const double mean = c.sum / c.count;
      if (lasted <= low) {
        count += c.count;
        sum += c.sum - c.count * lasted;
        squares += c.squares - 2 * lasted * c.sum + c.count * lasted * lasted;
      } else {
        // As if they lay evenly around their mean: those of them that are longer.
        const double half = std::sqrt(3 * std::max(c.squares / c.count - mean * mean, 0.0)) + 0.01 * mean;
        const double from = std::max(mean - half, lasted);
        const double to = mean + half;
        if (to <= from) continue;
        const double share = c.count * (to - from) / (2 * half);
        const double a = from - lasted;
        const double b = to - lasted;
        count += share;
        sum += share * (a + b) / 2;
        squares += share * (a * a + a * b + b * b) / 3;
      }
    }
    if (count < 1e-3) {
      const double mean = std::max(otherwise, lasted);
      return {.mean = mean, .variance = mean * mean};
    }
    const double mean = sum / count;
    return {.mean = mean, .variance = std::max(squares / count - mean * mean, 0.0)};
  }

  /// How many are admitted in the mean, from the next group (excluded) to the one that holds who has `ahead` before it
  /// (included).
  [[nodiscard]] double behind_next_group(double ahead) const noexcept {
    if (!recorded()) return ahead;
    const double size = sizes_ / groups_;
    const double by_member = squares_ / sizes_;  // the size of the group of somebody
    if (by_member < 1.01 * size) return std::floor(ahead / size + 1e-9) * size;
    return std::max(ahead + 1 + (by_member - 1) / 2 - size, 0.0);
  }

 private:
  static constexpr double shortest = 1e-3;
  struct cell {
    double count = 0, sum = 0, squares = 0;
  };

  static std::size_t index_of(double gap) noexcept {
    const int power = std::ilogb(std::max(gap, shortest) / shortest);
    return std::min(static_cast<std::size_t>(power), std::size_t{25});
  }

  std::array<cell, 26> cells_{};
  double groups_ = 0, sizes_ = 0, squares_ = 0;  // faded
};

}  // namespace weir::inline v0::detail
