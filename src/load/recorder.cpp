#include "recorder.hpp"

#include <algorithm>

namespace weir::load {
namespace {

std::size_t second_of(duration at) noexcept {
  return at.count() <= 0 ? 0 : static_cast<std::size_t>(at / std::chrono::seconds{1});
}

std::size_t index(verdict v) noexcept { return static_cast<std::size_t>(v); }

}  // namespace

recorder::recorder(const scenario::definition& d) {
  result_.scenario = d.name;
  result_.target = d.target;
  result_.seed = d.seed;
  result_.warmup = d.warmup;
  if (d.slo) {
    has_slo_ = true;
    result_.slo = d.slo->within;
    result_.slo_step = d.slo->step;
  }
  for (const scenario::journey& j : d.journeys) {
    for (const scenario::step& s : j.steps) {
      step_result step;
      step.journey = j.name;
      step.step = s.name;
      result_.steps.push_back(std::move(step));
    }
  }
}

step_index recorder::first_step(std::string_view journey) const {
  const auto found =
      std::find_if(result_.steps.begin(), result_.steps.end(), [&](const step_result& s) { return s.journey == journey; });
  return static_cast<step_index>(found - result_.steps.begin());
}

bool recorder::under_slo(step_index step) const noexcept {
  return result_.slo_step.empty() || result_.steps[step].step == result_.slo_step;
}

second_result& recorder::second(duration at) {
  const std::size_t i = second_of(at);
  if (result_.seconds.size() <= i) {
    result_.seconds.resize(i + 1);
    left_.resize(i + 1);
  }
  return result_.seconds[i];
}

void recorder::intended(duration at) {
  ++second(at).intended;
  if (at >= result_.warmup) ++result_.journeys.intended;
}

void recorder::dropped(duration at) {
  ++second(at).dropped;
  if (at >= result_.warmup) ++result_.journeys.dropped;
}

void recorder::started(const journey_run& j) {
  ++second(j.started).started;
  ++in_flight_;
  result_.generator.lateness.record(j.started - j.intended);
  if (measured(j)) ++result_.journeys.started;
}

void recorder::leave(duration now) {
  second(now);
  ++left_[second_of(now)];
  --in_flight_;
}

void recorder::completed(const journey_run& j, duration now) {
  leave(now);
  ++second(now).completed;
  if (!measured(j)) return;
  ++result_.journeys.completed;
  result_.journey_duration.record(now - j.intended);
}

void recorder::failed(const journey_run& j, duration now) {
  leave(now);
  ++second(now).failed;
  if (measured(j)) ++result_.journeys.failed;
}

void recorder::interrupted(const journey_run& j, duration now) {
  leave(now);
  if (measured(j)) ++result_.journeys.interrupted;
}

void recorder::call_begun(const journey_run& j, step_index step) {
  if (measured(j)) ++result_.steps[step].reached;
}

void recorder::attempt_ended(const journey_run& j, const attempt_end& a) {
  const duration took = a.end - a.sent;
  const bool refused = a.status == 429 || a.status == 503;
  const bool rejected = refused && !a.expected;
  if (rejected && under_slo(a.step)) second(a.end).rejected.record(took);
  if (!measured(j)) return;
  step_result& step = result_.steps[a.step];
  ++step.attempts;
  if (a.status != 0) {
    ++step.statuses[a.status];
  } else {
    ++step.failures[std::string{a.failure}];
  }
  step.request.record(took);
  if (a.expected) step.request_expected.record(took);
  if (rejected) step.rejected.record(took);
}

void recorder::call_ended(const journey_run& j, const call_end& c, std::uint64_t checks_passed,
                          std::uint64_t checks_failed) {
  const duration latency = c.end - c.due;
  const bool admitted = c.result == verdict::good || c.result == verdict::slow;
  if (under_slo(c.step)) {
    ++second(c.due).by_start[index(c.result)];
    second_result& ended = second(c.end);
    ++ended.by_end[index(c.result)];
    if (admitted) ended.admitted.record(latency);
  }
  if (!measured(j)) return;
  step_result& step = result_.steps[c.step];
  ++step.verdicts[index(c.result)];
  step.all.record(latency);
  if (admitted) step.admitted.record(latency);
  if (c.result == verdict::timeout) {
    step.censored_at = step.censored == 0 ? c.timeout : std::min(step.censored_at, c.timeout);
    ++step.censored;
  }
  step.checks_passed += checks_passed;
  step.checks_failed += checks_failed;
}

void recorder::call_cut(const journey_run& j, step_index step, duration due, duration now) {
  const duration waited = now - due;
  if (judge_expected(step, waited) == verdict::slow) call_ended(j, {step, due, now, verdict::timeout, waited}, 0, 0);
}

void recorder::wait_begun(const journey_run& j, step_index step) {
  if (measured(j)) ++result_.steps[step].waits;
}

void recorder::wait_ended(const journey_run& j, step_index step, duration waited) {
  if (measured(j)) result_.steps[step].waited.record(waited);
}

void recorder::polled_too_early(const journey_run& j, step_index step) {
  if (measured(j)) ++result_.steps[step].polls_too_early;
}

verdict recorder::judge_expected(step_index step, duration latency) const noexcept {
  return has_slo_ && under_slo(step) && latency > result_.slo ? verdict::slow : verdict::good;
}

run_result recorder::finish(duration load_ended, duration total) {
  result_.length = load_ended;
  result_.total = total;
  // Quiet seconds are seconds, too; those that were never reached are not.
  if (const duration last = std::min(load_ended, total); last > duration{0}) second(last - duration{1});
  std::uint64_t running = 0;
  for (std::size_t i = 0; i < result_.seconds.size(); ++i) {
    running += result_.seconds[i].started;
    running -= left_[i];
    result_.seconds[i].in_flight = running;
  }
  return std::move(result_);
}

}  // namespace weir::load
