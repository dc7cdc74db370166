#pragma once
/// \file
/// Compares what a run found with the scenario's thresholds.

#include "run_result.hpp"

#include "scenario/definition.hpp"

namespace weir::load {

/// In the order of the file. Durations are milliseconds; a threshold that nothing was measured for has not passed.
[[nodiscard]] std::vector<threshold_result> evaluate_thresholds(const scenario::definition&, const run_result&);

}  // namespace weir::load
