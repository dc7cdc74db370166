#pragma once
/// \file
/// What a circuit breaker can be told: its windows and thresholds, how long it stays open, how it probes. The defaults
/// are explained in docs/defaults.md.

#include <weir/core/backoff.hpp>
#include <weir/core/config.hpp>
#include <weir/core/time.hpp>
#include <weir/stats/time_window.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace weir::inline v0 {

/// The first three follow from results; the last three are set by an operator and left only by one.
enum class breaker_state : std::uint8_t {
  closed,        ///< admits and records; trips at a threshold
  open,          ///< refuses until its time is over; then the next call probes
  half_open,     ///< admits probes only; their results decide
  forced_open,   ///< refuses everything
  disabled,      ///< admits everything, records nothing
  metrics_only,  ///< admits everything and records, but never trips: shadow mode
};

[[nodiscard]] constexpr const char* to_string(breaker_state s) noexcept {
  switch (s) {
    case breaker_state::closed: return "closed";
    case breaker_state::open: return "open";
    case breaker_state::half_open: return "half_open";
    case breaker_state::forced_open: return "forced_open";
    case breaker_state::disabled: return "disabled";
    case breaker_state::metrics_only: return "metrics_only";
  }
  return "?";
}

/// When the calls of one window open the circuit: as soon as a result is recorded with which at least `minimum_calls` are
/// in the window and a rate is at or above its threshold.
struct trip_thresholds {
  std::uint32_t minimum_calls = 20;  ///< >= 1; successes and failures, overloads do not count
  double failure_rate = 0.5;         ///< in [0, 1]; failures / calls; 0: failures do not trip
  double slow_rate = 0.5;            ///< in [0, 1]; slow / calls; 0: slow calls do not trip

  friend bool operator==(const trip_thresholds&, const trip_thresholds&) = default;
};

/// The last N results. Off by default.
struct count_window_config {
  std::uint32_t size = 0;  ///< <= 10'000'000, four bytes each; 0: off; else >= trip.minimum_calls
  trip_thresholds trip{};

  friend bool operator==(const count_window_config&, const count_window_config&) = default;
};

/// The results of the last `slicing.length`. On by default.
struct time_window_config {
  time_slicing slicing{};  ///< length 0: off; slices in [1, 100'000]
  trip_thresholds trip{};

  friend bool operator==(const time_window_config&, const time_window_config&) = default;
};

/// What follows when a half-open circuit has not decided within its time limit.
enum class undecided : std::uint8_t { opens, closes };

/// How a half-open circuit finds out. Each probe is a lease: one that has not been reported by its deadline is a failure.
struct probe_config {
  std::uint32_t count = 5;           ///< in [1, 100'000]; how many calls are let through; refunded ones do not count
  std::uint32_t max_concurrent = 0;  ///< of them at once; 0: `count`
  duration lease{};                  ///< >= 0; 0: 2 x slow_threshold, or 10 s without one; duration::max(): for ever
  double failure_rate = 0.5;         ///< in (0, 1]; at or above it the circuit opens again
  double slow_rate = 0.5;            ///< in (0, 1]; the same for slow probes, where there is a slow_threshold
  std::uint32_t decisive = 0;        ///< <= count; how many results the rates are taken of; 0: `count`
  bool decide_early = true;          ///< as soon as the rest of the decisive results can change nothing
  duration time_limit{};             ///< >= 0; of the whole half-open state; 0: none
  undecided at_time_limit = undecided::opens;

  friend bool operator==(const probe_config&, const probe_config&) = default;
};

/// After probes have closed the circuit, `from` of the calls are admitted at first and a linearly growing share until all
/// are, `length` later.
struct recovery_ramp_config {
  duration length{};  ///< >= 0; 0: no ramp
  double from = 0.1;  ///< in (0, 1]

  friend bool operator==(const recovery_ramp_config&, const recovery_ramp_config&) = default;
};

struct circuit_breaker_config {
  std::string name = "circuit_breaker";
  time_window_config over_time{};
  count_window_config over_calls{};        ///< beside or instead of over_time; the circuit opens when either says so
  duration slow_threshold{};               ///< >= 0; a call that took longer is slow; 0: none is
  std::uint32_t consecutive_failures = 0;  ///< this many failures with no success between open the circuit; 0: off
  bool overload_is_failure = false;        ///< whether a callee's 429/503 counts as its fault
  /// > 0: an overload that carries a retry_after opens the circuit at once, for as long as it says, at most this long.
  /// 0: off.
  duration retry_after_limit{};

  /// How long the circuit stays open, by the number of openings in a row. With no jitter, a fleet probes in step.
  backoff open_for{.initial = std::chrono::seconds{5},
                   .multiplier = 2.0,
                   .cap = std::chrono::seconds{60},
                   .jitter = jitter_kind::proportional,
                   .fraction = 0.2};
  duration open_margin{};                                        ///< >= 0; added to each open_for, after cap and jitter
  duration openings_forgotten_after = std::chrono::seconds{60};  ///< >= 0; so long closed, and open_for begins anew
  /// Of the jitter. The library reads no entropy: give each process its own, or a fleet that trips together returns
  /// together.
  std::uint64_t seed = 0;

  probe_config probes{};
  recovery_ramp_config recovery_ramp{};
  /// > 0: calls that run longer than slow_threshold count as slow calls already, corrected when they end; at most so many
  /// calls are watched (24 bytes each), the rest count when they end. Admission then takes the lock. In [0, 1'000'000].
  std::uint32_t watch_running = 0;
  breaker_state initial_state = breaker_state::closed;

  friend bool operator==(const circuit_breaker_config&, const circuit_breaker_config&) = default;
};

