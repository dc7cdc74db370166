#include "report/findings.hpp"
#include "report/page_parts.hpp"
#include "report/wording.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace weir::report {
namespace {

namespace json = boost::json;

/// Rows of the heatmaps: a tenth of a decade each, row 0 begins at 100 µs.
constexpr int rows_per_decade = 10;
constexpr double first_row_ms = 0.1;
constexpr int max_rows = 8 * rows_per_decade;

double ms(duration d) noexcept { return std::chrono::duration<double, std::milli>(d).count(); }
/// To a hundredth of a percent: the page is for eyes, and every digit is paid for in its size.
double short_number(double value) noexcept {
  if (value == 0 || !std::isfinite(value)) return 0;
  const double unit = std::pow(10.0, std::floor(std::log10(std::fabs(value))) - 4);
  return std::round(value / unit) * unit;
}
json::value number(double value) { return short_number(value); }

template <class Get>
json::array series(const run_result& run, Get get) {
  json::array out;
  out.reserve(run.seconds.size());
  for (const auto& second : run.seconds) out.push_back(json::value(get(second)));
  return out;
}

/// What ended in this second after it was let in, with the time-outs.
latency admitted_in(const load::second_result& second, duration censored_at) {
  latency of{second.admitted, second.by_end[static_cast<std::size_t>(verdict::timeout)], censored_at};
  of.samples.record(censored_at, of.censored);
  return of;
}

json::object percentiles(const std::vector<latency>& by_second) {
  constexpr std::array<std::pair<const char*, double>, 3> points{{{"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}}};
  json::object out;
  for (const auto& [name, q] : points) {
    json::array values;
    for (const auto& of : by_second) values.push_back(of.empty() ? json::value(nullptr) : number(ms(of.quantile(q).value)));
    out[name] = std::move(values);
  }
  // Where even the median is a lower bound, and where only the tail is: the least q (in %) that is censored; 0: none.
  json::array from;
  for (const auto& of : by_second) {
    from.push_back(of.censored == 0 ? 0.0 : std::round(1000 * (1 - of.censored_share())) / 10);
  }
  out["censored_from"] = std::move(from);
  return out;
}

int row_of(duration d) {
  const double value = ms(d);
  if (value <= first_row_ms) return 0;
  return std::min(max_rows - 1, static_cast<int>(std::floor(std::log10(value / first_row_ms) * rows_per_decade)));
}

/// [second, row, count] of every cell that is not empty.
json::array heatmap(const std::vector<latency>& by_second) {
  json::array cells;
  for (std::size_t second = 0; second < by_second.size(); ++second) {
    std::array<std::uint64_t, max_rows> rows{};
    for (const auto& bucket : by_second[second].samples.buckets()) {
      rows[static_cast<std::size_t>(row_of(bucket.low + (bucket.high - bucket.low) / 2))] += bucket.count;
    }
    for (std::size_t row = 0; row < rows.size(); ++row) {
      if (rows[row] != 0) cells.push_back(json::array{second, row, rows[row]});
    }
  }
  return cells;
}

/// [share below in %, ms, is a lower bound]: up to the last percentile that the number of samples supports.
json::array curve(const latency& of) {
  json::array points;
  if (of.empty()) return points;
  constexpr std::array percents{0.0,  5.0,  10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 75.0, 80.0,
                                85.0, 90.0, 92.5, 95.0, 96.0, 97.0, 98.0, 99.0, 99.5, 99.9, 99.99};
  for (const double percent : percents) {
    if (percent > 50 && (1 - percent / 100) * static_cast<double>(of.samples.count()) < 0.999) break;
    const estimate at = of.quantile(percent / 100);
    points.push_back(json::array{percent, short_number(ms(at.value)), at.at_least});
  }
  return points;
}

/// [from, to) of every unbroken stretch of overloaded seconds.
json::array overload_spans(const run_result& run) {
  std::vector<std::uint32_t> seconds = run.overload.overloaded_seconds;
  std::sort(seconds.begin(), seconds.end());
  json::array spans;
  for (std::size_t i = 0; i < seconds.size();) {
    std::size_t end = i + 1;
    while (end < seconds.size() && seconds[end] <= seconds[end - 1] + 1) ++end;
    spans.push_back(json::array{seconds[i], std::uint64_t{seconds[end - 1]} + 1});
    i = end;
  }
  return spans;
}

json::object run_data(const run_result& run) {
  const totals slo = sum_of_slo_step(run);
  const duration censored_at = slo.all.censored_at;
  std::vector<latency> admitted;
  std::vector<latency> rejected;
  for (const auto& second : run.seconds) {
    admitted.push_back(admitted_in(second, censored_at));
    rejected.push_back({second.rejected, 0, {}});
  }
  json::object outcomes;
  for (std::size_t i = 0; i < load::verdict_count; ++i) {
    outcomes[to_string(static_cast<verdict>(i))] = series(run, [i](const auto& s) { return s.by_start[i]; });
  }
  return {{"label", valid_utf8(label_of(run))},
          {"slo_ms", number(ms(run.slo))},
          {"slo_step", valid_utf8(run.slo_step)},
          {"capacity", number(run.overload.capacity_per_s)},
          {"warmup", number(ms(run.warmup) / 1000)},
          {"overload", overload_spans(run)},
          {"censored_at_ms", number(slo.admitted.censored != 0 ? ms(censored_at) : 0)},
          {"intended", series(run, [](const auto& s) { return s.intended; })},
          {"started", series(run, [](const auto& s) { return s.started; })},
          {"goodput", series(run, [](const auto& s) { return s.by_end[static_cast<std::size_t>(verdict::good)]; })},
          {"in_flight", series(run, [](const auto& s) { return s.in_flight; })},
          {"outcomes", std::move(outcomes)},
          {"admitted", percentiles(admitted)},
          {"rejected", percentiles(rejected)},
          {"heatmap", heatmap(admitted)},
          {"curve", curve(slo.admitted)},
          {"rejected_curve", curve(slo.rejected)}};
}

}  // namespace

boost::json::value page_data(const std::vector<load::run_result>& runs) {
  json::array all;
  for (const auto& run : runs) all.push_back(run_data(run));
  return json::object{{"rows_per_decade", rows_per_decade}, {"first_row_ms", first_row_ms}, {"runs", std::move(all)}};
}

std::string script_safe(const boost::json::value& data) {
  std::string out;
  for (const char c : json::serialize(data)) {
    if (c == '<') {
      out += "\\u003c";
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace weir::report
