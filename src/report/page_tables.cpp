#include "report/findings.hpp"
#include "report/page_parts.hpp"
#include "report/wording.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <set>

namespace weir::report {
namespace {

using runs_t = std::vector<load::run_result>;

std::string element(const std::string& name, const std::string& content, const std::string& attributes = "") {
  return "<" + name + (attributes.empty() ? "" : " " + attributes) + ">" + content + "</" + name + ">";
}

std::string text_cell(const std::string& text) { return element("th", html_escaped(text), "scope=\"row\""); }
std::string number_cell(const std::string& text) { return element("td", html_escaped(text)); }
/// Escaped, and no line may break between a number and its percent sign.
std::string unbroken(const std::string& text) {
  std::string out = html_escaped(text);
  for (std::size_t at = 0; (at = out.find(" %", at)) != std::string::npos; at += 2) out.replace(at, 2, "&nbsp;%");
  return out;
}

/// The colour of run i, where its name or number stands.
std::string chip(std::size_t i) { return "<i class=\"chip run" + std::to_string(i) + "\"></i>"; }

std::string run_header(const runs_t& runs, std::size_t i) {
  return element("th", chip(i) + html_escaped(label_of(runs[i])), "scope=\"col\"");
}

std::string table(const std::string& head, const std::string& body) {
  return "<div class=\"scroll\"><table><thead><tr>" + head + "</tr></thead><tbody>\n" + body + "</tbody></table></div>\n";
}

std::string corner(const std::string& text) { return element("th", html_escaped(text), "scope=\"col\""); }

/// good, bad or nothing: what the change from `a` to `b` is.
std::string change_class(const key_figure& a, const key_figure& b) {
  const std::string change = delta_text(a, b);
  if (change.empty() || change == "=" || a.direction == better::neither) return "";
  const bool improved = (b.value > a.value) == (a.direction == better::higher);
  return improved ? "improved" : "worsened";
}

}  // namespace

std::string headline_html(const runs_t& runs) {
  std::string out;
  for (std::size_t i = 0; i < runs.size(); ++i) out += element("span", chip(i) + unbroken(verdict_sentence(runs[i])));
  return out;
}

std::string facts_html(const runs_t& runs) {
  const load::run_result& run = runs.front();
  std::string out = "Scenario " + element("b", html_escaped(run.scenario)) + ", " +
                    html_escaped(duration_text(run.length)) + " of " + html_escaped(run.arrivals) + " arrivals, rates × " +
                    number_text(run.rate_factor) + ", seed " + std::to_string(run.seed);
  if (run.time_scale != 1) out += ", " + number_text(run.time_scale) + " times as fast, all times are the scenario's";
  if (run.slo > duration{}) {
    out += ". In time: <b>" + html_escaped(run.slo_step) + "</b> within " + html_escaped(duration_text(run.slo)) +
           " of the moment the user wanted it";
  }
  out += ". ";
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const bool valid = runs[i].generator.valid;
    out += element("span",
                   chip(i) + html_escaped(label_of(runs[i])) + ", " + html_escaped(runs[i].started_at) + ": load " +
                       (valid ? "✓ VALID" : "✗ INVALID"),
                   valid ? "class=\"badge\"" : "class=\"badge bad\"");
  }
  return out;
}

std::string notices_html(const runs_t& runs) {
  std::vector<std::string> notes;
  if (runs.size() == 2) {
    notes = comparability(runs[0], runs[1]);
  } else if (!runs[0].generator.valid) {
    notes.push_back("the load generator could not keep up; the numbers say nothing about the server");
  }
  if (notes.empty()) return "";
  std::string items;
  for (const auto& note : notes) items += element("li", html_escaped(note));
  return "<aside class=\"notice\" role=\"note\"><strong>" +
         std::string(runs.size() == 2 ? "These runs are not comparable" : "This run is INVALID") + "</strong><ul>" + items +
         "</ul></aside>";
}

