#pragma once
/// \file
/// Runs for tests of the reports: what a driver would find at a server with one FIFO worker, bare or with a bounded queue
/// that refuses the rest at once; and runs of random content. Deterministic per seed. Needs weir_run_result.

#include "load/run_result.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <random>
#include <string>
#include <vector>

namespace weir::testing_support {

/// One worker at 18.4/s behind a load that climbs to 420/s in 30 s and falls back to 9/s for 15 s.
struct synthetic_server {
  bool bounded = false;  ///< refuse what would wait too long
  double capacity_per_s = 18.4;
  double client_timeout_s = 10;
  double longest_wait_s = 0.62;  ///< if bounded
  std::uint64_t seed = 42;
};

namespace detail {

inline duration seconds(double s) { return std::chrono::round<duration>(std::chrono::duration<double>(s)); }

struct synthetic_driver {
  synthetic_server server;
  load::run_result run;
  std::mt19937_64 random{server.seed};
  double worker_free_at = 0;

  double uniform() { return static_cast<double>(random() >> 11U) * 0x1p-53; }
  load::second_result& second(double at) {
    return run.seconds[std::min(run.seconds.size() - 1, static_cast<std::size_t>(std::max(0.0, at)))];
  }

  /// One call of the first step, wanted at `at`: how it ends, and when.
  std::pair<load::verdict, double> call_register(double at) {
    const double wait = std::max(0.0, worker_free_at - at);
    if (server.bounded && wait > server.longest_wait_s) {
      return {load::verdict::rejected, at + 0.0008 * (1 + 1.5 * uniform() + (uniform() < 0.01 ? 4 : 0))};
    }
    const double service = (0.9 + 0.2 * uniform()) / server.capacity_per_s;
    worker_free_at = std::max(worker_free_at, at) + service;  // a bare server works on for clients that have gone
    if (worker_free_at - at > server.client_timeout_s) return {load::verdict::timeout, at + server.client_timeout_s};
    const bool late = worker_free_at - at > 0.8;
    return {late ? load::verdict::slow : load::verdict::good, worker_free_at};
  }

  void journey(double at) {
    run.journeys.intended++;
    run.journeys.started++;
    second(at).intended++;
    second(at).started++;
    run.generator.lateness.record(seconds(0.00005 + 0.0004 * uniform() * uniform()));
    const auto [how, end] = call_register(at);
    record(run.steps[0], how, end - at);
    const auto v = static_cast<std::size_t>(how);
    second(at).by_start[v]++;
    second(end).by_end[v]++;
    const bool answered = how == load::verdict::good || how == load::verdict::slow;
    if (answered) second(end).admitted.record(seconds(end - at));
    if (how == load::verdict::rejected) second(end).rejected.record(seconds(end - at));
    double done = end;
    if (answered) {
      for (std::size_t step : {1U, 2U}) {
        const double took = 0.002 + 0.004 * uniform() * static_cast<double>(step);
        record(run.steps[step], load::verdict::good, took);
        done += took;
      }
      run.journeys.completed++;
      run.journey_duration.record(seconds(done - at));
      second(done).completed++;
    } else {
      run.journeys.failed++;
      second(done).failed++;
    }
    for (double t = std::floor(at) + 1; t <= done; ++t) second(t - 1).in_flight++;
    run.bytes_sent += 412;
    run.bytes_received += answered ? 620 : 180;
  }

  void record(load::step_result& step, load::verdict how, double took) const {
    step.reached++;
    step.attempts++;
    step.verdicts[static_cast<std::size_t>(how)]++;
    step.all.record(seconds(took));
    step.request.record(seconds(took));
    if (how == load::verdict::timeout) {
      step.failures["timed out"]++;
      step.censored++;
      step.censored_at = seconds(server.client_timeout_s);
      step.checks_failed++;
    } else if (how == load::verdict::rejected) {
      step.statuses[503]++;
      step.rejected.record(seconds(took));
      step.checks_failed++;
    } else {
      step.statuses[201]++;
      step.admitted.record(seconds(took));
      step.request_expected.record(seconds(took));
      step.checks_passed++;
    }
  }

