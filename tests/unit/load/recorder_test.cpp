#include <load/recorder.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::load;
using namespace std::chrono_literals;

scenario::definition two_steps() {
  scenario::definition d;
  d.name = "test";
  d.warmup = 1s;
  d.slo = scenario::slo{"order", 800ms};
  scenario::load l;
  l.journey = "buy";
  l.length = 5s;
  d.loads = {l};
  scenario::journey j;
  j.name = "buy";
  j.steps.resize(2);
  j.steps[0].name = "register";
  j.steps[1].name = "order";
  d.journeys = {scenario::journey{}, j};
  d.journeys[0].name = "look";
  d.journeys[0].steps.resize(1);
  return d;
}

std::uint64_t count(const verdict_counts& counts, verdict v) { return counts[static_cast<std::size_t>(v)]; }

TEST(Recorder, StepsAreThoseOfTheScenarioInItsOrder) {
  recorder r{two_steps()};
  EXPECT_EQ(r.first_step("look"), 0u);
  EXPECT_EQ(r.first_step("buy"), 1u);
  const run_result out = r.finish(5s, 5s);
  ASSERT_EQ(out.steps.size(), 3u);
  EXPECT_EQ(out.steps[2].journey, "buy");
  EXPECT_EQ(out.steps[2].step, "order");
  EXPECT_EQ(out.seconds.size(), 5u) << "quiet seconds are seconds";
  EXPECT_EQ(out.length, 5s);
}

TEST(Recorder, SecondsThatWereNeverReachedAreNotInTheSeries) {
  // Ten minutes allowed, all journeys done after two and a half seconds.
  scenario::definition d = two_steps();
  d.loads[0].length = 10min;
  recorder done{d};
  const run_result out = done.finish(2500ms, 2500ms);
  EXPECT_EQ(out.seconds.size(), 3u);
  EXPECT_EQ(out.length, 2500ms);
  // A load that plans nobody for its last minutes is over when the last one is.
  recorder quiet{d};
  EXPECT_EQ(quiet.finish(10min, 2500ms).seconds.size(), 3u);
}

TEST(Recorder, JourneysAreCountedBySecondAndBalance) {
  recorder r{two_steps()};
  const journey_run warm{500ms, 500ms};
  const journey_run late{1900ms, 2100ms};
  const journey_run lost{2s, 2s};
  const journey_run cut{3s, 3s};
  for (const duration at : {500ms, 1900ms, 2000ms, 2500ms, 3000ms}) r.intended(at);
  r.started(warm);
  r.started(late);
  r.started(lost);
  r.dropped(2500ms);
  r.started(cut);
  EXPECT_EQ(r.in_flight(), 4u);
  r.completed(warm, 2200ms);
  r.completed(late, 2300ms);
  r.failed(lost, 4100ms);
  r.interrupted(cut, 7200ms);
  EXPECT_EQ(r.in_flight(), 0u);

  const run_result out = r.finish(5s, 7200ms);
  EXPECT_EQ(out.journeys.intended, 4u) << "one was of the warm-up";
  EXPECT_EQ(out.journeys.started, 3u);
  EXPECT_EQ(out.journeys.dropped, 1u);
  EXPECT_EQ(out.journeys.completed, 1u);
  EXPECT_EQ(out.journeys.failed, 1u);
  EXPECT_EQ(out.journeys.interrupted, 1u);
  EXPECT_EQ(out.journey_duration.count(), 1u);
  EXPECT_EQ(out.journey_duration.max(), 400ms) << "from the intended start";
  EXPECT_EQ(out.generator.lateness.max(), 200ms);
  ASSERT_EQ(out.seconds.size(), 8u);
  EXPECT_EQ(out.seconds[0].intended, 1u) << "the series has the warm-up, too";
  EXPECT_EQ(out.seconds[1].intended, 1u);
  EXPECT_EQ(out.seconds[1].started, 0u);
  EXPECT_EQ(out.seconds[2].started, 2u);
  EXPECT_EQ(out.seconds[2].dropped, 1u);
  EXPECT_EQ(out.seconds[2].completed, 2u);
  EXPECT_EQ(out.seconds[4].failed, 1u);
  const std::uint64_t in_flight[] = {1, 1, 1, 2, 1, 1, 1, 0};
  for (std::size_t i = 0; i < 8; ++i) EXPECT_EQ(out.seconds[i].in_flight, in_flight[i]) << i;
}

