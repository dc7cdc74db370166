#include <scenario/target.hpp>

#include <gtest/gtest.h>

namespace {

using weir::scenario::parse_targets;
using weir::scenario::target_address;

target_address good(std::string_view text) {
  auto read = parse_targets(text);
  EXPECT_TRUE(std::holds_alternative<std::vector<target_address>>(read)) << text << ": " << std::get<std::string>(read);
  EXPECT_EQ(std::get<0>(read).size(), 1u);
  return std::get<0>(read).at(0);
}

TEST(Target, ReadsHostAndPort) {
  EXPECT_EQ(good("http://127.0.0.1:8081").host, "127.0.0.1");
  EXPECT_EQ(good("http://127.0.0.1:8081").port, 8081);
  EXPECT_EQ(good("http://localhost").port, 80);
  EXPECT_EQ(good("http://localhost:1/").authority(), "localhost:1");
  EXPECT_EQ(good("http://[::1]:8080").host, "::1");
  EXPECT_EQ(good("http://[::1]:8080").authority(), "[::1]:8080");
}

TEST(Target, ThereMayBeSeveral) {
  const auto read = parse_targets("http://127.0.0.1:1,http://[::1]:2/, http://localhost ");
  const auto& all = std::get<std::vector<target_address>>(read);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].port, 1);
  EXPECT_EQ(all[1].authority(), "[::1]:2");
  EXPECT_EQ(all[2].port, 80);
}

TEST(Target, RefusesTheRest) {
  for (const char* text :
       {"",          "127.0.0.1:80", "https://localhost", "http://",    "http://:80", "http://a:0",       "http://a:65536",
        "http://a:", "http://a:8x",  "http://a/path",     "http://a?q", "http://u@a", "http://[::1",      "http://[::1]x",
        "ftp://a",   "http://a b",   "http://a,",         ",http://a",  "http://a,b", "http://a http://b"}) {
    EXPECT_TRUE(std::holds_alternative<std::string>(parse_targets(text))) << text;
  }
  EXPECT_EQ(std::get<1>(parse_targets("http://a:80/path")),
            "'http://a:80/path': a host without path, query or user name is expected");
}

TEST(Target, OnlyThisMachineIsLoopback) {
  for (const char* text : {"http://127.0.0.1", "http://127.9.9.9", "http://[::1]", "http://localhost"}) {
    EXPECT_TRUE(good(text).is_loopback()) << text;
  }
  // Names are not looked up: one that pretends must not get through.
  for (const char* text : {"http://10.0.0.1", "http://128.0.0.1", "http://example.org", "http://localhost.example.org",
                           "http://127.0.0.1.example.org", "http://[::2]", "http://0.0.0.0"}) {
    EXPECT_FALSE(good(text).is_loopback()) << text;
  }
}

}  // namespace
