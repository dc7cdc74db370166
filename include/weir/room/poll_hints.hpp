#pragma once
/// \file
/// When a seat should ask again, so that all seats together ask no more often than the server can answer.
///
/// ```cpp
/// weir::duration next = weir::with_jitter(weir::poll_after(ahead, waiting, rate), random());   // Retry-After
/// ```
/// Pure functions: thread-safe, O(1), no memory.

#include <weir/core/config.hpp>
#include <weir/core/random.hpp>
#include <weir/core/time.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace weir::inline v0 {

struct poll_config {
  double budget_per_s = 5000;                   ///< of all seats together, > 0
  duration shortest = std::chrono::seconds{1};  ///< between two questions of a seat, > 0
  duration longest = std::chrono::seconds{60};  ///< >= shortest; exceeded where the budget demands it
  double jitter = 0.2;                          ///< of with_jitter, [0, 1)
};

[[nodiscard]] inline std::optional<config_error> validate(const poll_config& c) {
  const auto wrong = [](const char* field, std::string problem) {
    return config_error{"poll_config." + std::string{field}, std::move(problem)};
  };
  if (!(c.budget_per_s > 0)) return wrong("budget_per_s", "must be > 0" + detail::is(c.budget_per_s));
  if (c.shortest <= duration::zero()) return wrong("shortest", "must be > 0" + detail::is(c.shortest));
  if (c.longest < c.shortest) return wrong("longest", "must be >= shortest" + detail::is(c.longest));
  if (!(c.jitter >= 0 && c.jitter < 1)) return wrong("jitter", "must be in [0, 1)" + detail::is(c.jitter));
  return std::nullopt;
}

namespace detail {

/// Seats that expect to wait no longer are near.
inline constexpr double near_s = 30;

/// The polls per second, from above, of seats that all ask after half of their wait, or after `shortest`: what it takes
/// that nobody comes back too late. The sum of min(1/shortest, 2 rate / k) for k = 1 ... waiting.
[[nodiscard]] inline double least_polls_per_s(double waiting, double rate_per_s, double shortest) noexcept {
  const double at_shortest = 2 * rate_per_s * shortest;
  if (waiting <= at_shortest) return waiting / shortest;
  return 2 * rate_per_s * (1 + std::log(waiting / std::max(at_shortest, 1.0)));
}

}  // namespace detail

/// For who has `ahead` seats ahead of it, of `waiting`, if `rate_per_s` are admitted (0: unknown). Without jitter.
///
/// - Who expects to wait for at most 30 s: after `shortest`, as far as half of the budget allows it.
/// - Further back: after a twelfth of the wait, at most `longest`, as far as the other half allows it.
/// - Nobody later than after half of its wait (but not before `shortest` either): it would come after its turn.
/// - Rate unknown: after `shortest`, as far as half of the budget allows it.
///
/// Who is further back is never asked to come sooner. The sum of 1 / poll_after over all seats is at most the budget, as
/// long as that is at least what the third rule takes: 2 rate (1 + ln(waiting / max(1, 2 rate shortest))), or
/// waiting / shortest if waiting <= 2 rate shortest. (With 5000 polls/s and ten million waiting: up to 227 admissions/s.)
/// This comes off the budget before it is halved; where the budget is less, the third rule alone decides, and that is the
/// sum. Ranges: any; a configuration that is valid.
[[nodiscard]] inline duration poll_after(std::uint64_t ahead, std::uint64_t waiting, double rate_per_s,
                                         const poll_config& c = {}) noexcept {
  const double place = static_cast<double>(ahead) + 1;
  const double all = std::max(static_cast<double>(waiting), place);
  const double shortest = static_cast<double>(c.shortest.count()) / 1e9;
  const double longest = static_cast<double>(c.longest.count()) / 1e9;
  const auto after = [](double seconds) { return duration{detail::saturated(std::ceil(seconds * 1e9))}; };
  if (!(rate_per_s > 0)) return after(std::max(shortest, all / (c.budget_per_s / 2)));

  const double half = (c.budget_per_s - detail::least_polls_per_s(all, rate_per_s, shortest)) / 2;
  const double wait = place / rate_per_s;
  const double in_time = std::max(shortest, wait / 2);
  if (half <= 0) return after(in_time);
  const double near = std::min(all, std::floor(detail::near_s * rate_per_s));
  double seconds = std::max(shortest, near / half);
  if (place > near) seconds = std::max({seconds, std::min(wait / 12, longest), (all - near) / half});
  return after(std::min(seconds, in_time));
}

/// Shortens or prolongs by up to the configured jitter, so that those who came together do not ask together for ever:
/// evenly by `random`, 64 random bits. The mean stays, and with it the polls per second.
[[nodiscard]] inline duration with_jitter(duration d, std::uint64_t random, const poll_config& c = {}) noexcept {
  const double even = static_cast<double>(random >> 11) * 0x1p-52 - 1;  // in [-1, 1)
  return duration{detail::saturated(static_cast<double>(d.count()) * (1 + c.jitter * even))};
}

}  // namespace weir::inline v0
