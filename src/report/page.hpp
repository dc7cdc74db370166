#pragma once
/// \file
/// The page: one self-contained HTML file about one run, or about two laid over each other (before, after). Nothing is
/// loaded from anywhere; it works from a file:// address. Tables are in the HTML, charts are drawn by the scripts in it.

#include "load/run_result.hpp"

#include <string>
#include <vector>

namespace weir::report {

/// The page about one or two runs, in this order. Throws std::invalid_argument for any other number of runs.
[[nodiscard]] std::string html(const std::vector<load::run_result>& runs);

}  // namespace weir::report
