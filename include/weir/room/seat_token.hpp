#pragma once
/// \file
/// What a user of a room holds in hand: 68 characters that say which seat, or which session, and cannot be forged.
///
/// ```cpp
/// weir::seat_token token = weir::make_token(signer, "tickets", {.kind = weir::token_kind::seat, .number = 1523});
/// send(token.view());
/// weir::token_claims claims;
/// if (weir::read_token(signer, "tickets", text, claims) != weir::token_problem::none) return 401;
/// ```
/// There is no secret and no mutable state in it: what became of seat 1523 is asked of the room. Nothing here allocates or
/// throws.
///
/// Layout: version and kind, key, lane, epoch (4), number (8), at (4), about (8), bind (8), big-endian; the first 16 bytes
/// of the signature; all 51 in base64url (RFC 4648, section 5), which has no spare bits. Signed is, each part behind its
/// length: the room's name, and the 35 bytes. So a token of another room, with fields swapped or shifted, is a forgery.

#include <weir/room/signer.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace weir::inline v0 {

enum class token_kind : std::uint8_t {
  seat = 1,  ///< a place in the line
  pass = 2,  ///< a session: its turn has come
};

struct token_claims {
  token_kind kind = token_kind::seat;
  std::uint8_t lane = 0;
  std::uint32_t epoch = 0;   ///< of the room: numbers begin afresh with each
  std::uint64_t number = 0;  ///< of the seat, in its lane
  std::uint32_t at = 0;      ///< seat: when it was given out; pass: when it ends; seconds since 1970
  std::uint64_t about = 0;   ///< seat: hash of the subject, 0: none; pass: the session
  std::uint64_t bind = 0;    ///< hash of a secret of the device that it belongs to, 0: whoever has it

  friend bool operator==(const token_claims&, const token_claims&) = default;
};

/// Why a text is no token of a room.
enum class token_problem : std::uint8_t {
  none,
  malformed,    ///< another length, other characters
  version,      ///< of another version of this format, or of no kind that there is
  unknown_key,  ///< signed with a key that is not kept any more, or never was
  forged,       ///< not signed by us, not for this room, or changed since
};
[[nodiscard]] constexpr const char* to_string(token_problem p) noexcept {
  switch (p) {
    case token_problem::none: return "none";
    case token_problem::malformed: return "malformed";
    case token_problem::version: return "version";
    case token_problem::unknown_key: return "unknown_key";
    case token_problem::forged: return "forged";
  }
  return "unknown";
}

/// As sent.
struct seat_token {
  static constexpr std::size_t length = 68;
  std::array<char, length> text{};

  [[nodiscard]] std::string_view view() const noexcept { return {text.data(), text.size()}; }
};

namespace detail {

inline constexpr std::size_t token_payload = 35;
inline constexpr std::size_t token_bytes = token_payload + std::tuple_size_v<seat_mac>;
inline constexpr std::size_t longest_room_name = 255;
inline constexpr std::uint8_t token_version = 1;
inline constexpr std::string_view base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static_assert(token_bytes % 3 == 0 && token_bytes / 3 * 4 == seat_token::length);

using token_data = std::array<std::uint8_t, token_bytes>;

template <class T>
constexpr std::uint8_t* put_number(std::uint8_t* at, T value) noexcept {
  for (int shift = 8 * (static_cast<int>(sizeof value) - 1); shift >= 0; shift -= 8) {
    *at++ = static_cast<std::uint8_t>(value >> shift);
  }
  return at;
}
template <class T>
constexpr const std::uint8_t* take_number(const std::uint8_t* at, T& value) noexcept {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < sizeof value; ++i) sum = sum << 8 | *at++;
  value = static_cast<T>(sum);
  return at;
}

/// What is signed. A longer name is refused by the room's configuration.
struct token_message {
  std::array<std::uint8_t, 2 * sizeof(std::uint16_t) + longest_room_name + token_payload> bytes;
  std::size_t size;

  token_message(std::string_view room, const std::uint8_t* payload) noexcept {
    room = room.substr(0, longest_room_name);
    std::uint8_t* end = put_number(bytes.data(), static_cast<std::uint16_t>(room.size()));
    if (!room.empty()) std::memcpy(end, room.data(), room.size());
    end = put_number(end + room.size(), static_cast<std::uint16_t>(token_payload));
    std::memcpy(end, payload, token_payload);
    size = static_cast<std::size_t>(end - bytes.data()) + token_payload;
  }
  [[nodiscard]] std::span<const std::uint8_t> view() const noexcept { return {bytes.data(), size}; }
};

