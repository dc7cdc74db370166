#include <load/answer_check.hpp>
#include <load/http_session.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weir::load;
using namespace std::chrono_literals;
using weir::scenario::body_check;
using weir::scenario::json_match;
using weir::scenario::step;

constexpr const char* body =
    R"({"id":"u-7","n":3,"half":0.5,"big":9007199254740993,"paid":true,"none":null,"items":[{"id":1}],"text":"a \"b\""})";

answer_findings checked(body_check check, std::string_view text = body) {
  step s;
  s.checks = {std::move(check)};
  return inspect_answer(s, text);
}

TEST(AnswerCheck, CapturesStringsAsTheyAreAndOthersAsJson) {
  step s;
  s.capture = {{"id", "/id"},     {"n", "/n"},       {"big", "/big"},   {"item", "/items/0/id"},
               {"paid", "/paid"}, {"text", "/text"}, {"list", "/items"}};
  const answer_findings found = inspect_answer(s, body);
  EXPECT_TRUE(found.ok());
  EXPECT_EQ(found.captured.at("id"), "u-7");
  EXPECT_EQ(found.captured.at("n"), "3");
  EXPECT_EQ(found.captured.at("big"), "9007199254740993") << "identifiers must not pass through a double";
  EXPECT_EQ(found.captured.at("item"), "1");
  EXPECT_EQ(found.captured.at("paid"), "true");
  EXPECT_EQ(found.captured.at("text"), "a \"b\"");
  EXPECT_EQ(found.captured.at("list"), R"([{"id":1}])");
}

TEST(AnswerCheck, SaysWhichCaptureIsMissing) {
  step s;
  s.capture = {{"id", "/id"}, {"nothing", "/user/id"}};
  const answer_findings found = inspect_answer(s, body);
  EXPECT_FALSE(found.ok());
  EXPECT_EQ(found.missing, "/user/id");
  EXPECT_EQ(found.captured.at("id"), "u-7");
  EXPECT_FALSE(inspect_answer(s, "<html>").ok());
  EXPECT_FALSE(inspect_answer(s, "").ok());
}

TEST(AnswerCheck, ChecksHoldOrDoNot) {
  EXPECT_TRUE(checked({"", json_match{"/n", {}}, ""}).ok());
  EXPECT_FALSE(checked({"", json_match{"/m", {}}, ""}).ok());
  EXPECT_TRUE(checked({"", json_match{"/none", {}}, ""}).ok()) << "null is there";
  EXPECT_TRUE(checked({"", json_match{"/n", {std::int64_t{3}}}, ""}).ok());
  EXPECT_FALSE(checked({"", json_match{"/n", {std::int64_t{4}}}, ""}).ok());
  EXPECT_TRUE(checked({"", json_match{"/big", {std::int64_t{9007199254740993}}}, ""}).ok());
  EXPECT_FALSE(checked({"", json_match{"/big", {std::int64_t{9007199254740992}}}, ""}).ok())
      << "the same double, another identifier";
  EXPECT_FALSE(checked({"", json_match{"/half", {std::int64_t{0}}}, ""}).ok());
  EXPECT_TRUE(checked({"", json_match{"/half", {0.5}}, ""}).ok());
  EXPECT_FALSE(checked({"", json_match{"/id", {0.5}}, ""}).ok());
  EXPECT_TRUE(checked({"", json_match{"/paid", {true}}, ""}).ok());
  EXPECT_FALSE(checked({"", json_match{"/paid", {false}}, ""}).ok());
  EXPECT_FALSE(checked({"", json_match{"/n", {true}}, ""}).ok());
  EXPECT_TRUE(checked({"", json_match{"/id", {std::string{"u-7"}}}, ""}).ok());
  EXPECT_FALSE(checked({"", json_match{"/n", {std::string{"3"}}}, ""}).ok());
  EXPECT_TRUE(checked({"", {}, "u-7"}).ok());
  EXPECT_FALSE(checked({"", {}, "u-8"}).ok());
  EXPECT_TRUE(checked({"", {}, "html"}, "<html>").ok()) << "text needs no JSON";
  EXPECT_EQ(checked({"", json_match{"/n", {}}, ""}).checks_passed, 1u);
  EXPECT_EQ(checked({"", json_match{"/m", {}}, ""}).checks_failed, 1u);
}

TEST(AnswerCheck, OneOfSeveralValuesWillDo) {
  EXPECT_TRUE(checked({"", json_match{"/id", {std::string{"u-6"}, std::string{"u-7"}}}, ""}).ok());
  EXPECT_FALSE(checked({"", json_match{"/id", {std::string{"u-6"}, true, std::int64_t{7}}}, ""}).ok());
}

TEST(PollAnswer, SaysWhetherToGoOnWaiting) {
  using word = poll_answer::word;
  weir::scenario::poll poll;
  poll.until = {"/state", {std::string{"offered"}, std::string{"active"}}};
  poll.give_up = json_match{"/gone", {}};
  poll.hint = "/ms";
  const auto read = [&](std::string_view text) { return read_poll(poll, text); };
  EXPECT_EQ(read(R"({"state":"active","gone":1})").says, word::done);
  EXPECT_EQ(read(R"({"state":"expired","gone":null})").says, word::given_up) << "null is there";
  EXPECT_EQ(read(R"({"state":"waiting","ms":1500})").says, word::wait);
  EXPECT_EQ(read(R"({"state":"waiting","ms":1500})").hint, 1500ms);
  EXPECT_EQ(read(R"({"ms":0.5})").hint, 500us);
  for (const char* none : {"", "<html>", "{}", R"({"ms":null})", R"({"ms":"9"})", R"({"ms":[9]})", R"({"ms":NaN})",
                           R"({"ms":-7})", R"({"ms":-1e300})"}) {
    EXPECT_EQ(read(none).says, word::wait) << none;
    EXPECT_EQ(read(none).hint, std::nullopt) << none;
  }
  EXPECT_EQ(read(R"({"ms":0})").hint, 0ms);
  EXPECT_EQ(read(R"({"ms":-0.0})").hint, 0ms);
  for (const char* much : {R"({"ms":1e300})", R"({"ms":1e999})", R"({"ms":18446744073709551615})"}) {
    EXPECT_EQ(read(much).hint, 24h) << "a server may say anything: " << much;
  }
  poll.hint.clear();
  EXPECT_EQ(read("7").hint, std::nullopt);
}

TEST(RetryAfter, ReadsSecondsAndNothingElse) {
  EXPECT_EQ(parse_retry_after("2"), 2s);
  EXPECT_EQ(parse_retry_after("0"), 0s);
  EXPECT_EQ(parse_retry_after("0.25"), 250ms);
  for (const char* text : {"", "-1", "soon", "1s", "inf", "Wed, 21 Oct 2015 07:28:00 GMT", "1e300", "99999999999"}) {
    EXPECT_EQ(parse_retry_after(text), std::nullopt) << text;
  }
}

}  // namespace
