#pragma once
/// \file
/// The arithmetic of a token bucket: a straight line from time to tokens refilled, in fixed point, exact enough that a
/// token comes in the very nanosecond in which it is due.
///
/// The bucket is kept in *units* of 2^-fraction tokens. `refilled(t)` = floor(t * rate) counts them from the origin of the
/// line, so rounding never adds up, and n tokens are exactly n << fraction units. Fractions are chosen so that a nanosecond
/// refills 1 to 2048 units. The slope is rounded up by less than 2^-63: a unit may come early by 2^-9 of itself, which is
/// far below a nanosecond, and never late.

#include <weir/core/config.hpp>
#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/int128.hpp>
#include <weir/core/time.hpp>

#include <algorithm>
#include <cstdint>

namespace weir::inline v0::detail {

/// A value. Units per nanosecond lie in [2^(exponent-1), 2^exponent), exponent in [1, 11].
struct refill_line {
  // {spare : 1 | level : 55} is what the limiter's word has room for; a line is left behind before it gets there.
  static constexpr unsigned level_bits = 55;
  static constexpr unsigned horizon_bits = 54;
  // So much may be issued beyond what is refilled: both together fit into the level.
  static constexpr std::uint64_t most_ahead = (std::uint64_t{1} << horizon_bits) - 1;

  std::int64_t origin = 0;     ///< ns on the time line, where refilled() is 0
  std::uint64_t slope = 0;     ///< units per ns, times 2^(64 - exponent)
  std::uint64_t inverse = 0;   ///< 2^127 / slope
  std::uint64_t burst = 0;     ///< units, <= 2^53
  std::uint32_t fraction = 0;  ///< bits of a unit
  std::uint32_t exponent = 1;

  /// Preconditions: limit.permits <= limit.per in ns; 1 <= burst; burst at that rate takes at most 50 days.
  static constexpr refill_line of(const rate& limit, std::uint64_t burst) noexcept {
    const auto permits = static_cast<uint128>(limit.permits);
    const auto per = static_cast<uint128>(limit.per.count());
    refill_line line;
    // Finer until a nanosecond is cut into 1024, while the word has room for several bursts; but always one unit a
    // nanosecond.
    while ((permits << line.fraction) < per ||
           ((uint128{burst} << (line.fraction + 1)) <= uint128{1} << (horizon_bits - 3) &&
            (permits << (line.fraction + 1)) <= per << 10)) {
      ++line.fraction;
    }
    const uint128 units = permits << line.fraction;
    while (units >= per << line.exponent) ++line.exponent;
    const uint128 slope = ((units << (64 - line.exponent)) + per - 1) / per;
    if (slope >> 64 != 0) {  // rounded up to the next power of two
      line.slope = std::uint64_t{1} << 63;
      ++line.exponent;
    } else {
      line.slope = static_cast<std::uint64_t>(slope);
    }
    line.inverse = static_cast<std::uint64_t>(std::min((uint128{1} << 127) / line.slope, uint128{~std::uint64_t{0}}));
    line.burst = burst << line.fraction;
    return line;
  }

  /// Time since the origin; an instant before it counts as the origin: what was earned is not earned again.
  [[nodiscard]] constexpr std::uint64_t since_origin(time_point now) const noexcept {
    const std::int64_t ns = now.time_since_epoch().count();
    return ns > origin ? static_cast<std::uint64_t>(ns) - static_cast<std::uint64_t>(origin) : 0;
  }

  /// Whether the line is used up: the next units would not fit into the word.
  [[nodiscard]] constexpr bool beyond(std::uint64_t since) const noexcept {
    return since > (std::uint64_t{1} << horizon_bits) >> exponent;
  }

  /// Units refilled since the origin. Beyond twice the horizon the answer stays at a value that no level reaches.
  [[nodiscard]] constexpr std::uint64_t refilled(std::uint64_t since) const noexcept {
    const std::uint64_t most = (std::uint64_t{1} << (level_bits + 1)) >> exponent;
    return static_cast<std::uint64_t>((uint128{std::min(since, most) << exponent} * slope) >> 64);
  }

  /// The first instant at which `units` (< 2^55) are refilled.
  [[nodiscard]] constexpr time_point when(std::uint64_t units) const noexcept {
    // The estimate is at most two nanoseconds early.
    auto since = static_cast<std::uint64_t>((uint128{units} * inverse) >> 64) >> (exponent - 1);
    for (int i = 0; i < 2 && refilled(since) < units; ++i) ++since;
    return later(time_point{duration{origin}}, duration{static_cast<duration::rep>(since)});
  }

  /// How long it takes to refill `tokens`; duration::max() if longer than can be said.
  [[nodiscard]] constexpr duration time_for(std::uint64_t tokens) const noexcept {
    const uint128 units = uint128{tokens} << fraction;
    if (fraction >= 64 || units >> 90 != 0) return duration::max();
    // As in `when`: the estimate is a little early.
    uint128 ns = ((units >> 32) * inverse >> (31 + exponent)) + (((units & 0xffff'ffff) * inverse) >> (63 + exponent));
    if (ns >= uint128{INT64_MAX}) return duration::max();
    while ((ns * slope) >> (64 - exponent) < units) ++ns;
    return duration{static_cast<duration::rep>(ns)};
  }

  /// Units in a bucket at `level`, after `done` units have been refilled. Negative: a debt.
  [[nodiscard]] constexpr std::int64_t balance(std::uint64_t level, std::uint64_t done) const noexcept {
    return static_cast<std::int64_t>(burst) - static_cast<std::int64_t>(std::max(level, done) - done);
  }
};

/// Where a line in force is kept for many readers. A reader must make sure afterwards that the line was in force all the
/// time; else it may have read parts of two.
struct alignas(cache_line) line_slot {
  struct contents {
    refill_line line;
    std::uint32_t epoch;
  };

  // Acquire and release, so that who reads a new value here also sees that its own generation has passed.
  [[nodiscard]] contents read() const noexcept {
    contents c;
    c.line.origin = origin.load(acquire);
    c.line.slope = slope.load(acquire);
    c.line.inverse = inverse.load(acquire);
    c.line.burst = burst.load(acquire);
    c.line.fraction = fraction.load(acquire);
    c.line.exponent = exponent.load(acquire);
    c.epoch = epoch.load(acquire);
    return c;
  }
  void write(const refill_line& line, std::uint32_t new_epoch) noexcept {
    origin.store(line.origin, release);
    slope.store(line.slope, release);
    inverse.store(line.inverse, release);
    burst.store(line.burst, release);
    fraction.store(line.fraction, release);
    exponent.store(line.exponent, release);
    epoch.store(new_epoch, release);
  }

  atomic<std::int64_t> origin{0};
  atomic<std::uint64_t> slope{0}, inverse{0}, burst{0};
  atomic<std::uint32_t> fraction{0}, exponent{1};
  atomic<std::uint32_t> epoch{0};  // counts configurations; moving the origin is no new one
};

}  // namespace weir::inline v0::detail
