#include "report/wording.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

namespace weir::report {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";

std::string fixed(double value, int decimals) {
  std::array<char, 64> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return {text.data(), static_cast<std::size_t>(std::clamp(length, 0, static_cast<int>(text.size()) - 1))};
}

/// Three significant digits, trailing zeros of the fraction removed.
std::string three_digits(double value) {
  const double size = std::fabs(value);
  // The rounded value decides, so that 9.996 reads "10" and not "10.00".
  const int decimals = size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  std::string text = fixed(value, decimals);
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text == "-0" ? "0" : text;
}

/// Length of the well-formed UTF-8 sequence at the start of `text`; 0: there is none. Unicode 15, table 3-7.
std::size_t sequence_length(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xC2 && first < 0xE0   ? 2
                             : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xF0 && first < 0xF5 ? 4
                                                             : 0;
  if (length == 0 || text.size() < length) return 0;
  // Over-long forms, surrogates and what lies beyond U+10FFFF show in the second byte.
  const unsigned char low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
  if (byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return 0;
  }
  return length;
}

bool is_control(unsigned char c) noexcept { return c < 0x20 || c == 0x7F; }

}  // namespace

std::string duration_text(duration d) {
  const double ns = static_cast<double>(d.count());
  const double size = std::fabs(ns);
  if (size < 999.5) return fixed(ns, 0) + "ns";
  if (size < 999.5e3) return three_digits(ns / 1e3) + "µs";
  if (size < 999.5e6) return three_digits(ns / 1e6) + "ms";
  if (size < 119.95e9) return three_digits(ns / 1e9) + "s";
  const auto seconds = static_cast<std::int64_t>(std::llround(size / 1e9));
  return (ns < 0 ? "-" : "") + std::to_string(seconds / 60) + "m" + std::to_string(seconds % 60) + "s";
}

std::string number_text(double value) {
  if (!std::isfinite(value)) return "–";
  if (std::fabs(value) >= 1e15) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.2e", value);
    return text.data();
  }
  if (value != 0 && std::fabs(value) < 0.005) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1g", value);
    return text.data();
  }
  return three_digits(value);
}

std::string percent_text(double ratio) {
  if (!std::isfinite(ratio)) return "–";
  const double percent = ratio * 100;
  if (ratio > 0 && percent < 0.01) return "<0.01 %";
  if (ratio < 1 && percent > 99.99) return ">99.99 %";
  const double size = std::fabs(percent);
  // Close to the ends two decimals matter: 99.95 % is not 100 %.
  std::string text = fixed(percent, size < 1 || (size > 99 && size < 100) ? 2 : 1);
  if (text.find('.') != std::string::npos) {
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') text.pop_back();
  }
  return text + " %";
}

std::string bytes_text(double bytes) {
  constexpr std::array<const char*, 6> units{" B", " kB", " MB", " GB", " TB", " PB"};
  std::size_t unit = 0;
  while (std::fabs(bytes) >= 999.5 && unit + 1 < units.size()) {
    bytes /= 1000;
    ++unit;
  }
  return three_digits(bytes) + units[unit];
}

std::size_t display_width(std::string_view utf8) noexcept {
  return static_cast<std::size_t>(
      std::count_if(utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

std::string padded(std::string text, std::size_t width, char fill) {
  const std::size_t shown = display_width(text);
  if (shown < width) text.append(width - shown, fill);
  return text;
}

std::string padded_left(const std::string& text, std::size_t width) {
  const std::size_t shown = display_width(text);
  return shown < width ? std::string(width - shown, ' ') + text : text;
}

std::string html_escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        if (is_control(static_cast<unsigned char>(c)) && c != '\n' && c != '\t') {
          out += replacement;
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string terminal_safe(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    // The second block of controls has two bytes each; U+009B begins an escape sequence as ESC [ does.
    const bool control = length == 2 ? text.front() == '\xC2' && static_cast<unsigned char>(text[1]) < 0xA0
                                     : is_control(static_cast<unsigned char>(text.front()));
    out += length == 0 || control ? replacement : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

std::string valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = sequence_length(text);
    out += length == 0 ? replacement : text.substr(0, length);
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return out;
}

}  // namespace weir::report
