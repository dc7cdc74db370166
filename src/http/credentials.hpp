#pragma once
// What a request brings to prove who it is: tokens and the device's secret, from headers and cookies.

#include <weir/http/message.hpp>

#include <optional>
#include <string_view>

namespace weir::inline v0::detail {

/// A text that may be there, or be there twice with different contents, which nobody can decide.
struct presented {
  enum class how { absent, once, contradictory } found = how::absent;
  std::string_view text{};

  void see(std::string_view value) noexcept {
    if (found == how::absent) {
      found = how::once;
      text = value;
    } else if (text != value) {
      found = how::contradictory;
    }
  }
  [[nodiscard]] std::string_view unless_contradictory() const noexcept {
    return found == how::once ? text : std::string_view{};
  }
};

[[nodiscard]] constexpr std::string_view without_blanks(std::string_view text) noexcept {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

[[nodiscard]] inline presented header_of(const http_request& r, std::string_view name) noexcept {
  presented p;
  for (const http_header& h : r.headers) {
    if (same_but_for_case(h.name, name)) p.see(without_blanks(h.value));
  }
  return p;
}

/// RFC 6265, section 5.4: several cookies of a name may come, of different paths, and their order means nothing.
[[nodiscard]] inline presented cookie_of(const http_request& r, std::string_view name) noexcept {
  presented p;
  for (const http_header& h : r.headers) {
    if (!same_but_for_case(h.name, "cookie")) continue;
    for (std::string_view rest = h.value; !rest.empty();) {
      const auto end = rest.find(';');
      const std::string_view pair = without_blanks(rest.substr(0, end));
      rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
      if (pair.starts_with(name) && pair.size() > name.size() && pair[name.size()] == '=') {
        p.see(pair.substr(name.size() + 1));
      }
    }
  }
  return p;
}

/// RFC 6750, section 2.1. Other schemes are other people's.
[[nodiscard]] inline presented bearer_of(const http_request& r) noexcept {
  constexpr std::string_view scheme = "bearer";
  presented p;
  for (const http_header& h : r.headers) {
    if (!same_but_for_case(h.name, "authorization")) continue;
    const std::string_view value = without_blanks(h.value);
    if (!same_but_for_case(value.substr(0, scheme.size()), scheme)) continue;
    const std::string_view rest = value.substr(scheme.size());
    if (rest.empty() || rest.front() == ' ' || rest.front() == '\t') p.see(without_blanks(rest));
  }
  return p;
}

/// Not too short to be a secret, nor longer than one; no blanks, no control characters.
[[nodiscard]] constexpr bool is_secret(std::string_view text) noexcept {
  return text.size() >= 16 && text.size() <= 128 && std::all_of(text.begin(), text.end(), [](char c) {
           return c > ' ' && c < '\x7f' && c != ';' && c != ',' && c != '"' && c != '\\';
         });
}

inline constexpr std::string_view device_cookie = "weir_device";

/// The secret of the device. A header of its own goes before a cookie.
[[nodiscard]] inline presented device_of(const http_request& r) noexcept {
  const presented by_header = header_of(r, "X-Weir-Device");
  return by_header.found != presented::how::absent ? by_header : cookie_of(r, device_cookie);
}
[[nodiscard]] constexpr bool is_bad(const presented& device) noexcept {
  return device.found == presented::how::contradictory || (device.found == presented::how::once && !is_secret(device.text));
}

/// As Bearer; if there is none, as cookie.
[[nodiscard]] inline presented token_of(const http_request& r, std::string_view cookie) noexcept {
  const presented by_header = bearer_of(r);
  return by_header.found != presented::how::absent ? by_header : cookie_of(r, cookie);
}

}  // namespace weir::inline v0::detail
