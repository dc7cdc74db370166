#pragma once
/// \file
/// How long a seat will wait: in the middle (p50), and with nine chances in ten (p90).
///
/// ```cpp
/// weir::eta_estimator eta{{.prior_per_s = 5}};
/// eta.admitted(3, now);                       // three left the front of the line
/// eta.left(1, waiting, now);                  // one of those who wait has given up
/// if (const auto wait = eta.estimate(ahead, now)) show(wait->p50, wait->p90);
/// ```
/// Observe only what the room could do: pause while nobody waits, since then it admits as many as come, not as many as it
/// can.
///
/// Model: admissions come in groups, at a rate mu that drifts; each of those ahead gives up at a rate theta. The next group
/// comes after what is left of a gap, given for how long nothing has come (by the distribution of gaps); the rest of those
/// ahead then drains as d(ahead)/dt = -mu - theta ahead. Its spread comes from the index of dispersion of the counts,
/// measured as the errors of the rate's own forecasts over spans of 1, 2, 4 ... 128 bins, so that bursts longer than a bin
/// are seen. Quantiles are those of a gamma distribution with that mean and variance (Wilson and Hilferty 1931).
///
/// A value, without clock or lock; allocates nothing. Time runs on for it only: an older `now` counts as the latest seen.

#include <weir/core/random.hpp>
#include <weir/core/time.hpp>
#include <weir/room/detail/count_dispersion.hpp>
#include <weir/room/detail/gap_histogram.hpp>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>

namespace weir::inline v0 {

struct room_eta {
  duration p50{}, p90{};
};

struct eta_config {
  duration tau = std::chrono::seconds{60};  ///< memory of the rate, >= bin; that of the spread is ten times as long
  /// Admissions are counted in spans of this length, > 0. Where N are admitted together every T: T.
  duration bin = std::chrono::seconds{1};
  /// What is expected before anything was seen, admissions per second, >= 0; its weight fades with tau. 0: nothing is.
  double prior_per_s = 0;
};

/// Not thread-safe: its room holds the lock. Complexity: every function O(1), at most some hundred operations. Memory: 1
/// KB.
class eta_estimator {
 public:
  /// Precondition (asserted): the ranges of the configuration.
  explicit eta_estimator(eta_config config = {}) noexcept
      : bin_(seconds(config.bin)),
        tau_(seconds(config.tau)),
        prior_(config.prior_per_s),
        bin_weight_(tau_ / bin_ * -std::expm1(-bin_ / tau_)),
        spread_(bin_, spread_memory * tau_) {
    assert(config.bin > duration::zero() && config.tau >= config.bin && config.prior_per_s >= 0);
  }

  /// So many have left the front of the line for the room. Ignored while paused.
  void admitted(std::uint64_t n, time_point now) noexcept {
    if (n == 0) return;
    begin(now);
    roll(now);
    if (paused_) return;
    const auto count = static_cast<double>(n);
    in_bin_ += count;
    if (seen_ > last_group_ && group_ > 0) {
      gaps_.record(seen_ - last_group_, group_, 4 * tau_);
      group_ = 0;
    }
    last_group_ = seen_;
    group_ += count;
  }

  /// So many have given up their place, of `waiting` (counted before). Ignored while paused.
  void left(std::uint64_t n, std::uint64_t waiting, time_point now) noexcept {
    begin(now);
    roll(now);
    if (paused_ || n == 0) return;
    const auto count = static_cast<double>(n);
    leaving_ += count / static_cast<double>(std::max(n, waiting));
    leavers_ += count;
  }

  /// Time has passed. Changes nothing but that the next estimates cost less.
  void see(time_point now) noexcept {
    if (begun_) roll(now);
  }

  /// Time that passes is not observed, and nothing is estimated, until `resume`.
  void pause(time_point now) noexcept {
    roll(now);
    paused_ = true;
  }
  /// Observation goes on, or begins.
  void resume(time_point now) noexcept {
    begin(now);
    roll(now);
    paused_ = false;
  }

  /// For who has so many ahead of it. nullopt: paused, or the rate is not known (before the second group of admissions,
  /// without a prior), or the wait is beyond half a year.
  [[nodiscard]] std::optional<room_eta> estimate(std::uint64_t ahead, time_point now) const noexcept {
    if (paused_) return std::nullopt;
    const auto before = static_cast<double>(ahead);
    const double seen = seen_at(now);
    if (seen - bin_start_ < bin_) return estimate_after(before, seen - last_group_);
    eta_estimator at = *this;
    at.roll(now);
    return at.estimate_after(before, at.seen_ - at.last_group_);
  }

  /// Admissions per second, 0: not known. Not zero while paused.
  [[nodiscard]] double rate_per_s(time_point now) const noexcept {
    if (seen_at(now) - bin_start_ < bin_) return known() ? rate() : 0;
    eta_estimator at = *this;
    at.roll(now);
    return at.known() ? at.rate() : 0;
  }

 private:
  static constexpr double spread_memory = 10;      // times tau
  static constexpr double prior_error = 0.5;       // relative
  static constexpr std::uint64_t most_bins = 256;  // that are closed one by one: of a longer silence only the rate is kept

