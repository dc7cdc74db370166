#pragma once
/// \file
/// What a window limiter is told and what it tells: configuration, events, snapshot. Included by
/// weir/policy/window_limiter.hpp.

#include <weir/core/config.hpp>
#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/core/time.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace weir::inline v0 {

/// How a window limiter counts.
enum class window_precision : std::uint8_t {
  /// Never more than `permits` in any interval (t, t + per]. Remembers when each of the last `permits` tokens was issued: 8
  /// bytes each.
  exact,
  /// Two counters, of the present and of the previous `per`; the previous one is taken to have been evenly spread. 16 bytes
  /// whatever the limit. An interval that straddles the two can hold up to twice as many, if the previous tokens all came
  /// at its end.
  approximate,
};

struct window_limiter_config {
  std::string name = "window_limiter";
  rate limit = {100, std::chrono::seconds{1}};  ///< permits in [1, 10'000'000], per in (0, 10 years]
  window_precision precision = window_precision::exact;
};

[[nodiscard]] inline std::optional<config_error> validate(const window_limiter_config& config) {
  constexpr std::uint64_t most = 10'000'000;
  constexpr duration longest = std::chrono::hours{24 * 3650};
  if (config.limit.permits < 1 || config.limit.permits > most) {
    return config_error{"window_limiter_config.limit.permits",
                        "must be in [1, " + std::to_string(most) + "], is " + std::to_string(config.limit.permits)};
  }
  if (config.limit.per <= duration::zero() || config.limit.per > longest) {
    return config_error{"window_limiter_config.limit.per",
                        "must be positive and at most 10 years" + detail::is(config.limit.per)};
  }
  if (config.precision > window_precision::approximate) {
    return config_error{"window_limiter_config.precision", "must be exact or approximate"};
  }
  return std::nullopt;
}

/// A call was refused.
struct window_rejected {
  weir::name name;
  std::uint64_t sequence;
  errc why;  ///< rate_limited or never_admissible
  std::uint32_t cost;
  duration retry_after;
};

/// `reconfigure` put another limit into force.
struct window_limit_changed {
  weir::name name;
  std::uint64_t sequence;
  rate before, after;
};

/// What a window limiter has done; calls, not tokens, unless said otherwise. Counts are exact when nothing happens at the
/// same time. Nothing is in flight: an admission is spent at once.
struct window_limiter_snapshot {
  rate limit;
  window_precision precision = window_precision::exact;
  std::uint64_t used = 0;              ///< tokens in the window now, with cancelled ones that cannot be issued again yet
  bool waiting = false;                ///< a queue waits for tokens; newcomers are refused
  std::uint64_t admitted = 0;          ///< and not cancelled
  std::uint64_t rate_limited = 0;      ///< refused: the window is full, or others were waiting
  std::uint64_t never_admissible = 0;  ///< refused: asked for more than the limit
  std::uint64_t cancelled = 0;         ///< admitted, never started, taken back

  [[nodiscard]] std::uint64_t rejected() const noexcept { return rate_limited + never_admissible; }
  [[nodiscard]] std::uint64_t arrivals() const noexcept { return admitted + rejected() + cancelled; }
};

}  // namespace weir::inline v0
