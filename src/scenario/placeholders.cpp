#include "placeholders.hpp"

#include <cstdio>

namespace weir::scenario {
namespace {

bool starts_name(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool continues_name(char c) noexcept { return starts_name(c) || (c >= '0' && c <= '9'); }

/// The name of the placeholder that begins at text[at]; empty: none does.
std::string_view name_at(std::string_view text, std::size_t at) noexcept {
  if (text[at] != '{' || at + 1 >= text.size() || !starts_name(text[at + 1])) return {};
  std::size_t end = at + 1;
  while (end < text.size() && continues_name(text[end])) ++end;
  if (end == text.size() || text[end] != '}') return {};
  return text.substr(at + 1, end - at - 1);
}

std::string json_escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char text[7];
      std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(c));
      out += text;
    } else {
      out += c;
    }
  }
  return out;
}

/// `value` gets a name and whether its place is between quotes.
template <class Value>
std::string fill(std::string_view text, Value value) {
  std::string out;
  out.reserve(text.size());
  bool quoted = false;
  for (std::size_t at = 0; at < text.size();) {
    if (const std::string_view name = name_at(text, at); !name.empty()) {
      out += value(name, quoted);
      at += name.size() + 2;
      continue;
    }
    if (text[at] == '"') quoted = !quoted;
    // A quote that is escaped in the text itself ends no string.
    const bool escape = quoted && (text.substr(at, 2) == "\\\"" || text.substr(at, 2) == "\\\\");
    out += text.substr(at, escape ? 2 : 1);
    at += escape ? 2 : 1;
  }
  return out;
}

}  // namespace

std::vector<std::string_view> placeholders_in(std::string_view text) {
  std::vector<std::string_view> names;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (const std::string_view name = name_at(text, at); !name.empty()) names.push_back(name);
  }
  return names;
}

std::string fill_placeholders(std::string_view text, const std::function<std::string(std::string_view)>& value) {
  return fill(text, [&](std::string_view name, bool) { return value(name); });
}

std::string fill_json_placeholders(std::string_view text, const std::function<std::string(std::string_view)>& value) {
  return fill(text, [&](std::string_view name, bool quoted) { return quoted ? json_escaped(value(name)) : value(name); });
}

bool is_builtin_placeholder(std::string_view name) noexcept {
  return name == "vu" || name == "iteration" || name == "uuid";
}

}  // namespace weir::scenario
