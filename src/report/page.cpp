#include "report/page.hpp"

#include "report/findings.hpp"
#include "report/page_parts.hpp"
#include "report/wording.hpp"

#include <algorithm>
#include <stdexcept>

namespace weir::report {

std::string filled(std::string_view page, const std::vector<placeholder>& values) {
  std::string out;
  while (true) {
    const std::size_t open = page.find("{{");
    out += page.substr(0, open);
    if (open == std::string_view::npos) return out;
    const std::size_t close = page.find("}}", open);
    if (close == std::string_view::npos) throw std::logic_error("template: {{ without }}");
    const std::string_view name = page.substr(open + 2, close - open - 2);
    const auto value = std::find_if(values.begin(), values.end(), [&](const placeholder& p) { return p.name == name; });
    if (value == values.end()) throw std::logic_error("template: no value for {{" + std::string(name) + "}}");
    out += value->value;
    page.remove_prefix(close + 2);
  }
}

std::string html(const std::vector<load::run_result>& runs) {
  if (runs.empty() || runs.size() > 2) throw std::invalid_argument("report::html: expects one or two runs");
  std::string title = label_of(runs.front());
  if (runs.size() == 2) title += " and " + label_of(runs.back());
  title += ": " + runs.front().scenario;
  return filled(assets::page_html(), {{"title", html_escaped(title)},
                                      {"css", std::string(assets::page_css())},
                                      {"headline", headline_html(runs)},
                                      {"facts", facts_html(runs)},
                                      {"notices", notices_html(runs)},
                                      {"tiles", tiles_html(runs)},
                                      {"key_table", key_table_html(runs)},
                                      {"outcomes", outcomes_html(runs)},
                                      {"funnel", funnel_html(runs)},
                                      {"thresholds", thresholds_html(runs)},
                                      {"validity", validity_html(runs)},
                                      {"data", script_safe(page_data(runs))},
                                      {"chart_js_license", std::string(assets::chart_js_license())},
                                      {"chart_js", std::string(assets::chart_js())},
                                      {"heatmap_js", std::string(assets::heatmap_js())},
                                      {"page_js", std::string(assets::page_js())}});
}

}  // namespace weir::report
