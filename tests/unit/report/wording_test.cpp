#include "report/wording.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace weir::report {
namespace {

using namespace std::chrono_literals;

TEST(Wording, DurationsHaveThreeDigitsAndTheirUnit) {
  EXPECT_EQ(duration_text(0ns), "0ns");
  EXPECT_EQ(duration_text(999ns), "999ns");
  EXPECT_EQ(duration_text(850us), "850µs");
  EXPECT_EQ(duration_text(82410us), "82.4ms");
  EXPECT_EQ(duration_text(1590ms), "1.59s");
  EXPECT_EQ(duration_text(10s), "10s");
  EXPECT_EQ(duration_text(23220ms), "23.2s");
  EXPECT_EQ(duration_text(123s), "2m3s");
  EXPECT_EQ(duration_text(-800ms), "-800ms");
}

TEST(Wording, RoundingCarriesIntoTheNextUnit) {
  EXPECT_EQ(duration_text(999'499ns), "999µs");
  EXPECT_EQ(duration_text(999'600ns), "1ms");
  EXPECT_EQ(duration_text(9'996us), "10ms");
  EXPECT_EQ(duration_text(999'700us), "1s");
  EXPECT_EQ(duration_text(119'960ms), "2m0s");
}

TEST(Wording, NumbersKeepThreeDigits) {
  EXPECT_EQ(number_text(0), "0");
  EXPECT_EQ(number_text(18.14), "18.1");
  EXPECT_EQ(number_text(18), "18");
  EXPECT_EQ(number_text(1287.4), "1287");
  EXPECT_EQ(number_text(-0.001), "-0.001");
  EXPECT_EQ(number_text(std::numeric_limits<double>::quiet_NaN()), "–");
  EXPECT_EQ(number_text(std::numeric_limits<double>::infinity()), "–");
}

TEST(Wording, OnlyAllIsHundredPercentAndOnlyNoneIsZero) {
  EXPECT_EQ(percent_text(1), "100 %");
  EXPECT_EQ(percent_text(0.99999), ">99.99 %");
  EXPECT_EQ(percent_text(0.9996), "99.96 %");
  EXPECT_EQ(percent_text(0.0331), "3.3 %");
  EXPECT_EQ(percent_text(0.00001), "<0.01 %");
  EXPECT_EQ(percent_text(0), "0 %");
  EXPECT_EQ(percent_text(0.37), "37 %");
}

TEST(Wording, BytesInPowersOfThousand) {
  EXPECT_EQ(bytes_text(0), "0 B");
  EXPECT_EQ(bytes_text(227'000), "227 kB");
  EXPECT_EQ(bytes_text(999'600), "1 MB");
}

TEST(Wording, WidthsCountCharacters) {
  EXPECT_EQ(display_width("≥10s"), 4U);
  EXPECT_EQ(padded("≥1", 4, '.'), "≥1..");
  EXPECT_EQ(padded_left("≥1", 4), "  ≥1");
  EXPECT_EQ(padded("longer", 3), "longer");
}

TEST(Wording, HtmlIsEscaped) {
  EXPECT_EQ(html_escaped("<a href=\"x\" id='y'>&</a>"), "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;&lt;/a&gt;");
  EXPECT_EQ(html_escaped(std::string_view("a\0b\x1b", 4)),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD");
}

TEST(Wording, TerminalsGetNoEscapeSequences) {
  const std::string sign = "\xEF\xBF\xBD";
  EXPECT_EQ(terminal_safe("\x1b[2Jx\n"), sign + "[2Jx" + sign);
  EXPECT_EQ(terminal_safe("\xC2\x9B"
                          "2J"),
            sign + "2J")
      << "CSI as one character";
  EXPECT_EQ(terminal_safe("\x9B"
                          "2J"),
            sign + "2J")
      << "CSI as one byte";
  EXPECT_EQ(terminal_safe("© ä ≥ 😀"), "© ä ≥ 😀");
}

TEST(Wording, IllFormedUtf8IsReplaced) {
  const std::string sign = "\xEF\xBF\xBD";
  EXPECT_EQ(valid_utf8("aé≥😀"), "aé≥😀");
  EXPECT_EQ(valid_utf8("\xFFz"), sign + "z");
  EXPECT_EQ(valid_utf8("\xC3"), sign);                                   // cut off
  EXPECT_EQ(valid_utf8("\xC0\xAF"), sign + sign);                        // over-long
  EXPECT_EQ(valid_utf8("\xED\xA0\x80"), sign + sign + sign);             // a surrogate
  EXPECT_EQ(valid_utf8("\xF4\x90\x80\x80"), sign + sign + sign + sign);  // beyond U+10FFFF
  EXPECT_EQ(valid_utf8("\xE2\x89\xC3\xA9"), sign + sign + "é");
}

}  // namespace
}  // namespace weir::report