std::string tiles_html(const runs_t& runs) {
  std::vector<std::vector<key_figure>> figures;
  for (const auto& run : runs) figures.push_back(key_figures(run));
  std::string out;
  for (std::size_t row = 0; row < figures[0].size(); ++row) {
    if (!figures[0][row].headline) continue;
    std::string values;
    for (std::size_t i = 0; i < runs.size(); ++i) {
      // The share that is censored stands in the table; the sign is enough here.
      const std::string text = figures[i][row].text;
      values += element("p", chip(i) + html_escaped(text.substr(0, text.find(" (censored"))), "class=\"value\"");
    }
    std::string change;
    if (runs.size() == 2 && comparability(runs[0], runs[1]).empty()) {
      change = element("p", html_escaped(delta_words(figures[0][row], figures[1][row])),
                       "class=\"change " + change_class(figures[0][row], figures[1][row]) + "\"");
    }
    out += element("div", element("h3", html_escaped(figures[0][row].label)) + values + change, "class=\"tile\"") + "\n";
  }
  return out;
}

std::string key_table_html(const runs_t& runs) {
  std::vector<std::vector<key_figure>> figures;
  std::string head = corner("");
  for (std::size_t i = 0; i < runs.size(); ++i) {
    figures.push_back(key_figures(runs[i]));
    head += run_header(runs, i);
  }
  if (runs.size() == 2) head += corner("change");
  std::string body;
  for (std::size_t row = 0; row < figures[0].size(); ++row) {
    std::string cells = text_cell(figures[0][row].label);
    for (const auto& of_run : figures) cells += number_cell(of_run[row].text);
    if (runs.size() == 2) {
      cells += element("td", html_escaped(delta_text(figures[0][row], figures[1][row])),
                       "class=\"" + change_class(figures[0][row], figures[1][row]) + "\"");
    }
    body += element("tr", cells, figures[0][row].headline ? "class=\"headline\"" : "") + "\n";
  }
  return table(head, body);
}

std::string outcomes_html(const runs_t& runs) {
  std::string head = corner("outcome of calls");
  std::vector<totals> sums;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    head += run_header(runs, i);
    sums.push_back(sum_of_steps(runs[i]));
  }
  std::string body;
  for (std::size_t v = 0; v < load::verdict_count; ++v) {
    const std::string name = to_string(static_cast<verdict>(v));
    std::string cells = element("th", "<i class=\"chip outcome-" + name + "\"></i>" + name, "scope=\"row\"");
    for (const auto& sum : sums) {
      cells += number_cell(std::to_string(sum.verdicts[v]) +
                           (sum.calls == 0 ? "" : " · " + percent_text(share_of(sum.verdicts[v], sum.calls))));
    }
    body += element("tr", cells) + "\n";
  }
  return table(head, body);
}

std::string funnel_html(const runs_t& runs) {
  std::string out;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const load::run_result& run = runs[i];
    std::string body;
    const auto bar = [&](const std::string& name, std::uint64_t count, std::uint64_t ok, std::uint64_t whole) {
      char width[32];
      std::snprintf(width, sizeof width, "%.2f%%", 100 * share_of(ok, run.journeys.intended));
      const std::string shown =
          "<div class=\"bar\"><div class=\"run" + std::to_string(i) + "\" style=\"width:" + width + "\"></div></div>";
      body +=
          element("tr",
                  text_cell(name) + number_cell(std::to_string(count)) + number_cell(std::to_string(ok)) +
                      number_cell(whole == 0 ? "–" : percent_text(share_of(ok, whole))) +
                      number_cell(run.journeys.intended == 0 ? "–" : percent_text(share_of(ok, run.journeys.intended))) +
                      element("td", shown)) +
          "\n";
    };
    bar("journeys started", run.journeys.intended, run.journeys.started, run.journeys.intended);
    for (const auto& step : run.steps) {
      const auto [reached, ok] = funnel_of(step);
      bar(step.journey + " / " + step.step, reached, ok, reached);
    }
    bar("journeys completed", run.journeys.started, run.journeys.completed, run.journeys.started);
    out +=
        element("h3", chip(i) + html_escaped(label_of(run))) +
        table(corner("step") + corner("reached") + corner("ok") + corner("of reached") + corner("of intended") + corner(""),
              body);
  }
  return out;
}

