#include <scenario/duration_text.hpp>

#include <gtest/gtest.h>

namespace {

using namespace std::chrono_literals;
using weir::scenario::parse_duration;
using weir::scenario::to_text;

TEST(DurationText, ReadsEveryUnitAndSumsThem) {
  EXPECT_EQ(parse_duration("15s"), 15s);
  EXPECT_EQ(parse_duration("800ms"), 800ms);
  EXPECT_EQ(parse_duration("1m30s"), 90s);
  EXPECT_EQ(parse_duration("1h"), 1h);
  EXPECT_EQ(parse_duration("250us"), 250us);
  EXPECT_EQ(parse_duration("7ns"), 7ns);
  EXPECT_EQ(parse_duration("1.5s"), 1500ms);
  EXPECT_EQ(parse_duration("0.1ms"), 100us);
  EXPECT_EQ(parse_duration("0"), 0s);
  EXPECT_EQ(parse_duration("0s"), 0s);
}

TEST(DurationText, RefusesWhatIsNone) {
  for (const char* text :
       {"", "s", "15", "-1s", "+1s", "1 s", "1x", "inf", "nans", "1s ", " 1s", "1e3s", "1s2", "300000000h"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << '"' << text << '"';
  }
}

TEST(DurationText, WritesWhatItReads) {
  EXPECT_EQ(to_text(90s), "1m30s");
  EXPECT_EQ(to_text(0s), "0s");
  EXPECT_EQ(to_text(1500ms), "1s500ms");
  for (const weir::duration d : {weir::duration{1}, weir::duration{1h + 1ns}, weir::duration{25h}, weir::duration{999ms}}) {
    EXPECT_EQ(parse_duration(to_text(d)), d);
  }
}

}  // namespace
