// Any bytes as a token: no crash; what is accepted says the same again, letter for letter; what is refused has changed
// nothing; and no signed token is good any more after a change, or for another room.

#include <weir/room/seat_token.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace {

/// Has every key, and remembers which was asked for. Not easily hit by chance.
struct weak_signer {
  mutable std::uint8_t asked = 0;

  [[nodiscard]] std::uint8_t current_key() const noexcept { return asked; }
  bool sign(std::uint8_t key, std::span<const std::uint8_t> message, weir::seat_mac& mac) const noexcept {
    asked = key;
    std::uint64_t sum = 0xcbf29ce484222325 + key;
    for (auto& byte : mac) {
      for (const std::uint8_t b : message) sum = (sum ^ b) * 0x100000001b3;
      byte = static_cast<std::uint8_t>(sum >> 56);
    }
    return true;
  }
};
/// Whose signature is all zeros: whatever else is in a token, it is signed.
struct no_signer {
  mutable std::uint8_t asked = 0;

  [[nodiscard]] std::uint8_t current_key() const noexcept { return asked; }
  bool sign(std::uint8_t key, std::span<const std::uint8_t>, weir::seat_mac& mac) const noexcept {
    asked = key;
    mac = {};
    return true;
  }
};

constexpr weir::token_claims untouched{.lane = 9, .epoch = 99, .number = 999, .at = 9999, .about = 99999, .bind = 999999};

/// Whether it was accepted.
template <weir::signer Signer>
bool read_and_make_again(const Signer& by, std::string_view room, std::string_view text) {
  weir::token_claims claims = untouched;
  const weir::token_problem problem = weir::read_token(by, room, text, claims);
  if (std::strlen(to_string(problem)) == 0) std::abort();
  if (problem != weir::token_problem::none) {
    if (claims != untouched) std::abort();
    return false;
  }
  if (claims.kind != weir::token_kind::seat && claims.kind != weir::token_kind::pass) std::abort();
  if (weir::make_token(by, room, claims).view() != text) std::abort();
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  read_and_make_again(no_signer{}, "tickets", text);
  read_and_make_again(weak_signer{}, "tickets", text);
  // The bytes as those of a token, but for the signature.
  weir::detail::token_data bytes{};
  std::memcpy(bytes.data(), data, std::min(size, weir::detail::token_payload));
  weir::seat_token any;
  weir::detail::to_base64url(bytes, any.text);
  read_and_make_again(no_signer{}, "tickets", any.view());

  // The bytes as claims, signed, and then changed in one place; the rest is the room's name.
  constexpr std::size_t claims_size = 34;
  if (size < claims_size + 2) return 0;
  weir::token_claims claims{.kind = data[0] % 2 == 0 ? weir::token_kind::seat : weir::token_kind::pass, .lane = data[1]};
  std::memcpy(&claims.epoch, data + 2, 4);
  std::memcpy(&claims.number, data + 6, 8);
  std::memcpy(&claims.at, data + 14, 4);
  std::memcpy(&claims.about, data + 18, 8);
  std::memcpy(&claims.bind, data + 26, 8);
  const std::string room{text.substr(claims_size + 2, 255)};
  const weak_signer signer{data[0]};
  std::string token{weir::make_token(signer, room, claims).view()};
  weir::token_claims found = untouched;
  if (weir::read_token(signer, room, token, found) != weir::token_problem::none || found != claims) std::abort();
  if (!read_and_make_again(signer, room, token)) std::abort();
  if (room.size() < 255 && read_and_make_again(signer, room + '+', token)) std::abort();
  if (!room.empty() && read_and_make_again(signer, room.substr(1), token)) std::abort();
  if (read_and_make_again(signer, room, token.substr(1)) || read_and_make_again(signer, room, token + 'A')) std::abort();
  char& one = token[data[claims_size] % token.size()];
  if (one == static_cast<char>(data[claims_size + 1])) return 0;
  one = static_cast<char>(data[claims_size + 1]);
  if (read_and_make_again(signer, room, token)) std::abort();
  return 0;
}
