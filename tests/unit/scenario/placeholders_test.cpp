#include <scenario/placeholders.hpp>

#include <gtest/gtest.h>

namespace {

using weir::scenario::fill_json_placeholders;
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

TEST(Placeholders, BetweenTheQuotesOfAJsonTextAreEscaped) {
  const auto hostile = [](std::string_view) { return std::string{"a\"b\\c\n{\x01"}; };
  EXPECT_EQ(fill_json_placeholders(R"({"u":"{user}"})", hostile), R"({"u":"a\"b\\c\u000a{\u0001"})");
  EXPECT_EQ(fill_placeholders(R"({"u":"{user}"})", hostile), "{\"u\":\"a\"b\\c\n{\x01\"}") << "a text of another kind";
  const auto list = [](std::string_view) { return std::string{R"(["x"])"}; };
  EXPECT_EQ(fill_json_placeholders(R"({"l":{list},"t":"{list}"})", list), R"({"l":["x"],"t":"[\"x\"]"})")
      << "JSON outside of quotes stays what it was";
  const auto quote = [](std::string_view) { return std::string{"\""}; };
  EXPECT_EQ(fill_json_placeholders(R"("\"{q}","\\",{q})", quote), R"("\"\"","\\",")") << "escaped quotes end no string";
  EXPECT_EQ(fill_json_placeholders(R"("{q}\)", quote), R"("\"\)");
}

}  // namespace
