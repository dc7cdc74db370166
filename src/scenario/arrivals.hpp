#pragma once
/// \file
/// When journeys start: the rate over time as straight lines, its integral and the inverse of that, and the plan of
/// instants drawn from it, evenly or as a Poisson process. Pure arithmetic, made before the first request is sent.
///
/// The i-th uniform arrival lies where the integral of the rate reaches i (k6's rule; i from 1). The Poisson plan puts unit
/// exponential gaps through the same inverse, which is exact for any rate that changes over time (Lewis and Shedler 1979;
/// Cinlar 1975).

#include "definition.hpp"

#include <weir/core/random.hpp>

#include <optional>
#include <vector>

namespace weir::scenario {

/// Journeys per second over the time of one load. Immutable; O(segments) per question.
class rate_profile {
 public:
  /// Of an open-loop load; of others it is empty.
  explicit rate_profile(const load&);

  [[nodiscard]] duration length() const noexcept { return duration{static_cast<duration::rep>(end_s_ * 1e9 + 0.5)}; }
  /// Journeys per second at `t`; at a jump the rate after it; 0 outside of the load.
  [[nodiscard]] double rate_at(duration t) const noexcept;
  /// Journeys expected from the start until `t`.
  [[nodiscard]] double integral(duration t) const noexcept;
  [[nodiscard]] double total() const noexcept { return total_; }
  /// The first instant at which the integral reaches `area`, > 0; nullopt: it never does.
  [[nodiscard]] std::optional<duration> inverse(double area) const noexcept;
  /// The last instant at which the rate exceeds `per_second`; nullopt: it never does.
  [[nodiscard]] std::optional<duration> last_above(double per_second) const noexcept;

 private:
  struct segment {
    double begin_s, length_s, from, to, area_before;
  };
  std::vector<segment> segments_;  // none of them of zero length
  double end_s_ = 0;
  double total_ = 0;
};

/// The intended starts, one after the other, as offsets from the start of the run. A value; deterministic.
class arrival_plan {
 public:
  arrival_plan(rate_profile profile, arrivals kind, random_stream random) noexcept
      : profile_(std::move(profile)), kind_(kind), random_(random) {}

  /// nullopt: no more.
  [[nodiscard]] std::optional<duration> next() noexcept;

 private:
  rate_profile profile_;
  arrivals kind_;
  random_stream random_;
  double area_ = 0;
};

/// VUs that ramping-vus wants at `t`: on the line between the stages' targets, rounded down, as k6 does it.
[[nodiscard]] std::uint64_t vus_at(const load&, duration t) noexcept;

}  // namespace weir::scenario
