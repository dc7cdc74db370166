#pragma once
/// \file
/// How long to wait before the next attempt: exponential backoff with a cap and jitter, as a pure value.
///
/// ```cpp
/// weir::backoff wait{.initial = 100ms, .multiplier = 2.0, .cap = 5s, .jitter = weir::jitter_kind::full};
/// weir::random_stream random{seed, "retry"};
/// weir::duration pause = wait.delay(attempt, random);   // attempt counts from 1
/// ```
/// Jitter kinds: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.

#include <weir/core/config.hpp>
#include <weir/core/random.hpp>
#include <weir/core/time.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace weir::inline v0 {

/// How a delay is spread, so that clients that failed together do not come back together. `d`: the delay without jitter.
enum class jitter_kind : std::uint8_t {
  none,          ///< d
  full,          ///< uniform in [0, d]
  equal,         ///< uniform in [d/2, d]
  decorrelated,  ///< uniform in [initial, 3 * previous delay], at most cap; the attempt's number does not matter
  proportional,  ///< uniform in [d * (1 - fraction), d * (1 + fraction)]
};

/// A value; thread-safe as such, the random stream is the caller's.
///
/// The delay of attempt k without jitter is min(x_k, cap) where x_1 = initial and x_(k+1) = x_k * multiplier, cut off to
/// whole units of `granularity` at every step; the cap bounds the result and not the sequence. Everything saturates.
/// Jitter of kind `proportional` spreads around the capped delay and may exceed the cap by its fraction: otherwise half of
/// a fleet would meet at the cap.
struct backoff {
  duration initial = std::chrono::milliseconds{100};   ///< >= granularity
  double multiplier = 2.0;                             ///< > 0, finite; 1: constant delay; below 1 the delays shrink
  duration cap = std::chrono::seconds{60};             ///< > 0; duration::max(): none
  jitter_kind jitter = jitter_kind::full;              ///< see jitter_kind
  double fraction = 0.2;                               ///< in [0, 1]; only for jitter_kind::proportional
  duration granularity = std::chrono::nanoseconds{1};  ///< > 0

  /// x_k in units of granularity: neither capped nor bounded by what a duration can hold. `attempt` counts from 1 (0 is
  /// taken as 1). Never negative. Complexity: O(attempt), but at most until the sequence stands still.
  [[nodiscard]] constexpr std::int64_t uncapped_units(std::uint32_t attempt) const noexcept {
    return units(attempt, std::numeric_limits<std::int64_t>::max());
  }

  /// The delay without jitter. Complexity: as `uncapped_units`, and ends early where a growing sequence reaches the cap.
  [[nodiscard]] constexpr duration nominal(std::uint32_t attempt) const noexcept {
    const std::int64_t beyond = cap / granularity;
    const std::int64_t x = units(attempt, beyond);
    return x > beyond ? cap : std::min(granularity * x, cap);
  }

  /// The delay with jitter. `previous`: what this function gave last time (zero: nothing yet), which only
  /// jitter_kind::decorrelated looks at. Draws at most one number from `random`. Never negative.
  [[nodiscard]] duration delay(std::uint32_t attempt, random_stream& random, duration previous = {}) const noexcept {
    const duration d = nominal(attempt);
    switch (jitter) {
      case jitter_kind::none: break;
      case jitter_kind::full: return random.between(duration::zero(), d);
      case jitter_kind::equal: return random.between(d / 2, d);
      case jitter_kind::decorrelated: {
        const duration last = std::clamp(previous, initial, std::max(cap, initial));
        return std::min(cap, random.between(initial, last > duration::max() / 3 ? duration::max() : last * 3));
      }
      case jitter_kind::proportional: {
        const duration width{std::min(detail::saturated(static_cast<double>(d.count()) * fraction), d.count())};
        return random.between(d - width, d > duration::max() - width ? duration::max() : d + width);
      }
    }
    return d;
  }

  /// The sequence followed until attempt `attempt`, or until it grows beyond `enough`.
  [[nodiscard]] constexpr std::int64_t units(std::uint32_t attempt, std::int64_t enough) const noexcept {
    std::int64_t x = initial / granularity;
    for (std::uint32_t k = 1; k < attempt; ++k) {
      const std::int64_t next = detail::saturated(static_cast<double>(x) * multiplier);
      if (next == x || (x > enough && multiplier >= 1)) break;
      x = next;
    }
    return x;
  }

  friend bool operator==(const backoff&, const backoff&) = default;
};

/// What is wrong with it, if anything. `where`: how messages call it, "circuit_breaker_config.open_for".
[[nodiscard]] inline std::optional<config_error> validate(const backoff& b, std::string_view where = "backoff") {
  const auto error = [where](std::string_view field, std::string problem) {
    return config_error{std::string{where} + "." + std::string{field}, std::move(problem)};
  };
  if (b.granularity <= duration::zero()) return error("granularity", "must be > 0" + detail::is(b.granularity));
  if (b.initial < b.granularity) return error("initial", "must be >= granularity" + detail::is(b.initial));
  if (!(b.multiplier > 0) || !std::isfinite(b.multiplier)) {
    return error("multiplier", "must be > 0 and finite" + detail::is(b.multiplier));
  }
  if (b.cap <= duration::zero()) return error("cap", "must be > 0" + detail::is(b.cap));
  if (!(b.fraction >= 0 && b.fraction <= 1)) {
    return error("fraction", "must be in [0, 1]" + detail::is(b.fraction));
  }
  if (b.jitter > jitter_kind::proportional) {
    return error("jitter", "must be a jitter_kind" + detail::is(static_cast<int>(b.jitter)));
  }
  return std::nullopt;
}

}  // namespace weir::inline v0
