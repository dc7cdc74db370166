#include "report/text.hpp"

#include "support/synthetic_runs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::report {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;
using testing_support::synthetic_bare;
using testing_support::synthetic_protected;

/// A run small enough to know every number of.
load::run_result small_run() {
  load::run_result run;
  run.scenario = "tiny";
  run.label = "small";
  run.target = "http://127.0.0.1:1";
  run.arrivals = "uniform";
  run.length = 10s;
  run.total = 20s;
  run.slo = 800ms;
  run.slo_step = "register";
  run.journeys = {100, 80, 20, 40, 39, 1};
  load::step_result step;
  step.journey = "buy";
  step.step = "register";
  step.reached = 80;
  step.attempts = 100;
  step.verdicts = {30, 10, 20, 20, 0, 0};
  step.all.record(100ms, 60);
  step.all.record(10s, 20);
  step.admitted.record(100ms, 40);
  step.rejected.record(2ms, 20);
  step.request.record(100ms, 80);
  step.request.record(10s, 20);
  step.request_expected.record(100ms, 40);
  step.statuses = {{201, 40}, {503, 20}};
  step.failures = {{"timed out", 20}};
  step.censored = 20;
  step.censored_at = 10s;
  step.checks_passed = 40;
  step.checks_failed = 60;
  run.steps.push_back(step);
  run.bytes_received = 227'000;
  run.bytes_sent = 711'000;
  run.thresholds = {{"http_req_duration", "p(95)<800", 10000, false, true},
                    {"http_req_duration", "med<800", 100, true, true},
                    {"checks{step:none}", "rate>0.9", 0, true, false}};
  run.generator.valid = false;
  run.generator.reasons = {"20 of 100 journeys dropped (20 %), limit 0.1 %"};
  return run;
}

TEST(TextSummary, WaitsAreNumbersOfTheirOwn) {
  load::run_result run = small_run();
  EXPECT_THAT(text_summary(run), Not(HasSubstr("wait_duration")));
  load::step_result& step = run.steps[0];
  step.waits = 10;
  step.waited.record(3s, 8);
  step.polls_too_early = 2;
  const std::string text = text_summary(run);
  EXPECT_THAT(text, HasSubstr("wait_duration { step:register }"));
  EXPECT_THAT(text, HasSubstr("med=3s"));
  EXPECT_THAT(text, HasSubstr("8 of 10 waits ended well, 2 polls came too early"));
  EXPECT_THAT(text, HasSubstr("buy / register        10         8        80 %")) << "the funnel counts waits, not polls";
}

TEST(TextSummary, HasTheShapeOfK6) {
  const std::string text = text_summary(small_run());
  EXPECT_THAT(text,
              HasSubstr("  █ THRESHOLDS\n\n    http_req_duration\n    ✗ 'p(95)<800' 10000ms\n    ✓ 'med<800' 100ms\n"));
  EXPECT_THAT(text, HasSubstr("    ✗ 'rate>0.9' no data: nothing matched\n"));
  EXPECT_THAT(text, HasSubstr("    checks_total......................:       100  5/s\n"));
  EXPECT_THAT(text, HasSubstr("    checks_succeeded..................:      40 %  40 out of 100\n"));
  EXPECT_THAT(text, HasSubstr("    checks_failed.....................:      60 %  60 out of 100\n"));
  EXPECT_THAT(text, HasSubstr("    http_req_failed...................:      60 %  60 out of 100"));
  EXPECT_THAT(text, HasSubstr("    http_reqs.........................:       100  5/s  1.25 attempts per call\n"));
  EXPECT_THAT(text, HasSubstr("    dropped_iterations................:        20  2/s\n"));
  EXPECT_THAT(text, HasSubstr("    data_received.....................:    227 kB  11.3 kB/s\n"));
}

TEST(TextSummary, CensoredNumbersAreMarked) {
  EXPECT_THAT(
      text_summary(small_run()),
      HasSubstr("req_total (from intended start)...: avg=≥2.58s min=100ms med=100ms p(90)=≥10s p(95)=≥10s p(99)=≥10s "
                "p(99.9)=≥10s max=≥10s (censored, 25 %)\n"));
}

TEST(TextSummary, TheThreeRatiosHaveTheirDenominators) {
  const std::string text = text_summary(small_run());
  EXPECT_THAT(text,
              HasSubstr("per request.......................:      40 %  answers as expected, of all 100 requests sent\n"));
  EXPECT_THAT(text,
              HasSubstr("per started journey...............:      50 %  journeys completed, of the 80 that started\n"));
  EXPECT_THAT(
      text,
      HasSubstr(
          "per intended journey..............:      40 %  journeys completed, of the 100 that users wanted to start\n"));
}