inline void to_base64url(const token_data& from, std::array<char, seat_token::length>& to) noexcept {
  char* out = to.data();
  for (std::size_t i = 0; i < from.size(); i += 3) {
    const std::uint32_t three = std::uint32_t{from[i]} << 16 | std::uint32_t{from[i + 1]} << 8 | from[i + 2];
    for (int shift = 18; shift >= 0; shift -= 6) *out++ = base64url[three >> shift & 63];
  }
}

/// 64: is none.
inline constexpr auto base64url_values = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(64);
  for (std::size_t i = 0; i < base64url.size(); ++i) {
    values[static_cast<unsigned char>(base64url[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}();
inline bool from_base64url(std::string_view from, token_data& to) noexcept {
  if (from.size() != seat_token::length) return false;
  std::uint8_t seen = 0;
  for (std::size_t i = 0; i < to.size() / 3; ++i) {
    std::uint32_t three = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const std::uint8_t value = base64url_values[static_cast<unsigned char>(from[4 * i + k])];
      seen |= value;
      three = three << 6 | (value & 63U);
    }
    for (std::size_t k = 0; k < 3; ++k) to[3 * i + k] = static_cast<std::uint8_t>(three >> (16 - 8 * k));
  }
  return (seen & 64U) == 0;
}

/// In a time that does not depend on where they differ.
inline bool same_mac(const std::uint8_t* a, const seat_mac& b) noexcept {
  volatile std::uint8_t difference = 0;
  for (std::size_t i = 0; i < b.size(); ++i) difference = static_cast<std::uint8_t>(difference | (a[i] ^ b[i]));
  return difference == 0;
}

}  // namespace detail

/// Signed with the signer's current key. `room`: at most 255 bytes. Thread-safe as the signer is.
template <signer Signer>
[[nodiscard]] seat_token make_token(const Signer& by, std::string_view room, const token_claims& claims) noexcept {
  detail::token_data data{};
  const std::uint8_t key = by.current_key();
  std::uint8_t* end = data.data();
  *end++ = static_cast<std::uint8_t>(detail::token_version << 4 | static_cast<std::uint8_t>(claims.kind));
  *end++ = key;
  *end++ = claims.lane;
  end = detail::put_number(end, claims.epoch);
  end = detail::put_number(end, claims.number);
  end = detail::put_number(end, claims.at);
  end = detail::put_number(end, claims.about);
  end = detail::put_number(end, claims.bind);
  seat_mac mac{};
  (void)by.sign(key, detail::token_message{room, data.data()}.view(), mac);  // its own current key is one that it has
  std::memcpy(end, mac.data(), mac.size());
  seat_token token;
  detail::to_base64url(data, token.text);
  return token;
}

/// `none`: `claims` is what the signer has signed for this room; else `claims` is as it was. Range of `text`: anything.
template <signer Signer>
[[nodiscard]] token_problem read_token(const Signer& by, std::string_view room, std::string_view text,
                                       token_claims& claims) noexcept {
  detail::token_data data;
  if (!detail::from_base64url(text, data)) return token_problem::malformed;
  token_claims found;
  found.kind = static_cast<token_kind>(data[0] & 15U);
  const bool known_kind = found.kind == token_kind::seat || found.kind == token_kind::pass;
  if (data[0] >> 4 != detail::token_version || !known_kind) return token_problem::version;
  seat_mac mac{};
  if (!by.sign(data[1], detail::token_message{room, data.data()}.view(), mac)) return token_problem::unknown_key;
  if (!detail::same_mac(data.data() + detail::token_payload, mac)) return token_problem::forged;
  found.lane = data[2];
  const std::uint8_t* at = detail::take_number(data.data() + 3, found.epoch);
  at = detail::take_number(at, found.number);
  at = detail::take_number(at, found.at);
  at = detail::take_number(at, found.about);
  detail::take_number(at, found.bind);
  claims = found;
  return token_problem::none;
}

}  // namespace weir::inline v0
