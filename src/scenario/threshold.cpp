#include "threshold.hpp"

#include "suggestion.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace weir::scenario {
namespace {

using enum metric_kind;

constexpr metric_info all_metrics[] = {
    {"http_req_duration", trend, true, true, "of each request, from its sending to its last byte"},
    {"req_total", trend, true, true, "of each call, from its intended start to its last byte, retries included"},
    {"rejection_duration", trend, true, false, "of each answer 429 or 503, from the sending of its request"},
    {"wait_duration", trend, true, false,
     "of each wait of a step that polls: from its first poll to the answer that ends it well"},
    {"iteration_duration", trend, false, false, "of each completed journey"},
    {"start_lag", trend, false, false, "actual minus intended start of journeys: the generator's own lateness"},
    {"http_req_failed", rate, true, false, "requests not answered as expected, of all"},
    {"checks", rate, true, false, "checks that held, of all; the expected status is one of them"},
    {"journey_success", rate, false, false, "completed journeys, of intended ones"},
    {"http_reqs", counter, true, false, "requests, retries included"},
    {"polls_too_early", counter, true, false, "polls answered 429"},
    {"goodput", counter, true, false, "calls answered as expected within the SLO"},
    {"iterations", counter, false, false, "completed journeys"},
    {"iterations_intended", counter, false, false, "journeys that the scenario wanted to start"},
    {"iterations_started", counter, false, false, "journeys that were started"},
    {"dropped_iterations", counter, false, false, "journeys that found no free VU"},
    {"data_sent", counter, false, false, "bytes"},
    {"data_received", counter, false, false, "bytes"},
    {"vus_max", gauge, false, false, "most VUs that were busy at a time"},
    {"retry_amplification", gauge, true, false, "requests per call"},
    {"overload_goodput", gauge, false, false, "per second, in the worst 5 s of overload"},
    {"overload_goodput_ratio", gauge, false, false, "the same, as a share of the capacity"},
    {"recovery_time", gauge, false, false, "from the end of the peak until the service level holds again"},
};

std::string_view trimmed(std::string_view text) noexcept {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

std::string_view statistics_of(metric_kind kind) noexcept {
  switch (kind) {
    case trend: return "p(N) with N from 0 to 100, avg, min, max, med";
    case rate: return "rate";
    case counter: return "count, rate";
    case gauge: return "value";
  }
  return "";
}

std::optional<double> number(std::string_view text) noexcept {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

bool parse_statistic(std::string_view text, metric_kind kind, threshold& out) {
  using s = scenario::statistic;
  if (kind == trend && text.starts_with("p(") && text.ends_with(')')) {
    const auto percent = number(trimmed(text.substr(2, text.size() - 3)));
    if (!percent || *percent < 0 || *percent > 100) return false;
    out.statistic = s::quantile;
    out.quantile = *percent / 100;
    return true;
  }
  struct named {
    std::string_view name;
    s statistic;
    bool trend, rate, counter, gauge;
  };
  constexpr named table[] = {{"avg", s::avg, true, false, false, false},    {"min", s::min, true, false, false, false},
                             {"max", s::max, true, false, false, false},    {"med", s::med, true, false, false, false},
                             {"rate", s::rate, false, true, true, false},   {"count", s::count, false, false, true, false},
                             {"value", s::value, false, false, false, true}};
  for (const named& n : table) {
    if (n.name != text) continue;
    out.statistic = n.statistic;
    return (kind == trend && n.trend) || (kind == rate && n.rate) || (kind == counter && n.counter) ||
           (kind == gauge && n.gauge);
  }
  return false;
}

/// "{step:a,class:b}" into the tags; an error message, or nothing.
std::string parse_tags(std::string_view text, const metric_info& metric, threshold& out) {
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view tag = trimmed(text.substr(0, comma));
    text.remove_prefix(std::min(comma + 1, text.size()));
    const std::size_t colon = tag.find(':');
    if (colon == std::string_view::npos || colon == 0 || colon + 1 == tag.size()) {
      return "'" + std::string{tag} + "' is not a tag of the form key:value";
    }
    const std::string key{trimmed(tag.substr(0, colon))};
    const std::string value{trimmed(tag.substr(colon + 1))};
    if (key == "expected_response") {
      if (!metric.expected_response) return "metric '" + std::string{metric.name} + "' has no tag expected_response";
      if (value != "true") return "tag expected_response takes only 'true'";
    } else if (!metric.by_step) {
      return "metric '" + std::string{metric.name} + "' takes no tags";
    }
    out.tags[key] = value;
  }
  return {};
}

}  // namespace

std::span<const metric_info> metrics() noexcept { return all_metrics; }

const metric_info* find_metric(std::string_view name) noexcept {
  const auto* found =
      std::find_if(std::begin(all_metrics), std::end(all_metrics), [&](const metric_info& m) { return m.name == name; });
  return found == std::end(all_metrics) ? nullptr : found;
}

std::variant<threshold, std::string> parse_threshold(std::string_view metric_text, std::string_view expression) {
  threshold out;
  out.metric_text = metric_text;
  out.expression = expression;
  const std::size_t brace = std::min(metric_text.find('{'), metric_text.size());
  out.metric = trimmed(metric_text.substr(0, brace));
  const metric_info* metric = find_metric(out.metric);
  if (metric == nullptr) {
    std::vector<std::string_view> names;
    for (const metric_info& m : all_metrics) names.push_back(m.name);
    return "unknown metric '" + out.metric + "'" + suggestion(out.metric, names);
  }
  if (brace < metric_text.size()) {
    if (!metric_text.ends_with('}')) return "'" + out.metric_text + "': '{' without '}' at the end";
    std::string problem = parse_tags(metric_text.substr(brace + 1, metric_text.size() - brace - 2), *metric, out);
    if (!problem.empty()) return problem;
  }

  using c = scenario::comparison;
  constexpr std::pair<std::string_view, c> comparisons[] = {
      {"<=", c::less_equal}, {">=", c::greater_equal}, {"===", c::equal}, {"==", c::equal},
      {"!=", c::not_equal},  {"<", c::less},           {">", c::greater}};
  const std::string quoted = "'" + out.expression + "'";
  const std::size_t at = expression.find_first_of("<>=!");
  if (at == std::string_view::npos) return quoted + " has no comparison; the form is 'p(95)<800'";
  if (!parse_statistic(trimmed(expression.substr(0, at)), metric->kind, out)) {
    return quoted + ": metric '" + out.metric + "' has " + std::string{statistics_of(metric->kind)};
  }
  std::string_view rest = expression.substr(at);
  const auto* found = std::find_if(std::begin(comparisons), std::end(comparisons),
                                   [&](const auto& entry) { return rest.starts_with(entry.first); });
  if (found == std::end(comparisons)) return quoted + ": the comparison must be one of <, <=, >, >=, ==, !=";
  out.comparison = found->second;
  const auto bound = number(trimmed(rest.substr(found->first.size())));
  if (!bound) return quoted + ": a number must stand behind the comparison; durations are milliseconds";
  if (metric->kind == rate && (*bound < 0 || *bound > 1)) return quoted + ": a rate lies between 0 and 1: 1 % is 0.01";
  out.bound = *bound;
  return out;
}

}  // namespace weir::scenario
