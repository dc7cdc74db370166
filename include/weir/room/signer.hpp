#pragma once
/// \file
/// Who signs what a room gives out, so that nobody can make a seat or move to a better one.

#include <array>
#include <concepts>
#include <cstdint>
#include <span>

namespace weir::inline v0 {

/// A message authentication code, cut to 128 bits: enough, since an attacker has to ask the server about each guess.
using seat_mac = std::array<std::uint8_t, 16>;

/// Has one or several keys with numbers, one of which is for new tokens; older ones are kept while their tokens live.
/// Thread-safety: both functions from any threads at once. `sign` gives false, and leaves `mac` alone, if there is no such
/// key. hmac_signer is one; a test needs none that is hard to forge.
template <class S>
concept signer = requires(const S& s, std::uint8_t key, std::span<const std::uint8_t> message, seat_mac& mac) {
  { s.current_key() } noexcept -> std::same_as<std::uint8_t>;
  { s.sign(key, message, mac) } noexcept -> std::same_as<bool>;
};

}  // namespace weir::inline v0
