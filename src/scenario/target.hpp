#pragma once
/// \file
/// What a scenario is aimed at: `http://host[:port]`, or several of these between commas. Nothing is resolved here.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace weir::scenario {

struct target_address {
  std::string host;  ///< without the brackets of an IPv6 address
  std::uint16_t port = 80;

  /// "127.0.0.1:8081", "[::1]:80": for the Host header and messages.
  [[nodiscard]] std::string authority() const;
  /// 127.0.0.0/8, ::1 or "localhost". Other names are not looked up: they count as remote.
  [[nodiscard]] bool is_loopback() const;
};

/// The addresses, at least one, or what is wrong with the text.
[[nodiscard]] std::variant<std::vector<target_address>, std::string> parse_targets(std::string_view text);

}  // namespace weir::scenario
