#include <weir/room/lottery_commitment.hpp>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>

namespace weir::inline v0 {

std::string commitment_of(const lottery_seed& seed) {
  std::array<std::uint8_t, 32> digest{};
  std::size_t size = 0;
  if (EVP_Q_digest(nullptr, "SHA256", nullptr, seed.data(), seed.size(), digest.data(), &size) != 1 ||
      size != digest.size()) {
    throw std::runtime_error("lottery: OpenSSL has no SHA-256");
  }
  std::string hex;
  for (const std::uint8_t byte : digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

lottery_seed random_seed() {
  lottery_seed seed{};
  if (RAND_priv_bytes(seed.data(), static_cast<int>(seed.size())) != 1) {
    throw std::runtime_error("lottery: OpenSSL has no randomness");
  }
  return seed;
}

std::uint32_t random_epoch() {
  std::uint32_t epoch = 0;
  while (epoch == 0) {
    const lottery_seed drawn = random_seed();
    std::memcpy(&epoch, drawn.data(), sizeof epoch);
  }
  return epoch;
}

}  // namespace weir::inline v0
