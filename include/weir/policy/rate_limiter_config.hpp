#pragma once
/// \file
/// What a rate limiter is told and what it tells: configuration, events, snapshot. Included by
/// weir/policy/rate_limiter.hpp.

#include <weir/core/config.hpp>
#include <weir/core/detail/int128.hpp>
#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/core/time.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace weir::inline v0 {

struct rate_limiter_config {
  std::string name = "rate_limiter";
  rate limit = {100, std::chrono::seconds{1}};  ///< one per 50 days .. 10^9 per second
  std::uint64_t burst = 0;  ///< tokens in a full bucket, >= 1; they refill within 50 days. 0: those of one `limit.per`
};

[[nodiscard]] inline std::optional<config_error> validate(const rate_limiter_config& config) {
  if (config.limit.permits < 1) return config_error{"rate_limiter_config.limit.permits", "must be at least 1, is 0"};
  if (config.limit.per <= duration::zero()) {
    return config_error{"rate_limiter_config.limit.per", "must be positive" + detail::is(config.limit.per)};
  }
  if (config.limit.permits > static_cast<std::uint64_t>(config.limit.per.count())) {
    return config_error{"rate_limiter_config.limit", "must be at most one permit per nanosecond, is " +
                                                         std::to_string(config.limit.permits) + " per " +
                                                         detail::exact_text(config.limit.per)};
  }
  constexpr duration longest = std::chrono::hours{24 * 50};
  const std::uint64_t burst = config.burst != 0 ? config.burst : config.limit.permits;
  const auto refill = detail::uint128{burst} * static_cast<std::uint64_t>(config.limit.per.count());
  if (refill > detail::uint128{config.limit.permits} * static_cast<std::uint64_t>(longest.count())) {
    return config_error{"rate_limiter_config.burst",
                        "must refill within 50 days at the limit, is " + std::to_string(burst)};
  }
  return std::nullopt;
}

/// What becomes of the tokens in the bucket when `reconfigure` changes it.
enum class inherit : std::uint8_t {
  as_is,         ///< the same number of tokens, but no more than the new burst
  reset,         ///< a full bucket
  proportional,  ///< the same share of the burst
  additive,      ///< as they are, and as many more as the burst grew by
};

/// A call was refused.
struct rate_rejected {
  weir::name name;
  std::uint64_t sequence;
  errc why;  ///< rate_limited, never_admissible or would_miss_deadline
  std::uint32_t cost;
  duration retry_after;
};

/// `reconfigure` put another limit into force.
struct rate_limit_changed {
  weir::name name;
  std::uint64_t sequence;
  rate before, after;
};

/// `drain` emptied the bucket.
struct rate_limit_drained {
  weir::name name;
  std::uint64_t sequence;
};

/// What a rate limiter has done; calls, not tokens, unless said otherwise. Counts are exact when nothing happens at the
/// same time. A rate limiter has nothing in flight: an admission is spent at once.
struct rate_limiter_snapshot {
  rate limit;
  std::uint64_t burst = 0;                ///< tokens
  std::uint64_t tokens_approx = 0;        ///< in the bucket now, rounded down
  bool waiting = false;                   ///< a queue waits for tokens; newcomers are refused
  std::uint64_t admitted = 0;             ///< and not cancelled
  std::uint64_t rate_limited = 0;         ///< refused: not enough tokens, or others were waiting
  std::uint64_t never_admissible = 0;     ///< refused: asked for more than the burst
  std::uint64_t would_miss_deadline = 0;  ///< not reserved: due after the deadline
  std::uint64_t cancelled = 0;            ///< admitted, never started, taken back

  [[nodiscard]] std::uint64_t rejected() const noexcept { return rate_limited + never_admissible + would_miss_deadline; }
  [[nodiscard]] std::uint64_t arrivals() const noexcept { return admitted + rejected() + cancelled; }
};

}  // namespace weir::inline v0
