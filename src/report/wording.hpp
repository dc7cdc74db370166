#pragma once
/// \file
/// How the reports write numbers: one way for the text, the comparison and the page. Pure functions, no locale.

#include <weir/core/time.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::report {

/// "850µs", "82.4ms", "1.59s", "2m3s": three significant digits, as k6 writes them. Negative ones get a minus sign.
[[nodiscard]] std::string duration_text(duration);
/// "18.1", "0.04", "1287": at most three digits that matter, never an exponent below 1e15. Not finite: "–".
[[nodiscard]] std::string number_text(double);
/// "63.6 %" of a ratio in [0, 1]. Rounded towards the middle at the ends: only an exact 1 reads "100 %", only 0 "0 %".
[[nodiscard]] std::string percent_text(double ratio);
/// "227 kB", powers of 1000.
[[nodiscard]] std::string bytes_text(double bytes);
/// Characters a terminal shows: code points, good enough for the signs that the reports use.
[[nodiscard]] std::size_t display_width(std::string_view utf8) noexcept;
/// `text` filled with `fill` to `width` characters; longer text stays whole.
[[nodiscard]] std::string padded(std::string text, std::size_t width, char fill = ' ');
[[nodiscard]] std::string padded_left(const std::string& text, std::size_t width);
/// For text and attribute values: & < > " ' become entities, control characters a replacement sign.
[[nodiscard]] std::string html_escaped(std::string_view);
/// For a terminal: control characters (escape sequences in a hostile label) and bytes that are not UTF-8 become a
/// replacement sign.
[[nodiscard]] std::string terminal_safe(std::string_view);

/// With a replacement sign for every byte that is not well-formed UTF-8: JSON readers refuse the rest.
[[nodiscard]] std::string valid_utf8(std::string_view);

}  // namespace weir::report
