#pragma once
/// \file
/// How many bits are set in a row of words: with the processor's instruction where it has one, whatever the compiler was
/// told.

#include <bit>
#include <cstddef>
#include <cstdint>

namespace weir::inline v0::detail {

inline std::uint64_t count_bits_portably(const std::uint64_t* words, std::size_t n) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += static_cast<std::uint64_t>(std::popcount(words[i]));
  return sum;
}

#if defined(__x86_64__) && !defined(__POPCNT__)
// Plain x86-64 has no such instruction; every processor since 2008 does.
[[gnu::target("popcnt")]] inline std::uint64_t count_bits_natively(const std::uint64_t* words, std::size_t n) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += static_cast<std::uint64_t>(__builtin_popcountll(words[i]));
  return sum;
}
inline std::uint64_t count_bits(const std::uint64_t* words, std::size_t n) noexcept {
  static const bool native = __builtin_cpu_supports("popcnt") != 0;
  return native ? count_bits_natively(words, n) : count_bits_portably(words, n);
}
#else
inline std::uint64_t count_bits(const std::uint64_t* words, std::size_t n) noexcept {
  return count_bits_portably(words, n);
}
#endif

}  // namespace weir::inline v0::detail
