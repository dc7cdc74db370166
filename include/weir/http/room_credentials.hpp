#pragma once
/// \file
/// For the service behind a room: what a request brings to prove that its sender is inside. Link weir::http.
///
/// ```cpp
/// const auto shown = weir::room_credentials_of(request, "tickets", weir::token_kind::pass);
/// if (!shown || !room.is_inside(room.read(shown->token, weir::token_kind::pass, shown->bind))) return see_waiting_room();
/// ```

#include <weir/http/message.hpp>
#include <weir/room/seat_token.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace weir::inline v0 {

struct room_credentials {
  std::string_view token;  ///< a view into the request; nobody has looked at it yet
  std::uint64_t bind = 0;  ///< of the device, for `read`; 0: it has shown none
};

/// As `Authorization: Bearer`, else as the cookie of that kind of that room; the device by header X-Weir-Device, else by
/// its cookie: as room_handler takes them. Nothing: there is no token, or two different ones, or no proper secret of a
/// device. Thread-safe, O(length of the headers). Errors: std::bad_alloc, std::runtime_error if OpenSSL has no SHA-256.
[[nodiscard]] std::optional<room_credentials> room_credentials_of(const http_request& r, std::string_view room,
                                                                  token_kind kind);

/// What is brought as `Authorization: Bearer` (RFC 6750, section 2.1), or as the cookie of that name; views into the
/// request. Empty: nothing, or two different ones. For hooks that know operators by a secret, say. O(length of the
/// headers).
[[nodiscard]] std::string_view bearer_of(const http_request& r) noexcept;
[[nodiscard]] std::string_view cookie_of(const http_request& r, std::string_view name) noexcept;

}  // namespace weir::inline v0
