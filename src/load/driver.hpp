#pragma once
/// \file
/// The load driver: sends what a scenario says, when it says so, whatever the server does, and measures from the intended
/// starts.
///
/// ```cpp
/// weir::scenario::parsed file = weir::scenario::parse_file("orders.toml");
/// weir::load::run_result found = weir::load::drive(file.definition, {.capacity_per_s = 14});
/// ```
/// One thread, one event loop. Arrivals come from a plan made of the (scaled) rates alone. Each finds a free VU, the one
/// that was used last, so that warm connections are used again; or a new one up to max_vus; or is dropped and counted. It
/// is never delayed. Latency of a journey's first call counts from its intended start, of later ones from when they were
/// due.

#include "progress.hpp"
#include "run_result.hpp"

#include "scenario/definition.hpp"

#include <functional>
#include <string>

namespace weir::load {

struct drive_options {
  double rate_factor = 1;  ///< > 0; multiplies every arrival rate
  double time_scale =
      1;  ///< > 0; so many times as fast as the scenario says: all times in it, and in what was found, are its own
  double capacity_per_s = 0;  ///< measured just before, on the wall; 0: unknown, no overload summary
  std::string label{};
  std::function<void(const progress&)> on_second{};  ///< called from the event loop: must not block
  bool stop_on_signal = false;                       ///< SIGINT and SIGTERM end the load gracefully, a second one at once
};

/// Blocks until the last journey has ended or was interrupted, graceful_stop after the end of its load. `d.target` must be
/// set. Errors: std::invalid_argument for a target that is none or a factor that is not positive; std::runtime_error for a
/// host name that cannot be resolved. Thread-safety: one run at a time per process, since processor time and descriptors
/// are the process's.
[[nodiscard]] run_result drive(const scenario::definition& d, const drive_options& options = {});

}  // namespace weir::load
