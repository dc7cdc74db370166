#pragma once
/// \file
/// Private to the JSON reader and writer: every member of a run, once, under the name it has in the file. An archive is
/// called with (name, member) for each; `ref<T>` is `const T&` for one that writes and `T&` for one that reads. So the two
/// cannot drift apart.

#include "load/run_result.hpp"

namespace weir::report {

template <class Archive, class T>
using member_of = typename Archive::template ref<T>;

template <class Archive>
void fields(Archive& a, member_of<Archive, load::journey_counts> j) {
  a("intended", j.intended);
  a("started", j.started);
  a("dropped", j.dropped);
  a("completed", j.completed);
  a("failed", j.failed);
  a("interrupted", j.interrupted);
}

template <class Archive>
void fields(Archive& a, member_of<Archive, load::step_result> s) {
  a("journey", s.journey);
  a("step", s.step);
  a("reached", s.reached);
  a("attempts", s.attempts);
  a("verdicts", s.verdicts);
  a("statuses", s.statuses);
  a("failures", s.failures);
  a("checks_passed", s.checks_passed);
  a("checks_failed", s.checks_failed);
  a("all", s.all);
  a("admitted", s.admitted);
  a("rejected", s.rejected);
  a("censored", s.censored);
  a("censored_at_ns", s.censored_at);
  a("request", s.request);
  a("request_expected", s.request_expected);
  a("waits", s.waits);
  a("waited", s.waited);
  a("polls_too_early", s.polls_too_early);
}

template <class Archive>
void fields(Archive& a, member_of<Archive, load::second_result> s) {
  a("intended", s.intended);
  a("started", s.started);
  a("dropped", s.dropped);
  a("completed", s.completed);
  a("failed", s.failed);
  a("in_flight", s.in_flight);
  a("by_start", s.by_start);
  a("by_end", s.by_end);
  a("admitted", s.admitted);
  a("rejected", s.rejected);
}

template <class Archive>
void fields(Archive& a, member_of<Archive, load::threshold_result> t) {
  a("metric", t.metric);
  a("expression", t.expression);
  a("observed", t.observed);
  a("passed", t.passed);
  a("has_data", t.has_data);
}

template <class Archive>
void fields(Archive& a, member_of<Archive, load::validity> v) {
  a("valid", v.valid);
  a("reasons", v.reasons);
  a("lateness", v.lateness);
  a("own_cpu_share", v.own_cpu_share);
  a("own_cpu_peak", v.own_cpu_peak);
  a("connections_opened", v.connections_opened);
  a("ports_available", v.ports_available);
  a("descriptors_peak", v.descriptors_peak);
  a("descriptors_limit", v.descriptors_limit);
  a("loop_lag", v.loop_lag);
  a("own_errors", v.own_errors);
  a("connections_per_minute_peak", v.connections_per_minute_peak);
}

template <class Archive>
void fields(Archive& a, member_of<Archive, load::overload_summary> o) {
  a("capacity_per_s", o.capacity_per_s);
  a("overloaded_seconds", o.overloaded_seconds);
  a("goodput_per_s", o.goodput_per_s);
  a("worst_5s_goodput_per_s", o.worst_5s_goodput_per_s);
  a("recovered_after_s", o.recovered_after_s);
  a("peak_end_s", o.peak_end_s);
}

template <class Archive>
void fields(Archive& a, member_of<Archive, load::run_result> r) {
  a("scenario", r.scenario);
  a("target", r.target);
  a("label", r.label);
  a("seed", r.seed);
  a("rate_factor", r.rate_factor);
  a("time_scale", r.time_scale);
  a("started_at", r.started_at);
  a("arrivals", r.arrivals);
  a("warmup_ns", r.warmup);
  a("length_ns", r.length);
  a("total_ns", r.total);
  a("slo_ns", r.slo);
  a("slo_step", r.slo_step);
  a("journeys", r.journeys);
  a("journey_duration", r.journey_duration);
  a("steps", r.steps);
  a("seconds", r.seconds);
  a("thresholds", r.thresholds);
  a("generator", r.generator);
  a("overload", r.overload);
  a("bytes_sent", r.bytes_sent);
  a("bytes_received", r.bytes_received);
  a("vus_max", r.vus_max);
  a("vus_peak", r.vus_peak);
}

}  // namespace weir::report
