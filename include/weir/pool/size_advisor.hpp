#pragma once
/// \file
/// `size_advisor`: from what a pool measures to how large it should be, and when not to make it larger. Sans-I/O.
///
/// ```cpp
/// advisor.note({.arrivals = 812, .returned = 800, .held = 16s, .in_use = 16s, .span = 1s});   // once a second or so
/// weir::pool_advice a = advisor.advise(10, 20ms);
/// ```

#include <weir/core/time.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::inline v0 {

enum class advice_reason : std::uint8_t {
  unknown,    ///< too little has been seen
  fits,       ///< as large as needed, by the load that was seen
  grow,       ///< waits would be rare with more
  shrink,     ///< fewer would do
  saturated,  ///< do not grow: connections are held longer the more of them are in use, so the backend is the bottleneck
};
[[nodiscard]] constexpr std::string_view to_string(advice_reason reason) noexcept {
  constexpr std::string_view words[] = {"unknown", "fits", "grow", "shrink", "saturated"};
  return words[static_cast<std::size_t>(reason)];
}

struct pool_advice {
  advice_reason reason = advice_reason::unknown;
  std::uint32_t recommended = 0;    ///< 0: unknown
  std::uint32_t low = 0, high = 0;  ///< between what the load needs on average and what it needs at its recent peak
  double arrivals_per_second = 0;
  duration hold{};           ///< mean
  double offered = 0;        ///< erlangs: connections in use on average, if there were enough
  double waits_now = 0;      ///< share of acquires that would wait longer than the target with the size of today
  double hold_grows_by = 0;  ///< seconds of hold time for each further connection in use; 0: no significant slope
  std::uint32_t knee = 0;    ///< connections in use at which the hold time has doubled; 0: none seen
  std::uint64_t samples = 0;

  // What else is worth a look; what is not known yet is not said.
  bool never_full = false;           ///< for the last 24 hours there was always room: max_size was not needed
  std::uint32_t most_in_use = 0;     ///< in that time, as far as was seen; 0 without never_full
  double opened_per_minute = 0;      ///< connections
  bool churns = false;               ///< that is more than there may be: they do not live for a minute
  double waits_for_connect = 0;      ///< share of acquires that waited for a connection to be opened
  bool min_idle_is_too_low = false;  ///< that is more than 1 %: the longest waits are those

  std::string evidence;  ///< one sentence
};

/// The fewest connections with which `threads` that hold up to `each` of them at once can't all wait for one another:
/// T x (C - 1) + 1 (the bound that HikariCP's guide on pool sizing gives). 0 threads or connections: 0.
[[nodiscard]] constexpr std::uint64_t deadlock_bound(std::uint32_t threads, std::uint32_t each) noexcept {
  return threads == 0 || each == 0 ? 0 : std::uint64_t{threads} * (each - 1) + 1;
}

/// The share of callers that wait longer than `target` in M/M/c with `offered` erlangs and mean hold `hold`: Erlang C (A.
/// K. Erlang 1917; by the recursion of Erlang B). offered >= servers: 1. Complexity: O(servers).
[[nodiscard]] inline double erlang_c_beyond(std::uint32_t servers, double offered, double hold_seconds,
                                            double target_seconds) noexcept {
  if (offered <= 0) return 0;
  if (offered >= servers) return 1;
  double b = 1;
  for (std::uint32_t k = 1; k <= servers; ++k) b = offered * b / (k + offered * b);
  const double waits = b / (1 - offered / servers * (1 - b));
  return waits * std::exp(-(servers - offered) * target_seconds / hold_seconds);
}

/// The fewest servers with at most `share` beyond `target`; `most` + 1: more than `most`. Complexity: O(most).
[[nodiscard]] inline std::uint32_t erlang_c_servers(double offered, double hold_seconds, double target_seconds,
                                                    double share, std::uint32_t most) noexcept {
  double b = 1;
  for (std::uint32_t c = 1; c <= most; ++c) {
    b = offered * b / (c + offered * b);
    if (offered >= c) continue;
    const double waits = b / (1 - offered / c * (1 - b));
    if (waits * std::exp(-(c - offered) * target_seconds / hold_seconds) <= share) return c;
  }
  return most + 1;
}