TEST(Recorder, LatencyCountsFromWhenTheCallWasDue) {
  recorder r{two_steps()};
  const journey_run j{2s, 2100ms};
  r.started(j);
  r.call_begun(j, 2);
  r.attempt_ended(j, {2, 2150ms, 2400ms, 201, {}, true});
  r.call_ended(j, {2, 2s, 2400ms, verdict::good, 1s}, 2, 1);
  const run_result out = r.finish(5s, 5s);
  const step_result& step = out.steps[2];
  EXPECT_EQ(step.reached, 1u);
  EXPECT_EQ(step.attempts, 1u);
  EXPECT_EQ(step.all.max(), 400ms);
  EXPECT_EQ(step.admitted.max(), 400ms);
  EXPECT_EQ(step.request.max(), 250ms) << "k6's http_req_duration counts from the sending";
  EXPECT_EQ(step.request_expected.max(), 250ms);
  EXPECT_EQ(step.statuses.at(201), 1u);
  EXPECT_EQ(step.checks_passed, 2u);
  EXPECT_EQ(step.checks_failed, 1u);
  EXPECT_EQ(count(out.seconds[2].by_start, verdict::good), 1u);
}

TEST(Recorder, CensoredCallsCountAtTheirTimeOut) {
  recorder r{two_steps()};
  const journey_run j{2s, 2s};
  r.started(j);
  for (const duration timeout : {2s, 1s}) {
    r.call_begun(j, 1);
    r.attempt_ended(j, {1, 2s, 2s + timeout, 0, "timed out", false});
    r.call_ended(j, {1, 2s, 2s + timeout, verdict::timeout, timeout}, 0, 1);
  }
  const run_result out = r.finish(5s, 5s);
  const step_result& step = out.steps[1];
  EXPECT_EQ(step.censored, 2u);
  EXPECT_EQ(step.censored_at, 1s);
  EXPECT_EQ(step.all.count(), 2u);
  EXPECT_TRUE(step.admitted.empty()) << "nobody knows how long these would have taken";
  EXPECT_EQ(step.failures.at("timed out"), 2u);
  EXPECT_EQ(count(step.verdicts, verdict::timeout), 2u);
}

TEST(Recorder, RejectionsAreTimedByAttempt) {
  recorder r{two_steps()};
  const journey_run j{2s, 2s};
  r.started(j);
  r.call_begun(j, 2);
  r.attempt_ended(j, {2, 2s, 2002ms, 503, {}, false});
  r.attempt_ended(j, {2, 2500ms, 2503ms, 429, {}, false});
  r.attempt_ended(j, {2, 3s, 3100ms, 500, {}, false});
  r.call_ended(j, {2, 2s, 3100ms, verdict::error, 1s}, 0, 1);
  const run_result out = r.finish(5s, 5s);
  EXPECT_EQ(out.steps[2].attempts, 3u);
  EXPECT_EQ(out.steps[2].reached, 1u);
  EXPECT_EQ(out.steps[2].rejected.count(), 2u);
  EXPECT_EQ(out.steps[2].rejected.max(), 3ms);
  EXPECT_EQ(out.seconds[2].rejected.count(), 2u);
  EXPECT_EQ(count(out.seconds[2].by_start, verdict::error), 1u);
  EXPECT_EQ(count(out.seconds[3].by_end, verdict::error), 1u);
}

