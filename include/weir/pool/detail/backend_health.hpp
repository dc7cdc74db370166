#pragma once
/// \file
/// When a pool may try to connect, and whether its backend is down. Sans-I/O; not thread-safe.

#include <weir/core/backoff.hpp>
#include <weir/core/random.hpp>
#include <weir/core/time.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

namespace weir::inline v0::detail {

/// - Each endpoint that fails is left alone for a backoff of its own; attempts that were under way together when it failed
///   are one failure to the backoff.
/// - How many attempts run at a time (`window`): all that are allowed at first; one after a failure, and then one more for
///   every success: 1, 2, 4 ... by rounds.
/// - Down: `down_after` attempts in a row have failed and nothing is alive. While down there is one attempt at a time.
class backend_health {
 public:
  backend_health(std::uint32_t endpoints, std::uint32_t most_attempts, std::uint32_t down_after, const backoff& probe,
                 std::uint64_t seed)
      : endpoints_(endpoints),
        most_(most_attempts),
        window_(most_attempts),
        down_after_(down_after),
        probe_(probe),
        random_(seed, "probe") {}

  void reconfigure(std::uint32_t most_attempts, std::uint32_t down_after, const backoff& probe) noexcept {
    if (window_ == most_ && in_a_row_ == 0) window_ = most_attempts;  // what fails is not tried more often
    most_ = most_attempts;
    window_ = std::min(window_, most_);
    down_after_ = down_after;
    probe_ = probe;
  }

  /// Which endpoint to try now, in turn; nothing: all are to be left alone, until `retry_at()`.
  [[nodiscard]] std::optional<std::uint32_t> pick(time_point now) noexcept {
    const auto count = static_cast<std::uint32_t>(endpoints_.size());
    for (std::uint32_t k = 0; k < count; ++k) {
      const std::uint32_t i = (next_ + k) % count;
      if (endpoints_[i].retry_at > now) continue;
      next_ = (i + 1) % count;
      return i;
    }
    return std::nullopt;
  }
  [[nodiscard]] time_point retry_at() const noexcept {
    return std::min_element(endpoints_.begin(), endpoints_.end(),
                            [](const endpoint& a, const endpoint& b) { return a.retry_at < b.retry_at; })
        ->retry_at;
  }
  /// Failures of this endpoint in a row.
  [[nodiscard]] std::uint32_t attempt(std::uint32_t i) const noexcept { return endpoints_[i].failures; }

  /// An attempt that began at `began` has failed.
  void failed(std::uint32_t i, time_point began, time_point now) noexcept {
    endpoint& e = endpoints_[i];
    ++in_a_row_;
    window_ = 1;
    if (e.failures != 0 && began <= e.failed_at) return;
    ++e.failures;
    e.failed_at = now;
    e.pause = probe_.delay(e.failures, random_, e.pause);
    e.retry_at = later(now, e.pause);
  }
  /// true: it was down.
  bool succeeded(std::uint32_t i) noexcept {
    endpoints_[i] = {};
    in_a_row_ = 0;
    window_ = std::min(most_, window_ + 1);
    return std::exchange(down_, false);
  }
  /// To be asked whenever something failed or died. true: it is down as of now.
  [[nodiscard]] bool goes_down(bool anything_alive) noexcept {
    if (down_ || anything_alive || in_a_row_ < down_after_) return false;
    return down_ = true;
  }

  [[nodiscard]] bool is_down() const noexcept { return down_; }
  [[nodiscard]] bool is_failing() const noexcept { return in_a_row_ != 0; }
  [[nodiscard]] std::uint32_t window() const noexcept { return window_; }

 private:
  struct endpoint {
    std::uint32_t failures = 0;
    time_point failed_at{};
    time_point retry_at = time_point::min();
    duration pause{};
  };
  std::vector<endpoint> endpoints_;
  std::uint32_t most_, window_, down_after_;
  std::uint32_t next_ = 0;
  std::uint32_t in_a_row_ = 0;
  bool down_ = false;
  backoff probe_;
  random_stream random_;
};

}  // namespace weir::inline v0::detail
