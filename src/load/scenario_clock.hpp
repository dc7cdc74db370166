#pragma once
/// \file
/// The time of a scenario: runs from its start, `scale` times as fast as the clock on the wall.

#include <weir/core/time.hpp>

#include <chrono>
#include <cmath>

namespace weir::load {

class scenario_clock {
 public:
  /// `scale` > 0; 4: a second of the scenario takes a quarter of a second. The run starts now.
  explicit scenario_clock(double scale) noexcept : scale_(scale) {}

  void restart() noexcept { start_ = std::chrono::steady_clock::now(); }
  [[nodiscard]] double scale() const noexcept { return scale_; }

  /// From here on: `offset` is the scenario's time since the start.
  [[nodiscard]] duration now() const noexcept { return offset(std::chrono::steady_clock::now()); }
  [[nodiscard]] duration offset(time_point t) const noexcept { return in_scenario(elapsed(start_, t)); }
  [[nodiscard]] time_point at(duration offset) const noexcept { return later(start_, on_wall(offset)); }

  /// How long something takes in the scenario, on the wall.
  [[nodiscard]] duration in_scenario(duration wall) const noexcept { return times(wall, scale_); }
  [[nodiscard]] duration on_wall(duration in_scenario) const noexcept { return times(in_scenario, 1 / scale_); }

 private:
  static duration times(duration d, double factor) noexcept {
    const double ns = static_cast<double>(d.count()) * factor;
    if (factor == 1) return d;
    return std::fabs(ns) < 9e18 ? duration{std::llround(ns)} : d;
  }

  double scale_;
  time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace weir::load
