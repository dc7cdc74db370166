#include "report/findings.hpp"

#include "support/synthetic_runs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::report {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::synthetic_bare;
using testing_support::synthetic_protected;

latency with_time_outs(std::uint64_t answered, std::uint64_t cut_off) {
  latency of;
  of.samples.record(100ms, answered);
  of.samples.record(10s, cut_off);
  of.censored = cut_off;
  of.censored_at = 10s;
  return of;
}

TEST(Latency, PercentilesBelowTheTimeOutsAreExact) {
  const latency of = with_time_outs(63, 37);
  EXPECT_EQ(quantile_text(of, 0.5), "100ms");
  EXPECT_EQ(quantile_text(of, 0.63), "100ms");
  EXPECT_EQ(quantile_text(of, 0.64), "≥10s (censored, 37 %)");
  EXPECT_EQ(quantile_text(of, 0.95), "≥10s (censored, 37 %)");
}

TEST(Latency, MeanAndMaximumOverCensoredSamplesAreMarked) {
  EXPECT_TRUE(with_time_outs(63, 37).mean().at_least);
  EXPECT_TRUE(with_time_outs(63, 37).max().at_least);
  EXPECT_FALSE(with_time_outs(63, 0).mean().at_least);
  EXPECT_EQ(short_text(with_time_outs(0, 4).mean()), "≥10s");
}

TEST(Latency, AnAnswerBeyondAnEarlierTimeOutIsALowerBoundToo) {
  latency of = with_time_outs(10, 10);
  of.samples.record(20s, 5);  // of a step with a longer time-out: the censored ones might be longer
  EXPECT_TRUE(of.quantile(0.99).at_least);
  EXPECT_FALSE(of.quantile(0.4).at_least);
}

TEST(Latency, MergingKeepsTheSmallestTimeOut) {
  latency sum;
  sum.merge({});
  EXPECT_EQ(sum.censored, 0U);
  sum.merge(with_time_outs(1, 2));
  latency later = with_time_outs(1, 3);
  later.censored_at = 20s;
  sum.merge(later);
  EXPECT_EQ(sum.censored, 5U);
  EXPECT_EQ(sum.censored_at, 10s);
  EXPECT_EQ(sum.samples.count(), 7U);
}

TEST(Latency, NothingMeasuredReadsAsADash) { EXPECT_EQ(quantile_text({}, 0.95), "–"); }

TEST(Totals, TimeOutsCountAmongTheAdmitted) {
  load::step_result step;
  step.admitted.record(100ms, 60);
  step.verdicts = {60, 0, 0, 40, 0, 0};
  step.censored = 40;
  step.censored_at = 10s;
  const totals sum = sum_of(step);
  EXPECT_EQ(sum.admitted.samples.count(), 100U);
  EXPECT_EQ(quantile_text(sum.admitted, 0.95), "≥10s (censored, 40 %)");
  EXPECT_EQ(sum.failures(), 40U);
}

TEST(Totals, TheSloStepIsSummedOverJourneys) {
  load::run_result run;
  run.slo_step = "pay";
  for (const char* step : {"pay", "look", "pay"}) {
    run.steps.emplace_back();
    run.steps.back().step = step;
    run.steps.back().reached = 5;
  }
  EXPECT_EQ(sum_of_slo_step(run).calls, 10U);
  EXPECT_EQ(sum_of_steps(run).calls, 15U);
  run.slo_step = "nobody";
  EXPECT_EQ(sum_of_slo_step(run).calls, 15U);
}

TEST(KeyFigures, SameLinesForEveryRun) {
  const auto a = key_figures(synthetic_bare());
  const auto b = key_figures(load::run_result{});
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(a[i].in, b[i].in);
  for (const auto& figure : b) EXPECT_THAT(figure.text, ::testing::Not(HasSubstr("nan")));
}

key_figure figure(double value, unit in, bool at_least = false) {
  key_figure f;
  f.text = std::to_string(value);
  f.value = value;
  f.known = true;
  f.in = in;
  f.at_least = at_least;
  return f;
}

