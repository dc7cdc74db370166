#pragma once
// By OpenSSL: what nobody guesses.

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace weir::inline v0::detail {

/// SHA-256 (FIPS 180-4). Errors: std::runtime_error if OpenSSL has none.
[[nodiscard]] std::array<std::uint8_t, 32> sha256_of(std::string_view text);

/// Lower case.
[[nodiscard]] std::string hex_of(std::span<const std::uint8_t> bytes);

/// 128 random bits as 32 hexadecimal digits. Errors: std::runtime_error if OpenSSL has no randomness.
[[nodiscard]] std::string new_device_secret();

}  // namespace weir::inline v0::detail
