#pragma once
/// \file
/// What one load run found: the seam between the driver that measures (src/load), the reports that show (src/report), and
/// later the simulator, which fills in the same structure. Plain data, no behaviour beyond arithmetic.
///
/// Words: a *journey* is what one user does (an iteration, in k6's word); a *call* is one step of it as the user sees it;
/// an *attempt* is one HTTP request (a call has several when it is retried). Latency of a call counts from its intended
/// start.

#include <weir/core/time.hpp>
#include <weir/stats/histogram.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weir::load {

/// How a call ended, as the user saw it. Rejected is not failed: the server said no in order, and quickly.
enum class verdict : std::uint8_t {
  good,      ///< expected status, within the SLO
  slow,      ///< expected status, too late
  rejected,  ///< 429 or 503 after all retries
  timeout,   ///< no answer in the step's time, or until the run was over and the SLO missed; the latency is censored there
  error,     ///< any other status, or a check that failed
  broken,    ///< connection refused, reset, or unparsable answer
};
inline constexpr std::size_t verdict_count = 6;
[[nodiscard]] const char* to_string(verdict) noexcept;

using verdict_counts = std::array<std::uint64_t, verdict_count>;

/// Journeys, in the open-loop sense: intended = started + dropped; started = completed + failed + interrupted.
struct journey_counts {
  std::uint64_t intended = 0;
  std::uint64_t started = 0;
  std::uint64_t dropped = 0;      ///< no free VU at the intended start, or not begun when the load was over
  std::uint64_t completed = 0;    ///< every step ended as expected
  std::uint64_t failed = 0;       ///< a step did not, after retries
  std::uint64_t interrupted = 0;  ///< still running when graceful_stop ended, or an error on our own side
};

/// One step of one journey, over the measured part of the run.
struct step_result {
  std::string journey;
  std::string step;
  std::uint64_t reached = 0;   ///< calls begun: the funnel's column
  std::uint64_t attempts = 0;  ///< HTTP requests, retries included
  verdict_counts verdicts{};
  std::map<unsigned, std::uint64_t> statuses;     ///< of attempts; by HTTP status
  std::map<std::string, std::uint64_t> failures;  ///< of attempts without an answer; "connect refused", "timed out", ...
  std::uint64_t checks_passed = 0;
  std::uint64_t checks_failed = 0;
  histogram all;               ///< latency of every call; censored ones count at their time-out
  histogram admitted;          ///< of good and slow calls
  histogram rejected;          ///< of attempts answered 429 or 503: from the sending of that attempt
  std::uint64_t censored = 0;  ///< calls in `all` whose true latency is longer than recorded
  duration censored_at{};      ///< the smallest time-out that censored
  /// k6's http_req_duration: every attempt, from its sending to its last byte, or until it was given up. Blind to time
  /// spent before the sending, which `all` counts.
  histogram request;
  histogram request_expected;  ///< of those, the ones answered as expected: k6's {expected_response:true}

  // Of a step that polls; each of its polls is a call.
  std::uint64_t waits = 0;  ///< users who began to wait
  histogram waited;         ///< how long those waited whose wait ended well: to the end of the answer that said so
  std::uint64_t polls_too_early = 0;  ///< answered 429: no failure, waited for
};

/// One second of the run, warm-up included.
struct second_result {
  std::uint64_t intended = 0, started = 0, dropped = 0, completed = 0,
                failed = 0;     ///< journeys, by the second of the event
  std::uint64_t in_flight = 0;  ///< journeys at the end of the second
  verdict_counts by_start{};    ///< calls of the SLO step, by the second of their intended start
  verdict_counts by_end{};      ///< the same calls, by the second in which they ended
  histogram admitted;           ///< their latency, by end
  histogram rejected;
};

struct threshold_result {
  std::string metric;      ///< "http_req_duration{step:register}"
  std::string expression;  ///< "p(95)<800"
  double observed = 0;
  bool passed = false;
  bool has_data = true;  ///< false: nothing matched; counts as not passed
};

/// The generator's own health. A run whose generator could not keep up says nothing about the server.
struct validity {
  bool valid = true;
  std::vector<std::string> reasons;  ///< why not; one sentence each, with the number and its limit
  histogram lateness;                ///< actual minus intended start of journeys
  double own_cpu_share = 0;          ///< of one core, mean over the run
  double own_cpu_peak = 0;           ///< in the worst second
  std::uint64_t connections_opened = 0;
  std::uint64_t ports_available = 0;
  std::uint64_t descriptors_peak = 0, descriptors_limit = 0;
  histogram loop_lag;  ///< how late the driver's event loop noticed that something was due, probed every 10 ms
  std::map<std::string, std::uint64_t> own_errors;  ///< failures on our side, "no free local port"; never the server's
  std::uint64_t connections_per_minute_peak = 0;    ///< most connections opened within 60 s, against ports_available
};

/// Goodput in and after the overload, from the wire.
struct overload_summary {
  double capacity_per_s = 0;  ///< what the server could do, measured just before and passed in; 0: unknown
  std::vector<std::uint32_t> overloaded_seconds;  ///< seconds in which more than the capacity was intended
  double goodput_per_s = 0;                       ///< mean of good calls over those seconds, by end
  double worst_5s_goodput_per_s = 0;              ///< of every 5 consecutive overloaded seconds
  std::optional<double> recovered_after_s;        ///< from the end of the peak; nullopt: not within the run
  std::optional<double> peak_end_s;               ///< from the start of the run; nullopt: there was no peak
};

struct run_result {
  std::string scenario, target, label;  ///< label: the user's word for this run, "protection=on"
  std::uint64_t seed = 0;
  double rate_factor = 1;  ///< by which the scenario's rates were multiplied
  double time_scale = 1;   ///< how many times as fast as the scenario says it was run; all times here are the scenario's
  std::string started_at;  ///< ISO 8601, UTC
  std::string arrivals;    ///< "poisson", "uniform"
  duration warmup{}, length{};  ///< length: to the end of the last stage; less if the load was stopped or done earlier
  duration total{};             ///< until the last journey had ended
  duration slo{};               ///< of the step named slo_step
  std::string slo_step;

  journey_counts journeys;
  histogram journey_duration;      ///< of completed journeys
  std::vector<step_result> steps;  ///< in the order of the scenario
  std::vector<second_result> seconds;
  std::vector<threshold_result> thresholds;
  validity generator;
  overload_summary overload;
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint64_t vus_max = 0, vus_peak = 0;
};

/// The three success ratios; each hides what the next shows. All in [0, 1]; 1 where nothing was asked.
[[nodiscard]] double request_success(const run_result&) noexcept;   ///< attempts answered as expected, of attempts
[[nodiscard]] double started_success(const run_result&) noexcept;   ///< completed journeys, of started ones
[[nodiscard]] double intended_success(const run_result&) noexcept;  ///< completed journeys, of intended ones

}  // namespace weir::load
