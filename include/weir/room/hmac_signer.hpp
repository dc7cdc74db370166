#pragma once
/// \file
/// HMAC-SHA256 (RFC 2104, FIPS 180-4) by OpenSSL as the signer of a room. Link weir::room.

#include <weir/room/signer.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace weir::inline v0 {

/// Keys by number. Rotation: `add_key` a new one, which signs from then on; `remove_key` the old one once the last of its
/// tokens has ended, an hour later, say: until then both are good.
///
/// Thread-safe, changes of keys included. `sign` takes a short lock and, while several threads sign, memory for a context
/// each, which is kept. Keys are wiped when they go.
class hmac_signer {
 public:
  static constexpr std::size_t shortest_key = 32;  ///< bytes

  /// Errors: std::invalid_argument if the key has less than 32 bytes, std::runtime_error if OpenSSL has no HMAC-SHA256.
  hmac_signer(std::uint8_t number, std::span<const std::uint8_t> key);
  hmac_signer(std::uint8_t number, std::string_view key);
  ~hmac_signer();
  hmac_signer(const hmac_signer&) = delete;
  hmac_signer& operator=(const hmac_signer&) = delete;

  /// New tokens are signed with it. Errors: as the constructor; std::invalid_argument if there is one of that number.
  void add_key(std::uint8_t number, std::span<const std::uint8_t> key);
  /// false: there is none of that number, or new tokens are signed with it.
  bool remove_key(std::uint8_t number);

  [[nodiscard]] std::uint8_t current_key() const noexcept;
  /// false: no such key, or OpenSSL ran out of memory.
  bool sign(std::uint8_t key, std::span<const std::uint8_t> message, seat_mac& mac) const noexcept;

 private:
  struct state;
  std::unique_ptr<state> state_;
};
static_assert(signer<hmac_signer>);

}  // namespace weir::inline v0
