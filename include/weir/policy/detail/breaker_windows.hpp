#pragma once
/// \file
/// The evidence of a closed circuit: one window, the other, or both, and their verdict.

#include <weir/policy/circuit_breaker_config.hpp>
#include <weir/policy/circuit_breaker_events.hpp>
#include <weir/stats/count_window.hpp>
#include <weir/stats/time_window.hpp>

#include <optional>

namespace weir::inline v0::detail {

/// Why a circuit should open, and by which rates.
struct breach {
  open_reason reason{};
  double failure_rate = 0;
  double slow_rate = 0;
};

[[nodiscard]] constexpr double share(std::uint64_t part, std::uint64_t whole) noexcept {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// Not thread-safe. Every operation costs the same whatever the size of the windows.
class breaker_windows {
 public:
  breaker_windows(const circuit_breaker_config& c, time_point now) { shape(c, now); }

  void record(window_sample s, time_point now) noexcept {
    if (over_calls_) over_calls_->record(s);
    if (over_time_) over_time_->record(s, now);
  }

  void clear(time_point now) noexcept {
    if (over_calls_) over_calls_->clear();
    if (over_time_) over_time_->clear(now);
  }

  /// `running_slow` calls have not ended, but count as slow ones already.
  [[nodiscard]] std::optional<breach> judge(std::uint64_t running_slow, time_point now) noexcept {
    if (over_time_) over_time_->advance(now);
    std::optional<breach> found;
    if (over_calls_) found = judge(over_calls_->counts(), calls_trip_, running_slow);
    if (!found && over_time_) found = judge(over_time_->counts(), time_trip_, running_slow);
    return found;
  }

  /// Goes over to another configuration: a window keeps its contents if its own shape stays, `fresh` provides the others.
  void reshape(const circuit_breaker_config& old, const circuit_breaker_config& c, breaker_windows& fresh) noexcept {
    if (old.over_calls.size != c.over_calls.size) over_calls_.swap(fresh.over_calls_);
    if (!(old.over_time.slicing == c.over_time.slicing)) over_time_.swap(fresh.over_time_);
    calls_trip_ = c.over_calls.trip;
    time_trip_ = c.over_time.trip;
  }

  [[nodiscard]] window_view over_calls() const noexcept {
    return over_calls_ ? view(over_calls_->counts(), calls_trip_.minimum_calls) : window_view{};
  }
  [[nodiscard]] window_view over_time(time_point now) const noexcept {
    return over_time_ ? view(over_time_->counts_at(now), time_trip_.minimum_calls) : window_view{};
  }

  [[nodiscard]] static window_view view(const window_counts& n, std::uint64_t minimum) noexcept {
    window_view v{.counts = n};
    if (n.calls > 0 && n.calls >= minimum) {
      v.failure_rate = share(n.failures, n.calls);
      v.slow_rate = share(n.slow, n.calls);
    }
    return v;
  }

 private:
  void shape(const circuit_breaker_config& c, time_point now) {
    calls_trip_ = c.over_calls.trip;
    time_trip_ = c.over_time.trip;
    if (c.over_calls.size > 0) over_calls_.emplace(c.over_calls.size);
    if (c.over_time.slicing.length > duration::zero()) over_time_.emplace(c.over_time.slicing, now);
  }

  // Rates are compared as quotients: both sides are correctly rounded, so equal fractions compare equal.
  [[nodiscard]] static std::optional<breach> judge(const window_counts& n, const trip_thresholds& t,
                                                   std::uint64_t running_slow) noexcept {
    if (n.failures == 0 && n.slow + running_slow == 0) return std::nullopt;
    const double failure_rate = share(n.failures, n.calls);
    const double slow_rate = share(n.slow + running_slow, n.calls + running_slow);
    if (n.calls >= t.minimum_calls && t.failure_rate > 0 && failure_rate >= t.failure_rate) {
      return breach{open_reason::failure_rate, failure_rate, slow_rate};
    }
    if (n.calls + running_slow >= t.minimum_calls && t.slow_rate > 0 && slow_rate >= t.slow_rate) {
      return breach{open_reason::slow_rate, failure_rate, slow_rate};
    }
    return std::nullopt;
  }

  std::optional<count_window> over_calls_;
  std::optional<time_window> over_time_;
  trip_thresholds calls_trip_, time_trip_;
};

}  // namespace weir::inline v0::detail
