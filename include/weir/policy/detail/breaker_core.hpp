#pragma once
/// \file
/// The circuit breaker's state machine: takes the time, returns decisions and events. No clock, lock, log or user code; no
/// allocation after construction. The windows are not its own: results are also recorded into them past it.
///
/// Everything that becomes due by time alone (the end of a lease, of the half-open state, of the ramp) is done by the next
/// operation whatever it is, as of the instant at which it was due: looking more often never changes the outcome.

#include <weir/core/random.hpp>
#include <weir/policy/circuit_breaker_config.hpp>
#include <weir/policy/circuit_breaker_events.hpp>
#include <weir/policy/detail/breaker_decision.hpp>
#include <weir/policy/detail/breaker_windows.hpp>
#include <weir/policy/detail/flight_table.hpp>
#include <weir/policy/detail/gate_word.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace weir::inline v0::detail {

/// Not thread-safe.
class breaker_core {
 public:
  /// Precondition: the configuration is valid, and that of the windows too.
  breaker_core(const circuit_breaker_config& c, breaker_windows& windows, time_point now)
      : config_(c), windows_(windows), flights_(watched(c)), random_(c.seed, c.name) {
    if (c.initial_state == breaker_state::open) {
      open_at(now, std::nullopt);
    } else {
      enter(c.initial_state, now);
    }
  }

  breaker_admission admit(time_point now, breaker_events& out) noexcept {
    settle(now, out);
    switch (state_) {
      case breaker_state::disabled: return {.admitted = true, .generation = generation_};
      case breaker_state::forced_open: return {};
      case breaker_state::open:
        if (now < open_until_) return {.retry_after = open_until_ == never ? duration{} : elapsed(now, open_until_)};
        enter(breaker_state::half_open, now);
        out.push(breaker_event_kind::half_opened, now);
        [[fallthrough]];
      case breaker_state::half_open: {
        if (!probe_free()) {
          const time_point due = half_open_due();
          return {.retry_after = due == never ? duration{} : elapsed(now, due)};
        }
        ++probes_handed_;
        return {.admitted = true, .generation = generation_, .ticket = flights_.insert(now)};
      }
      case breaker_state::closed:
      case breaker_state::metrics_only: break;
    }
    if (!ramp_admits(now)) return {};
    // Beyond the bound calls are not watched: they count when they end.
    const bool watch = flights_.size() < config_.watch_running;
    return {.admitted = true, .generation = generation_, .ticket = watch ? flights_.insert(now) : flight_ticket{}};
  }

  /// False: late, it belongs to an earlier state or to a lease that has ended, and moved nothing.
  bool record(const breaker_result& r, breaker_events& out) noexcept {
    settle(r.now, out);
    judge_next_ |= r.left.has(unfinished::misplaced);
    if (r.generation != generation_) return false;
    if (state_ == breaker_state::half_open) return record_probe(r, out);
    if (flights_.contains(r.ticket)) flights_.erase(r.ticket);
    if (state_ == breaker_state::disabled || r.what == outcome::ignored) return true;
    const bool overload = r.what == outcome::overload && !config_.overload_is_failure;
    windows_.finish(r.left, {.failure = r.what != outcome::success, .slow = is_slow(r.took), .overload = overload}, r.now);
    if (overload) {
      judge_next_ |= config_.over_calls.size > 0;  // it may have taken the place of a call
      if (says_when(r)) open_until_told(r, out);
      return true;
    }
    if (says_when(r)) {
      open_until_told(r, out);
    } else {
      judge(r.now, out);
    }
    return true;
  }

  /// Does what has become due by `now`.
  void settle(time_point now, breaker_events& out) noexcept {
    switch (state_) {
      case breaker_state::half_open: return settle_half_open(now, out);
      case breaker_state::closed:
      case breaker_state::metrics_only: return settle_closed(now, out);
      default: return;
    }
  }

  /// False: refused, nothing changed. See basic_circuit_breaker::set_state.
  bool set_state(breaker_state to, time_point now, breaker_events& out) noexcept {
    settle(now, out);
    const breaker_state from = state_;
    if (from == breaker_state::closed && to == breaker_state::half_open) return false;
    if (from == breaker_state::metrics_only && (to == breaker_state::half_open || to == breaker_state::open)) return false;
    if (to == breaker_state::open) {
      open_at(now, std::nullopt);
    } else {
      if (to == breaker_state::forced_open) count_opening(now);
      if (to == breaker_state::closed) openings_ = 0;
      enter(to, now);
    }
    breaker_event& e = out.push(breaker_event_kind::forced, now);
    e.from = from;
    e.to = to;
    return true;
  }

