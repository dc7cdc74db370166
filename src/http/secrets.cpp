#include "secrets.hpp"

#include <weir/http/room_handler.hpp>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cstddef>
#include <memory>
#include <stdexcept>

namespace weir::inline v0 {
namespace detail {

std::array<std::uint8_t, 32> sha256_of(std::string_view text) {
  struct free_digest {
    void operator()(EVP_MD* m) const noexcept { EVP_MD_free(m); }
  };
  // Fetching it costs more than hashing does.
  static const std::unique_ptr<EVP_MD, free_digest> sha256{EVP_MD_fetch(nullptr, "SHA256", nullptr)};
  std::array<std::uint8_t, 32> digest{};
  unsigned size = 0;
  if (sha256 == nullptr || EVP_Digest(text.data(), text.size(), digest.data(), &size, sha256.get(), nullptr) != 1 ||
      size != digest.size()) {
    throw std::runtime_error("room_handler: OpenSSL has no SHA-256");
  }
  return digest;
}

std::string hex_of(std::span<const std::uint8_t> bytes) {
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

std::string new_device_secret() {
  std::array<std::uint8_t, 16> bits{};
  if (RAND_bytes(bits.data(), static_cast<int>(bits.size())) != 1) {
    throw std::runtime_error("room_handler: OpenSSL has no randomness");
  }
  return hex_of(bits);
}

}  // namespace detail

std::uint64_t room_hash(std::string_view text) {
  const auto digest = detail::sha256_of(text);
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < sizeof hash; ++i) hash = hash << 8 | digest[i];
  return hash != 0 ? hash : 1;
}

}  // namespace weir::inline v0