TEST(KeyFigures, DifferencesFactorsAndPoints) {
  EXPECT_EQ(delta_text(figure(0.7, unit::per_second), figure(18.2, unit::per_second)), "×26");
  EXPECT_EQ(delta_text(figure(10, unit::time), figure(0.5, unit::time)), "÷20");
  EXPECT_EQ(delta_text(figure(1.0, unit::time), figure(0.9, unit::time)), "-100ms");
  EXPECT_EQ(delta_text(figure(0.04, unit::ratio), figure(0.314, unit::ratio)), "+27.4 points");
  EXPECT_EQ(delta_text(figure(0, unit::count), figure(7, unit::count)), "+7");
  EXPECT_EQ(delta_text(figure(7, unit::count), figure(7, unit::count)), "=");
  EXPECT_EQ(delta_text(figure(7, unit::count), key_figure{}), "");
  EXPECT_EQ(delta_words(figure(10, unit::time, true), figure(0.5, unit::time)), "at least 20 times shorter");
}

TEST(KeyFigures, LowerBoundsAreComparedOnlyWhereTheyTell) {
  EXPECT_EQ(delta_text(figure(10, unit::time, true), figure(0.5, unit::time)), "≥÷20");
  EXPECT_EQ(delta_text(figure(0.5, unit::time), figure(10, unit::time, true)), "≥×20");
  EXPECT_EQ(delta_text(figure(10, unit::time, true), figure(15, unit::time)), "");
  EXPECT_EQ(delta_text(figure(10, unit::time, true), figure(15, unit::time, true)), "");
}

TEST(Comparability, SameLoadIsComparable) {
  EXPECT_THAT(comparability(synthetic_bare(), synthetic_protected()), IsEmpty());
}

TEST(Comparability, EveryDifferenceInTheLoadIsNamed) {
  const load::run_result a = synthetic_bare();
  const auto notes = [&](auto change) {
    load::run_result b = synthetic_protected();
    change(b);
    return comparability(a, b);
  };
  EXPECT_THAT(notes([](auto& r) { r.scenario = "other"; }), ElementsAre("different scenarios: 's4-case1' and 'other'"));
  EXPECT_THAT(notes([](auto& r) { r.seed = 7; }), ElementsAre("different seeds: '42' and '7'"));
  EXPECT_THAT(notes([](auto& r) { r.rate_factor *= 2; }), ElementsAre(HasSubstr("different rate factors")));
  EXPECT_THAT(notes([](auto& r) { r.time_scale *= 2; }), ElementsAre(HasSubstr("different time scales")));
  EXPECT_THAT(notes([](auto& r) { r.arrivals = "poisson"; }), ElementsAre(HasSubstr("arrivals")));
  EXPECT_THAT(notes([](auto& r) { r.slo *= 2; }), ElementsAre(HasSubstr("different SLOs")));
  EXPECT_THAT(notes([](auto& r) { r.length *= 2; }), ElementsAre(HasSubstr("lengths")));
  EXPECT_THAT(notes([](auto& r) { r.generator.valid = false; }), ElementsAre(HasSubstr("'behind weir' is INVALID")));
  EXPECT_THAT(notes([](auto& r) { r.overload.capacity_per_s = 0; }), ElementsAre(HasSubstr("only one of them")));
  EXPECT_THAT(notes([](auto& r) { r.overload.capacity_per_s *= 1.3; }), ElementsAre(HasSubstr("different capacities")));
  EXPECT_THAT(notes([](auto& r) { r.overload.capacity_per_s *= 1.1; }), IsEmpty()) << "no measurement gives the same twice";
  EXPECT_THAT(notes([](auto& r) { r.rate_factor *= 1 + 1e-15; }), IsEmpty()) << "the last digit may be lost in a file";
}

