#pragma once
/// \file
/// Reports for a terminal: the k6-shaped summary of one run and the comparison of two. Plain UTF-8, no colour codes;
/// strings that come from files (labels, names) are stripped of control characters. Thread-safe: pure functions.

#include "load/run_result.hpp"

#include <string>

namespace weir::report {

/// Summary of one run: THRESHOLDS, TOTAL RESULTS, HTTP, EXECUTION, NETWORK in k6's shape, then LOAD VALIDITY, OUTCOMES,
/// SUCCESS, FUNNEL and CAPACITY. Percentiles that reach into censored samples read "≥10s (censored, 37 %)".
[[nodiscard]] std::string text_summary(const load::run_result&);

/// Table of both runs with the difference, `a` first (before), `b` second (after), and a warning if they are not
/// comparable.
[[nodiscard]] std::string compare_text(const load::run_result& a, const load::run_result& b);

}  // namespace weir::report
