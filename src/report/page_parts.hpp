#pragma once
/// \file
/// Private to the page: what its template is filled with.

#include "load/run_result.hpp"

#include <boost/json/value.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace weir::report {

/// What the page's scripts draw: series by second, cells of the heatmaps, percentile curves. Times in milliseconds.
[[nodiscard]] boost::json::value page_data(const std::vector<load::run_result>& runs);
/// For a <script> element: no '<' is left that could end it or begin a comment in it.
[[nodiscard]] std::string script_safe(const boost::json::value&);

// Pieces of HTML, everything in them escaped.
[[nodiscard]] std::string headline_html(const std::vector<load::run_result>& runs);
[[nodiscard]] std::string facts_html(const std::vector<load::run_result>& runs);
[[nodiscard]] std::string notices_html(const std::vector<load::run_result>& runs);
[[nodiscard]] std::string tiles_html(const std::vector<load::run_result>& runs);
[[nodiscard]] std::string key_table_html(const std::vector<load::run_result>& runs);
[[nodiscard]] std::string funnel_html(const std::vector<load::run_result>& runs);
[[nodiscard]] std::string thresholds_html(const std::vector<load::run_result>& runs);
[[nodiscard]] std::string outcomes_html(const std::vector<load::run_result>& runs);
[[nodiscard]] std::string validity_html(const std::vector<load::run_result>& runs);

/// `page` with every {{name}} replaced by its value; values are not searched again. Throws std::logic_error on a name
/// without a value.
struct placeholder {
  std::string_view name;
  std::string value;
};
[[nodiscard]] std::string filled(std::string_view page, const std::vector<placeholder>& values);

/// The files in assets/, compiled in.
namespace assets {
std::string_view page_html() noexcept;
std::string_view page_css() noexcept;
std::string_view page_js() noexcept;
std::string_view heatmap_js() noexcept;
std::string_view chart_js() noexcept;
std::string_view chart_js_license() noexcept;
}  // namespace assets

}  // namespace weir::report