/// Not thread-safe. Memory: 160 bytes; forgets with a half-life of `half_life` samples.
class size_advisor {
 public:
  /// What happened in `span`: calls that asked and calls that gave back, time that those held, time integral of connections
  /// in use.
  struct sample {
    std::uint64_t arrivals = 0;
    std::uint64_t returned = 0;
    duration held{};
    double in_use_seconds = 0;
    duration span{};
    std::uint64_t opened = 0, waited_for_connect = 0;  ///< connections; calls that got them when they were
    std::uint32_t in_use = 0;                          ///< at the end
    bool was_full = false;                             ///< at some time there was no room for one more
  };
  static constexpr double half_life = 120;

  void note(const sample& s) noexcept {
    const double dt = seconds(s.span);
    if (dt <= 0) return;
    const double keep = std::exp2(-1 / half_life);
    for (double* sum : {&time_, &arrivals_, &opened_, &for_connect_, &weight_, &n_, &h_, &nn_, &nh_, &hh_}) *sum *= keep;
    opened_ += static_cast<double>(s.opened);
    for_connect_ += static_cast<double>(s.waited_for_connect);
    had_room_for_ = s.was_full ? duration::zero() : later(time_point{had_room_for_}, s.span).time_since_epoch();
    most_in_use_ = s.was_full ? 0 : std::max(most_in_use_, s.in_use);
    peak_ = std::max(peak_ * keep, static_cast<double>(s.arrivals) / dt);
    time_ += dt;
    arrivals_ += static_cast<double>(s.arrivals);
    ++samples_;
    if (s.returned == 0) return;
    const double n = s.in_use_seconds / dt;
    const double h = seconds(s.held) / static_cast<double>(s.returned);
    weight_ += 1;
    n_ += n;
    h_ += h;
    nn_ += n * n;
    nh_ += n * h;
    hh_ += h * h;
  }

  /// For a pool of `size` that is to keep all but 1 % of its users from waiting longer than `target`. Errors:
  /// std::bad_alloc.
  [[nodiscard]] pool_advice advise(std::uint32_t size, duration target, std::uint32_t most = 10'000) const {
    pool_advice a;
    a.samples = samples_;
    add_flags(a, size);
    if (weight_ < least_samples || h_ <= 0 || arrivals_ <= 0) {
      a.evidence = "too little has been seen: " + std::to_string(samples_) + " samples" + flags(a, size);
      return a;
    }
    const double hold = h_ / weight_;
    a.arrivals_per_second = arrivals_ / time_;
    a.hold = duration{static_cast<duration::rep>(hold * 1e9)};
    a.offered = a.arrivals_per_second * hold;
    a.waits_now = erlang_c_beyond(size, a.offered, hold, seconds(target));
    find_slope(a);
    a.low = std::max(std::uint32_t{1}, static_cast<std::uint32_t>(std::ceil(a.offered)));
    a.recommended = enough(a.offered, hold, target, most);
    a.high = std::max(a.recommended, enough(peak_ * hold, hold, target, most));
    if (a.knee != 0 && a.recommended > a.knee) {
      a.reason = advice_reason::saturated;
      a.recommended = std::min(size, std::max(a.knee, std::uint32_t{1}));
    } else {
      a.reason = a.recommended > size                        ? advice_reason::grow
                 : a.recommended * 2 < size && a.high < size ? advice_reason::shrink
                                                             : advice_reason::fits;
    }
    a.evidence = sentence(a, size, target) + flags(a, size);
    return a;
  }

