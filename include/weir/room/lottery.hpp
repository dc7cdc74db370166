#pragma once
/// \file
/// Who came before the opening: the order of their seats is drawn, and anybody can check that it was drawn fairly.
///
/// ```cpp
/// const weir::lottery_seed seed = weir::random_seed();     // weir/room/lottery_commitment.hpp
/// publish(weir::commitment_of(seed));                      // before the first arrival
/// const weir::lottery draw{seed, arrivals};                // at the opening; then publish the seed
/// std::uint64_t rank = draw.rank_of(17);                   // of who came as the 18th
/// ```
/// A commitment binds the operator to the seed before anybody has arrived, and tells nobody his rank. With the seed,
/// everybody computes the whole order; this is all of it, in JavaScript, with the seed as 64 hexadecimal digits, the rest
/// as BigInt:
///
/// ```js
/// const low64 = z => BigInt.asUintN(64, z);
/// function mix(z) {
///   z = low64((z ^ z >> 30n) * 0xbf58476d1ce4e5b9n);
///   z = low64((z ^ z >> 27n) * 0x94d049bb133111ebn);
///   return z ^ z >> 31n;
/// }
/// function rankOf(seed, n, arrival) {
///   const keys = [0, 1, 2, 3, 4, 5, 6, 7].map(i =>
///     mix(low64(BigInt('0x' + seed.substr(i % 4 * 16, 16)) + BigInt(i + 1) * 0x9e3779b97f4a7c15n)));
///   let half = 1n;
///   while (1n << 2n * half < n) half++;
///   const mask = (1n << half) - 1n;
///   let x = arrival;
///   do {
///     let left = x >> half, right = x & mask;
///     for (const key of keys) [left, right] = [right, left ^ mix(low64(right + key)) & mask];
///     x = left << half | right;
///   } while (x >= n);
///   return x;
/// }
/// ```
/// A value: copies draw the same. Thread-safe, since nothing changes.
///
/// Source: a Feistel network of eight rounds (Luby and Rackoff 1988) on the smallest set of 4^k numbers that holds all,
/// walked until it comes back into range (Black and Rogaway 2002). The mixing is splitmix64's (Steele, Lea and Flood 2014):
/// what has to resist an attacker is the commitment, not this, since the seed is public when the first rank is.

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace weir::inline v0 {

/// Secret until the opening.
using lottery_seed = std::array<std::uint8_t, 32>;

class lottery {
 public:
  /// Among arrivals 0 ... size - 1. Range of `size`: up to 2^62. Complexity: O(1).
  lottery(const lottery_seed& seed, std::uint64_t size) noexcept : size_(size) {
    while (half_ < 31 && std::uint64_t{1} << 2 * half_ < size) ++half_;
    for (std::size_t i = 0; i < rounds; ++i) {
      std::uint64_t word = 0;
      for (std::size_t k = 0; k < 8; ++k) word = word << 8 | seed[i % 4 * 8 + k];
      keys_[i] = mix(word + (i + 1) * 0x9e3779b97f4a7c15);
    }
  }

  /// The place of who came after `arrival` others. Who comes after the draw, `arrival` >= size, keeps that number: behind
  /// all of them. Complexity: O(1), at most four walks of eight rounds in the mean.
  [[nodiscard]] std::uint64_t rank_of(std::uint64_t arrival) const noexcept {
    if (arrival >= size_) return arrival;
    do arrival = forth(arrival);
    while (arrival >= size_);
    return arrival;
  }
  /// Who has this place: the inverse. Complexity: as rank_of.
  [[nodiscard]] std::uint64_t arrival_of(std::uint64_t rank) const noexcept {
    if (rank >= size_) return rank;
    do rank = back(rank);
    while (rank >= size_);
    return rank;
  }

  /// How many took part.
  [[nodiscard]] std::uint64_t size() const noexcept { return size_; }

 private:
  static constexpr std::size_t rounds = 8;

  static constexpr std::uint64_t mix(std::uint64_t z) noexcept {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  [[nodiscard]] std::uint64_t mask() const noexcept { return (std::uint64_t{1} << half_) - 1; }
  [[nodiscard]] std::uint64_t forth(std::uint64_t x) const noexcept {
    std::uint64_t left = x >> half_;
    std::uint64_t right = x & mask();
    for (const std::uint64_t key : keys_) left = std::exchange(right, left ^ (mix(right + key) & mask()));
    return left << half_ | right;
  }
  [[nodiscard]] std::uint64_t back(std::uint64_t x) const noexcept {
    std::uint64_t left = x >> half_;
    std::uint64_t right = x & mask();
    for (std::size_t i = rounds; i-- > 0;) right = std::exchange(left, right ^ (mix(left + keys_[i]) & mask()));
    return left << half_ | right;
  }

  std::array<std::uint64_t, rounds> keys_{};
  std::uint64_t size_;
  unsigned half_ = 1;  // bits of each half
};

}  // namespace weir::inline v0
