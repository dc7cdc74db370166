#include "report/findings.hpp"
#include "report/json.hpp"
#include "report/run_fields.hpp"
#include "report/wording.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

namespace weir::report {
namespace {

namespace json = boost::json;

json::value number(double value) { return std::isfinite(value) ? json::value(value) : json::value(nullptr); }
json::value string(const std::string& text) { return json::value(valid_utf8(text)); }

/// Builds one object of the `weir` part.
class writer {
 public:
  template <class T>
  using ref = const T&;

  template <class T>
  void operator()(std::string_view name, const T& member) {
    object_[name] = written(member);
  }
  [[nodiscard]] json::object take() { return std::move(object_); }

 private:
  static json::value written(std::uint64_t v) { return v; }
  static json::value written(std::uint32_t v) { return std::uint64_t{v}; }
  static json::value written(bool v) { return v; }
  static json::value written(double v) { return number(v); }
  static json::value written(const std::string& v) { return string(v); }
  static json::value written(duration v) { return v.count(); }
  static json::value written(const std::optional<double>& v) { return v ? number(*v) : json::value(nullptr); }

  static json::value written(const load::verdict_counts& counts) {
    json::object out;
    for (std::size_t i = 0; i < counts.size(); ++i) out[to_string(static_cast<verdict>(i))] = counts[i];
    return out;
  }
  static json::value written(const std::map<unsigned, std::uint64_t>& counts) {
    json::object out;
    for (const auto& [key, count] : counts) out[std::to_string(key)] = count;
    return out;
  }
  static json::value written(const std::map<std::string, std::uint64_t>& counts) {
    json::object out;
    for (const auto& [key, count] : counts) out[valid_utf8(key)] = count;
    return out;
  }
  static json::value written(const histogram& h) {
    json::array buckets;
    for (const auto& b : h.buckets()) buckets.push_back(json::array{b.low.count(), b.count});
    return json::object{{"min_ns", h.min().count()},
                        {"max_ns", h.max().count()},
                        {"sum_ns", h.sum().count()},
                        {"buckets", std::move(buckets)}};
  }

  template <class T>
  static json::value written(const std::vector<T>& items) {
    json::array out;
    out.reserve(items.size());
    for (const auto& item : items) out.push_back(written(item));
    return out;
  }
  template <class T>
  static json::value written(const T& structure) {
    writer inner;
    fields(inner, structure);
    return inner.take();
  }

  json::object object_;
};

double ms(duration d) noexcept { return std::chrono::duration<double, std::milli>(d).count(); }

double per_second(double count, double seconds) noexcept { return seconds > 0 ? count / seconds : 0.0; }

/// The `metrics` part, as k6's handleSummary() gives it.
class k6_metrics {
 public:
  void counter(std::string_view name, const char* contains, std::uint64_t count, double seconds) {
    add(name, "counter", contains, {{"count", count}, {"rate", number(per_second(static_cast<double>(count), seconds))}});
  }
  void gauge(std::string_view name, std::uint64_t value) { add(name, "gauge", "default", {{"value", value}}); }
  void rate(std::string_view name, std::uint64_t yes, std::uint64_t of) {
    add(name, "rate", "default", {{"rate", share_of(yes, of)}, {"passes", yes}, {"fails", of - std::min(yes, of)}});
  }
  void trend(std::string_view name, const latency& of) {
    json::object values;
    if (!of.empty()) {
      values = {{"avg", ms(of.mean().value)}, {"min", ms(of.samples.min())}, {"max", ms(of.max().value)}};
      constexpr std::array<std::pair<const char*, double>, 5> points{
          {{"med", 0.5}, {"p(90)", 0.9}, {"p(95)", 0.95}, {"p(99)", 0.99}, {"p(99.9)", 0.999}}};
      for (const auto& [key, q] : points) values[key] = ms(of.quantile(q).value);
    }
    add(name, "trend", "time", std::move(values));
    if (of.censored == 0) return;
    // Beside the values: whoever averages them must be able to see that they are lower bounds.
    metrics_[name].as_object()["censored"] = json::object{
        {"count", of.censored}, {"share", of.censored_share()}, {"values_are_lower_bounds_from_ms", ms(of.censored_at)}};
  }
  void threshold(const load::threshold_result& t) {
    auto* metric = metrics_.if_contains(valid_utf8(t.metric));
    if (metric == nullptr) return;
    auto& thresholds = metric->as_object()["thresholds"];
    if (!thresholds.is_object()) thresholds.emplace_object();
    thresholds.as_object()[valid_utf8(t.expression)] = json::object{{"ok", t.passed && t.has_data}};
  }
  [[nodiscard]] json::object take() { return std::move(metrics_); }