std::string thresholds_html(const runs_t& runs) {
  std::vector<std::pair<std::string, std::string>> rows;  // in the order of the first run that has them
  std::vector<std::map<std::pair<std::string, std::string>, const load::threshold_result*>> of_run(runs.size());
  std::set<std::pair<std::string, std::string>> seen;
  std::string head = corner("threshold");
  for (std::size_t i = 0; i < runs.size(); ++i) {
    head += run_header(runs, i);
    for (const auto& t : runs[i].thresholds) {
      const std::pair key{t.metric, t.expression};
      of_run[i][key] = &t;
      if (seen.insert(key).second) rows.push_back(key);
    }
  }
  if (rows.empty()) return "<p>The scenario sets none.</p>";
  std::string body;
  for (const auto& key : rows) {
    std::string cells = text_cell(key.first + ": " + key.second);
    for (const auto& results : of_run) {
      const auto found = results.find(key);
      if (found == results.end()) {
        cells += number_cell("–");
        continue;
      }
      const bool passed = found->second->passed && found->second->has_data;
      cells += element("td", html_escaped((passed ? "✓ " : "✗ ") + observed_text(*found->second)),
                       passed ? "class=\"improved\"" : "class=\"worsened\"");
    }
    body += element("tr", cells) + "\n";
  }
  return table(head, body);
}

std::string validity_html(const runs_t& runs) {
  std::string head = corner("");
  std::vector<std::pair<std::string, std::string>> rows{{"load", ""},
                                                        {"journeys intended", ""},
                                                        {"started", ""},
                                                        {"dropped: no free virtual user", ""},
                                                        {"completed", ""},
                                                        {"failed", ""},
                                                        {"interrupted", ""},
                                                        {"lateness of starts, p99", ""},
                                                        {"lateness, max", ""},
                                                        {"lag of the event loop, p99", ""},
                                                        {"connections opened", ""},
                                                        {"most in 60 s, of ports", ""},
                                                        {"descriptors, peak of limit", ""},
                                                        {"own CPU, mean and worst second", ""}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    head += run_header(runs, i);
    const auto& g = runs[i].generator;
    const auto& j = runs[i].journeys;
    const auto late = [&](double q) { return g.lateness.empty() ? "–" : duration_text(g.lateness.quantile(q)); };
    const std::string values[] = {
        g.valid ? "✓ VALID" : "✗ INVALID",
        std::to_string(j.intended),
        std::to_string(j.started),
        std::to_string(j.dropped),
        std::to_string(j.completed),
        std::to_string(j.failed),
        std::to_string(j.interrupted),
        late(0.99),
        late(1),
        g.loop_lag.empty() ? "–" : duration_text(g.loop_lag.quantile(0.99)),
        std::to_string(g.connections_opened),
        std::to_string(g.connections_per_minute_peak) + " of " + std::to_string(g.ports_available),
        std::to_string(g.descriptors_peak) + " of " + std::to_string(g.descriptors_limit),
        percent_text(g.own_cpu_share) + ", " + percent_text(g.own_cpu_peak) + " of a core"};
    for (std::size_t row = 0; row < rows.size(); ++row) rows[row].second += number_cell(values[row]);
  }
  std::string body;
  for (const auto& [name, cells] : rows) body += element("tr", text_cell(name) + cells) + "\n";
  std::string out = table(head, body);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    std::string items;
    for (const auto& reason : runs[i].generator.reasons) items += element("li", html_escaped(reason));
    for (const auto& [error, count] : runs[i].generator.own_errors) {
      items +=
          element("li", html_escaped("own error, not the server's: " + error + ", " + std::to_string(count) + " times"));
    }
    if (!items.empty()) out += element("p", chip(i) + html_escaped(label_of(runs[i])) + ":") + element("ul", items);
  }
  return out;
}

}  // namespace weir::report
