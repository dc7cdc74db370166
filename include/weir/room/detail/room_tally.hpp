#pragma once
/// \file
/// What a room counts.

#include <weir/core/time.hpp>
#include <weir/room/room_effects.hpp>
#include <weir/room/seat.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>

namespace weir::inline v0 {

/// How many were at most so large; values beyond the last bound count in a bucket of their own.
template <std::size_t N>
struct bounded_counts {
  std::array<std::uint64_t, N + 1> counts{};
  double sum = 0;

  void add(double value, const std::array<double, N>& bounds) noexcept {
    std::size_t i = 0;
    while (i < N && value > bounds[i]) ++i;
    ++counts[i];
    sum += value;
  }
  [[nodiscard]] std::uint64_t count() const noexcept {
    std::uint64_t all = 0;
    for (const auto n : counts) all += n;
    return all;
  }
};

/// Seconds.
inline constexpr std::array<double, 13> room_wait_bounds{1, 5, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400};
/// Actual wait over the p50 that was promised on joining.
inline constexpr std::array<double, 9> eta_error_bounds{0.25, 0.5, 0.75, 0.9, 1.1, 1.25, 1.5, 2, 4};

/// Seconds that a store takes.
inline constexpr std::array<double, 12> room_store_bounds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                          0.1,   0.25,   0.5,   1,    2.5,   5};

/// What let somebody in: the limit that it had to wait for, if any.
enum class entry_way : std::uint8_t {
  rate,         ///< room_config::admit
  concurrency,  ///< room_config::max_active alone
  manual,       ///< an operator's advance
  bypass,       ///< its lane is not held up by `admit`
  passthrough,  ///< everybody is let in
};
[[nodiscard]] constexpr const char* to_string(entry_way w) noexcept {
  constexpr const char* names[] = {"rate", "concurrency", "manual", "bypass", "passthrough"};
  return static_cast<unsigned>(w) < std::size(names) ? names[static_cast<unsigned>(w)] : "unknown";
}

/// Of one lane; everything only grows.
struct lane_totals {
  std::uint64_t joined = 0;                 ///< seats given out
  std::uint64_t again = 0;                  ///< joins answered with the seat that there was
  std::array<std::uint64_t, 10> refused{};  ///< joins, by room_refusal
  std::array<std::uint64_t, 5> entered{};   ///< by entry_way
};

/// Everything only grows. What joined is somewhere: joined = prequeued + waiting + offered + active + completed + left +
/// (abandoned - rejoined) + lapsed + expired + revoked, at every instant; an offer that goes back into the line counts as
/// requeued, and one that gets a new place as lapsed and as joined.
struct room_totals {
  std::uint64_t joined = 0;                 ///< seats given out
  std::uint64_t again = 0;                  ///< joins answered with the seat that there was
  std::uint64_t moved = 0;                  ///< of these, taken over by another device
  std::array<std::uint64_t, 10> refused{};  ///< joins, by room_refusal
  std::uint64_t offered = 0, requeued = 0, entered = 0;
  std::uint64_t completed = 0, left = 0, abandoned = 0, rejoined = 0, lapsed = 0, expired = 0, revoked = 0;
  std::uint64_t polls = 0, early_polls = 0;    ///< of those who wait
  std::uint64_t polls_over = 0;                ///< of those whose seat has ended
  std::uint64_t bound_elsewhere = 0;           ///< requests with a token of another device
  std::uint64_t claims_held = 0;               ///< told to come back: the limit on entries, or on who is inside
  std::uint64_t jumped = 0;                    ///< served before somebody in front of it in its lane: must be 0
  std::array<duration, 7> held{};              ///< while somebody waited, by hold_reason
  std::array<bounded_counts<13>, 3> waited{};  ///< until offered, abandoned, left
  bounded_counts<13> claimed_after{};          ///< from offer to entry
  std::array<bounded_counts<13>, 3> inside{};  ///< sessions: completed, expired, otherwise
  bounded_counts<9> eta_error{};

  [[nodiscard]] std::uint64_t ended() const noexcept {
    return completed + left + abandoned - rejoined + lapsed + expired + revoked;
  }
};

}  // namespace weir::inline v0