  /// What a reconfiguration needs to allocate; made before the lock is taken, destroyed after it is released.
  struct replacement {
    replacement(const circuit_breaker_config& c, const breaker_windows& present, time_point now)
        : config(c), windows(present.prepare(c, now)), flights(watched(c)) {}
    circuit_breaker_config config;
    breaker_windows::replacement windows;
    flight_table flights;
  };

  void reconfigure(replacement& r, time_point now, breaker_events& out) noexcept {
    settle(now, out);
    windows_.reshape(config_, r.config, r.windows);
    if (r.flights.capacity() > flights_.capacity()) {
      r.flights.adopt(flights_);
      std::swap(flights_, r.flights);
    }
    std::swap(config_, r.config);
    judge_next_ = true;
    // With fewer decisive probes, those that are back may be enough, and no other may ever come.
    if (state_ == breaker_state::half_open) decide(now, out);
  }

  /// What admission may do without asking.
  [[nodiscard]] gate_word gate() const noexcept {
    switch (state_) {
      case breaker_state::closed:
      case breaker_state::metrics_only:
        return ramping() || config_.watch_running > 0 ? gate_word::ask() : gate_word::admitting(generation_);
      case breaker_state::disabled: return gate_word::admitting(generation_);
      case breaker_state::forced_open: return gate_word::gated_until(never);
      case breaker_state::open: return gate_word::gated_until(open_until_);
      case breaker_state::half_open: break;
    }
    return probe_free() ? gate_word::ask() : gate_word::gated_until(half_open_due());
  }

  /// Whose results may be recorded without asking; none: those of nobody.
  [[nodiscard]] std::optional<std::uint64_t> recorded_unasked() const noexcept {
    const bool simple = state_ == breaker_state::closed || (state_ == breaker_state::metrics_only && !would_open_);
    if (!simple || config_.watch_running > 0 || judge_next_) return std::nullopt;
    return generation_;
  }

  /// Everything but the ledger.
  [[nodiscard]] circuit_breaker_snapshot look(time_point now) const noexcept {
    circuit_breaker_snapshot s;
    s.state = state_;
    s.generation = generation_;
    if (state_ == breaker_state::open) {
      s.probes_due = now >= open_until_;
      if (!s.probes_due) s.until_probe = elapsed(now, open_until_);
    }
    s.admitted_share = ramp_share(now);
    s.trips = trips_;
    s.openings = openings_;
    s.would_trips = would_trips_;
    s.over_time = windows_.over_time(now);
    s.over_calls = windows_.over_calls();
    s.probes = breaker_windows::view(probes_, config_.probes.decide_early ? 1 : decisive());
    s.probes_in_flight = state_ == breaker_state::half_open ? flights_.size() : 0;
    s.probes_expired = probes_expired_;
    s.running_slow = running_slow();
    return s;
  }

  [[nodiscard]] bool measures() const noexcept { return config_.slow_threshold > duration::zero(); }
  /// Calls that took longer are slow. Precondition: measures().
  [[nodiscard]] duration slow_after() const noexcept { return config_.slow_threshold; }

 private:
  // --- what the configuration means

  [[nodiscard]] static std::uint32_t concurrent_probes(const probe_config& p) noexcept {
    return p.max_concurrent == 0 ? p.count : p.max_concurrent;
  }
  [[nodiscard]] static std::uint32_t watched(const circuit_breaker_config& c) noexcept {
    return std::max(concurrent_probes(c.probes), c.watch_running);
  }
  [[nodiscard]] std::uint32_t decisive() const noexcept {
    return config_.probes.decisive == 0 ? config_.probes.count : config_.probes.decisive;
  }
  [[nodiscard]] duration lease() const noexcept {
    if (config_.probes.lease > duration::zero()) return config_.probes.lease;
    if (!measures()) return std::chrono::seconds{10};
    return config_.slow_threshold > duration::max() / 2 ? duration::max() : config_.slow_threshold * 2;
  }
  [[nodiscard]] bool is_slow(duration took) const noexcept { return measures() && took > config_.slow_threshold; }
  [[nodiscard]] bool says_when(const breaker_result& r) const noexcept {
    return r.what == outcome::overload && r.retry_after > duration::zero() &&
           config_.retry_after_limit > duration::zero() && state_ != breaker_state::metrics_only;
  }

