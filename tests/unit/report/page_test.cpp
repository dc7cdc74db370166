#include "report/page.hpp"

#include "report/page_parts.hpp"
#include "support/synthetic_runs.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <stdexcept>

namespace weir::report {
namespace {

namespace json = boost::json;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::random_run;
using testing_support::synthetic_bare;
using testing_support::synthetic_protected;

std::size_t occurrences(const std::string& text, const std::string& of) {
  std::size_t found = 0;
  for (std::size_t at = text.find(of); at != std::string::npos; at = text.find(of, at + of.size())) ++found;
  return found;
}

/// What the scripts of the page read.
json::value embedded_data(const std::string& page) {
  const std::string open = "<script type=\"application/json\" id=\"data\">";
  const std::size_t begin = page.find(open) + open.size();
  return json::parse(page.substr(begin, page.find("</script>", begin) - begin));
}

TEST(Page, IsComplete) {
  const std::string page = html({synthetic_bare(), synthetic_protected()});
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  EXPECT_TRUE(page.ends_with("</html>\n"));
  EXPECT_THAT(page, HasSubstr("Chart.js v3"));
  EXPECT_THAT(page, HasSubstr("The above copyright notice and this permission notice shall be included"));
  EXPECT_THAT(page, HasSubstr("bare: 2.44/s served in time, 13&nbsp;% of what the machine can do."));
  EXPECT_THAT(page, HasSubstr("behind weir: 18.3/s served in time, 99&nbsp;% of what the machine can do, steadily."));
}

TEST(Page, LoadsNothing) {
  const std::string page = html({synthetic_bare(), synthetic_protected()});
  for (const char* loader : {"<link", "<img", "<iframe", "@import", "url(", " src=", "fetch(", "XMLHttpRequest"}) {
    EXPECT_THAT(page, Not(HasSubstr(loader)));
  }
  EXPECT_THAT(page, HasSubstr("content=\"default-src 'none';"));
}

TEST(Page, TakesOneRunOrTwo) {
  EXPECT_THROW((void)html({}), std::invalid_argument);
  EXPECT_THROW((void)html(std::vector(3, load::run_result{})), std::invalid_argument);
  EXPECT_THAT(html({synthetic_bare()}), Not(HasSubstr("class=\"change")));
  EXPECT_NO_THROW((void)html({load::run_result{}}));
}

TEST(Page, NothingInARunBecomesMarkup) {
  const std::string hostile = "</script><script>alert('1')</script><!-- {{css}} \"";
  load::run_result run = synthetic_bare();
  run.scenario = run.label = run.target = run.started_at = run.arrivals = run.slo_step = hostile;
  run.steps[0].step = run.steps[0].journey = hostile;
  run.thresholds[0].metric = run.thresholds[0].expression = hostile;
  run.generator.valid = false;
  run.generator.reasons = {hostile};
  run.generator.own_errors = {{hostile, 1}};
  const std::string calm = html({synthetic_bare(), synthetic_bare()});
  const std::string page = html({run, synthetic_bare()});
  EXPECT_THAT(page, Not(HasSubstr("alert('1')</script>")));
  EXPECT_THAT(page, Not(HasSubstr("<script>alert")));
  EXPECT_EQ(occurrences(page, "<script"), occurrences(calm, "<script"));
  EXPECT_EQ(occurrences(page, "</script"), occurrences(calm, "</script"));
  EXPECT_EQ(occurrences(page, "<!--"), occurrences(calm, "<!--"));
  EXPECT_EQ(embedded_data(page).at("runs").at(0).at("label"), json::value(hostile)) << "the charts show the label as it is";
}

TEST(Page, RandomRunsGivePagesWithReadableData) {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    SCOPED_TRACE(seed);
    load::run_result run = random_run(seed);
    run.overload.overloaded_seconds.clear();
    ASSERT_EQ(embedded_data(html({run, random_run(seed + 1000)})).at("runs").as_array().size(), 2U);
  }
}

TEST(Page, WarnsOfRunsThatCannotBeCompared) {
  load::run_result other = synthetic_protected();
  other.seed = 43;
  const std::string page = html({synthetic_bare(), other});
  EXPECT_THAT(
      page, HasSubstr("These runs are not comparable</strong><ul><li>different seeds: &#39;42&#39; and &#39;43&#39;</li>"));
  EXPECT_THAT(page, Not(HasSubstr("times shorter"))) << "no boast about runs that cannot be compared";
  EXPECT_THAT(html({synthetic_bare(), synthetic_protected()}), Not(HasSubstr("class=\"notice\" role")));
}

TEST(Page, ValidityTellsOurOwnErrorsAndWhatThePortsAreHeldAgainst) {
  load::run_result run = synthetic_bare();
  run.generator.connections_opened = 90'000;
  run.generator.connections_per_minute_peak = 700;
  run.generator.ports_available = 28'000;
  run.generator.own_errors = {{"no free local port", 3}};
  const std::string page = html({run});
  EXPECT_THAT(page, HasSubstr("700 of 28000"));
  EXPECT_THAT(page, HasSubstr("no free local port, 3 times"));
}

TEST(Page, AChangeThatCannotBeToldHasNoColour) {
  load::run_result worse = synthetic_bare();  // both end at their time-outs: lower bounds
  worse.steps[0].censored_at *= 2;
  const std::string table = key_table_html({synthetic_bare(), worse});
  EXPECT_THAT(table, Not(HasSubstr("class=\"worsened\"></td>")));
  EXPECT_THAT(table, Not(HasSubstr("class=\"improved\"></td>")));
}

TEST(PageData, SeriesAreBySecondAndTimesInMilliseconds) {
  load::run_result run;
  run.slo = std::chrono::milliseconds{800};
  run.slo_step = "register";
  run.steps.emplace_back();
  run.steps[0].step = "register";
  run.steps[0].censored = 1;
  run.steps[0].censored_at = std::chrono::seconds{10};
  run.steps[0].verdicts = {9, 0, 0, 1, 0, 0};
  run.seconds.resize(3);
  run.seconds[1].intended = 12;
  run.seconds[1].by_start[0] = 11;
  run.seconds[1].by_end = {9, 0, 0, 1, 0, 0};
  run.seconds[1].admitted.record(std::chrono::milliseconds{100}, 9);
  run.overload.overloaded_seconds = {1, 2, 7};
  const json::value data = page_data({run}).at("runs").at(0);
  EXPECT_EQ(data.at("slo_ms"), 800.0);
  EXPECT_EQ(data.at("intended"), json::parse("[0,12,0]"));
  EXPECT_EQ(data.at("goodput"), json::parse("[0,9,0]"));
  EXPECT_EQ(data.at("outcomes").at("good"), json::parse("[0,11,0]"));
  EXPECT_EQ(data.at("overload"), json::parse("[[1,3],[7,8]]"));
  EXPECT_TRUE(data.at("admitted").at("p50").at(0).is_null()) << "nothing ended in that second";
  EXPECT_NEAR(data.at("admitted").at("p50").at(1).to_number<double>(), 100, 1);
  EXPECT_NEAR(data.at("admitted").at("p95").at(1).to_number<double>(), 10'000, 1) << "the time-out is among them";
  EXPECT_EQ(data.at("admitted").at("censored_from").at(1), 90.0);
  EXPECT_EQ(data.at("heatmap").as_array().size(), 2U);
  EXPECT_EQ(data.at("heatmap").at(0), json::parse("[1,30,9]")) << "100 ms is three decades above 100 µs";
}

TEST(Template, ReplacesOnceAndOnlyWhatItKnows) {
  EXPECT_EQ(filled("a{{x}}b{{y}}", {{"x", "{{y}}"}, {"y", "2"}}), "a{{y}}b2");
  EXPECT_THROW((void)filled("{{z}}", {}), std::logic_error);
  EXPECT_THROW((void)filled("{{z", {}), std::logic_error);
}

}  // namespace
}  // namespace weir::report