 private:
  static constexpr double least_samples = 20;
  /// Until then the connections of its first moments weigh too much.
  void add_flags(pool_advice& a, std::uint32_t size) const noexcept {
    a.never_full = had_room_for_ >= std::chrono::hours{24};
    if (a.never_full) a.most_in_use = most_in_use_;
    if (samples_ < static_cast<std::uint64_t>(half_life)) return;
    a.opened_per_minute = opened_ / time_ * 60;
    a.churns = a.opened_per_minute > size;
    if (arrivals_ <= 0) return;
    a.waits_for_connect = std::min(1.0, for_connect_ / arrivals_);
    a.min_idle_is_too_low = a.waits_for_connect > 0.01;
  }
  static std::string flags(const pool_advice& a, std::uint32_t size) {
    std::string text;
    if (a.never_full) {
      text += "; never full for a day: at most " + std::to_string(a.most_in_use) + " of " + std::to_string(size) +
              " were seen in use";
    }
    if (a.churns) text += "; " + number(a.opened_per_minute) + " connections opened per minute: they do not live for long";
    if (a.min_idle_is_too_low) {
      text +=
          "; " + number(a.waits_for_connect * 100) + " % of acquires waited for a connection to be opened: raise min_idle";
    }
    return text;
  }
  static double seconds(duration d) noexcept { return std::chrono::duration<double>(d).count(); }

  /// 99 % of users in time; the square-root rule (W. Whitt, "Understanding the Efficiency of Multi-Server Service Systems",
  /// 1992) where that cannot be had.
  static std::uint32_t enough(double offered, double hold, duration target, std::uint32_t most) noexcept {
    const std::uint32_t c = erlang_c_servers(offered, hold, seconds(target), 0.01, most);
    if (c <= most) return c;
    return std::min(most, static_cast<std::uint32_t>(std::ceil(offered + 1.5 * std::sqrt(offered))));
  }

  /// Least squares of hold time over connections in use; a slope counts from three standard errors on, if it makes a tenth
  /// of the hold time within the range that was seen.
  void find_slope(pool_advice& a) const noexcept {
    const double mean_n = n_ / weight_, mean_h = h_ / weight_;
    const double var_n = nn_ / weight_ - mean_n * mean_n;
    const double var_h = hh_ / weight_ - mean_h * mean_h;
    const double covariance = nh_ / weight_ - mean_n * mean_h;
    if (var_n <= 1e-12 * (1 + mean_n * mean_n) || covariance <= 0) return;
    const double slope = covariance / var_n;
    const double rest = std::max(0.0, var_h - slope * covariance);
    const double error = std::sqrt(rest / ((weight_ - 2) * var_n));
    if (slope <= 3 * error || slope * 2 * std::sqrt(var_n) < mean_h / 10) return;
    a.hold_grows_by = slope;
    // Unloaded it would be `base`, and twice that with base / slope connections in use.
    const double base = std::max(mean_h - slope * mean_n, mean_h / 100);
    a.knee = static_cast<std::uint32_t>(std::clamp(std::round(base / slope), 1.0, 1e6));
  }

  static std::string number(double value) {
    std::string text = std::to_string(value);
    return text.substr(0, text.find('.') + 2);
  }
  static std::string sentence(const pool_advice& a, std::uint32_t size, duration target) {
    std::string text = number(a.arrivals_per_second) + " acquires/s held for " + number(seconds(a.hold) * 1000) +
                       " ms each keep " + number(a.offered) + " of " + std::to_string(size) + " connections busy; " +
                       number(a.waits_now * 100) + " % of them would wait longer than " + number(seconds(target) * 1000) +
                       " ms";
    if (a.reason == advice_reason::saturated) {
      text += "; do not grow: hold time rises with concurrency, it doubles at " + std::to_string(a.knee) + " in use";
    }
    return text;
  }

  std::uint64_t samples_ = 0;
  double time_ = 0, arrivals_ = 0, peak_ = 0, opened_ = 0, for_connect_ = 0;
  duration had_room_for_{};
  std::uint32_t most_in_use_ = 0;  // meanwhile
  // Of samples in which something came back: n connections in use, h hold time.
  double weight_ = 0, n_ = 0, h_ = 0, nn_ = 0, nh_ = 0, hh_ = 0;
};

}  // namespace weir::inline v0