  static double seconds(duration d) noexcept { return std::chrono::duration<double>{d}.count(); }

  void begin(time_point now) noexcept {
    if (begun_) return;
    begun_ = true;
    last_ = now;
    // Groups that come every bin then lie in the middle of bins, whether they are early or late.
    seen_ = last_group_ = bin_ / 2;
  }

  /// Observed time at `now`.
  [[nodiscard]] double seen_at(time_point now) const noexcept {
    return begun_ && !paused_ && now > last_ ? seen_ + seconds(elapsed(last_, now)) : seen_;
  }
  /// Observes up to `now`: closes the bins that ended meanwhile.
  void roll(time_point now) noexcept {
    seen_ = seen_at(now);
    if (begun_) last_ = std::max(last_, now);
    for (std::uint64_t k = 0; k < most_bins && seen_ - bin_start_ >= bin_; ++k) close_bin();
    if (const double rest = std::floor((seen_ - bin_start_) / bin_); rest >= 1) {
      fade(rest * bin_);
      bin_start_ += rest * bin_;
    }
  }

  void fade(double passed) noexcept {
    const double kept = std::exp(-passed / tau_);
    counted_ *= kept;
    leaving_ *= kept;
    leavers_ *= kept;
    unseen_ *= kept;
  }

  void close_bin() noexcept {
    fade(bin_);
    const double count = std::exchange(in_bin_, 0);
    counted_ += count * bin_weight_;
    bin_start_ += bin_;
    spread_.count(count, known() ? rate() : -1, memory());
  }

  [[nodiscard]] bool known() const noexcept { return prior_ > 0 || (spread_.bins() >= 2 && gaps_.recorded()); }
  /// The prior stands for a past without end, so that the weights of both add up to tau.
  [[nodiscard]] double rate() const noexcept {
    if (prior_ > 0) return counted_ / tau_ + prior_ * unseen_;
    return unseen_ < 1 ? counted_ / (tau_ * (1 - unseen_)) : 0;
  }
  /// Seconds of steady counting that know the rate as well.
  [[nodiscard]] double memory() const noexcept { return 2 * tau_ * std::max((1 - unseen_) / (1 + unseen_), 1e-6); }

  [[nodiscard]] std::optional<room_eta> estimate_after(double ahead, double silence) const noexcept {
    const double mu = known() ? rate() : 0;
    if (!(mu > 0)) return std::nullopt;
    // In admissions: what is left of the gap, then the groups behind the next.
    const auto next = gaps_.residual(silence, 1 / mu);
    const double rest = gaps_.behind_next_group(ahead);
    const double all = mu * next.mean + rest;
    const double horizon = std::max(all / mu, 1e-9);
    const double theta = leaving_ / (tau_ * std::max(1 - unseen_, 0.1));
    const double scale = spread_.over(horizon, mu);
    const double share = prior_ > 0 ? unseen_ * prior_ / mu : 0;
    const double rate_error =
        scale / (mu * memory()) * (1 - share) * (1 - share) + share * share * prior_error * prior_error;

    const double grown = theta * all / mu;
    const double g = 1 + grown;
    double mean = horizon;
    double variance = rest * scale / (mu * mu);
    if (grown > 1e-4) {
      mean = std::log1p(grown) / theta;
      const double lost = 1 - 1 / g;
      variance = (scale * (1 - 1 / (g * g)) * rest / (mu * horizon) + lost * lost) / (2 * theta * mu);
      const double by_theta = horizon / g - mean;
      variance += by_theta * by_theta / (2 * std::max(leavers_, 0.5));
    }
    const double drained = rest / mu / g;
    variance += next.variance / (g * g) + drained * drained * rate_error;
    return quantiles(mean, variance);
  }

  static std::optional<room_eta> quantiles(double mean, double variance) noexcept {
    constexpr double longest = 183.0 * 24 * 3600;
    constexpr double z90 = 1.2815515655446004;
    // Two moments say little about a shape below 1; nothing is more certain than one part in a hundred.
    const double c = std::clamp(variance / (mean * mean), 1e-4, 1.0) / 9;
    const double middle = std::max(1 - c, 0.0);
    const double high = middle + z90 * std::sqrt(c);
    const double p90 = mean * high * high * high;
    if (!(p90 < longest)) return std::nullopt;
    return room_eta{.p50 = duration{detail::saturated(mean * middle * middle * middle * 1e9)},
                    .p90 = duration{detail::saturated(p90 * 1e9)}};
  }

  double bin_, tau_, prior_;  // seconds, seconds, per second
  double bin_weight_;         // of what a bin counted when it ends: the mean of its weights as they fade
  bool begun_ = false, paused_ = false;
  time_point last_{};      // the latest seen
  double seen_ = 0;        // seconds of observation
  double bin_start_ = 0;   // in that time, as is
  double last_group_ = 0;  //
  double in_bin_ = 0, group_ = 0;
  double counted_ = 0;  // of closed bins, faded
  double unseen_ = 1;   // weight of the time before the first bin
  double leaving_ = 0;  // shares of those who waited, faded
  double leavers_ = 0;  // faded
  detail::count_dispersion spread_;
  detail::gap_histogram gaps_;
};

}  // namespace weir::inline v0