  // --- transitions

  void enter(breaker_state to, time_point now) noexcept {
    ++generation_;
    state_ = to;
    entered_ = now;
    flights_.clear();
    ramp_from_ = never;
    would_open_ = false;
    probes_handed_ = 0;
    if (to == breaker_state::open) return;  // keeps the evidence that opened it
    windows_.clear(generation_, now);
    probes_ = {};
    if (to == breaker_state::disabled || to == breaker_state::metrics_only) openings_ = 0;
  }

  void count_opening(time_point now) noexcept {
    if (state_ == breaker_state::closed && elapsed(entered_, now) >= config_.openings_forgotten_after) openings_ = 0;
    if (openings_ < UINT32_MAX) ++openings_;
  }

  /// Opens for the time that the backoff gives, or for a given time, which leaves the backoff where it was.
  duration open_at(time_point now, std::optional<duration> told) noexcept {
    duration open_for = told.value_or(duration::zero());
    if (!told) {
      count_opening(now);
      open_for = last_open_for_ = config_.open_for.delay(openings_, random_, last_open_for_);
      open_for = open_for > duration::max() - config_.open_margin ? duration::max() : open_for + config_.open_margin;
    }
    enter(breaker_state::open, now);
    open_until_ = later(now, open_for);
    return open_for;
  }

  void trip(const breach& why, time_point now, breaker_events& out, std::optional<duration> told = {}) noexcept {
    ++trips_;
    const duration open_for = open_at(now, told);
    breaker_event& e = out.push(breaker_event_kind::opened, now);
    e.reason = why.reason;
    e.failure_rate = why.failure_rate;
    e.slow_rate = why.slow_rate;
    e.open_for = open_for;
    e.count = openings_;
  }

  void open_until_told(const breaker_result& r, breaker_events& out) noexcept {
    trip({.reason = open_reason::retry_after}, r.now, out, std::min(r.retry_after, config_.retry_after_limit));
  }

  void recover(time_point now, bool by_time_limit, breaker_events& out) noexcept {
    enter(breaker_state::closed, now);
    if (config_.recovery_ramp.length > duration::zero()) {
      ramp_from_ = now;
      ramp_credit_ = 1;  // the first call is admitted
    }
    out.push(breaker_event_kind::closed, now).by_time_limit = by_time_limit;
  }

  // --- closed and metrics_only

  [[nodiscard]] std::uint32_t running_slow() const noexcept {
    return config_.watch_running > 0 && state_ != breaker_state::half_open ? flights_.marked() : 0;
  }

  void settle_closed(time_point now, breaker_events& out) noexcept {
    if (ramping() && elapsed(ramp_from_, now) >= config_.recovery_ramp.length) ramp_from_ = never;
    if (config_.watch_running == 0) return;
    bool found = false;
    for (time_point start = flights_.oldest(); start != never && is_slow(elapsed(start, now)); start = flights_.oldest()) {
      flights_.mark_oldest();
      found = true;
    }
    if (found) judge(now, out);
  }

  void judge(time_point now, breaker_events& out) noexcept {
    const std::optional<breach> found = windows_.judge(running_slow(), now);
    judge_next_ = false;
    if (state_ == breaker_state::closed) {
      if (found) trip(*found, now, out);
      return;
    }
    if (found && !would_open_) {
      ++would_trips_;
      breaker_event& e = out.push(breaker_event_kind::would_open, now);
      e.reason = found->reason;
      e.failure_rate = found->failure_rate;
      e.slow_rate = found->slow_rate;
    }
    would_open_ = found.has_value();
  }

  [[nodiscard]] bool ramping() const noexcept { return ramp_from_ != never; }

  [[nodiscard]] double ramp_share(time_point now) const noexcept {
    if (!ramping()) return 1;
    const auto& ramp = config_.recovery_ramp;
    const double done = static_cast<double>(elapsed(ramp_from_, now).count()) / static_cast<double>(ramp.length.count());
    return ramp.from + (1 - ramp.from) * std::clamp(done, 0.0, 1.0);
  }

