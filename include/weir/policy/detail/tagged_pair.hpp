#pragma once
/// \file
/// Two counts and the era that they belong to, in one word: many threads add, and nobody adds to another era than his own.

#include <weir/core/detail/atomic.hpp>

#include <cstdint>

namespace weir::inline v0::detail {

/// Each count may lie in [-2^21, 14'000'000]: below zero while a thread has taken away what another has yet to add.
/// Thread-safe. An era is told from others by the last 16 bits of its number: who adds to one that lies exactly 65'536
/// numbers back would be taken for one of the present.
class tagged_pair {
 public:
  struct counts {
    std::int32_t first, second;
  };

  /// Begins an era with both counts zero. Later additions to an earlier one are refused.
  void begin(std::uint64_t era) noexcept { word_.store(zero(era), seq_cst); }

  /// False: another era has begun, nothing was added.
  bool add(std::uint64_t era, std::int32_t first, std::int32_t second) noexcept {
    // Fields are biased and so never below zero: what one field adds or lends does not reach the other.
    const auto change = static_cast<std::uint64_t>((std::int64_t{first} << field_bits) + second);
    std::uint64_t seen = word_.load(relaxed);
    do {
      if ((seen ^ zero(era)) >> tag_shift != 0) return false;
    } while (!word_.compare_exchange_weak(seen, seen + change, seq_cst, relaxed));
    return true;
  }

  /// Whether it is this era and both counts are zero.
  [[nodiscard]] bool none(std::uint64_t era) const noexcept { return word_.load(acquire) == zero(era); }

  [[nodiscard]] counts read() const noexcept {
    const std::uint64_t seen = word_.load(seq_cst);
    return {field(seen >> field_bits), field(seen)};
  }

 private:
  static constexpr unsigned field_bits = 24, tag_shift = 2 * field_bits;
  static constexpr std::uint64_t field_mask = (std::uint64_t{1} << field_bits) - 1;
  static constexpr std::uint64_t bias = std::uint64_t{1} << 21;

  static constexpr std::uint64_t zero(std::uint64_t era) noexcept { return era << tag_shift | bias << field_bits | bias; }
  static constexpr std::int32_t field(std::uint64_t bits) noexcept {
    return static_cast<std::int32_t>(bits & field_mask) - static_cast<std::int32_t>(bias);
  }

  atomic<std::uint64_t> word_{zero(0)};
};

}  // namespace weir::inline v0::detail
