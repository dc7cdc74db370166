#pragma once
/// \file
/// Metrics as data, between what measures them and whatever exposes them (observe/prometheus_collector.hpp).

#include <weir/stats/histogram.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace weir::inline v0 {

enum class metric_type : std::uint8_t { gauge, counter, histogram };

/// One value, or one histogram, with its labels.
struct metric_point {
  std::vector<std::pair<std::string, std::string>> labels;
  double value = 0;  ///< gauge, counter; histogram: the sum

  // Histogram: how many were at most so large, for each bound in ascending order; `count`: all.
  std::uint64_t count = 0;
  std::vector<std::pair<double, std::uint64_t>> buckets{};
};

struct metric_family {
  std::string name;
  std::string help;
  metric_type type = metric_type::gauge;
  std::vector<metric_point> points{};
};

/// A histogram of durations over fixed bounds in seconds, ascending. A recorded value counts below a bound if the middle of
/// its bucket does. `zeros`: that many more of length zero. Errors: std::bad_alloc.
[[nodiscard]] inline metric_point to_metric(const histogram& h, const std::vector<double>& bounds,
                                            std::uint64_t zeros = 0) {
  metric_point p{.labels = {}, .value = std::chrono::duration<double>(h.sum()).count(), .count = h.count() + zeros};
  p.buckets.reserve(bounds.size());
  const auto recorded = h.buckets();
  auto next = recorded.begin();
  std::uint64_t below = zeros;
  for (const double bound : bounds) {
    for (; next != recorded.end(); ++next) {
      const duration middle = next->low + (next->high - next->low) / 2;
      if (std::chrono::duration<double>(middle).count() > bound) break;
      below += next->count;
    }
    p.buckets.emplace_back(bound, below);
  }
  return p;
}

}  // namespace weir::inline v0
