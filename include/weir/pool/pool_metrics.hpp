#pragma once
/// \file
/// The metrics of a pool, by name. What each of them tells: docs/pools.md.

#include <weir/pool/pool_snapshot.hpp>
#include <weir/pool/size_advisor.hpp>
#include <weir/stats/metric.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0 {
namespace detail {

class pool_metric_writer {
 public:
  explicit pool_metric_writer(name pool) : pool_(pool.view()) {}

  using label = std::pair<std::string, std::string>;

  void label_pools_with(std::string name) { label_ = std::move(name); }

  pool_metric_writer& family(std::string name, std::string help, metric_type type) {
    out_.push_back({std::move(name), std::move(help), type, {}});
    return *this;
  }
  pool_metric_writer& point(double value, label more = {}) { return add({.labels = {}, .value = value}, std::move(more)); }
  pool_metric_writer& point(std::uint64_t value, label more = {}) {
    return point(static_cast<double>(value), std::move(more));
  }
  pool_metric_writer& add(metric_point p, label more = {}, label most = {}) {
    p.labels.emplace_back(label_, pool_);
    if (!more.first.empty()) p.labels.push_back(std::move(more));
    if (!most.first.empty()) p.labels.push_back(std::move(most));
    out_.back().points.push_back(std::move(p));
    return *this;
  }
  void gauge(std::string name, std::string help, double value) {
    family(std::move(name), std::move(help), metric_type::gauge).point(value);
  }
  void counter(std::string name, std::string help, double value) {
    family(std::move(name), std::move(help), metric_type::counter).point(value);
  }
  [[nodiscard]] std::vector<metric_family> take() && { return std::move(out_); }

