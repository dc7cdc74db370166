#pragma once
/// \file
/// How many tokens were issued of late, by two counters. No clock, no lock.

#include <weir/core/config.hpp>
#include <weir/core/detail/int128.hpp>
#include <weir/core/time.hpp>

#include <algorithm>
#include <cstdint>

namespace weir::inline v0::detail {

/// Time is cut into periods of `per`. What is taken to be in the window is all of the present period and that share of the
/// previous one by which the window reaches into it. Not thread-safe. Instants passed in must not decrease, and must leave
/// room for two periods.
class sliding_counter {
 public:
  explicit sliding_counter(const rate& limit) noexcept : limit_(limit) {}

  [[nodiscard]] std::uint64_t size() const noexcept { return limit_.permits; }

  /// When `cost` tokens can be issued, if none are before; not before `now`. Precondition: 1 <= cost <= size().
  [[nodiscard]] time_point available(std::uint64_t cost, time_point now) const noexcept {
    const sliding_counter then = at(now);
    if (then.present_ + cost <= limit_.permits)
      return then.due(then.period_, then.previous_, limit_.permits - then.present_ - cost, now);
    return then.due(then.period_ + 1, then.present_, limit_.permits - cost, now);
  }

  /// Returns the number of the period.
  std::uint64_t issue(std::uint64_t cost, time_point now) noexcept {
    *this = at(now);
    present_ += static_cast<std::uint32_t>(cost);
    return static_cast<std::uint64_t>(period_);
  }

  /// Precondition: issued in that period by this counter, and not inherited.
  void cancel(std::uint64_t period, std::uint64_t cost) noexcept {
    if (static_cast<std::int64_t>(period) == period_) present_ -= static_cast<std::uint32_t>(cost);
    if (static_cast<std::int64_t>(period) == period_ - 1) previous_ -= static_cast<std::uint32_t>(cost);
  }

  /// Rounded up.
  [[nodiscard]] std::uint64_t used(time_point now) const noexcept {
    const sliding_counter then = at(now);
    const auto left = static_cast<std::uint64_t>(limit_.per.count() - then.since(now));
    const auto per = static_cast<std::uint64_t>(limit_.per.count());
    return then.present_ + static_cast<std::uint64_t>((uint128{then.previous_} * left + per - 1) / per);
  }

  /// Both counts; if the periods are others, all that they count is taken to be of the present one.
  void inherit(const sliding_counter& before, time_point now) noexcept {
    const sliding_counter then = before.at(now);
    if (then.limit_.per == limit_.per) {
      period_ = then.period_;
      present_ = then.present_;
      previous_ = then.previous_;
    } else {
      *this = at(now);
      const std::uint64_t all = std::uint64_t{then.present_} + then.previous_;
      present_ = static_cast<std::uint32_t>(std::min(all, std::uint64_t{UINT32_MAX}));
    }
  }

 private:
  [[nodiscard]] std::int64_t number(time_point t) const noexcept {
    const std::int64_t ns = t.time_since_epoch().count(), per = limit_.per.count();
    return ns / per - (ns % per < 0 ? 1 : 0);
  }
  [[nodiscard]] std::int64_t since(time_point now) const noexcept {
    return now.time_since_epoch().count() - period_ * limit_.per.count();
  }

  /// As it would be at `now`.
  [[nodiscard]] sliding_counter at(time_point now) const noexcept {
    const std::int64_t n = number(now);
    if (n <= period_) return *this;
    sliding_counter later = *this;
    later.previous_ = n == period_ + 1 ? present_ : 0;
    later.present_ = 0;
    later.period_ = n;
    return later;
  }

  /// When no more than `room` of `previous` tokens are left in a window that ends in `period`.
  [[nodiscard]] time_point due(std::int64_t period, std::uint64_t previous, std::uint64_t room,
                               time_point now) const noexcept {
    const std::int64_t per = limit_.per.count();
    std::int64_t wait = 0;
    if (previous > room) wait = per - static_cast<std::int64_t>(uint128{room} * static_cast<std::uint64_t>(per) / previous);
    const time_point begin{duration{period * per}};
    const time_point when = later(begin, duration{wait});
    return when < now ? now : when;
  }

  rate limit_;
  std::int64_t period_ = INT64_MIN;
  std::uint32_t present_ = 0, previous_ = 0;
};

}  // namespace weir::inline v0::detail
