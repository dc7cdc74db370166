#pragma once
/// \file
/// What a breaker's admission needs to know, in one word, so that admitting and refusing take no lock.

#include <weir/core/time.hpp>

#include <algorithm>
#include <cstdint>

namespace weir::inline v0::detail {

/// Either "admits, in generation g" or "gated until t": before t everybody is refused, from t on the core is asked.
///
/// The lowest bit says which; the others are the generation or nanoseconds. So neither wraps: 63 bits of generations, and
/// times within 146 years of the clock's epoch; later ones read as `never`, earlier ones as long past.
class gate_word {
 public:
  [[nodiscard]] static constexpr gate_word admitting(std::uint64_t generation) noexcept {
    return gate_word{(generation << 1) | 1};
  }
  [[nodiscard]] static constexpr gate_word gated_until(time_point t) noexcept {
    const std::int64_t ns = std::clamp(t.time_since_epoch().count(), -last - 1, last);
    return gate_word{static_cast<std::uint64_t>(ns) << 1};
  }
  [[nodiscard]] static constexpr gate_word ask() noexcept { return gated_until(time_point::min()); }

  explicit constexpr gate_word(std::uint64_t bits) noexcept : bits_(bits) {}
  [[nodiscard]] constexpr std::uint64_t bits() const noexcept { return bits_; }

  [[nodiscard]] constexpr bool admits() const noexcept { return (bits_ & 1) != 0; }
  /// Precondition: admits().
  [[nodiscard]] constexpr std::uint64_t generation() const noexcept { return bits_ >> 1; }
  /// Precondition: !admits().
  [[nodiscard]] constexpr time_point until() const noexcept {
    const std::int64_t ns = static_cast<std::int64_t>(bits_) >> 1;
    return ns == last ? never : time_point{duration{ns}};
  }

  friend constexpr bool operator==(gate_word, gate_word) noexcept = default;

 private:
  static constexpr std::int64_t last = (std::int64_t{1} << 62) - 1;

  std::uint64_t bits_;
};

}  // namespace weir::inline v0::detail