TEST(Recorder, AnExpected503IsNoRejection) {
  recorder r{two_steps()};
  const journey_run j{2s, 2s};
  r.started(j);
  r.attempt_ended(j, {2, 2s, 2002ms, 503, {}, true});
  EXPECT_TRUE(r.finish(5s, 5s).steps[2].rejected.empty());
}

TEST(Recorder, OnlyTheStepUnderTheSloIsInTheSeriesOrSlow) {
  recorder r{two_steps()};
  EXPECT_EQ(r.judge_expected(1, 10s), verdict::good);
  EXPECT_EQ(r.judge_expected(2, 800ms), verdict::good);
  EXPECT_EQ(r.judge_expected(2, 800ms + 1ns), verdict::slow);
  const journey_run j{2s, 2s};
  r.started(j);
  r.call_ended(j, {1, 2s, 2100ms, verdict::good, 1s}, 1, 0);
  const run_result out = r.finish(5s, 5s);
  EXPECT_EQ(count(out.seconds[2].by_end, verdict::good), 0u);
  EXPECT_EQ(count(out.steps[1].verdicts, verdict::good), 1u);
}

TEST(Recorder, WithoutASloEveryStepIsInTheSeries) {
  scenario::definition d = two_steps();
  d.slo.reset();
  recorder r{d};
  EXPECT_EQ(r.judge_expected(2, 1h), verdict::good);
  const journey_run j{2s, 2s};
  r.started(j);
  r.call_ended(j, {1, 2s, 2100ms, verdict::good, 1s}, 1, 0);
  r.call_ended(j, {2, 2s, 2100ms, verdict::good, 1s}, 1, 0);
  EXPECT_EQ(count(r.finish(5s, 5s).seconds[2].by_end, verdict::good), 2u);
}

TEST(Recorder, ACallThatTheEndCutsOffHasMissedTheSloOrIsLeftOut) {
  recorder r{two_steps()};
  const journey_run j{2s, 2s};
  r.started(j);
  r.call_begun(j, 2);
  r.call_cut(j, 2, 2s, 2700ms);  // it could still have been good
  r.call_cut(j, 1, 2s, 9s);      // no SLO there
  r.call_cut(j, 2, 2s, 6s);
  const run_result out = r.finish(5s, 6s);
  EXPECT_EQ(out.steps[1].all.count(), 0u);
  EXPECT_EQ(out.steps[2].all.count(), 1u);
  EXPECT_EQ(count(out.steps[2].verdicts, verdict::timeout), 1u);
  EXPECT_EQ(out.steps[2].censored, 1u);
  EXPECT_EQ(out.steps[2].censored_at, 4s);
  EXPECT_EQ(count(out.seconds.at(6).by_end, verdict::timeout), 1u);
}

TEST(Recorder, CallsOfTheWarmUpAreInTheSeriesOnly) {
  recorder r{two_steps()};
  const journey_run j{900ms, 900ms};  // begun in the warm-up: all of its calls belong to it
  r.started(j);
  r.call_begun(j, 2);
  r.attempt_ended(j, {2, 1200ms, 1300ms, 201, {}, true});
  r.call_ended(j, {2, 1200ms, 1300ms, verdict::good, 1s}, 1, 0);
  for (const duration begin : {duration{900ms}, duration{1s}}) {
    const journey_run waits{begin, begin};
    r.wait_begun(waits, 1);
    r.polled_too_early(waits, 1);
    r.wait_ended(waits, 1, 3s);
  }
  const run_result out = r.finish(5s, 5s);
  EXPECT_EQ(out.steps[1].waits, 1u) << "that of who came later";
  EXPECT_EQ(out.steps[1].waited.count(), 1u);
  EXPECT_EQ(out.steps[1].polls_too_early, 1u);
  EXPECT_EQ(out.steps[2].reached, 0u);
  EXPECT_EQ(out.steps[2].attempts, 0u);
  EXPECT_EQ(count(out.steps[2].verdicts, verdict::good), 0u);
  EXPECT_EQ(count(out.seconds[1].by_end, verdict::good), 1u);
}

}  // namespace
