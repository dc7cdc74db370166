#pragma once
/// \file
/// What a window of call results is made of: one sample per result, and their counts.

#include <cstdint>

namespace weir::inline v0 {

/// One result as a window sees it. An overload says nothing about faults: it is counted apart, never as a call.
struct window_sample {
  bool failure = false;
  bool slow = false;      ///< successes and failures alike
  bool overload = false;  ///< then the other two do not count
};

/// What is in a window. `failures` and `slow` overlap: a call can be both.
struct window_counts {
  std::uint64_t calls = 0;     ///< successes and failures
  std::uint64_t failures = 0;  ///< of `calls`
  std::uint64_t slow = 0;      ///< of `calls`
  std::uint64_t overload = 0;  ///< counted apart

  constexpr void add(window_sample s) noexcept {
    const bool call = !s.overload;
    calls += call;
    failures += call && s.failure;
    slow += call && s.slow;
    overload += s.overload;
  }
  constexpr void subtract(window_sample s) noexcept {
    const bool call = !s.overload;
    calls -= call;
    failures -= call && s.failure;
    slow -= call && s.slow;
    overload -= s.overload;
  }
  constexpr window_counts& operator+=(const window_counts& other) noexcept {
    calls += other.calls;
    failures += other.failures;
    slow += other.slow;
    overload += other.overload;
    return *this;
  }
  constexpr window_counts& operator-=(const window_counts& other) noexcept {
    calls -= other.calls;
    failures -= other.failures;
    slow -= other.slow;
    overload -= other.overload;
    return *this;
  }

  friend constexpr bool operator==(const window_counts&, const window_counts&) = default;
};

}  // namespace weir::inline v0
