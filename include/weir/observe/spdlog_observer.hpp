#pragma once
/// \file
/// `spdlog_observer`: what policies and pools do, as lines in a log. Compiled part: link weir::observe.
///
/// ```cpp
/// weir::spdlog_observer log;   // spdlog's default logger
/// weir::basic_circuit_breaker<weir::default_clock, weir::spdlog_observer> breaker{{.name = "db"}, log};
/// // [warning] circuit 'db' opened for 5000 ms: failure_rate (failures 62.5 %, slow 0.0 %; opened 1 times in a row)
/// // [info] 'search' refused a call: all slots are taken (cost 1) (1234 more since the last line)
/// // [warning] pool 'orders': the backend is down: connection refused
/// ```
/// Levels: `warn` when a circuit opens (or, in shadow mode, would), when a pool's backend is down, its connections are
/// replaced because several broke, or one of them has not come back; `info` for other changes of state and of limits, for
/// probes that never came back, for refusals, for waits that ended without a grant, for fallbacks, and for failures to
/// connect; `debug` for waits that were granted or given up by their caller, and for connections opened and closed.
///
/// What every call can cause (refusals, waits, fallbacks), and failures to connect, is logged at most once per interval for
/// each policy and reason;
/// the next line says how many there were between. Below the logger's level, an event costs a comparison; otherwise a lock,
/// and the writing of the line if it is due: under a flood of refusals, a counter is the cheaper observer.

#include <weir/core/time.hpp>

#include <chrono>
#include <functional>
#include <memory>

namespace spdlog {
class logger;
}

namespace weir::inline v0 {

struct circuit_opened;
struct circuit_half_opened;
struct circuit_closed;
struct circuit_state_forced;
struct circuit_would_open;
struct probe_lease_expired;
struct rate_rejected;
struct rate_limit_changed;
struct rate_limit_drained;
struct window_rejected;
struct window_limit_changed;
struct concurrency_rejected;
struct concurrency_limit_changed;
struct wait_refused;
struct wait_ended;
struct fallback_used;
struct pool_event;

struct spdlog_observer_config {
  std::shared_ptr<spdlog::logger> logger{};     ///< empty: spdlog's default logger at construction
  duration interval = std::chrono::seconds{1};  ///< >= 0; between two lines of one reason; 0: every event is logged
  std::function<time_point()> now{};            ///< the clock of `interval`; empty: the default clock
};

/// Copies log together: give one to every policy. Thread-safe. Never throws into a policy (exceptions are swallowed there).
class spdlog_observer {
 public:
  /// Errors: std::invalid_argument naming the field.
  explicit spdlog_observer(spdlog_observer_config config = {});

  void on(const circuit_opened& event);
  void on(const circuit_half_opened& event);
  void on(const circuit_closed& event);
  void on(const circuit_state_forced& event);
  void on(const circuit_would_open& event);
  void on(const probe_lease_expired& event);
  void on(const rate_rejected& event);
  void on(const rate_limit_changed& event);
  void on(const rate_limit_drained& event);
  void on(const window_rejected& event);
  void on(const window_limit_changed& event);
  void on(const concurrency_rejected& event);
  void on(const concurrency_limit_changed& event);
  void on(const wait_refused& event);
  void on(const wait_ended& event);
  void on(const fallback_used& event);
  void on(const pool_event& event);

 private:
  class sink;
  std::shared_ptr<sink> sink_;
};

}  // namespace weir::inline v0
