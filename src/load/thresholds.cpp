#include "thresholds.hpp"

#include <algorithm>
#include <optional>
#include <span>

namespace weir::load {
namespace {

using scenario::statistic;
using scenario::threshold;

constexpr auto good = static_cast<std::size_t>(verdict::good);

double milliseconds(duration d) noexcept { return static_cast<double>(d.count()) * 1e-6; }

struct fraction {
  std::uint64_t part, whole;
};

std::optional<double> of_trend(const histogram& h, const threshold& t) {
  if (h.empty()) return std::nullopt;
  switch (t.statistic) {
    case statistic::quantile: return milliseconds(h.quantile(t.quantile));
    case statistic::med: return milliseconds(h.quantile(0.5));
    case statistic::avg: return milliseconds(h.mean());
    case statistic::min: return milliseconds(h.min());
    case statistic::max: return milliseconds(h.max());
    default: return std::nullopt;
  }
}

std::optional<double> of_rate(fraction f) {
  if (f.whole == 0) return std::nullopt;
  return static_cast<double>(f.part) / static_cast<double>(f.whole);
}

bool holds(double observed, const threshold& t) noexcept {
  using c = scenario::comparison;
  switch (t.comparison) {
    case c::less: return observed < t.bound;
    case c::less_equal: return observed <= t.bound;
    case c::greater: return observed > t.bound;
    case c::greater_equal: return observed >= t.bound;
    case c::equal: return observed == t.bound;
    case c::not_equal: return observed != t.bound;
  }
  return false;
}

class evaluator {
 public:
  evaluator(const scenario::definition& d, const run_result& r) : definition_(d), run_(r) {}

  [[nodiscard]] std::optional<double> observe(const threshold& t) const {
    if (const auto trend = trend_of(t)) return of_trend(*trend, t);
    if (t.metric == "http_req_failed") return of_rate(failed_requests(t));
    if (t.metric == "checks") return of_rate(checks(t));
    if (t.metric == "journey_success") return of_rate({run_.journeys.completed, run_.journeys.intended});
    if (t.metric == "retry_amplification") {
      return of_rate({sum(t, [](const step_result& s) { return s.attempts; }),
                      sum(t, [](const step_result& s) { return s.reached; })});
    }
    const overload_summary& o = run_.overload;
    if (t.metric == "vus_max") return static_cast<double>(run_.vus_peak);
    if (t.metric == "recovery_time") return o.recovered_after_s ? std::optional{*o.recovered_after_s * 1e3} : std::nullopt;
    if (t.metric.starts_with("overload_goodput")) {
      if (o.overloaded_seconds.empty()) return std::nullopt;
      return o.worst_5s_goodput_per_s / (t.metric == "overload_goodput" ? 1.0 : o.capacity_per_s);
    }
    const auto n = static_cast<double>(counter_of(t));
    if (t.statistic == statistic::count) return n;
    const double seconds = std::chrono::duration<double>{run_.total - run_.warmup}.count();
    return seconds > 0 ? std::optional{n / seconds} : std::nullopt;
  }

 private:
  /// Whether the tags of `t` select this step.
  [[nodiscard]] bool selects(const threshold& t, const step_result& s) const {
    return std::all_of(t.tags.begin(), t.tags.end(), [&](const auto& tag) {
      const auto& [key, value] = tag;
      if (key == "expected_response") return true;
      if (key == "step") return s.step == value;
      if (key == "journey") return s.journey == value;
      const scenario::journey* journey = definition_.find_journey(s.journey);
      if (journey == nullptr) return false;
      return std::any_of(journey->steps.begin(), journey->steps.end(), [&](const scenario::step& step) {
        const auto found = step.tags.find(key);
        return step.name == s.step && found != step.tags.end() && found->second == value;
      });
    });
  }

  template <class Get>
  [[nodiscard]] std::uint64_t sum(const threshold& t, Get get) const {
    std::uint64_t total = 0;
    for (const step_result& s : run_.steps) {
      if (selects(t, s)) total += get(s);
    }
    return total;
  }

  [[nodiscard]] histogram merged(const threshold& t, histogram step_result::* part) const {
    histogram out;
    for (const step_result& s : run_.steps) {
      if (selects(t, s)) out.merge(s.*part);
    }
    return out;
  }

  [[nodiscard]] std::optional<histogram> trend_of(const threshold& t) const {
    const bool expected = t.tags.contains("expected_response");
    if (t.metric == "http_req_duration") {
      return merged(t, expected ? &step_result::request_expected : &step_result::request);
    }
    if (t.metric == "req_total") return merged(t, expected ? &step_result::admitted : &step_result::all);
    if (t.metric == "rejection_duration") return merged(t, &step_result::rejected);
    if (t.metric == "wait_duration") return merged(t, &step_result::waited);
    if (t.metric == "iteration_duration") return run_.journey_duration;
    if (t.metric == "start_lag") return run_.generator.lateness;
    return std::nullopt;
  }

  [[nodiscard]] fraction failed_requests(const threshold& t) const {
    const std::uint64_t attempts = sum(t, [](const step_result& s) { return s.attempts; });
    return {attempts - sum(t, [](const step_result& s) { return s.request_expected.count(); }), attempts};
  }

  [[nodiscard]] fraction checks(const threshold& t) const {
    const std::uint64_t passed = sum(t, [](const step_result& s) { return s.checks_passed; });
    return {passed, passed + sum(t, [](const step_result& s) { return s.checks_failed; })};
  }

  [[nodiscard]] std::uint64_t counter_of(const threshold& t) const {
    if (t.metric == "http_reqs") return sum(t, [](const step_result& s) { return s.attempts; });
    if (t.metric == "polls_too_early") return sum(t, [](const step_result& s) { return s.polls_too_early; });
    if (t.metric == "goodput") {
      const bool own_step = t.tags.empty() && !run_.slo_step.empty();
      return sum(t, [&](const step_result& s) { return own_step && s.step != run_.slo_step ? 0 : s.verdicts[good]; });
    }
    if (t.metric == "iterations") return run_.journeys.completed;
    if (t.metric == "iterations_intended") return run_.journeys.intended;
    if (t.metric == "iterations_started") return run_.journeys.started;
    if (t.metric == "dropped_iterations") return run_.journeys.dropped;
    if (t.metric == "data_sent") return run_.bytes_sent;
    return run_.bytes_received;
  }

  const scenario::definition& definition_;
  const run_result& run_;
};

}  // namespace

std::vector<threshold_result> evaluate_thresholds(const scenario::definition& d, const run_result& r) {
  std::vector<threshold_result> out;
  const evaluator evaluate{d, r};
  for (const threshold& t : d.thresholds) {
    threshold_result result;
    result.metric = t.metric_text;
    result.expression = t.expression;
    const std::optional<double> observed = evaluate.observe(t);
    result.has_data = observed.has_value();
    result.observed = observed.value_or(0);
    result.passed = observed && holds(*observed, t);
    out.push_back(std::move(result));
  }
  return out;
}

}  // namespace weir::load
