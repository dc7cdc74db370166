#pragma once
/// \file
/// The line that says how a run is going, once a second.

#include <weir/core/time.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace weir::load {

struct progress {
  duration elapsed{};
  std::uint64_t vus_busy = 0, vus_max = 0;
  std::uint64_t completed = 0, dropped = 0;  ///< journeys, since the start
  // Calls of the SLO step that ended in the last whole second:
  double good_per_s = 0;
  double rejected_share = 0;
  std::optional<duration> p95;  ///< of admitted ones; nullopt: there was none
};

/// "running (0m36.3s), 120/2000 VUs, 312 complete, 0 dropped | 14.0/s good, 0.0 % rejected, p95 82ms"
[[nodiscard]] std::string progress_line(const progress&);

}  // namespace weir::load