 private:
  void add(std::string_view name, const char* type, const char* contains, json::object values) {
    metrics_[name] = json::object{{"type", type}, {"contains", contains}, {"values", std::move(values)}};
  }

  json::object metrics_;
};

json::object metrics_of(const run_result& run) {
  k6_metrics out;
  const totals sum = sum_of_steps(run);
  const double total = total_seconds(run);
  const double offered = measured_seconds(run);
  out.rate("checks", sum.checks_passed, sum.checks_passed + sum.checks_failed);
  out.counter("data_received", "data", run.bytes_received, total);
  out.counter("data_sent", "data", run.bytes_sent, total);
  out.counter("http_reqs", "default", sum.attempts, total);
  out.rate("http_req_failed", sum.attempts - std::min(sum.attempts, sum.request_expected.count()), sum.attempts);
  out.trend("http_req_duration", sum.request);
  out.trend("http_req_duration{expected_response:true}", {sum.request_expected, 0, {}});
  out.trend("req_total", sum.all);
  out.trend("req_total{outcome:admitted}", sum.admitted);
  out.trend("rejection_duration", sum.rejected);
  histogram waited;
  std::uint64_t polls_too_early = 0;
  for (const auto& step : run.steps) {
    waited.merge(step.waited);
    polls_too_early += step.polls_too_early;
  }
  out.trend("wait_duration", {waited, 0, {}});
  out.counter("polls_too_early", "default", polls_too_early, total);
  std::map<std::string, std::pair<latency, latency>> by_step;  // journeys may share the name of a step
  for (const auto& step : run.steps) {
    auto& [request, all] = by_step[valid_utf8(step.step)];
    request.merge(sum_of(step).request);
    all.merge(sum_of(step).all);
  }
  for (const auto& [step, of] : by_step) {
    out.trend("http_req_duration{step:" + step + "}", of.first);
    out.trend("req_total{step:" + step + "}", of.second);
  }
  out.counter("iterations", "default", run.journeys.completed, total);
  out.counter("iterations_intended", "default", run.journeys.intended, offered);
  out.counter("iterations_started", "default", run.journeys.started, offered);
  out.counter("dropped_iterations", "default", run.journeys.dropped, offered);
  out.trend("iteration_duration", {run.journey_duration, 0, {}});
  out.rate("journey_success", run.journeys.completed, run.journeys.intended);
  out.gauge("vus_max", run.vus_max);
  out.gauge("vus", run.vus_peak);
  for (const auto& t : run.thresholds) out.threshold(t);
  return out.take();
}

json::object thresholds_of(const run_result& run) {
  json::object out;
  for (const auto& t : run.thresholds) {
    auto& of_metric = out[valid_utf8(t.metric)];
    if (!of_metric.is_object()) of_metric.emplace_object();
    of_metric.as_object()[valid_utf8(t.expression)] =
        json::object{{"ok", t.passed && t.has_data}, {"observed", number(t.observed)}, {"has_data", t.has_data}};
  }
  return out;
}

}  // namespace

boost::json::value to_json(const load::run_result& run) {
  writer all;
  all("version", std::uint64_t{json_version});
  fields(all, run);
  return json::object{{"metrics", metrics_of(run)},
                      {"thresholds", thresholds_of(run)},
                      {"state", json::object{{"testRunDurationMs", ms(run.total)}}},
                      {"weir", all.take()}};
}

}  // namespace weir::report
