#include "credentials.hpp"

#include <weir/http/room_credentials.hpp>
#include <weir/http/room_handler.hpp>

#include <string>

namespace weir::inline v0 {

std::optional<room_credentials> room_credentials_of(const http_request& r, std::string_view room, token_kind kind) {
  using how = detail::presented::how;
  const std::string cookie = (kind == token_kind::seat ? "weir_seat_" : "weir_pass_") + std::string{room};
  const detail::presented token = detail::token_of(r, cookie), device = detail::device_of(r);
  if (token.found != how::once || detail::is_bad(device)) return std::nullopt;
  return room_credentials{token.text, device.found == how::once ? room_hash(device.text) : 0};
}

std::string_view bearer_of(const http_request& r) noexcept { return detail::bearer_of(r).unless_contradictory(); }
std::string_view cookie_of(const http_request& r, std::string_view name) noexcept {
  return detail::cookie_of(r, name).unless_contradictory();
}

}  // namespace weir::inline v0
