#pragma once
/// \file
/// Whether the generator itself kept up. A run in which it did not is invalid, whatever the server did.

#include "run_result.hpp"

#include <string>

namespace weir::load {

/// What is still good enough; beyond it a run is invalid.
struct validity_limits {
  duration lateness_p99 = std::chrono::milliseconds{10};  ///< of journeys' starts
  duration loop_lag_p99 = std::chrono::milliseconds{10};  ///< how late an answer may be noticed
  double dropped = 0.001;                                 ///< of the intended journeys
  double cpu = 0.9;                                       ///< of the driver's one core, in its worst second
  double ports = 0.8;                                     ///< of the local ports, within the minute that each stays taken
  double descriptors = 0.95;                              ///< of the limit
};

/// Sets `valid` and `reasons` of run.generator from its numbers and the journeys'. Reasons that are there stay.
void judge_validity(run_result& run, const validity_limits& limits = {});

/// Raises the soft limit of file descriptors to the hard one; returns what is in force then.
std::uint64_t raise_descriptor_limit() noexcept;
/// Descriptors that this process has open now.
[[nodiscard]] std::uint64_t open_descriptors() noexcept;
/// Local ports that the kernel hands out for connections to one address.
[[nodiscard]] std::uint64_t local_ports() noexcept;
/// Processor time of this process, all threads.
[[nodiscard]] duration own_cpu_time() noexcept;

}  // namespace weir::load
