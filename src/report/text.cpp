#include "report/text.hpp"

#include "report/findings.hpp"
#include "report/wording.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <sstream>

namespace weir::report {
namespace {

constexpr std::size_t name_width = 34;

std::string per_second(double count, double seconds) { return seconds > 0 ? number_text(count / seconds) + "/s" : "–"; }

/// "    http_reqs.........................: value": k6's dotted lines.
void line(std::ostream& out, const std::string& name, const std::string& value, std::size_t indent = 4) {
  const std::size_t end = value.find_last_not_of(' ') + 1;
  out << std::string(indent, ' ') << padded(terminal_safe(name), name_width - indent + 4, '.') << ": "
      << value.substr(0, end) << '\n';
}

void heading(std::ostream& out, const char* text) { out << "\n  █ " << text << "\n\n"; }

std::string share_text(std::uint64_t some, std::uint64_t whole) {
  return whole == 0 ? "–" : percent_text(share_of(some, whole));
}

std::string of_whole(std::uint64_t some, std::uint64_t whole) {
  return padded_left(share_text(some, whole), 9) + "  " + std::to_string(some) + " out of " + std::to_string(whole);
}

std::string trend(const latency& of) {
  if (of.empty()) return "no samples";
  std::string text = "avg=" + short_text(of.mean()) + " min=" + duration_text(of.samples.min());
  constexpr std::array<std::pair<const char*, double>, 5> points{
      {{"med", 0.5}, {"p(90)", 0.9}, {"p(95)", 0.95}, {"p(99)", 0.99}, {"p(99.9)", 0.999}}};
  for (const auto& [name, q] : points) text += std::string(" ") + name + "=" + short_text(of.quantile(q));
  text += " max=" + short_text(of.max());
  if (of.censored != 0) text += " (censored, " + percent_text(of.censored_share()) + ")";
  return text;
}

void thresholds(std::ostream& out, const run_result& run) {
  if (run.thresholds.empty()) return;
  heading(out, "THRESHOLDS");
  std::string metric;
  for (const auto& t : run.thresholds) {
    if (t.metric != metric) {
      if (!metric.empty()) out << '\n';
      out << "    " << terminal_safe(t.metric) << '\n';
      metric = t.metric;
    }
    const bool passed = t.passed && t.has_data;
    out << "    " << (passed ? "✓" : "✗") << " '" << terminal_safe(t.expression) << "' " << observed_text(t) << '\n';
  }
}

void total_results(std::ostream& out, const run_result& run, const totals& sum) {
  const double seconds = total_seconds(run);
  heading(out, "TOTAL RESULTS");
  const std::uint64_t checks = sum.checks_passed + sum.checks_failed;
  line(out, "checks_total",
       padded_left(std::to_string(checks), 9) + "  " + per_second(static_cast<double>(checks), seconds));
  line(out, "checks_succeeded", of_whole(sum.checks_passed, checks));
  line(out, "checks_failed", of_whole(sum.checks_failed, checks));

  out << "\n    HTTP  (≥: time-outs are in it, the true value is at least this)\n";
  line(out, "req_total (from intended start)", trend(sum.all));
  for (const auto& step : run.steps) line(out, "{ step:" + step.step + " }", trend(sum_of(step).all), 6);
  line(out, "{ admitted }", trend(sum.admitted), 6);
  line(out, "rejection_duration", trend(sum.rejected));
  for (const auto& step : run.steps) {
    if (step.waits == 0) continue;
    line(out, "wait_duration { step:" + step.step + " }",
         trend({step.waited, 0, {}}) + "; " + std::to_string(step.waited.count()) + " of " + std::to_string(step.waits) +
             " waits ended well, " + std::to_string(step.polls_too_early) + " polls came too early");
  }
  line(out, "http_req_duration (from sending)", trend(sum.request));
  line(out, "{ expected_response:true }", trend({sum.request_expected, 0, {}}), 6);
  line(out, "http_req_failed",
       of_whole(sum.attempts - std::min(sum.attempts, sum.request_expected.count()), sum.attempts) +
           "  as k6 counts: 429 and 503 too; OUTCOMES tells them apart");
  line(out, "http_reqs",
       padded_left(std::to_string(sum.attempts), 9) + "  " + per_second(static_cast<double>(sum.attempts), seconds) + "  " +
           (sum.calls == 0
                ? ""
                : number_text(static_cast<double>(sum.attempts) / static_cast<double>(sum.calls)) + " attempts per call"));

  out << "\n    EXECUTION\n";
  line(out, "dropped_iterations",
       padded_left(std::to_string(run.journeys.dropped), 9) + "  " +
           per_second(static_cast<double>(run.journeys.dropped), measured_seconds(run)));
  line(out, "iteration_duration", trend({run.journey_duration, 0, {}}) + "  (completed ones)");
  line(out, "iterations",
       padded_left(std::to_string(run.journeys.completed), 9) + "  " +
           per_second(static_cast<double>(run.journeys.completed), seconds));
  line(out, "vus", "peak=" + std::to_string(run.vus_peak) + " max=" + std::to_string(run.vus_max));

  out << "\n    NETWORK\n";
  for (const auto& [name, bytes] :
       {std::pair{"data_received", run.bytes_received}, std::pair{"data_sent", run.bytes_sent}}) {
    const auto count = static_cast<double>(bytes);
    line(out, name,
         padded_left(bytes_text(count), 9) + "  " + (seconds > 0 ? bytes_text(count / seconds) + "/s" : std::string("–")));
  }
}

void load_validity(std::ostream& out, const run_result& run) {
  heading(out, "LOAD VALIDITY");
  const auto& j = run.journeys;
  line(out, "journeys",
       "intended " + std::to_string(j.intended) + " = started " + std::to_string(j.started) + " + dropped " +
           std::to_string(j.dropped));
  line(out, "started",
       "completed " + std::to_string(j.completed) + " + failed " + std::to_string(j.failed) + " + interrupted " +
           std::to_string(j.interrupted));
  const auto& g = run.generator;
  const latency lateness{g.lateness, 0, {}};
  line(out, "lateness of starts",
       lateness.empty() ? "no samples"
                        : "p50=" + short_text(lateness.quantile(0.5)) + " p99=" + short_text(lateness.quantile(0.99)) +
                              " max=" + short_text(lateness.max()));
  line(out, "lag of the event loop",
       g.loop_lag.empty() ? "no samples"
                          : "p99=" + duration_text(g.loop_lag.quantile(0.99)) + " max=" + duration_text(g.loop_lag.max()));
  line(out, "ports",
       std::to_string(g.connections_opened) + " connections opened, at most " +
           std::to_string(g.connections_per_minute_peak) + " in 60 s; " + std::to_string(g.ports_available) +
           " ports available");
  line(out, "descriptors", "peak " + std::to_string(g.descriptors_peak) + " of " + std::to_string(g.descriptors_limit));
  line(out, "own CPU",
       "mean " + percent_text(g.own_cpu_share) + ", worst second " + percent_text(g.own_cpu_peak) + " of one core");
  for (const auto& [error, count] : g.own_errors)
    line(out, "own error", terminal_safe(error) + ": " + std::to_string(count));
  if (g.valid) {
    out << "\n    VALID: the generator kept up; the numbers are the server's.\n";
    return;
  }
  out << "\n    INVALID: the generator did not keep up; the numbers say nothing about the server.\n";
  for (const auto& reason : g.reasons) out << "      - " << terminal_safe(reason) << '\n';
}

const char* meaning(verdict v) {
  switch (v) {
    case verdict::good: return "as expected, within the SLO";
    case verdict::slow: return "as expected, too late";
    case verdict::rejected: return "429 or 503: refused in order, not failed";
    case verdict::timeout: return "no answer in time";
    case verdict::error: return "other status, or a check failed";
    case verdict::broken: return "refused connection, reset, unreadable answer";
  }
  return "";
}

void outcomes(std::ostream& out, const run_result& run, const totals& sum) {
  heading(out, "OUTCOMES (of calls)");
  for (std::size_t i = 0; i < load::verdict_count; ++i) {
    const auto v = static_cast<verdict>(i);
    line(out, to_string(v), padded(of_whole(sum.of(v), sum.calls), 36) + meaning(v));
  }
  std::map<std::string, std::uint64_t> causes;
  std::map<unsigned, std::uint64_t> statuses;
  for (const auto& step : run.steps) {
    for (const auto& [cause, count] : step.failures) causes[cause] += count;
    for (const auto& [status, count] : step.statuses) statuses[status] += count;
  }
  std::string text;
  for (const auto& [status, count] : statuses) text += std::to_string(status) + ": " + std::to_string(count) + "  ";
  if (!text.empty()) line(out, "statuses (attempts)", text);
  text.clear();
  for (const auto& [cause, count] : causes) text += terminal_safe(cause) + ": " + std::to_string(count) + "  ";
  if (!text.empty()) line(out, "no answer (attempts)", text);
}

void success(std::ostream& out, const run_result& run, const totals& sum) {
  heading(out, "SUCCESS (each hides what the next one shows)");
  const auto ratio = [](double value, std::uint64_t of) { return padded_left(of == 0 ? "–" : percent_text(value), 9); };
  line(out, "per request",
       ratio(load::request_success(run), sum.attempts) + "  answers as expected, of all " + std::to_string(sum.attempts) +
           " requests sent");
  line(out, "per started journey",
       ratio(load::started_success(run), run.journeys.started) + "  journeys completed, of the " +
           std::to_string(run.journeys.started) + " that started");
  line(out, "per intended journey",
       ratio(load::intended_success(run), run.journeys.intended) + "  journeys completed, of the " +
           std::to_string(run.journeys.intended) + " that users wanted to start");
}

void funnel(std::ostream& out, const run_result& run) {
  if (run.steps.empty()) return;
  heading(out, "FUNNEL");
  std::size_t width = 4;
  for (const auto& step : run.steps) width = std::max(width, display_width(step.journey) + 3 + display_width(step.step));
  out << "    " << padded("step", width) << padded_left("reached", 10) << padded_left("ok", 10)
      << padded_left("of reached", 12) << padded_left("of intended", 13) << '\n';
  for (const auto& step : run.steps) {
    const auto [reached, ok] = funnel_of(step);
    out << "    " << padded(terminal_safe(step.journey) + " / " + terminal_safe(step.step), width)
        << padded_left(std::to_string(reached), 10) << padded_left(std::to_string(ok), 10)
        << padded_left(share_text(ok, reached), 12) << padded_left(share_text(ok, run.journeys.intended), 13) << '\n';
  }
}

void capacity(std::ostream& out, const run_result& run) {
  heading(out, "CAPACITY");
  const double seconds = measured_seconds(run);
  const auto rate = [&](std::uint64_t count) { return seconds > 0 ? static_cast<double>(count) / seconds : 0.0; };
  line(out, "λ, journeys",
       "intended " + number_text(rate(run.journeys.intended)) + "/s, started " + number_text(rate(run.journeys.started)) +
           "/s, mean over the measured part");
  const double in_flight = mean_in_flight(run);
  const double started = rate(run.journeys.started);
  line(out, "L, journeys in flight",
       "mean " + number_text(in_flight) + ", peak " + std::to_string(peak_in_flight(run)) +
           (started > 0 ? "; by Little's law a journey spent " + number_text(in_flight / started) + " s" : std::string()));
  const auto& over = run.overload;
  line(out, "capacity of the server",
       over.capacity_per_s > 0 ? number_text(over.capacity_per_s) + "/s, measured before the run" : "not measured");
  if (over.overloaded_seconds.empty()) {
    line(out, "overload",
         over.capacity_per_s > 0 ? "none: never more intended than the capacity" : "unknown, as the capacity is");
    return;
  }
  const std::string within = run.slo > duration{} ? "within " + duration_text(run.slo) : "as expected";
  line(out, "goodput in overload",
       number_text(over.goodput_per_s) + "/s " + within + ", mean of " + std::to_string(over.overloaded_seconds.size()) +
           " seconds; worst 5 s: " + number_text(over.worst_5s_goodput_per_s) + "/s");
  line(out, "recovery",
       over.recovered_after_s ? number_text(*over.recovered_after_s) + " s after the peak"
                              : std::string("not within the run"));
}

}  // namespace

std::string text_summary(const load::run_result& run) {
  std::ostringstream out;
  out << "\n  scenario: " << terminal_safe(run.scenario) << "   run: " << terminal_safe(label_of(run))
      << "   target: " << terminal_safe(run.target) << "\n  started: " << terminal_safe(run.started_at)
      << "   seed: " << run.seed << "   arrivals: " << terminal_safe(run.arrivals)
      << "   rate factor: " << number_text(run.rate_factor) << "   length: " << duration_text(run.length);
  if (run.time_scale != 1) out << "   time scale: " << number_text(run.time_scale) << " (all times are the scenario's)";
  if (run.warmup > duration{}) out << " (the first " << duration_text(run.warmup) << " warm up and do not count)";
  out << '\n';
  const totals sum = sum_of_steps(run);
  thresholds(out, run);
  total_results(out, run, sum);
  load_validity(out, run);
  outcomes(out, run, sum);
  success(out, run, sum);
  funnel(out, run);
  capacity(out, run);
  out << '\n';
  return std::move(out).str();
}

}  // namespace weir::report