TEST(Verdict, SaysWhatWasServedOfWhatIsPossible) {
  EXPECT_THAT(verdict_sentence(synthetic_bare()),
              ::testing::MatchesRegex("bare: .*/s served in time, 1. % of what the machine can do\\."));
  EXPECT_THAT(
      verdict_sentence(synthetic_protected()),
      ::testing::MatchesRegex("behind weir: 18\\..*/s served in time, 99 % of what the machine can do, steadily\\."));
}

TEST(Verdict, MoreThanTheCapacityIsNotAShareOfIt) {
  load::run_result run = synthetic_protected();
  run.overload.capacity_per_s = 10;
  EXPECT_THAT(verdict_sentence(run), HasSubstr("/s served in time, more than the 10/s measured as its capacity"));
}

TEST(Verdict, AnInvalidRunSaysNothingElse) {
  load::run_result run = synthetic_protected();
  run.generator.valid = false;
  EXPECT_EQ(verdict_sentence(run), "behind weir: INVALID, the load generator itself could not keep up.");
}

TEST(Verdict, WithoutOverloadTheShareOfUsersIsGiven) {
  load::run_result run;
  run.label = "calm";
  run.journeys.intended = 100;
  run.slo_step = "pay";
  run.steps.emplace_back();
  run.steps.back().step = "pay";
  run.steps.back().verdicts = {97, 3, 0, 0, 0, 0};
  EXPECT_EQ(verdict_sentence(run), "calm: 97 % of users served in time.");
}

// Three steps, a third of the users: as many good calls as users, and no "100 % of users".
TEST(Verdict, WithoutAStepToMeasureByCallsAreNoUsers) {
  load::run_result run;
  run.label = "calm";
  run.journeys = {.intended = 99, .started = 99, .completed = 33, .failed = 66};
  run.steps.resize(3);
  for (auto& step : run.steps) step.verdicts = {33, 0, 0, 0, 0, 0};
  EXPECT_EQ(verdict_sentence(run), "calm: 33.3 % of journeys completed.");
}

TEST(Verdict, OfAnEmptyRunNothingIsClaimed) { EXPECT_EQ(verdict_sentence(load::run_result{}), "run: nobody came."); }

TEST(KeyFigures, RejectionsOfEveryStepAreTimed) {
  load::run_result run;
  run.slo_step = "first";
  run.steps.resize(2);
  run.steps[0].step = "first";
  run.steps[1].step = "second";
  run.steps[1].verdicts = {0, 0, 5, 0, 0, 0};
  run.steps[1].rejected.record(2ms, 5);
  for (const auto& figure : key_figures(run)) {
    if (figure.label == "rejected calls") {
      EXPECT_EQ(figure.text, "5");
    } else if (figure.label.starts_with("time to a rejection")) {
      EXPECT_EQ(figure.text, "2ms");
    }
  }
}

TEST(Thresholds, ObservedValuesHaveTheUnitOfTheirMetric) {
  EXPECT_EQ(observed_text({"http_req_duration{step:register}", "p(95)<800", 667.4, true, true}), "667ms");
  EXPECT_EQ(observed_text({"http_req_failed", "rate<0.01", 0.0234, false, true}), "2.3 %");
  EXPECT_EQ(observed_text({"http_reqs", "rate>10", 27.9, true, true}), "27.9");
  EXPECT_EQ(observed_text({"http_req_failed", "rate<0.01", 0, false, false}), "no data: nothing matched");
}

TEST(InFlight, IsAveragedOverTheMeasuredSeconds) {
  load::run_result run;
  run.warmup = 1s;
  run.length = 3s;
  run.seconds.resize(4);
  run.seconds[0].in_flight = 100;
  run.seconds[1].in_flight = 2;
  run.seconds[2].in_flight = 4;
  run.seconds[3].in_flight = 50;
  EXPECT_DOUBLE_EQ(mean_in_flight(run), 3);
  EXPECT_EQ(peak_in_flight(run), 100U);
}

}  // namespace
}  // namespace weir::report