  void summarise_overload(double peak_ends) {
    auto& over = run.overload;
    over.capacity_per_s = server.capacity_per_s;
    over.peak_end_s = peak_ends;
    std::vector<double> good;
    for (std::uint32_t s = 0; s < run.seconds.size(); ++s) {
      if (static_cast<double>(run.seconds[s].intended) <= server.capacity_per_s || s >= peak_ends) continue;
      over.overloaded_seconds.push_back(s);
      good.push_back(static_cast<double>(run.seconds[s].by_end[0]));
      over.goodput_per_s += good.back();
    }
    over.goodput_per_s /= static_cast<double>(good.size());
    over.worst_5s_goodput_per_s = over.goodput_per_s;
    for (std::size_t i = 0; i + 5 <= good.size(); ++i) {
      double sum = 0;
      for (std::size_t k = i; k < i + 5; ++k) sum += good[k];
      over.worst_5s_goodput_per_s = std::min(over.worst_5s_goodput_per_s, sum / 5);
    }
    for (auto s = static_cast<std::size_t>(peak_ends); s < run.seconds.size(); ++s) {
      const auto& now = run.seconds[s];
      if (now.by_end[2] + now.by_end[3] == 0 && now.admitted.count() > 0 && now.admitted.quantile(0.95) <= run.slo) {
        over.recovered_after_s = static_cast<double>(s) - peak_ends + 1;
        return;
      }
    }
  }
};

}  // namespace detail

inline load::run_result synthetic_run(const synthetic_server& server, const std::string& label) {
  detail::synthetic_driver driver{server, {}, std::mt19937_64{server.seed}};
  load::run_result& run = driver.run;
  run.scenario = "s4-case1";
  run.target = "http://127.0.0.1:8080";
  run.label = label;
  run.seed = server.seed;
  run.rate_factor = server.capacity_per_s / 14;
  run.started_at = "2026-11-20T18:30:00Z";
  run.arrivals = "uniform";
  run.length = std::chrono::seconds{45};
  run.total = std::chrono::seconds{server.bounded ? 46 : 55};
  run.slo = std::chrono::milliseconds{800};
  run.slo_step = "register";
  run.seconds.resize(server.bounded ? 46 : 55);
  for (const char* step : {"register", "charge", "order"}) {
    run.steps.emplace_back();
    run.steps.back().journey = "buy";
    run.steps.back().step = step;
  }
  const std::vector<double> targets{0, 20, 40, 80, 160, 320, 160};
  double due = 0;
  for (double at = 0; at < 45; at += 0.001) {
    const auto stage = static_cast<std::size_t>(at / 5);
    const double rate = stage >= 6 ? server.capacity_per_s / 2
                                   : run.rate_factor * (targets[stage] + (targets[stage + 1] - targets[stage]) *
                                                                             (at / 5 - static_cast<double>(stage)));
    due += rate * 0.001;
    for (; due >= 1; --due) driver.journey(at);
  }
  driver.summarise_overload(30);
  run.vus_max = 8000;
  for (const auto& second : run.seconds) run.vus_peak = std::max(run.vus_peak, second.in_flight);
  run.generator.loop_lag.record(std::chrono::microseconds{90}, 4400);
  run.generator.loop_lag.record(std::chrono::milliseconds{3}, 60);
  run.generator.connections_per_minute_peak = run.vus_peak;
  run.generator.own_cpu_share = 0.18;
  run.generator.own_cpu_peak = 0.41;
  run.generator.connections_opened = run.vus_peak;
  run.generator.ports_available = 28232;
  run.generator.descriptors_peak = run.vus_peak + 24;
  run.generator.descriptors_limit = 65536;
  const double p95 = std::chrono::duration<double, std::milli>(run.steps[0].all.quantile(0.95)).count();
  run.thresholds.push_back({"http_req_duration{step:register}", "p(95)<800", p95, p95 < 800, true});
  const double failed = static_cast<double>(run.steps[0].censored) / static_cast<double>(run.steps[0].reached);
  run.thresholds.push_back({"http_req_failed", "rate<0.02", failed, failed < 0.02, true});
  return run;
}

inline load::run_result synthetic_bare() { return synthetic_run({}, "bare"); }
inline load::run_result synthetic_protected() {
  synthetic_server server;
  server.bounded = true;
  return synthetic_run(server, "behind weir");
}

/// Any content that a file can hold, consistent or not: for round trips.
inline load::run_result random_run(std::uint64_t seed) {
  std::mt19937_64 random{seed};
  const auto below = [&](std::uint64_t end) { return random() % end; };
  const auto count = [&] { return random() >> below(64); };
  const auto real = [&] { return (static_cast<double>(random() >> 11U) * 0x1p-53 - 0.2) * std::pow(10.0, below(9)); };
  const auto text = [&] {
    static const std::vector<std::string> pieces{"a", "</script>", "\"", "é", "≥", "\n", "\\", "{{css}}", " ", "'"};
    std::string out;
    for (std::uint64_t i = below(6); i > 0; --i) out += pieces[below(pieces.size())];
    return out;
  };
  const auto some_time = [&] { return duration{static_cast<duration::rep>(random() >> (1 + below(62)))}; };
  const auto samples = [&] {
    histogram h;
    for (std::uint64_t i = below(3) == 0 ? 0 : below(40); i > 0; --i) h.record(some_time() / 4096, 1 + below(1000));
    return h;
  };
  const auto verdicts = [&] {
    load::verdict_counts counts{};
    for (auto& c : counts) c = count();
    return counts;
  };
  load::run_result run;
  run.scenario = text(), run.target = text(), run.label = text(), run.started_at = text(), run.arrivals = text();
  run.slo_step = text();
  run.seed = random();
  run.rate_factor = real();
  run.time_scale = real();
  run.warmup = some_time(), run.length = some_time(), run.total = some_time(), run.slo = some_time();
  run.journeys = {count(), count(), count(), count(), count(), count()};
  run.journey_duration = samples();
  for (std::uint64_t i = below(4); i > 0; --i) {
    load::step_result s;
    s.journey = text(), s.step = text();
    s.reached = count(), s.attempts = count(), s.verdicts = verdicts();
    for (std::uint64_t k = below(4); k > 0; --k) s.statuses[static_cast<unsigned>(below(1000))] = count();
    for (std::uint64_t k = below(4); k > 0; --k) s.failures[text()] = count();
    s.checks_passed = count(), s.checks_failed = count();
    s.all = samples(), s.admitted = samples(), s.rejected = samples();
    s.censored = count(), s.censored_at = some_time();
    s.request = samples(), s.request_expected = samples();
    s.waits = count(), s.waited = samples(), s.polls_too_early = count();
    run.steps.push_back(std::move(s));
  }
  for (std::uint64_t i = below(8); i > 0; --i) {
    run.seconds.push_back(
        {count(), count(), count(), count(), count(), count(), verdicts(), verdicts(), samples(), samples()});
  }
  for (std::uint64_t i = below(4); i > 0; --i)
    run.thresholds.push_back({text(), text(), real(), below(2) == 0, below(2) == 0});
  run.generator.valid = below(2) == 0;
  for (std::uint64_t i = below(3); i > 0; --i) run.generator.reasons.push_back(text());
  run.generator.lateness = samples();
  run.generator.loop_lag = samples();
  for (std::uint64_t i = below(3); i > 0; --i) run.generator.own_errors[text()] = count();
  run.generator.connections_per_minute_peak = count();
  run.generator.own_cpu_share = real(), run.generator.own_cpu_peak = real();
  run.generator.connections_opened = count(), run.generator.ports_available = count();
  run.generator.descriptors_peak = count(), run.generator.descriptors_limit = count();
  run.overload.capacity_per_s = real(), run.overload.goodput_per_s = real(), run.overload.worst_5s_goodput_per_s = real();
  for (std::uint64_t i = below(5); i > 0; --i)
    run.overload.overloaded_seconds.push_back(static_cast<std::uint32_t>(random()));
  if (below(2) == 0) run.overload.recovered_after_s = real();
  if (below(2) == 0) run.overload.peak_end_s = real();
  run.bytes_sent = count(), run.bytes_received = count(), run.vus_max = count(), run.vus_peak = count();
  return run;
}

}  // namespace weir::testing_support
