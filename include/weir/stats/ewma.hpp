#pragma once
/// \file
/// Exponentially weighted mean and rate over time: what happened `tau` ago weighs 1/e of what happens now, however many
/// samples lie between. For estimates that must follow: service time, drain rate.
///
/// ```cpp
/// weir::ewma service_time{std::chrono::seconds{10}};
/// service_time.record(took.count(), now);
/// auto expected = service_time.mean();
/// auto finished_per_second = service_time.rate(now);
/// ```
/// Values, without clock or lock. An older `now` counts as the latest one seen. Memory: 40 bytes.

#include <weir/core/time.hpp>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cmath>

namespace weir::inline v0 {

/// Mean of the recorded values and rate of the recordings. Not thread-safe.
class ewma {
 public:
  /// `tau` > 0 (asserted): the time constant.
  explicit ewma(duration tau) noexcept : tau_(static_cast<double>(tau.count())) { assert(tau > duration::zero()); }

  /// One sample; finite. Samples of one instant weigh the same. Complexity: O(1), one exp.
  void record(double value, time_point now) noexcept {
    if (empty()) first_ = last_ = now;
    weight_ = weight(now) + 1;
    mean_ += (value - mean_) / weight_;
    last_ = std::max(last_, now);
  }

  [[nodiscard]] bool empty() const noexcept { return weight_ == 0; }

  /// Zero if empty. Does not fade by itself: without new samples the old ones are the best estimate.
  [[nodiscard]] double mean() const noexcept { return mean_; }

  /// How many samples the estimate rests on, faded to `now`.
  [[nodiscard]] double weight(time_point now) const noexcept {
    return weight_ * std::exp(-static_cast<double>(elapsed(last_, std::max(last_, now)).count()) / tau_);
  }

  /// Recordings per second, faded to `now`; zero if empty. Corrected for having begun only at the first sample; in the
  /// first tenth of `tau` the beginning counts as that long ago, since one sample makes no rate.
  [[nodiscard]] double rate(time_point now) const noexcept {
    if (empty()) return 0;
    const double age = std::max(static_cast<double>(elapsed(first_, std::max(last_, now)).count()), tau_ / 10);
    constexpr double second = 1e9;
    return weight(now) / (tau_ * -std::expm1(-age / tau_)) * second;
  }

 private:
  double tau_;  // ns
  double mean_ = 0;
  double weight_ = 0;  // at last_
  time_point first_{}, last_{};
};

}  // namespace weir::inline v0
