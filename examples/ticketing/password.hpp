#pragma once
/// \file
/// Password hashing: bcrypt through libxcrypt. This is what the service's capacity is made of.

#include <chrono>
#include <stdexcept>
#include <string>

namespace ticketing {

/// The "$2b$" hash of a password of 1 to 72 bytes (bcrypt ignores the rest) without NUL, cost 4 to 31 (2^cost rounds).
/// Thread-safe; takes tens of milliseconds of one core at cost 10. Errors: std::runtime_error.
[[nodiscard]] std::string hash_password(const std::string& password, unsigned cost);

/// Hashes per second of so many threads hashing for so long (each finishes its last hash, which is counted in proportion).
[[nodiscard]] double measure_hash_rate(unsigned threads, unsigned cost, std::chrono::milliseconds length);

}  // namespace ticketing