namespace detail {

[[nodiscard]] inline std::optional<config_error> breaker_error(const char* field, std::string problem) {
  return config_error{std::string{"circuit_breaker_config."} + field, std::move(problem)};
}

[[nodiscard]] inline bool within(double value, double low, double high) noexcept { return value >= low && value <= high; }

[[nodiscard]] inline std::optional<config_error> validate_thresholds(const trip_thresholds& t, const std::string& window) {
  const auto error = [&window](const char* field, std::string problem) {
    return breaker_error((window + ".trip." + field).c_str(), std::move(problem));
  };
  if (t.minimum_calls == 0) return error("minimum_calls", "must be >= 1" + is(t.minimum_calls));
  if (!within(t.failure_rate, 0, 1)) return error("failure_rate", "must be in [0, 1]" + is(t.failure_rate));
  if (!within(t.slow_rate, 0, 1)) return error("slow_rate", "must be in [0, 1]" + is(t.slow_rate));
  return std::nullopt;
}

[[nodiscard]] inline std::optional<config_error> validate_windows(const circuit_breaker_config& c) {
  const time_slicing& s = c.over_time.slicing;
  if (s.length < duration::zero()) return breaker_error("over_time.slicing.length", "must be >= 0" + is(s.length));
  if (s.length > duration::zero()) {
    if (s.slices == 0 || s.slices > 100'000)
      return breaker_error("over_time.slicing.slices", "must be in [1, 100000]" + is(s.slices));
    if (s.length.count() < s.slices)
      return breaker_error("over_time.slicing.length", "must be >= 1 ns per slice" + is(s.length));
    if (auto error = validate_thresholds(c.over_time.trip, "over_time")) return error;
  }
  if (c.over_calls.size > 10'000'000)
    return breaker_error("over_calls.size", "must be <= 10000000" + is(c.over_calls.size));
  if (c.over_calls.size > 0) {
    if (auto error = validate_thresholds(c.over_calls.trip, "over_calls")) return error;
    if (c.over_calls.trip.minimum_calls > c.over_calls.size) {
      return breaker_error("over_calls.trip.minimum_calls",
                           "must be <= over_calls.size, or it is never reached" + is(c.over_calls.trip.minimum_calls));
    }
  }
  const bool has_windows = s.length > duration::zero() || c.over_calls.size > 0;
  if (!has_windows && c.consecutive_failures == 0 && c.retry_after_limit == duration::zero()) {
    return breaker_error("over_time.slicing.length", "must be > 0 where nothing else could open the circuit");
  }
  return std::nullopt;
}

[[nodiscard]] inline std::optional<config_error> validate_probes(const probe_config& p) {
  if (p.count == 0 || p.count > 100'000) return breaker_error("probes.count", "must be in [1, 100000]" + is(p.count));
  if (p.max_concurrent > p.count)
    return breaker_error("probes.max_concurrent", "must be <= probes.count" + is(p.max_concurrent));
  if (p.lease < duration::zero()) return breaker_error("probes.lease", "must be >= 0" + is(p.lease));
  if (!(p.failure_rate > 0 && p.failure_rate <= 1))
    return breaker_error("probes.failure_rate", "must be in (0, 1]" + is(p.failure_rate));
  if (!(p.slow_rate > 0 && p.slow_rate <= 1))
    return breaker_error("probes.slow_rate", "must be in (0, 1]" + is(p.slow_rate));
  if (p.decisive > p.count) return breaker_error("probes.decisive", "must be <= probes.count" + is(p.decisive));
  if (p.time_limit < duration::zero()) return breaker_error("probes.time_limit", "must be >= 0" + is(p.time_limit));
  if (p.at_time_limit > undecided::closes) return breaker_error("probes.at_time_limit", "must be opens or closes");
  return std::nullopt;
}

}  // namespace detail

/// What is wrong with it, if anything.
[[nodiscard]] inline std::optional<config_error> validate(const circuit_breaker_config& c) {
  if (auto error = detail::validate_windows(c)) return error;
  if (c.slow_threshold < duration::zero())
    return detail::breaker_error("slow_threshold", "must be >= 0" + detail::is(c.slow_threshold));
  if (c.retry_after_limit < duration::zero())
    return detail::breaker_error("retry_after_limit", "must be >= 0" + detail::is(c.retry_after_limit));
  if (auto error = validate(c.open_for, "circuit_breaker_config.open_for")) return error;
  if (c.open_margin < duration::zero())
    return detail::breaker_error("open_margin", "must be >= 0" + detail::is(c.open_margin));
  if (c.openings_forgotten_after < duration::zero()) {
    return detail::breaker_error("openings_forgotten_after", "must be >= 0" + detail::is(c.openings_forgotten_after));
  }
  if (auto error = detail::validate_probes(c.probes)) return error;
  if (c.recovery_ramp.length < duration::zero())
    return detail::breaker_error("recovery_ramp.length", "must be >= 0" + detail::is(c.recovery_ramp.length));
  if (!(c.recovery_ramp.from > 0 && c.recovery_ramp.from <= 1)) {
    return detail::breaker_error("recovery_ramp.from", "must be in (0, 1]" + detail::is(c.recovery_ramp.from));
  }
  if (c.watch_running > 1'000'000)
    return detail::breaker_error("watch_running", "must be <= 1000000" + detail::is(c.watch_running));
  if (c.watch_running > 0 && c.slow_threshold == duration::zero()) {
    return detail::breaker_error("watch_running", "needs a slow_threshold");
  }
  if (c.initial_state > breaker_state::metrics_only) {
    return detail::breaker_error("initial_state", "must be a breaker_state");
  }
  return std::nullopt;
}

}  // namespace weir::inline v0