 private:
  std::string pool_;
  std::string label_ = "pool";
  std::vector<metric_family> out_;
};

inline const std::vector<double>& wait_bounds() {
  static const std::vector<double> bounds{1e-5, 1e-4, 5e-4, .001, .0025, .005, .01, .025, .05,
                                          .1,   .25,  .5,   1,    2.5,   5,    10,  30};
  return bounds;
}
inline const std::vector<double>& hold_bounds() {
  static const std::vector<double> bounds = [] {
    auto more = wait_bounds();
    more.insert(more.end(), {60, 300});
    return more;
  }();
  return bounds;
}

inline std::pair<std::string, std::string> tenant_label(const pool_tenant& t) {
  return {"tenant", t.is_other ? "other" : std::to_string(t.tenant)};
}

inline void write_counts(pool_metric_writer& out, const pool_snapshot& s, const std::vector<pool_tenant>& tenants) {
  out.family("pool_connections", "Connections by state.", metric_type::gauge);
  const std::pair<const char*, std::uint32_t> states[] = {{"idle", s.now.idle},
                                                          {"in_use", s.now.in_use},
                                                          {"connecting", s.now.connecting},
                                                          {"validating", s.now.validating},
                                                          {"resetting", s.now.resetting},
                                                          {"closing", s.now.closing}};
  for (const auto& [state, n] : states) out.point(std::uint64_t{n}, {"state", state});
  out.gauge("pool_connections_max", "Connections at most, in whatever state.", s.now.max);
  out.gauge("pool_connections_min", "Connections kept without demand.", s.min);
  out.family("pool_waiters", "Callers that wait.", metric_type::gauge);
  if (tenants.empty()) out.point(std::uint64_t{s.now.waiting});
  for (const pool_tenant& t : tenants) out.point(t.waiting, tenant_label(t));
  out.gauge("pool_waiters_max", "Callers that may wait.", s.waiters_max);
  out.gauge("pool_oldest_wait_seconds", "For how long the oldest of them has waited.",
            std::chrono::duration<double>(s.now.oldest_wait).count());
  out.family("pool_acquire_total", "Acquires that have ended, by how.", metric_type::counter);
  const std::pair<const char*, std::uint64_t> results[] = {{"immediate", s.immediate},
                                                           {"waited", s.waited},
                                                           {"timeout", s.timeout + s.expired + s.self_deadlock},
                                                           {"predicted", s.predicted},
                                                           {"queue_full", s.queue_full + s.refused},
                                                           {"codel", s.codel},
                                                           {"quota", s.quota},
                                                           {"backend_down", s.backend_down},
                                                           {"cancelled", s.cancelled},
                                                           {"closed", s.closed_refused + s.suspended}};
  for (const auto& [result, n] : results) out.point(n, {"result", result});
}

inline void write_durations(pool_metric_writer& out, const pool_snapshot& s, const pool_histograms& h,
                            const std::vector<pool_tenant>& tenants) {
  const auto both = [&](const char* name, const char* help, const histogram& ok, const char* otherwise,
                        const histogram& bad) {
    out.family(name, help, metric_type::histogram);
    out.add(to_metric(ok, wait_bounds()), {"outcome", "ok"}).add(to_metric(bad, wait_bounds()), {"outcome", otherwise});
  };
  out.family("pool_wait_seconds", "How long callers waited; who did not have to, for nothing.", metric_type::histogram);
  if (tenants.empty()) {
    out.add(to_metric(h.wait_ok, wait_bounds(), s.immediate), {"outcome", "ok"});
    out.add(to_metric(h.wait_failed, wait_bounds()), {"outcome", "failed"});
  }
  for (const pool_tenant& t : tenants) {
    out.add(to_metric(t.wait_ok, wait_bounds(), t.immediate), {"outcome", "ok"}, tenant_label(t));
    out.add(to_metric(t.wait_failed, wait_bounds()), {"outcome", "failed"}, tenant_label(t));
  }
  out.family("pool_hold_seconds", "How long connections were in use.", metric_type::histogram);
  out.add(to_metric(h.held, hold_bounds()));
  out.family("pool_connect_seconds", "How long attempts to connect took.", metric_type::histogram);
  out.add(to_metric(h.connected, wait_bounds()), {"outcome", "ok"});
  out.add(to_metric(h.connect_failed, wait_bounds()), {"outcome", "error"});
  out.add(to_metric(h.connect_timed_out, wait_bounds()), {"outcome", "timeout"});
  both("pool_validate_seconds", "How long asking a connection whether it is alive took.", h.validated, "error",
       h.not_validated);
  both("pool_reset_seconds", "How long resetting a connection took.", h.was_reset, "error", h.not_reset);
}

inline void write_lives(pool_metric_writer& out, const pool_snapshot& s) {
  out.counter("pool_connections_opened_total", "Connections that were opened.", static_cast<double>(s.opened));
  out.family("pool_connections_closed_total", "Connections that were closed, by why.", metric_type::counter);
  const auto closed_for = [&](close_reason why) { return s.closed_for[static_cast<std::size_t>(why)]; };
  for (std::size_t i = 1; i < close_reason_count; ++i) {
    const auto why = static_cast<close_reason>(i);
    if (why == close_reason::detached) continue;
    // Their user did not want them to come back: opened minus closed is what there is.
    const std::uint64_t more = why == close_reason::discarded ? closed_for(close_reason::detached) : 0;
    out.point(closed_for(why) + more, {"reason", std::string{close_reason_names[i]}});
  }
  out.counter("pool_in_use_seconds_total", "Time integral of connections in use: its rate is their mean number.",
              s.in_use_seconds);
  out.counter("pool_waiter_seconds_total", "Time integral of waiters: its rate is their mean number.", s.waiter_seconds);
  out.counter("pool_expired_handoffs_total", "Connections granted to callers whose time was up: always 0.",
              static_cast<double>(s.expired_handoffs));
  out.counter("pool_leaks_suspected_total", "Connections in use for longer than leak_after.",
              static_cast<double>(s.leaks_suspected));
  out.counter("pool_leaks_returned_total", "Of those, how many came back.", static_cast<double>(s.leaks_returned));
  out.gauge("pool_backend_state", "0 up, 1 degraded, 2 down.", s.now.down ? 2 : s.failing ? 1 : 0);
}

/// As the semantic conventions of OpenTelemetry for database clients name them ("db.client.connection.*", not yet stable),
/// in the form that its rules for Prometheus give them: underscores for dots, a suffix for the unit.
inline void write_otel_names(pool_metric_writer& out, const pool_snapshot& s, const pool_histograms& h) {
  const std::string prefix = "db_client_connection_";
  out.label_pools_with(prefix + "pool_name");
  out.family(prefix + "count", "Connections, idle or used.", metric_type::gauge);
  out.point(std::uint64_t{s.now.idle}, {prefix + "state", "idle"});
  out.point(std::uint64_t{s.now.in_use}, {prefix + "state", "used"});
  out.gauge(prefix + "idle_max", "Idle connections at most.", s.now.max);
  out.gauge(prefix + "idle_min", "Connections kept without demand.", s.min);
  out.gauge(prefix + "max", "Connections at most.", s.now.max);
  out.gauge(prefix + "pending_requests", "Callers that wait.", s.now.waiting);
  out.counter(prefix + "timeouts_total", "Acquires that timed out.", static_cast<double>(s.timeout + s.expired));
  const auto durations = [&](const char* name, const char* help, metric_point p) {
    out.family(prefix + name, help, metric_type::histogram).add(std::move(p));
  };
  durations("create_time_seconds", "How long connecting took.", to_metric(h.connected, wait_bounds()));
  durations("wait_time_seconds", "How long who got a connection waited.", to_metric(h.wait_ok, wait_bounds(), s.immediate));
  durations("use_time_seconds", "How long connections were in use.", to_metric(h.held, hold_bounds()));
}

}  // namespace detail

/// Whether a pool's metrics also come under the names of OpenTelemetry.
enum class otel_names : std::uint8_t { off, on };

/// Of one pool, labelled with its name; where there are tenants, who waits and for how long also with theirs: "other" for
/// those beyond the first 64 that are listed, and for those that are not. Errors: std::bad_alloc.
[[nodiscard]] inline std::vector<metric_family> pool_metrics(const pool_snapshot& s, const pool_histograms& h,
                                                             const pool_advice& advice, otel_names otel = otel_names::off,
                                                             const std::vector<pool_tenant>& tenants = {}) {
  detail::pool_metric_writer out{s.now.name};
  detail::write_counts(out, s, tenants);
  detail::write_durations(out, s, h, tenants);
  detail::write_lives(out, s);
  out.gauge("pool_recommended_size", "What the advisor would set max_size to; 0: unknown.", advice.recommended);
  out.gauge("pool_predicted_wait_seconds", "How long who asked now would wait; 0: not, or unknown.",
            std::chrono::duration<double>(s.predicted_wait).count());
  if (otel == otel_names::on) detail::write_otel_names(out, s, h);
  return std::move(out).take();
}

/// Of a `pool` or `blocking_pool`.
template <class Pool>
  requires requires(const Pool& p) { pool_metrics(p.snapshot(), p.histograms(), p.advice(), {}, p.tenants()); }
[[nodiscard]] std::vector<metric_family> metrics_of(const Pool& pool, otel_names otel = otel_names::off) {
  return pool_metrics(pool.snapshot(), pool.histograms(), pool.advice(), otel, pool.tenants());
}

}  // namespace weir::inline v0
