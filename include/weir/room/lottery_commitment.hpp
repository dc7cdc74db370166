#pragma once
/// \file
/// The seed of a lottery, and what is published of it before anybody arrives. By OpenSSL; link weir::room.

#include <weir/room/lottery.hpp>

#include <cstdint>
#include <string>

namespace weir::inline v0 {

/// SHA-256 of the 32 bytes (FIPS 180-4), as 64 lower-case hexadecimal digits: `xxd -r -p | sha256sum` of the published
/// seed. Errors: std::runtime_error if OpenSSL has no SHA-256, std::bad_alloc. Thread-safe.
[[nodiscard]] std::string commitment_of(const lottery_seed& seed);

/// From the system's generator for secrets. Errors: std::runtime_error if there is not enough to draw from. Thread-safe.
[[nodiscard]] lottery_seed random_seed();
/// Of a room that begins: not 0. As it is drawn, tokens of a room of the same name and keys that began before, or begins
/// elsewhere at the same time, are not taken for its own. Errors: as random_seed. Thread-safe.
[[nodiscard]] std::uint32_t random_epoch();

}  // namespace weir::inline v0
