#pragma once
/// \file
/// What passes between an HTTP server and the handlers here: plain structures, so that any server will do.
///
/// ```cpp
/// weir::http_request r{.method = "GET", .target = "/rooms/tickets/status"};
/// r.headers.push_back({"Cookie", cookies});
/// handler.handle(r, [](weir::http_response a) { send(a.status, a.headers, a.body); });
/// ```
/// Values without lock: one thread at a time.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0 {

/// Whether two names of headers, or of anything in ASCII, are the same but for the case of letters. O(length).
[[nodiscard]] constexpr bool same_but_for_case(std::string_view a, std::string_view b) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return lower(x) == lower(y); });
}

/// As it came, but without the blanks around the value.
struct http_header {
  std::string_view name, value;
};

/// Views of what the server has read: good until `handle` returns, no longer.
struct http_request {
  std::string_view method;             ///< in capitals
  std::string_view target;             ///< path and query, as sent
  std::vector<http_header> headers{};  ///< in the order in which they came; a name may be there more than once
  std::string_view body{};
  std::string_view remote{};  ///< who asks: an address, for hooks
};

struct http_response {
  std::uint16_t status = 200;
  /// Names are literals. A name may be there more than once (Set-Cookie). Content-Length is the server's affair.
  std::vector<std::pair<std::string_view, std::string>> headers{};
  std::string body{};

  /// The first of that name; empty: none. O(headers).
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept {
    for (const auto& [n, value] : headers) {
      if (same_but_for_case(n, name)) return value;
    }
    return {};
  }
};

}  // namespace weir::inline v0
