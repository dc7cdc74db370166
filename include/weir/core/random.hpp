#pragma once
/// \file
/// Random numbers: seeded, in named streams, with distributions of our own, so that the same seed gives the same run on
/// every standard library, and a new consumer does not shift the numbers of the others.
///
/// ```cpp
/// weir::random_stream arrivals{seed, "arrivals"}, jitter{seed, "jitter"};   // independent of each other
/// weir::duration gap = arrivals.exponential(std::chrono::milliseconds{20});
/// ```
/// Generator: xoshiro256++ (Blackman and Vigna, 2019), seeded through splitmix64. Not for secrets.

#include <weir/core/detail/int128.hpp>
#include <weir/core/time.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <string_view>

namespace weir::inline v0 {
namespace detail {

/// `value` as an integer, cut off and kept within [0, max]; NaN gives 0.
[[nodiscard]] constexpr std::int64_t saturated(double value) noexcept {
  if (!(value > 0)) return 0;
  return value >= 0x1p63 ? std::numeric_limits<std::int64_t>::max() : static_cast<std::int64_t>(value);
}

}  // namespace detail

/// A value: copying it copies its position. Not thread-safe.
class random_stream {
 public:
  using result_type = std::uint64_t;

  explicit random_stream(std::uint64_t seed = 0, std::string_view stream = {}) noexcept {
    std::uint64_t mix = seed;
    // FNV-1a of the name, folded into the seed: streams of different names start at unrelated states.
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const char c : stream) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
    mix ^= hash;
    for (auto& word : state_) {
      mix += 0x9e3779b97f4a7c15u;
      std::uint64_t z = mix;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      word = z ^ (z >> 31);
    }
  }

  static constexpr std::uint64_t min() noexcept { return 0; }
  static constexpr std::uint64_t max() noexcept { return ~std::uint64_t{0}; }

  /// The next 64 random bits.
  std::uint64_t operator()() noexcept {
    const std::uint64_t out = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return out;
  }

  /// Uniform in [0, 1), 53 bits.
  double uniform() noexcept { return static_cast<double>((*this)() >> 11) * 0x1.0p-53; }

  /// Uniform in [0, n); n >= 1 (0 gives 0). Unbiased (Lemire 2019).
  std::uint64_t below(std::uint64_t n) noexcept {
    auto product = static_cast<detail::uint128>((*this)()) * n;
    if (static_cast<std::uint64_t>(product) < n) {
      const std::uint64_t threshold = n == 0 ? 0 : (0 - n) % n;
      while (static_cast<std::uint64_t>(product) < threshold) product = static_cast<detail::uint128>((*this)()) * n;
    }
    return static_cast<std::uint64_t>(product >> 64);
  }

  /// Uniform in [low, high]; low <= high.
  duration between(duration low, duration high) noexcept {
    const auto width = static_cast<std::uint64_t>(high.count()) - static_cast<std::uint64_t>(low.count());
    const std::uint64_t offset = width == max() ? (*this)() : below(width + 1);
    return duration{static_cast<duration::rep>(static_cast<std::uint64_t>(low.count()) + offset)};
  }

  /// Exponential with this mean, > 0.
  double exponential(double mean) noexcept { return -mean * std::log1p(-uniform()); }
  /// Stops at duration::max().
  duration exponential(duration mean) noexcept {
    return duration{detail::saturated(exponential(static_cast<double>(mean.count())))};
  }

  /// Standard normal (Box and Muller 1958, one of the pair, so that a draw always takes two numbers).
  double normal() noexcept {
    const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
    return radius * std::cos(2.0 * std::numbers::pi * uniform());
  }

  /// Log-normal by its mean (> 0) and its coefficient of variation (>= 0).
  double lognormal(double mean, double cv) noexcept {
    const double variance = std::log1p(cv * cv);
    return mean * std::exp(std::sqrt(variance) * normal() - variance / 2);
  }

 private:
  std::array<std::uint64_t, 4> state_{};
};

}  // namespace weir::inline v0
