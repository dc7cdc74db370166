#pragma once
/// \file
/// Goodput in the overload and recovery after it, from the per-second series. Pure arithmetic.
///
/// - *Overloaded* seconds: more journeys were intended in them than the capacity; with an end of the peak given, only those
///   before it.
/// - *Goodput*: good calls of the SLO step, by the second in which they ended.
/// - *Recovered* at k seconds after the end of the peak: the smallest k such that from there to the end of the run
///   (1) in every window of 3 s the 95th percentile of admitted calls is within the SLO,
///   (2) no such window has more than one call that was not served (rejected, timed out, failed), or more than 1 % of them
///       where that is more, and none in which calls wait and nothing ends,
///   (3) fewer than 1 % of all calls were not served, one being allowed.
///   A window, and one stray rejection, because at a few calls per second a single one is 10 % of its second.
///   It must happen before the load ends, otherwise there is nothing that shows it.

#include "run_result.hpp"

#include <optional>

namespace weir::load {

/// `capacity_per_s`: what the server can do, > 0; otherwise the summary is empty. `peak_end`: from the start of the run;
/// nullopt: the end of the last overloaded second.
[[nodiscard]] overload_summary summarise_overload(const run_result&, double capacity_per_s,
                                                  std::optional<duration> peak_end);

}  // namespace weir::load
