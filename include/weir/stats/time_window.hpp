#pragma once
/// \file
/// The results of the last T, in K slices. Pure data: takes `now`, no clock, no lock.
///
/// ```cpp
/// weir::time_window window{{.length = 10s, .slices = 10}, clock.now()};
/// window.record({.failure = true}, clock.now());
/// weir::window_counts last_ten_seconds = window.counts_at(clock.now());
/// ```

#include <weir/core/time.hpp>
#include <weir/stats/window_counts.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace weir::inline v0 {

/// How a time window is cut. A result is forgotten between length - length/slices and length after it was recorded.
struct time_slicing {
  duration length = std::chrono::seconds{10};  ///< >= slices nanoseconds
  std::uint32_t slices = 10;                   ///< >= 1; more slices forget more smoothly, 32 bytes each
  bool aligned = false;                        ///< slices begin at multiples of their length since the clock's epoch

  friend bool operator==(const time_slicing&, const time_slicing&) = default;
};

/// A ring of slices whose sum is kept. Not thread-safe. Time only goes forward in it: an older `now` counts into the newest
/// slice and moves nothing.
class time_window {
 public:
  /// The slices begin at `start` unless they are aligned.
  explicit time_window(const time_slicing& how, time_point start)
      : slice_(std::max<duration::rep>(1, how.length.count() / std::max<std::uint32_t>(1, how.slices))),
        origin_(how.aligned ? 0 : start.time_since_epoch().count()),
        ring_(std::max<std::uint32_t>(1, how.slices)) {
    clear(start);
  }

  /// Complexity: O(1) amortised; O(slices) after a pause, however long.
  void record(window_sample s, time_point now) noexcept {
    advance(now);
    ring_[newest_].add(s);
    total_.add(s);
  }

  /// Counts results of the newest slice that were gathered elsewhere. Complexity: O(1).
  void merge(const window_counts& gathered) noexcept {
    ring_[newest_] += gathered;
    total_ += gathered;
  }

  /// Forgets what is too old at `now`. Complexity: as `record`.
  void advance(time_point now) noexcept {
    const std::uint64_t steps = steps_until(now);
    if (steps == 0) return;
    if (steps >= ring_.size()) return clear(now);
    for (std::uint64_t i = 0; i < steps; ++i) {
      newest_ = newest_ + 1 == ring_.size() ? 0 : newest_ + 1;
      total_ -= ring_[newest_];
      ring_[newest_] = {};
    }
    slice_end_ = add(slice_end_, steps * static_cast<std::uint64_t>(slice_));
  }

  /// As of the last `record` or `advance`.
  [[nodiscard]] const window_counts& counts() const noexcept { return total_; }

  /// The first instant that needs another slice than the newest.
  [[nodiscard]] time_point newest_until() const noexcept { return time_point{duration{slice_end_}}; }

  /// What `counts()` would be after `advance(now)`. Complexity: O(slices).
  [[nodiscard]] window_counts counts_at(time_point now) const noexcept {
    const std::uint64_t steps = steps_until(now);
    if (steps >= ring_.size()) return {};
    window_counts left = total_;
    for (std::uint64_t i = 1; i <= steps; ++i) left -= ring_[(newest_ + i) % ring_.size()];
    return left;
  }

  /// Forgets everything; `now` may also lie before what the window has seen. Complexity: O(slices).
  void clear(time_point now) noexcept {
    std::fill(ring_.begin(), ring_.end(), window_counts{});
    total_ = {};
    newest_ = 0;
    const duration::rep t = now.time_since_epoch().count();
    duration::rep since{};
    if (__builtin_sub_overflow(t, origin_, &since)) since = t - (origin_ = 0);
    duration::rep in_slice = since % slice_;
    if (in_slice < 0) in_slice += slice_;
    slice_end_ = add(t, static_cast<std::uint64_t>(slice_ - in_slice));
  }

 private:
  /// How many slices `now` lies after the newest one.
  [[nodiscard]] std::uint64_t steps_until(time_point now) const noexcept {
    const duration::rep t = now.time_since_epoch().count();
    if (t < slice_end_ || slice_end_ == std::numeric_limits<duration::rep>::max()) return 0;
    return 1 +
           (static_cast<std::uint64_t>(t) - static_cast<std::uint64_t>(slice_end_)) / static_cast<std::uint64_t>(slice_);
  }

  static duration::rep add(duration::rep t, std::uint64_t by) noexcept {
    return later(time_point{duration{t}}, duration{static_cast<duration::rep>(by)}).time_since_epoch().count();
  }

  duration::rep slice_;          // length of one slice, >= 1
  duration::rep origin_;         // where slices begin
  duration::rep slice_end_ = 0;  // first instant that is no longer in the newest slice
  std::size_t newest_ = 0;
  std::vector<window_counts> ring_;
  window_counts total_;
};

}  // namespace weir::inline v0
