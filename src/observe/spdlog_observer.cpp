#include <weir/core/config.hpp>
#include <weir/core/default_clock.hpp>
#include <weir/core/detail/mutex.hpp>
#include <weir/core/error.hpp>
#include <weir/observe/spdlog_observer.hpp>
#include <weir/pipeline/fallback.hpp>
#include <weir/policy/circuit_breaker_events.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter_config.hpp>
#include <weir/pool/pool_effects.hpp>
#include <weir/queue/wait_queue_config.hpp>

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0 {

namespace {

namespace level = spdlog::level;

double milliseconds(duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

const char* words(fallback_cause cause) {
  switch (cause) {
    case fallback_cause::rejected: return "was refused";
    case fallback_cause::failed: return "failed";
    case fallback_cause::threw: return "threw";
  }
  return "?";
}

const char* words(wait_outcome how) {
  switch (how) {
    case wait_outcome::granted: return "was granted";
    case wait_outcome::timed_out: return "timed out";
    case wait_outcome::shed: return "was shed";
    case wait_outcome::cancelled: return "was given up";
    case wait_outcome::closed: return "ended with the queue";
  }
  return "?";
}

}  // namespace

/// The logger, and what has been held back.
class spdlog_observer::sink {
 public:
  explicit sink(spdlog_observer_config config)
      : logger_(config.logger ? std::move(config.logger) : spdlog::default_logger()),
        interval_(config.interval),
        now_(std::move(config.now)) {
    if (interval_ < duration::zero()) {
      throw_if(config_error{"spdlog_observer_config.interval", "must be >= 0"});
    }
    if (!now_) now_ = [] { return default_clock{}.now(); };
  }

  [[nodiscard]] bool writes(level::level_enum severity) const { return logger_->should_log(severity); }

  template <class... Args>
  void write(level::level_enum severity, fmt::format_string<Args...> text, Args&&... args) {
    logger_->log(severity, text, std::forward<Args>(args)...);
  }

  /// What one kind of event of one policy may say once per interval. `kind` is a literal; its address tells kinds apart.
  template <class... Args>
  void write_sometimes(level::level_enum severity, name policy, const char* kind, int reason,
                       fmt::format_string<Args...> text, Args&&... args) {
    if (!logger_->should_log(severity)) return;
    std::uint64_t held_back = 0;
    if (!due(policy, kind, reason, held_back)) return;
    const std::string line = fmt::format(text, std::forward<Args>(args)...);
    if (held_back == 0) {
      logger_->log(severity, line);
    } else {
      logger_->log(severity, "{} ({} more since the last line)", line, held_back);
    }
  }

 private:
  struct source {
    name policy;
    const char* kind;
    int reason;
    time_point next;
    std::uint64_t held_back;
  };

  bool due(name policy, const char* kind, int reason, std::uint64_t& held_back) {
    const time_point now = now_();
    const detail::scoped_lock lock{mutex_};
    const auto found = std::find_if(sources_.begin(), sources_.end(), [&](const source& s) {
      return s.policy == policy && s.kind == kind && s.reason == reason;
    });
    if (found == sources_.end()) {
      sources_.push_back({policy, kind, reason, later(now, interval_), 0});
      return true;
    }
    if (now < found->next) {
      ++found->held_back;
      return false;
    }
    found->next = later(now, interval_);
    held_back = std::exchange(found->held_back, 0);
    return true;
  }

  std::shared_ptr<spdlog::logger> logger_;
  duration interval_;
  std::function<time_point()> now_;
  detail::mutex mutex_;
  // A few per policy, and policies are few: searched in order.
  std::vector<source> sources_ WEIR_GUARDED_BY(mutex_);
};

namespace {
constexpr const char kind_refused[] = "refused";
constexpr const char kind_drained[] = "drained";
constexpr const char kind_turned_away[] = "turned away";
constexpr const char kind_waited[] = "waited";
constexpr const char kind_fallback[] = "fallback";
constexpr const char kind_probes[] = "probes";
constexpr const char kind_connect[] = "connect";

/// On one line, whatever a driver puts into its texts.
std::string words(const std::shared_ptr<const connect_failure>& cause) {
  std::string text = cause == nullptr ? "no memory for the cause" : cause->text;
  const auto breaks = [](char c) { return static_cast<unsigned char>(c) < 0x20; };
  while (!text.empty() && breaks(text.back())) text.pop_back();
  std::replace_if(text.begin(), text.end(), breaks, ' ');
  return text;
}

/// "'checkout', taken at orders.cpp:42, last seen at orders.cpp:57"
std::string words(const pool_slot::use& user) {
  std::string text = user.tag[0] == '\0' ? "untagged" : fmt::format("'{}'", user.tag);
  if (user.file != nullptr) text += fmt::format(", taken at {}:{}", user.file, user.line);
  if (user.touched_file != nullptr) text += fmt::format(", last seen at {}:{}", user.touched_file, user.touched_line);
  return text;
}

level::level_enum severity_of(pool_event_kind kind) {
  switch (kind) {
    case pool_event_kind::opened:
    case pool_event_kind::closed: return level::debug;
    case pool_event_kind::connect_failed:
    case pool_event_kind::backend_up:
    case pool_event_kind::returned_leak: return level::info;
    case pool_event_kind::backend_down:
    case pool_event_kind::purged:
    case pool_event_kind::suspected_leak: return level::warn;
    case pool_event_kind::invalidated: return level::info;
  }
  return level::warn;
}

std::string because(const pool_event& e) { return e.note[0] == '\0' ? std::string{} : fmt::format(", '{}'", e.note); }

/// What comes behind the pool's name.
std::string words(const pool_event& e) {
  const std::string took = detail::short_duration(e.took);
  switch (e.kind) {
    case pool_event_kind::opened: return fmt::format(": connection {} opened in {}", e.connection, took);
    case pool_event_kind::connect_failed: return fmt::format(" could not connect, after {}: {}", took, words(e.cause));
    case pool_event_kind::closed:
      return fmt::format(": connection {} closed at the age of {}: {}{}", e.connection, took,
                         close_reason_names[static_cast<std::size_t>(e.reason)], because(e));
    case pool_event_kind::backend_down: return fmt::format(": the backend is down: {}", words(e.cause));
    case pool_event_kind::backend_up: return ": the backend answers again";
    case pool_event_kind::purged: return ": several connections broke, so all are replaced";
    case pool_event_kind::invalidated: return fmt::format(": all connections are replaced by an operator{}", because(e));
    case pool_event_kind::suspected_leak:
      return fmt::format(": connection {} may have leaked: in use for {}: {}", e.connection, took, words(e.user));
    case pool_event_kind::returned_leak:
      return fmt::format(": connection {} came back after {}: {}", e.connection, took, words(e.user));
  }
  return "?";
}
}  // namespace

spdlog_observer::spdlog_observer(spdlog_observer_config config) : sink_(std::make_shared<sink>(std::move(config))) {}

void spdlog_observer::on(const circuit_opened& e) {
  sink_->write(
      level::warn, "circuit '{}' opened for {:.0f} ms: {} (failures {:.1f} %, slow {:.1f} %; opened {} times in a row)",
      e.name.view(), milliseconds(e.open_for), to_string(e.reason), e.failure_rate * 100, e.slow_rate * 100, e.openings);
}

void spdlog_observer::on(const circuit_half_opened& e) {
  sink_->write(level::info, "circuit '{}' is half-open: probing", e.name.view());
}

void spdlog_observer::on(const circuit_closed& e) {
  sink_->write(level::info, "circuit '{}' closed{}", e.name.view(), e.by_time_limit ? ": its half-open time is over" : "");
}

void spdlog_observer::on(const circuit_state_forced& e) {
  sink_->write(level::info, "circuit '{}' was set from {} to {} by an operator", e.name.view(), to_string(e.from),
               to_string(e.to));
}

void spdlog_observer::on(const circuit_would_open& e) {
  sink_->write(level::warn, "circuit '{}' would open, but is metrics_only: {} (failures {:.1f} %, slow {:.1f} %)",
               e.name.view(), to_string(e.reason), e.failure_rate * 100, e.slow_rate * 100);
}

void spdlog_observer::on(const probe_lease_expired& e) {
  sink_->write_sometimes(level::info, e.name, kind_probes, 0, "circuit '{}': {} probes did not come back in time",
                         e.name.view(), e.probes);
}

void spdlog_observer::on(const rate_rejected& e) {
  sink_->write_sometimes(level::info, e.name, kind_refused, static_cast<int>(e.why),
                         "'{}' refused a call: {} (cost {}, retry after {:.0f} ms)", e.name.view(), info(e.why).description,
                         e.cost, milliseconds(e.retry_after));
}

void spdlog_observer::on(const rate_limit_changed& e) {
  sink_->write(level::info, "'{}' changed its limit from {} per {:.0f} ms to {} per {:.0f} ms", e.name.view(),
               e.before.permits, milliseconds(e.before.per), e.after.permits, milliseconds(e.after.per));
}

void spdlog_observer::on(const window_rejected& e) { on(rate_rejected{e.name, e.sequence, e.why, e.cost, e.retry_after}); }

void spdlog_observer::on(const window_limit_changed& e) {
  sink_->write(level::info, "'{}' changed its limit from {} in any {:.0f} ms to {} in any {:.0f} ms", e.name.view(),
               e.before.permits, milliseconds(e.before.per), e.after.permits, milliseconds(e.after.per));
}

void spdlog_observer::on(const rate_limit_drained& e) {
  sink_->write_sometimes(level::info, e.name, kind_drained, 0, "'{}' was drained", e.name.view());
}

void spdlog_observer::on(const concurrency_rejected& e) {
  sink_->write_sometimes(level::info, e.name, kind_refused, static_cast<int>(e.why), "'{}' refused a call: {} (cost {})",
                         e.name.view(), info(e.why).description, e.cost);
}

void spdlog_observer::on(const concurrency_limit_changed& e) {
  sink_->write(level::info, "'{}' changed its limit from {} to {}", e.name.view(), e.before, e.after);
}

void spdlog_observer::on(const wait_refused& e) {
  sink_->write_sometimes(level::info, e.name, kind_turned_away, static_cast<int>(e.why),
                         "queue '{}' turned a call away: {} (predicted wait {:.0f} ms)", e.name.view(),
                         info(e.why).description, milliseconds(e.predicted_wait));
}

void spdlog_observer::on(const wait_ended& e) {
  const bool usual = e.how == wait_outcome::granted || e.how == wait_outcome::cancelled;
  sink_->write_sometimes(usual ? level::debug : level::info, e.name, kind_waited, static_cast<int>(e.how),
                         "queue '{}': a wait {} after {:.1f} ms", e.name.view(), words(e.how), milliseconds(e.waited));
}

void spdlog_observer::on(const fallback_used& e) {
  const bool rejected = e.cause == fallback_cause::rejected;
  sink_->write_sometimes(level::info, e.name, kind_fallback, static_cast<int>(e.cause),
                         "fallback '{}' answered: the call {}{}{}", e.name.view(), words(e.cause), rejected ? ": " : "",
                         rejected ? e.code.message() : "");
}

void spdlog_observer::on(const pool_event& e) {
  const auto severity = severity_of(e.kind);
  if (!sink_->writes(severity)) return;
  if (e.kind == pool_event_kind::connect_failed) {
    return sink_->write_sometimes(severity, e.name, kind_connect, 0, "pool '{}'{}", e.name.view(), words(e));
  }
  sink_->write(severity, "pool '{}'{}", e.name.view(), words(e));
}

}  // namespace weir::inline v0
