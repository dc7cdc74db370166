#include "key_parts.hpp"

#include <algorithm>

namespace weir::scenario {
namespace {

/// The end of the string that begins at text[at], which is a quote.
std::size_t end_of_string(std::string_view text, std::size_t at) noexcept {
  const char quote = text[at];
  const bool escapes = quote == '"';
  const auto three_at = [&](std::size_t i) {
    return text.substr(i, 3) == std::string_view{quote == '"' ? "\"\"\"" : "'''"};
  };
  const bool over_lines = three_at(at);
  for (std::size_t i = at + (over_lines ? 3 : 1); i < text.size(); ++i) {
    if (escapes && text[i] == '\\') {
      ++i;
    } else if (over_lines && three_at(i)) {
      // One or two more quotes belong to the text.
      i += 3;
      for (int more = 0; more < 2 && i < text.size() && text[i] == quote; ++more) ++i;
      return i;
    } else if (!over_lines && text[i] == quote) {
      return i + 1;
    } else if (!over_lines && text[i] == '\n') {
      return i;  // an error, which the parser will say
    }
  }
  return text.size();
}

/// What may stand between two parts of the same key, or belong to one.
bool continues_key(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == ' ' ||
         c == '\t';
}

}  // namespace

unsigned line_of_key_with_more_parts(std::string_view text, std::size_t most) noexcept {
  std::size_t parts = 1;
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == '"' || c == '\'') {
      at = end_of_string(text, at);
    } else if (c == '#') {
      at = std::min(text.find('\n', at), text.size());
    } else {
      if (c == '.') {
        ++parts;
      } else if (!continues_key(c)) {
        parts = 1;
      }
      if (parts > most) return static_cast<unsigned>(1 + std::count(text.begin(), text.begin() + at, '\n'));
      ++at;
    }
  }
  return 0;
}

}  // namespace weir::scenario
