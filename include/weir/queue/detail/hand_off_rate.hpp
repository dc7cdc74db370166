#pragma once
/// \file
/// How fast a queue moves, for predicting waits. Sans-I/O; not thread-safe.

#include <weir/core/time.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace weir::inline v0::detail {

/// Cost handed off per second of *busy* time, exponentially forgotten.
///
/// Only time in which somebody waits counts, and only hand-offs to waiters: grants per second of wall time would mistake a
/// quiet hour for a slow callee, and refuse the first callers of the next rush. Idle time ages the evidence (all sums
/// decay together, so the ratio stays and its weight goes); busy time without hand-offs lowers the rate itself.
///
/// The window is `tau` of time or `enough` hand-offs, whichever is longer: a slow callee is judged by 20 hand-offs as well,
/// and one that hangs drags the rate down by the time that it hangs, instead of running out of evidence.
///
/// Forgetting is put off until it is worth an exponential, for at most tau / 64: till then evidence may weigh 1.6 % more
/// than it should. The rate, being a ratio, is not affected.
class hand_off_rate {
 public:
  static constexpr double enough = 20;

  hand_off_rate() = default;
  explicit hand_off_rate(duration tau) noexcept { set_window(tau); }

  void set_window(duration tau) noexcept {
    tau_ = static_cast<double>(tau.count());
    put_off_ = tau / 64 + duration{1};
  }

  /// `spent` has passed, in which somebody waited (`busy`) or nobody did. spent >= 0. To be told at the latest after
  /// `put_off()`, and before that changes.
  void pass(duration spent, bool busy) noexcept {
    spent = std::min(spent, duration::max() / 4);
    (busy ? fresh_.busy : fresh_.idle) += spent;
    if (fresh_.busy + fresh_.idle >= put_off_) [[unlikely]]
      age();
  }
  [[nodiscard]] duration put_off() const noexcept { return put_off_; }

  void handed_off(std::uint32_t cost) noexcept {
    ++fresh_.hand_offs;
    fresh_.cost += cost;
  }

  /// What is known, if `untold` more time has passed in which somebody waited. All exponentially forgotten.
  struct evidence {
    double hand_offs, cost, busy;  // busy: ns

    /// Forgetting may leave a hair less than `enough`.
    [[nodiscard]] bool is_enough() const noexcept { return hand_offs >= enough - 1e-6 && busy > 0 && cost > 0; }
    /// Nanoseconds until `more` cost has been handed off. Precondition: is_enough().
    [[nodiscard]] double time_for(double more) const noexcept { return more * busy / cost; }
    /// Whether there was no hand-off for as long as `times` usually take. Precondition: is_enough().
    [[nodiscard]] bool is_late(duration since, int times) const noexcept {
      return static_cast<double>(since.count()) * hand_offs > busy * times;
    }
    /// Cost per second; 0: unknown.
    [[nodiscard]] double per_second() const noexcept { return busy > 0 ? cost / busy * 1e9 : 0; }
  };
  [[nodiscard]] evidence known(duration untold) const noexcept {
    return {.hand_offs = hand_offs_ + static_cast<double>(fresh_.hand_offs),
            .cost = cost_ + static_cast<double>(fresh_.cost),
            .busy = busy_ + static_cast<double>((fresh_.busy + untold).count())};
  }

 private:
  /// Since the last forgetting.
  struct recent {
    duration busy{}, idle{};
    std::int64_t hand_offs = 0, cost = 0;
  };

  [[gnu::noinline]] void age() noexcept {
    const double idle = static_cast<double>(fresh_.idle.count()), dt = static_cast<double>(fresh_.busy.count());
    hand_offs_ += static_cast<double>(fresh_.hand_offs);
    cost_ += static_cast<double>(fresh_.cost);
    fresh_ = {};
    if (idle > 0) forget(std::exp(-idle / tau_));
    if (dt <= 0) return;
    const double keep = std::max(std::exp(-dt / tau_), std::min(1.0, enough / std::max(hand_offs_, enough)));
    forget(keep);
    // What `keep` forgets took -tau ln(keep); the rest of dt counts in full.
    busy_ += tau_ * (1 - keep) + std::max(0.0, dt + tau_ * std::log(keep));
  }
  void forget(double keep) noexcept {
    hand_offs_ *= keep;
    cost_ *= keep;
    busy_ *= keep;
  }

  double tau_ = 5e9;  // ns
  duration put_off_{};
  recent fresh_;
  double hand_offs_ = 0;
  double cost_ = 0;
  double busy_ = 0;  // ns
};

}  // namespace weir::inline v0::detail
