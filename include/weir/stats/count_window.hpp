#pragma once
/// \file
/// The last N results and their counts. Pure data: no clock, no lock.
///
/// ```cpp
/// weir::count_window window{100};
/// window.record({.failure = true});
/// double rate = double(window.counts().failures) / double(window.counts().calls);
/// ```

#include <weir/stats/window_counts.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace weir::inline v0 {

/// A ring that subtracts what it forgets. Not thread-safe. Memory: one byte per result, allocated once.
class count_window {
 public:
  /// size >= 1 (0 is taken as 1).
  explicit count_window(std::size_t size) : ring_(size == 0 ? 1 : size) {}

  /// Complexity: O(1), whatever the size.
  void record(window_sample s) noexcept {
    std::uint8_t& slot = ring_[head_];
    if (full_) counts_.subtract(unpack(slot));
    slot = pack(s);
    counts_.add(s);
    if (++head_ == ring_.size()) {
      head_ = 0;
      full_ = true;
    }
  }

  [[nodiscard]] const window_counts& counts() const noexcept { return counts_; }
  [[nodiscard]] std::size_t size() const noexcept { return ring_.size(); }

  /// Forgets everything. Complexity: O(1).
  void clear() noexcept {
    counts_ = {};
    head_ = 0;
    full_ = false;
  }

 private:
  static constexpr std::uint8_t pack(window_sample s) noexcept {
    return static_cast<std::uint8_t>((s.failure ? 1u : 0u) | (s.slow ? 2u : 0u) | (s.overload ? 4u : 0u));
  }
  static constexpr window_sample unpack(std::uint8_t bits) noexcept {
    return {.failure = (bits & 1u) != 0, .slow = (bits & 2u) != 0, .overload = (bits & 4u) != 0};
  }

  std::vector<std::uint8_t> ring_;
  std::size_t head_ = 0;
  bool full_ = false;  // slots from head_ on hold the oldest results, not rubbish
  window_counts counts_;
};

}  // namespace weir::inline v0
