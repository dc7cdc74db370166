#include <scenario/threshold.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using namespace weir::scenario;
using testing::HasSubstr;

threshold good(std::string_view metric, std::string_view expression) {
  auto read = parse_threshold(metric, expression);
  EXPECT_TRUE(std::holds_alternative<threshold>(read))
      << metric << " " << expression << ": " << std::get<std::string>(read);
  return std::get<threshold>(read);
}

std::string bad(std::string_view metric, std::string_view expression) {
  auto read = parse_threshold(metric, expression);
  EXPECT_TRUE(std::holds_alternative<std::string>(read)) << metric << " " << expression;
  return std::holds_alternative<std::string>(read) ? std::get<std::string>(read) : "";
}

TEST(Threshold, ReadsK6Expressions) {
  const threshold t = good("http_req_duration{step:register}", "p(95)<800");
  EXPECT_EQ(t.metric, "http_req_duration");
  EXPECT_EQ(t.tags, (std::map<std::string, std::string>{{"step", "register"}}));
  EXPECT_EQ(t.statistic, statistic::quantile);
  EXPECT_DOUBLE_EQ(t.quantile, 0.95);
  EXPECT_EQ(t.comparison, comparison::less);
  EXPECT_DOUBLE_EQ(t.bound, 800);
  EXPECT_EQ(t.metric_text, "http_req_duration{step:register}");
  EXPECT_EQ(t.expression, "p(95)<800");
}

TEST(Threshold, ReadsEveryStatisticOfItsKind) {
  EXPECT_EQ(good("req_total", "avg < 200").statistic, statistic::avg);
  EXPECT_EQ(good("req_total", "med<200").statistic, statistic::med);
  EXPECT_EQ(good("req_total", "min>1").statistic, statistic::min);
  EXPECT_EQ(good("req_total", "max<=1e3").statistic, statistic::max);
  EXPECT_DOUBLE_EQ(good("req_total", "p(99.9)<1").quantile, 0.999);
  EXPECT_EQ(good("http_req_failed", "rate<0.01").statistic, statistic::rate);
  EXPECT_EQ(good("dropped_iterations", "count==0").statistic, statistic::count);
  EXPECT_EQ(good("http_reqs", "rate>10").statistic, statistic::rate);
  EXPECT_EQ(good("recovery_time", "value<=2000").statistic, statistic::value);
}

TEST(Threshold, ReadsEveryComparison) {
  EXPECT_EQ(good("iterations", "count<1").comparison, comparison::less);
  EXPECT_EQ(good("iterations", "count<=1").comparison, comparison::less_equal);
  EXPECT_EQ(good("iterations", "count>1").comparison, comparison::greater);
  EXPECT_EQ(good("iterations", "count>=1").comparison, comparison::greater_equal);
  EXPECT_EQ(good("iterations", "count==1").comparison, comparison::equal);
  EXPECT_EQ(good("iterations", "count===1").comparison, comparison::equal);
  EXPECT_EQ(good("iterations", "count!=1").comparison, comparison::not_equal);
}

TEST(Threshold, ReadsSeveralTags) {
  const threshold t = good("req_total{step:a, expected_response:true}", "p(50)<1");
  EXPECT_EQ(t.tags, (std::map<std::string, std::string>{{"expected_response", "true"}, {"step", "a"}}));
}

TEST(Threshold, SaysWhatIsWrong) {
  EXPECT_THAT(bad("http_req_durration", "p(95)<1"), HasSubstr("did you mean 'http_req_duration'?"));
  EXPECT_THAT(bad("nonsense_of_a_name", "p(95)<1"), HasSubstr("known: http_req_duration, "));
  EXPECT_THAT(bad("http_req_failed", "p(95)<1"), HasSubstr("metric 'http_req_failed' has rate"));
  EXPECT_THAT(bad("req_total", "rate<1"), HasSubstr("p(N) with N from 0 to 100, avg, min, max, med"));
  EXPECT_THAT(bad("req_total", "p(101)<1"), HasSubstr("p(N) with N from 0 to 100"));
  EXPECT_THAT(bad("http_req_failed", "rate<5"), HasSubstr("a rate lies between 0 and 1"));
  EXPECT_THAT(bad("journey_success", "rate>-1"), HasSubstr("a rate lies between 0 and 1"));
  EXPECT_EQ(good("http_reqs", "rate>50").bound, 50) << "per second";
  EXPECT_THAT(bad("req_total", "p()<1"), HasSubstr("p(N)"));
  EXPECT_THAT(bad("req_total", "p(95)"), HasSubstr("no comparison"));
  EXPECT_THAT(bad("req_total", "p(95)=1"), HasSubstr("one of <, <=, >, >=, ==, !="));
  EXPECT_THAT(bad("req_total", "p(95)<"), HasSubstr("a number must stand"));
  EXPECT_THAT(bad("req_total", "p(95)<800ms"), HasSubstr("durations are milliseconds"));
  EXPECT_THAT(bad("req_total", "p(95)<nan"), HasSubstr("a number must stand"));
  EXPECT_THAT(bad("req_total{step:a", "p(95)<1"), HasSubstr("'{' without '}'"));
  EXPECT_THAT(bad("req_total{step}", "p(95)<1"), HasSubstr("key:value"));
  EXPECT_THAT(bad("iterations{step:a}", "count>1"), HasSubstr("takes no tags"));
  EXPECT_THAT(bad("http_reqs{expected_response:true}", "count>1"), HasSubstr("has no tag expected_response"));
  EXPECT_THAT(bad("req_total{expected_response:false}", "p(95)<1"), HasSubstr("takes only 'true'"));
}

}  // namespace