TEST(TextSummary, NothingOfNothingIsNoSuccess) {
  const std::string text = text_summary(load::run_result{});
  EXPECT_THAT(text, HasSubstr("        –  journeys completed, of the 0 that started\n"));
  EXPECT_THAT(text, Not(HasSubstr("100 %")));
}

TEST(TextSummary, WithoutACapacityOverloadIsUnknown) {
  load::run_result run = small_run();
  EXPECT_THAT(text_summary(run), HasSubstr("overload..........................: unknown, as the capacity is\n"));
  run.overload.capacity_per_s = 50;
  EXPECT_THAT(text_summary(run), HasSubstr("overload..........................: none: never more intended"));
}

TEST(TextSummary, RejectionsAreNotFailures) {
  const std::string text = text_summary(small_run());
  EXPECT_THAT(text, HasSubstr("    rejected..........................:      25 %  20 out of 80             429 or 503"));
  EXPECT_THAT(text,
              HasSubstr("    timeout...........................:      25 %  20 out of 80             no answer in time\n"));
}

TEST(TextSummary, ValidityGivesTheReasons) {
  const std::string text = text_summary(small_run());
  EXPECT_THAT(text, HasSubstr("intended 100 = started 80 + dropped 20\n"));
  EXPECT_THAT(text, HasSubstr("completed 40 + failed 39 + interrupted 1\n"));
  EXPECT_THAT(text, HasSubstr("    INVALID: "));
  EXPECT_THAT(text, HasSubstr("      - 20 of 100 journeys dropped (20 %), limit 0.1 %\n"));
  EXPECT_THAT(text_summary(synthetic_bare()), HasSubstr("    VALID: "));
  load::run_result lagging = small_run();
  lagging.generator.loop_lag.record(250ms, 2);
  EXPECT_THAT(text_summary(lagging), HasSubstr("lag of the event loop.............: p99=250ms max=250ms\n"));
}

TEST(TextSummary, FunnelIsConditionalAndAbsolute) {
  EXPECT_THAT(text_summary(small_run()), HasSubstr("    buy / register        80        40        50 %         40 %\n"));
}

TEST(TextSummary, CapacityAndRecovery) {
  const std::string text = text_summary(synthetic_protected());
  EXPECT_THAT(text, HasSubstr("by Little's law a journey spent 0.07 s"));
  EXPECT_THAT(text, HasSubstr("recovery..........................: 2 s after the peak\n"));
  EXPECT_THAT(text_summary(synthetic_bare()), HasSubstr("not within the run\n"));
}

TEST(TextSummary, AnEmptyRunHasNoNonsense) {
  const std::string text = text_summary({});
  for (const char* nonsense : {"nan", "inf", "-0"}) EXPECT_THAT(text, Not(HasSubstr(nonsense)));
  EXPECT_THAT(text, HasSubstr("no samples"));
}

TEST(TextSummary, HostileLabelsCannotDriveTheTerminal) {
  load::run_result run = small_run();
  run.label = "\x1b[2J";
  run.steps[0].step = "a\nb";
  run.generator.reasons = {"\x07"};
  run.thresholds[0].metric = "\x1b]0;x\x07";
  const std::string text = text_summary(run) + compare_text(run, run);
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\x07'), std::string::npos);
  EXPECT_EQ(text.find("a\nb"), std::string::npos);
}

TEST(Compare, ColumnsAreLabelled) {
  const std::string text = compare_text(synthetic_bare(), synthetic_protected());
  EXPECT_THAT(text, ::testing::ContainsRegex("\n +bare +behind weir +change\n"));
  EXPECT_THAT(text, ::testing::ContainsRegex("goodput within 800ms, in overload +2\\.44/s +18\\.3/s +×7\\.4[0-9]\n"));
  EXPECT_THAT(text,
              ::testing::ContainsRegex("latency of the admitted, p95 +≥10s \\(censored, 92\\.3 %\\) +675ms +≥÷14\\.8\n"));
  EXPECT_THAT(text, ::testing::ContainsRegex("recovered after the peak +not within the run +2 s\n"));
  EXPECT_THAT(text, Not(HasSubstr("NOT COMPARABLE")));
}

TEST(Compare, SaysWhenItMakesNoSense) {
  load::run_result other = synthetic_protected();
  other.seed = 1;
  EXPECT_THAT(compare_text(synthetic_bare(), other), HasSubstr("  NOT COMPARABLE:\n    - different seeds: '42' and '1'\n"));
}

}  // namespace
}  // namespace weir::report
