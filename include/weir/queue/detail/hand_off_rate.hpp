#pragma once
/// \file
/// How fast a queue moves, for predicting waits. Sans-I/O; not thread-safe.

#include <weir/core/time.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

namespace weir::inline v0::detail {

/// Cost handed off per second of *busy* time, exponentially forgotten.
///
/// Only time in which somebody waits counts, and only hand-offs to waiters: grants per second of wall time would mistake a
/// quiet hour for a slow callee, and refuse the first callers of the next rush. Idle time ages the evidence (all sums
/// decay together, so the ratio stays and its weight goes); busy time without hand-offs lowers the rate itself.
///
/// The window is `tau` of time or `enough` hand-offs, whichever is longer: a slow callee is judged by 20 hand-offs as well,
/// and one that hangs drags the rate down by the time that it hangs, instead of running out of evidence.
class hand_off_rate {
 public:
  static constexpr double enough = 20;

  hand_off_rate() = default;
  explicit hand_off_rate(duration tau) noexcept : tau_(seconds(tau)) {}

  void set_window(duration tau) noexcept { tau_ = seconds(tau); }

  /// `spent` has passed, in which somebody waited (`busy`) or nobody did. spent >= 0.
  void pass(duration spent, bool busy) noexcept {
    if (spent <= duration::zero()) return;
    const double dt = seconds(spent);
    double keep = std::exp(-dt / tau_);
    if (busy) keep = std::max(keep, std::min(1.0, enough / std::max(hand_offs_, enough)));
    hand_offs_ *= keep;
    cost_ *= keep;
    busy_ *= keep;
    if (!busy) return;
    // What `keep` forgets took -tau ln(keep); the rest of dt counts in full.
    busy_ += tau_ * (1 - keep) + std::max(0.0, dt + tau_ * std::log(keep));
  }

  void handed_off(std::uint32_t cost) noexcept {
    hand_offs_ += 1;
    cost_ += cost;
  }

  /// Time until `cost` more has been handed off; nothing while there is too little evidence.
  [[nodiscard]] std::optional<duration> time_for(double cost) const noexcept {
    // Forgetting may leave a hair less than `enough`.
    if (hand_offs_ < enough - 1e-6 || busy_ <= 0 || cost_ <= 0) return std::nullopt;
    return to_duration(cost * busy_ / cost_);
  }

  /// Mean busy time between two hand-offs.
  [[nodiscard]] duration mean_spacing() const noexcept {
    return hand_offs_ > 0 ? to_duration(busy_ / hand_offs_) : duration::max();
  }

  /// Cost per second; 0: unknown.
  [[nodiscard]] double per_second() const noexcept { return busy_ > 0 ? cost_ / busy_ : 0; }

 private:
  static double seconds(duration d) noexcept { return std::chrono::duration<double>(d).count(); }
  static duration to_duration(double s) noexcept {
    return s >= 9e9 ? duration::max() : duration{static_cast<duration::rep>(s * 1e9)};
  }

  double tau_ = 5;
  double hand_offs_ = 0;
  double cost_ = 0;
  double busy_ = 0;  // seconds
};

}  // namespace weir::inline v0::detail
