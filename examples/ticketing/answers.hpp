#pragma once
/// \file
/// Answers that several services give.

#include "body.hpp"
#include "message.hpp"

#include <string_view>

namespace ticketing {

[[nodiscard]] inline response problem(unsigned status, std::string_view message) {
  return {.status = status, .body = error_json(message)};
}
/// Never reaches the client: it has left. Counted as such.
[[nodiscard]] inline response client_left() { return {.status = 499}; }
[[nodiscard]] inline response shutting_down() {
  return {.status = 503, .body = error_json("the server is shutting down"), .retry_after = std::chrono::seconds{5}};
}

}  // namespace ticketing
