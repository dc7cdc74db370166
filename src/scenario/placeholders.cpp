#include "placeholders.hpp"

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

}  // namespace

std::vector<std::string_view> placeholders_in(std::string_view text) {
  std::vector<std::string_view> names;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (const std::string_view name = name_at(text, at); !name.empty()) names.push_back(name);
  }
  return names;
}

std::string fill_placeholders(std::string_view text, const std::function<std::string(std::string_view)>& value) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view name = name_at(text, at);
    if (name.empty()) {
      out += text[at++];
    } else {
      out += value(name);
      at += name.size() + 2;
    }
  }
  return out;
}

bool is_builtin_placeholder(std::string_view name) noexcept {
  return name == "vu" || name == "iteration" || name == "uuid";
}

}  // namespace weir::scenario
