#pragma once
// Writes JSON objects into a string, member by member. Boost.JSON would build a tree of each answer first.

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::inline v0::detail {

/// RFC 8259, section 7. Text that is no UTF-8 stays what it is.
inline void append_quoted(std::string& out, std::string_view text) {
  const auto special = [](char c) { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; };
  out += '"';
  for (;;) {
    const auto plain = static_cast<std::size_t>(std::find_if(text.begin(), text.end(), special) - text.begin());
    out += text.substr(0, plain);
    if (plain == text.size()) break;
    const char c = text[plain];
    text.remove_prefix(plain + 1);
    out += '\\';
    if (c == '"' || c == '\\') {
      out += c;
    } else {
      out += "u00";
      out += "0123456789abcdef"[c >> 4];
      out += "0123456789abcdef"[c & 15];
    }
  }
  out += '"';
}

/// ISO 8601, UTC, milliseconds (rounded down): 2026-01-01T00:00:00.250Z. Range: years 0 .. 9999.
inline void append_utc(std::string& out, std::chrono::system_clock::time_point t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date{day};
  const auto ms = static_cast<std::uint32_t>(std::chrono::floor<std::chrono::milliseconds>(t - day).count());
  char text[] = "0000-00-00T00:00:00.000Z";
  const auto two = [&](char* at, std::uint32_t value) {
    at[0] = static_cast<char>('0' + value / 10 % 10);
    at[1] = static_cast<char>('0' + value % 10);
  };
  const auto year = static_cast<std::uint32_t>(int{date.year()});
  two(text, year / 100);
  two(text + 2, year);
  two(text + 5, unsigned{date.month()});
  two(text + 8, unsigned{date.day()});
  two(text + 11, ms / 3'600'000);
  two(text + 14, ms / 60'000 % 60);
  two(text + 17, ms / 1000 % 60);
  two(text + 20, ms / 10);
  text[22] = static_cast<char>('0' + ms % 10);
  out.append(text, sizeof text - 1);
}

template <class T>
void append_number(std::string& out, T value) {
  std::array<char, 32> digits;
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
}

class json_text {
 public:
  explicit json_text(std::size_t expected = 512) {
    out_.reserve(expected);
    out_ += '{';
  }

  json_text& add(std::string_view name, std::string_view value) {
    append_quoted(begin(name), value);
    return *this;
  }
  json_text& add(std::string_view name, const char* value) { return add(name, std::string_view{value}); }
  template <std::integral T>
  json_text& add(std::string_view name, T value) {
    if constexpr (std::same_as<T, bool>) {
      begin(name) += value ? "true" : "false";
    } else {
      number(name, value);
    }
    return *this;
  }
  /// null for what is no number in JSON.
  json_text& add(std::string_view name, double value) {
    if (std::isfinite(value)) {
      number(name, value);
    } else {
      null(name);
    }
    return *this;
  }
  json_text& add(std::string_view name, std::chrono::system_clock::time_point t) {
    std::string& out = begin(name);
    out += '"';
    append_utc(out, t);
    out += '"';
    return *this;
  }
  json_text& null(std::string_view name) {
    begin(name) += "null";
    return *this;
  }
  /// `value` is JSON.
  json_text& raw(std::string_view name, std::string_view value) {
    begin(name) += value;
    return *this;
  }

  json_text& open(std::string_view name) {
    begin(name) += '{';
    return *this;
  }
  json_text& close() {
    out_ += '}';
    return *this;
  }
  json_text& open_list(std::string_view name) {
    begin(name) += '[';
    return *this;
  }
  json_text& open_element() {
    separate();
    out_ += '{';
    return *this;
  }
  json_text& close_list() {
    out_ += ']';
    return *this;
  }

  [[nodiscard]] std::string take() && {
    out_ += '}';
    return std::move(out_);
  }

 private:
  void separate() {
    if (out_.back() != '{' && out_.back() != '[') out_ += ',';
  }
  /// Names are short, and need no escapes.
  std::string& begin(std::string_view name) {
    separate();
    char text[64];
    std::size_t size = 0;
    text[size++] = '"';
    size += name.copy(text + size, sizeof text - 3);
    text[size++] = '"';
    text[size++] = ':';
    return out_.append(text, size);
  }
  template <class T>
  void number(std::string_view name, T value) {
    append_number(begin(name), value);
  }

  std::string out_;
};

}  // namespace weir::inline v0::detail
