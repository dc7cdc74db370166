#include <scenario/placeholders.hpp>

#include <gtest/gtest.h>

namespace {

using weir::scenario::fill_placeholders;
using weir::scenario::placeholders_in;

TEST(Placeholders, AreNamesInBracesAndNothingElse) {
  const auto found = placeholders_in(R"({"user":"{user}","list":[{"a":1}],"n":{vu},"{}":"{ x }","{1}":"{_a1}","{open")");
  EXPECT_EQ(found, (std::vector<std::string_view>{"user", "vu", "_a1"}));
}

TEST(Placeholders, AreReplacedWhereTheyStand) {
  const auto shout = [](std::string_view name) { return "<" + std::string{name} + ">"; };
  EXPECT_EQ(fill_placeholders(R"({"u":"{user}"})", shout), R"({"u":"<user>"})");
  EXPECT_EQ(fill_placeholders("{a}{b}", shout), "<a><b>");
  EXPECT_EQ(fill_placeholders("{{a}}", shout), "{<a>}");
  EXPECT_EQ(fill_placeholders("{", shout), "{");
  EXPECT_EQ(fill_placeholders("", shout), "");
}

}  // namespace
