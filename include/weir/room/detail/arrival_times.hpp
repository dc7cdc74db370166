#pragma once
/// \file
/// When seats were given out, and what was promised to them: one sample for 64 neighbours, a bit a seat.

#include <weir/core/time.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>

namespace weir::inline v0::detail {

/// Milliseconds since the room began, in 32 bits: seven weeks, then everything counts as that old. Not thread-safe.
class arrival_times {
 public:
  static constexpr std::uint64_t shared_by = 64;

  explicit arrival_times(time_point began, std::uint64_t first = 0) noexcept : began_(began), base_(first / shared_by) {}

  /// `number` joins now: true if it is the one that stands for its neighbours. Errors: std::bad_alloc, and nothing has
  /// changed.
  bool joined(std::uint64_t number, time_point now) {
    const std::uint64_t at = number / shared_by;
    if (at < base_ + samples_.size()) return false;
    while (base_ + samples_.size() <= at) samples_.push_back({milliseconds(now), 0});
    return true;
  }
  void promised(std::uint64_t number, duration wait) noexcept {
    if (sample* s = find(number)) s->promised = to_milliseconds(wait);
  }
  /// Zero if forgotten.
  [[nodiscard]] duration waited(std::uint64_t number, time_point now) const noexcept {
    const sample* s = find(number);
    if (s == nullptr) return duration::zero();
    const std::uint32_t at = milliseconds(now);
    return std::chrono::milliseconds{at > s->at ? at - s->at : 0};
  }
  /// Zero if `number` stands for no others, or nothing was promised.
  [[nodiscard]] duration promise(std::uint64_t number) const noexcept {
    const sample* s = number % shared_by == 0 ? find(number) : nullptr;
    return std::chrono::milliseconds{s == nullptr ? 0 : s->promised};
  }
  void forget_before(std::uint64_t number) noexcept {
    while (!samples_.empty() && (base_ + 1) * shared_by <= number) {
      samples_.pop_front();
      ++base_;
    }
    if (samples_.empty()) base_ = std::max(base_, number / shared_by);
  }

 private:
  struct sample {
    std::uint32_t at, promised;
  };
  static std::uint32_t to_milliseconds(duration d) noexcept {
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 0, UINT32_MAX));
  }
  [[nodiscard]] std::uint32_t milliseconds(time_point t) const noexcept { return to_milliseconds(elapsed(began_, t)); }
  template <class Self>
  static auto find_in(Self& self, std::uint64_t number) noexcept {
    const std::uint64_t at = number / shared_by;
    return at >= self.base_ && at < self.base_ + self.samples_.size() ? &self.samples_[at - self.base_] : nullptr;
  }
  [[nodiscard]] const sample* find(std::uint64_t number) const noexcept { return find_in(*this, number); }
  [[nodiscard]] sample* find(std::uint64_t number) noexcept { return find_in(*this, number); }

  time_point began_;
  std::uint64_t base_;  // of the first sample, in neighbourhoods
  std::deque<sample> samples_;
};

}  // namespace weir::inline v0::detail
