#pragma once
/// \file
/// What a window tells whoever records a result without the lock; above all, whether its counts could be above a threshold.

#include <weir/core/detail/atomic.hpp>
#include <weir/policy/circuit_breaker_config.hpp>

#include <cstdint>
#include <limits>

namespace weir::inline v0::detail {

/// What became of a result that was recorded without the lock.
enum class recorded : std::uint8_t {
  quietly,    ///< it is in the window, and nothing speaks for opening the circuit
  suspect,    ///< it is in the window; the counts want to be judged
  not_yet,    ///< it is not: the window is changing, or must be changed first
  misplaced,  ///< it is not, but took an index of an era that is not its own
};

/// Never says no where `trip_thresholds` would trip; may say yes where they would just not, by rounding. Thread-safe.
class trip_filter {
 public:
  explicit trip_filter(const trip_thresholds& t) noexcept { set(t); }

  void set(const trip_thresholds& t) noexcept {
    minimum_calls_.store(t.minimum_calls, relaxed);
    failure_line_.store(line(t.failure_rate), relaxed);
    slow_line_.store(line(t.slow_rate), relaxed);
  }

  [[nodiscard]] bool suspects(std::int64_t calls, std::int64_t failures, std::int64_t slow) const noexcept {
    if (calls < minimum_calls_.load(relaxed)) return false;
    const auto all = static_cast<double>(calls);
    return static_cast<double>(failures) >= all * failure_line_.load(relaxed) ||
           static_cast<double>(slow) >= all * slow_line_.load(relaxed);
  }

 private:
  static double line(double rate) noexcept {
    return rate > 0 ? rate * (1 - 1e-12) : std::numeric_limits<double>::infinity();  // 0: never
  }

  atomic<std::uint32_t> minimum_calls_{1};
  atomic<double> failure_line_{1}, slow_line_{1};
};

}  // namespace weir::inline v0::detail
