#include "report/findings.hpp"

#include "report/wording.hpp"

#include <algorithm>
#include <cmath>

namespace weir::report {
namespace {

constexpr double seconds_of(duration d) noexcept { return std::chrono::duration<double>(d).count(); }

/// Counted into `second_result` number i or later: the warm-up's last, partly measured second is left out.
std::size_t first_measured_second(const run_result& run) noexcept {
  return static_cast<std::size_t>(std::ceil(std::max(0.0, seconds_of(run.warmup))));
}

std::size_t last_measured_second(const run_result& run) noexcept {
  const auto end = static_cast<std::size_t>(std::ceil(std::max(0.0, seconds_of(run.length))));
  return std::min(end, run.seconds.size());
}

}  // namespace

double share_of(std::uint64_t part, std::uint64_t whole) noexcept {
  return whole == 0 ? 0.0 : std::min(1.0, static_cast<double>(part) / static_cast<double>(whole));
}

void latency::merge(const latency& other) {
  if (other.censored != 0) {
    censored_at = censored == 0 ? other.censored_at : std::min(censored_at, other.censored_at);
    censored += other.censored;
  }
  samples.merge(other.samples);
}

double latency::censored_share() const noexcept { return share_of(censored, samples.count()); }

estimate latency::quantile(double q) const {
  const duration value = samples.quantile(q);
  if (censored == 0) return {value, false};
  const double rank = q * static_cast<double>(samples.count());
  const bool among_censored = rank > static_cast<double>(samples.count() - std::min(censored, samples.count()));
  // The histogram rounds within 1 %: a value that near to the time-out may be the time-out.
  const bool near_censored = seconds_of(value) * 1.01 >= seconds_of(censored_at);
  if (!among_censored && !near_censored) return {value, false};
  return {std::max(value, censored_at), true};
}

estimate latency::mean() const { return {samples.mean(), censored != 0}; }

estimate latency::max() const { return {std::max(samples.max(), censored != 0 ? censored_at : duration{}), censored != 0}; }

std::string short_text(estimate e) { return (e.at_least ? "≥" : "") + duration_text(e.value); }

std::string quantile_text(const latency& of, double q) {
  if (of.empty()) return "–";
  const estimate e = of.quantile(q);
  if (!e.at_least) return short_text(e);
  return short_text(e) + " (censored, " + percent_text(of.censored_share()) + ")";
}

totals sum_of(const load::step_result& step) {
  totals sum;
  sum.calls = step.reached;
  sum.attempts = step.attempts;
  sum.checks_passed = step.checks_passed;
  sum.checks_failed = step.checks_failed;
  sum.verdicts = step.verdicts;
  sum.all = {step.all, step.censored, step.censored_at};
  sum.rejected = {step.rejected, 0, {}};
  sum.request = {step.request, std::min(step.censored, step.request.count()), step.censored_at};
  sum.request_expected = step.request_expected;
  sum.admitted = {step.admitted, sum.of(verdict::timeout), step.censored_at};
  if (sum.admitted.censored != 0) sum.admitted.samples.record(step.censored_at, sum.admitted.censored);
  return sum;
}

namespace {

void add(totals& sum, const totals& more) {
  sum.calls += more.calls;
  sum.attempts += more.attempts;
  sum.checks_passed += more.checks_passed;
  sum.checks_failed += more.checks_failed;
  for (std::size_t i = 0; i < load::verdict_count; ++i) sum.verdicts[i] += more.verdicts[i];
  sum.all.merge(more.all);
  sum.admitted.merge(more.admitted);
  sum.rejected.merge(more.rejected);
  sum.request.merge(more.request);
  sum.request_expected.merge(more.request_expected);
}

}  // namespace

totals sum_of_steps(const run_result& run) {
  totals sum;
  for (const auto& step : run.steps) add(sum, sum_of(step));
  return sum;
}

totals sum_of_slo_step(const run_result& run) {
  totals sum;
  bool found = false;
  for (const auto& step : run.steps) {
    if (step.step != run.slo_step) continue;
    add(sum, sum_of(step));
    found = true;
  }
  return found ? sum : sum_of_steps(run);
}

funnel_row funnel_of(const load::step_result& step) noexcept {
  if (step.waits > 0) return {step.waits, step.waited.count()};
  const auto of = [&](verdict v) { return step.verdicts[static_cast<std::size_t>(v)]; };
  return {step.reached, of(verdict::good) + of(verdict::slow)};
}

double measured_seconds(const run_result& run) noexcept { return std::max(0.0, seconds_of(run.length - run.warmup)); }
double total_seconds(const run_result& run) noexcept {
  return std::max(measured_seconds(run), seconds_of(run.total - run.warmup));
}

double mean_in_flight(const run_result& run) noexcept {
  const std::size_t first = first_measured_second(run);
  const std::size_t last = last_measured_second(run);
  if (first >= last) return 0;
  double sum = 0;
  for (std::size_t i = first; i < last; ++i) sum += static_cast<double>(run.seconds[i].in_flight);
  return sum / static_cast<double>(last - first);
}

std::uint64_t peak_in_flight(const run_result& run) noexcept {
  std::uint64_t peak = 0;
  for (const auto& second : run.seconds) peak = std::max(peak, second.in_flight);
  return peak;
}

std::string label_of(const run_result& run) { return run.label.empty() ? "run" : run.label; }

namespace {

key_figure count_figure(std::string label, std::uint64_t value, better direction) {
  return {std::move(label), std::to_string(value), static_cast<double>(value), true, unit::count, direction};
}

key_figure time_figure(std::string label, const latency& of, double q) {
  key_figure figure{std::move(label), quantile_text(of, q), 0, !of.empty(), unit::time, better::lower};
  if (figure.known) {
    figure.value = seconds_of(of.quantile(q).value);
    figure.at_least = of.quantile(q).at_least;
  }
  return figure;
}

key_figure ratio_figure(std::string label, double value, bool known) {
  return {std::move(label), known ? percent_text(value) : "–", value, known, unit::ratio, better::higher};
}

key_figure rate_figure(std::string label, double value, bool known) {
  return {std::move(label), known ? number_text(value) + "/s" : "–", value, known, unit::per_second, better::higher};
}

key_figure recovery_figure(const run_result& run) {
  key_figure figure{"recovered after the peak", "–", 0, false, unit::time, better::lower};
  if (run.overload.recovered_after_s) {
    figure.value = *run.overload.recovered_after_s;
    figure.known = true;
    figure.text = number_text(figure.value) + " s";
  } else if (!run.overload.overloaded_seconds.empty()) {
    figure.text = "not within the run";
  }
  return figure;
}

}  // namespace

std::vector<key_figure> key_figures(const run_result& run) {
  const totals slo = sum_of_slo_step(run);
  const totals sum = sum_of_steps(run);
  const bool overloaded = !run.overload.overloaded_seconds.empty();
  const std::string within = run.slo > duration{} ? " within " + duration_text(run.slo) : " in time";
  std::vector<key_figure> figures{
      count_figure("journeys intended", run.journeys.intended, better::neither),
      count_figure("journeys started", run.journeys.started, better::neither),
      rate_figure("goodput" + within + ", in overload", run.overload.goodput_per_s, overloaded),
      rate_figure("  its worst 5 s", run.overload.worst_5s_goodput_per_s, overloaded),
      time_figure("latency of the admitted, p50", slo.admitted, 0.5),
      time_figure("latency of the admitted, p95", slo.admitted, 0.95),
      time_figure("latency of the admitted, p99", slo.admitted, 0.99),
      count_figure("rejected calls", sum.of(verdict::rejected), better::neither),
      time_figure("time to a rejection, p50", sum.rejected, 0.5),
      time_figure("time to a rejection, p99", sum.rejected, 0.99),
      count_figure("failed calls (not rejected)", sum.failures(), better::lower),
      ratio_figure("success per request", load::request_success(run), sum.attempts != 0),
      ratio_figure("success per started journey", load::started_success(run), run.journeys.started != 0),
      ratio_figure("success per intended journey", load::intended_success(run), run.journeys.intended != 0),
      recovery_figure(run),
  };
  for (auto& figure : figures) {
    if (sum.rejected.empty() && figure.label.starts_with("time to a rejection")) figure.text = "none rejected";
    figure.headline = figure.label.starts_with("goodput") || figure.label == "latency of the admitted, p95" ||
                      figure.label == "time to a rejection, p99" || figure.label == "recovered after the peak";
  }
  return figures;
}

namespace {

/// How many times larger the larger one is; 0 when a difference says more.
double factor_between(const key_figure& a, const key_figure& b) {
  if (a.in == unit::ratio || !(a.value > 0 && b.value > 0)) return 0;
  const double factor = std::max(a.value, b.value) / std::min(a.value, b.value);
  return factor >= 2 ? factor : 0;
}

/// A lower bound can be compared with something below it, and with nothing else.
bool tellable(const key_figure& a, const key_figure& b) {
  if (!a.known || !b.known || (a.at_least && b.at_least)) return false;
  return a.at_least ? b.value <= a.value : b.at_least ? a.value <= b.value : true;
}

std::string amount_text(unit in, double amount) {
  switch (in) {
    case unit::time:
      if (amount > 1e9) return number_text(amount) + "s";  // beyond what `duration` holds
      return duration_text(std::chrono::round<duration>(std::chrono::duration<double>(amount)));
    case unit::ratio: return number_text(amount * 100) + " points";
    case unit::per_second: return number_text(amount) + "/s";
    case unit::count: break;
  }
  return number_text(amount);
}

}  // namespace

std::string delta_text(const key_figure& a, const key_figure& b) {
  if (!tellable(a, b)) return "";
  if (a.text == b.text) return "=";
  const std::string bound = a.at_least || b.at_least ? "≥" : "";
  const bool up = b.value > a.value;
  if (const double factor = factor_between(a, b); factor > 0) return bound + (up ? "×" : "÷") + number_text(factor);
  return bound + (up ? "+" : "-") + amount_text(a.in, std::fabs(b.value - a.value));
}

std::string delta_words(const key_figure& a, const key_figure& b) {
  if (!tellable(a, b)) return "";
  if (a.text == b.text) return "the same";
  const std::string bound = a.at_least || b.at_least ? "at least " : "";
  const bool up = b.value > a.value;
  const bool time = a.in == unit::time;
  if (const double factor = factor_between(a, b); factor > 0) {
    return bound + number_text(factor) + " times " + (time ? (up ? "longer" : "shorter") : (up ? "as much" : "less"));
  }
  return bound + amount_text(a.in, std::fabs(b.value - a.value)) +
         (time ? (up ? " longer" : " shorter") : (up ? " more" : " less"));
}

namespace {

enum class observed_in : std::uint8_t { number, milliseconds, share };

observed_in unit_of(const load::threshold_result& t) {
  const std::string name = t.metric.substr(0, t.metric.find('{'));
  for (const char* times :
       {"http_req_duration", "req_total", "rejection_duration", "iteration_duration", "start_lag", "recovery_time"}) {
    if (name == times) return observed_in::milliseconds;
  }
  for (const char* shares : {"http_req_failed", "checks", "journey_success", "overload_goodput_ratio"}) {
    if (name == shares) return observed_in::share;
  }
  return observed_in::number;
}

}  // namespace

std::string observed_text(const load::threshold_result& t) {
  if (!t.has_data) return "no data: nothing matched";
  switch (unit_of(t)) {
    case observed_in::milliseconds: return number_text(t.observed) + "ms";
    case observed_in::share: return percent_text(t.observed);
    case observed_in::number: break;
  }
  return number_text(t.observed);
}

std::vector<std::string> comparability(const run_result& a, const run_result& b) {
  std::vector<std::string> notes;
  const auto differ = [&](const char* what, const std::string& x, const std::string& y) {
    if (x != y) notes.push_back(std::string(what) + ": '" + terminal_safe(x) + "' and '" + terminal_safe(y) + "'");
  };
  differ("different scenarios", a.scenario, b.scenario);
  differ("different seeds", std::to_string(a.seed), std::to_string(b.seed));
  const auto deviate = [&](const char* what, double x, double y) {
    // Numbers that went through a file may differ in the last digit.
    if (std::fabs(x - y) <= 1e-9 * std::max(std::fabs(x), std::fabs(y))) return;
    notes.push_back(std::string(what) + ": " + number_text(x) + " and " + number_text(y));
  };
  deviate("different rate factors", a.rate_factor, b.rate_factor);
  deviate("different time scales", a.time_scale, b.time_scale);
  differ("different arrivals", a.arrivals, b.arrivals);
  differ("the SLO counts on different steps", a.slo_step, b.slo_step);
  differ("different SLOs", duration_text(a.slo), duration_text(b.slo));
  differ("different lengths", duration_text(a.length), duration_text(b.length));
  const double one = a.overload.capacity_per_s;
  const double other = b.overload.capacity_per_s;
  if ((one > 0) != (other > 0)) {
    notes.push_back("the capacity was measured for only one of them");
  } else if (std::max(one, other) > 1.2 * std::min(one, other)) {
    notes.push_back("different capacities measured before them: " + number_text(one) + "/s and " + number_text(other) +
                    "/s");
  }
  for (const run_result* run : {&a, &b}) {
    if (!run->generator.valid) {
      notes.push_back("'" + terminal_safe(label_of(*run)) +
                      "' is INVALID: its load generator could not keep up, so it says nothing about the server");
    }
  }
  return notes;
}

std::string verdict_sentence(const run_result& run) {
  const std::string label = label_of(run);
  if (!run.generator.valid) return label + ": INVALID, the load generator itself could not keep up.";
  const auto& over = run.overload;
  if (over.overloaded_seconds.empty()) {
    if (run.journeys.intended == 0) return label + ": nobody came.";
    // Without a step to measure by, good calls are no users: a journey has several.
    if (run.slo_step.empty()) return label + ": " + percent_text(load::intended_success(run)) + " of journeys completed.";
    return label + ": " + percent_text(share_of(sum_of_slo_step(run).of(verdict::good), run.journeys.intended)) +
           " of users served in time.";
  }
  std::string sentence = label + ": " + number_text(over.goodput_per_s) + "/s served in time";
  const double of_capacity = over.capacity_per_s > 0 ? over.goodput_per_s / over.capacity_per_s : 0;
  if (of_capacity > 1.1) {
    sentence += ", more than the " + number_text(over.capacity_per_s) + "/s measured as its capacity";
  } else if (over.capacity_per_s > 0) {
    // Whole percents: a sentence, not a table.
    sentence += ", " + percent_text(std::round(of_capacity * 100) / 100) + " of what the machine can do";
  }
  const bool steady = over.worst_5s_goodput_per_s >= 0.9 * over.goodput_per_s && over.goodput_per_s > 0;
  return sentence + (steady && (over.capacity_per_s <= 0 || of_capacity >= 0.8) ? ", steadily." : ".");
}

}  // namespace weir::report