  /// Admits exactly the share, spread evenly: the fractions add up until they make a whole call.
  [[nodiscard]] bool ramp_admits(time_point now) noexcept {
    if (!ramping()) return true;
    ramp_credit_ += ramp_share(now);
    if (ramp_credit_ < 1) return false;
    ramp_credit_ -= 1;
    return true;
  }

  // --- half-open

  [[nodiscard]] bool probe_free() const noexcept {
    return probes_handed_ < config_.probes.count && flights_.size() < concurrent_probes(config_.probes);
  }

  [[nodiscard]] time_point lease_due() const noexcept {
    const time_point oldest = flights_.oldest();
    return oldest == never ? never : later(oldest, lease());
  }
  [[nodiscard]] time_point limit_due() const noexcept {
    return config_.probes.time_limit > duration::zero() ? later(entered_, config_.probes.time_limit) : never;
  }
  [[nodiscard]] time_point half_open_due() const noexcept { return std::min(lease_due(), limit_due()); }

  void settle_half_open(time_point now, breaker_events& out) noexcept {
    bool told = false;
    while (state_ == breaker_state::half_open) {
      const time_point due = half_open_due();
      if (due == never || due > now) return;
      if (lease_due() > due) {
        if (config_.probes.at_time_limit == undecided::closes) return recover(due, true, out);
        return trip({.reason = open_reason::time_limit}, due, out);
      }
      flights_.erase_oldest();
      ++probes_expired_;
      if (!told) out.push(breaker_event_kind::leases_expired, due);
      told = true;
      ++out.back().count;
      probes_.add({.failure = true, .slow = measures()});
      decide(due, out);
    }
  }

  bool record_probe(const breaker_result& r, breaker_events& out) noexcept {
    if (!flights_.contains(r.ticket)) return false;
    flights_.erase(r.ticket);
    if (r.what == outcome::ignored) {
      --probes_handed_;  // says nothing: somebody else may probe
      return true;
    }
    const bool overload = r.what == outcome::overload && !config_.overload_is_failure;
    const bool failed = r.what != outcome::success;
    probes_.add({.failure = failed, .slow = is_slow(r.took), .overload = overload});
    if (says_when(r)) {
      open_until_told(r, out);
    } else {
      decide(r.now, out);
    }
    return true;
  }

  /// An overload is an answer that is no failure. Rates are taken of `decisive()` results, missing ones as good ones; early
  /// decisions are those that the missing ones, good or bad, could not change.
  void decide(time_point now, breaker_events& out) noexcept {
    const probe_config& p = config_.probes;
    const std::uint64_t done = probes_.calls + probes_.overload;
    const std::uint64_t missing = done < decisive() ? decisive() - done : 0;
    if (missing > 0 && !p.decide_early) return;
    const std::uint64_t all = done + missing;
    const double failure_rate = share(probes_.failures, all), slow_rate = share(probes_.slow, all);
    if (failure_rate >= p.failure_rate) return trip({open_reason::probes_failed, failure_rate, slow_rate}, now, out);
    if (measures() && slow_rate >= p.slow_rate) return trip({open_reason::probes_slow, failure_rate, slow_rate}, now, out);
    const bool could_fail = share(probes_.failures + missing, all) >= p.failure_rate;
    const bool could_be_slow = measures() && share(probes_.slow + missing, all) >= p.slow_rate;
    if (missing == 0 || (!could_fail && !could_be_slow)) recover(now, false, out);
  }

  circuit_breaker_config config_;
  breaker_windows& windows_;
  flight_table flights_;  // half-open: probes; else, if watched, running calls
  random_stream random_;
  breaker_state state_ = breaker_state::closed;
  std::uint64_t generation_ = 0;
  time_point entered_{};  // this state
  time_point open_until_ = never;
  duration last_open_for_{};
  std::uint32_t openings_ = 0;
  std::uint64_t trips_ = 0, would_trips_ = 0;
  bool would_open_ = false;
  bool judge_next_ = false;  // counts or thresholds have changed unjudged: the next result is judged even if it is no news

  time_point ramp_from_ = never;
  double ramp_credit_ = 0;
  window_counts probes_;
  std::uint32_t probes_handed_ = 0;  // refunded ones not counted
  std::uint64_t probes_expired_ = 0;
};

}  // namespace weir::inline v0::detail
