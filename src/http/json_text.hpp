#pragma once
// Writes JSON objects into a string, member by member. Boost.JSON would build a tree of each answer first.

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
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += "\\u00";
      out += "0123456789abcdef"[c >> 4];
      out += "0123456789abcdef"[c & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

/// ISO 8601, UTC, milliseconds (rounded down): 2026-01-01T00:00:00.250Z. Range: years 0 .. 9999.
inline void append_utc(std::string& out, std::chrono::system_clock::time_point t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day date{day};
  const auto digits = [&](std::uint64_t value, std::uint64_t unit) {
    for (; unit != 0; unit /= 10) out += static_cast<char>('0' + value / unit % 10);
  };
  const auto ms = static_cast<std::uint64_t>(std::chrono::floor<std::chrono::milliseconds>(t - day).count());
  digits(static_cast<std::uint64_t>(int{date.year()}), 1000);
  out += '-';
  digits(unsigned{date.month()}, 10);
  out += '-';
  digits(unsigned{date.day()}, 10);
  out += 'T';
  digits(ms / 3'600'000, 10);
  out += ':';
  digits(ms / 60'000 % 60, 10);
  out += ':';
  digits(ms / 1000 % 60, 10);
  out += '.';
  digits(ms % 1000, 100);
  out += 'Z';
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
  std::string& begin(std::string_view name) {
    separate();
    out_ += '"';
    out_ += name;
    out_ += "\":";
    return out_;
  }
  template <class T>
  void number(std::string_view name, T value) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    begin(name).append(digits, end);
  }

  std::string out_;
};

}  // namespace weir::inline v0::detail
