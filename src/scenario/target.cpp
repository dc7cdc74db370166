#include "target.hpp"

#include <charconv>

#include <arpa/inet.h>

namespace weir::scenario {

std::string target_address::authority() const {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool target_address::is_loopback() const {
  if (host == "localhost") return true;
  in_addr v4{};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

namespace {

std::variant<target_address, std::string> parse_target(std::string_view text) {
  constexpr std::string_view scheme = "http://";
  const std::string quoted = "'" + std::string{text} + "'";
  if (text.starts_with("https://")) return quoted + ": https is not supported; the form is http://host[:port]";
  if (!text.starts_with(scheme)) return quoted + " is not an address of the form http://host[:port]";
  text.remove_prefix(scheme.size());
  if (text.ends_with('/')) text.remove_suffix(1);

  target_address address;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return quoted + ": '[' without ']'";
    address.host = text.substr(1, close - 1);
    text.remove_prefix(close + 1);
  } else {
    const std::size_t end = std::min(text.find(':'), text.size());
    address.host = text.substr(0, end);
    text.remove_prefix(end);
  }
  if (text.find_first_of("/?#@") != std::string_view::npos || address.host.empty() ||
      address.host.find_first_of("/?#@ \t\r\n") != std::string::npos) {
    return quoted + ": a host without path, query or user name is expected";
  }
  if (text.empty()) return address;
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), port);
  if (text.front() != ':' || error != std::errc{} || end != text.data() + text.size() || port < 1 || port > 65535) {
    return quoted + ": the port must be a number from 1 to 65535";
  }
  address.port = static_cast<std::uint16_t>(port);
  return address;
}

}  // namespace

std::variant<std::vector<target_address>, std::string> parse_targets(std::string_view text) {
  std::vector<target_address> all;
  for (bool more = true; more;) {
    const std::size_t comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    auto one = parse_target(part);
    if (auto* problem = std::get_if<std::string>(&one)) return std::move(*problem);
    all.push_back(std::get<target_address>(std::move(one)));
    more = comma != std::string_view::npos;
    text.remove_prefix(more ? comma + 1 : 0);
  }
  return all;
}

}  // namespace weir::scenario
