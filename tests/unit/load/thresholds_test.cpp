#include <load/thresholds.hpp>

#include <scenario/parse.hpp>
#include <scenario/threshold.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::load;
using namespace std::chrono_literals;

constexpr auto good = static_cast<std::size_t>(verdict::good);
constexpr auto rejected = static_cast<std::size_t>(verdict::rejected);

scenario::definition buy() {
  scenario::definition d;
  scenario::journey j;
  j.name = "buy";
  j.steps.resize(2);
  j.steps[0].name = "register";
  j.steps[1].name = "order";
  j.steps[1].tags["class"] = "write";
  d.journeys = {j};
  return d;
}

run_result found() {
  run_result r;
  r.warmup = 2s;
  r.total = 12s;
  r.slo_step = "register";
  r.journeys = {.intended = 200, .started = 190, .dropped = 10, .completed = 100, .failed = 90};
  r.steps.resize(2);
  step_result& registration = r.steps[0];
  registration.journey = r.steps[1].journey = "buy";
  registration.step = "register";
  registration.reached = 190;
  registration.attempts = 380;
  registration.verdicts[good] = 100;
  registration.verdicts[rejected] = 90;
  registration.checks_passed = 100;
  registration.checks_failed = 90;
  registration.request.record(2ms, 280);
  registration.request.record(100ms, 100);
  registration.request_expected.record(100ms, 100);
  registration.all.record(400ms, 190);
  registration.admitted.record(300ms, 100);
  registration.rejected.record(2ms, 280);
  step_result& order = r.steps[1];
  order.step = "order";
  order.reached = order.attempts = 100;
  order.verdicts[good] = 100;
  order.checks_passed = 100;
  order.request.record(1ms, 100);
  order.request_expected.record(1ms, 100);
  order.all.record(1ms, 100);
  order.admitted.record(1ms, 100);
  order.waits = 30;
  order.waited.record(5s, 25);
  order.polls_too_early = 7;
  r.journey_duration.record(500ms, 100);
  r.generator.lateness.record(1ms, 190);
  r.bytes_sent = 1000;
  r.bytes_received = 5000;
  r.vus_peak = 17;
  r.overload.capacity_per_s = 20;
  r.overload.overloaded_seconds = {4, 5};
  r.overload.worst_5s_goodput_per_s = 19;
  r.overload.recovered_after_s = 1.0;
  return r;
}

threshold_result evaluated(std::string_view metric, std::string_view expression, const run_result& r = found()) {
  scenario::definition d = buy();
  d.thresholds = {std::get<scenario::threshold>(scenario::parse_threshold(metric, expression))};
  return evaluate_thresholds(d, r).at(0);
}

TEST(Thresholds, ObserveEveryMetric) {
  const auto observed = [](std::string_view metric, std::string_view statistic) {
    return evaluated(metric, std::string{statistic} + ">0").observed;
  };
  EXPECT_NEAR(observed("http_req_duration", "max"), 100, 1e-9);
  EXPECT_NEAR(observed("http_req_duration{step:order}", "p(95)"), 1, 0.01);
  EXPECT_NEAR(observed("http_req_duration{expected_response:true}", "avg"), 50.5, 1e-6);
  EXPECT_NEAR(observed("req_total{step:register}", "med"), 400, 4);
  EXPECT_NEAR(observed("req_total{step:register,expected_response:true}", "med"), 300, 3);
  EXPECT_NEAR(observed("req_total{class:write}", "max"), 1, 1e-9);
  EXPECT_NEAR(observed("req_total{journey:buy}", "min"), 1, 1e-9);
  EXPECT_NEAR(observed("rejection_duration", "max"), 2, 1e-9);
  EXPECT_NEAR(observed("iteration_duration", "max"), 500, 1e-9);
  EXPECT_NEAR(observed("start_lag", "max"), 1, 1e-9);
  EXPECT_NEAR(observed("http_req_failed", "rate"), 280.0 / 480, 1e-12);
  EXPECT_NEAR(observed("http_req_failed{step:register}", "rate"), 280.0 / 380, 1e-12);
  EXPECT_NEAR(observed("checks", "rate"), 200.0 / 290, 1e-12);
  EXPECT_NEAR(observed("journey_success", "rate"), 0.5, 1e-12) << "of the intended ones: dropped users were users";
  EXPECT_EQ(observed("http_reqs", "count"), 480);
  EXPECT_EQ(observed("http_reqs", "rate"), 48) << "per second of the measured part";
  EXPECT_EQ(observed("goodput", "count"), 100) << "of the step under the SLO";
  EXPECT_EQ(observed("goodput{step:order}", "count"), 100);
  EXPECT_EQ(observed("wait_duration{step:order}", "max"), 5000);
  EXPECT_EQ(observed("polls_too_early{step:order}", "count"), 7);
  EXPECT_EQ(observed("polls_too_early{step:register}", "count"), 0);
  EXPECT_EQ(observed("iterations", "count"), 100);
  EXPECT_EQ(observed("iterations_intended", "count"), 200);
  EXPECT_EQ(observed("iterations_started", "count"), 190);
  EXPECT_EQ(observed("dropped_iterations", "count"), 10);
  EXPECT_EQ(observed("data_sent", "count"), 1000);
  EXPECT_EQ(observed("data_received", "count"), 5000);
  EXPECT_EQ(observed("vus_max", "value"), 17);
  EXPECT_NEAR(observed("retry_amplification{step:register}", "value"), 2, 1e-12);
  EXPECT_EQ(observed("overload_goodput", "value"), 19);
  EXPECT_NEAR(observed("overload_goodput_ratio", "value"), 0.95, 1e-12);
  EXPECT_EQ(observed("recovery_time", "value"), 1000) << "milliseconds";
}

TEST(Thresholds, NoMetricIsForgotten) {
  for (const scenario::metric_info& m : scenario::metrics()) {
    const char* statistic = m.kind == scenario::metric_kind::trend     ? "max"
                            : m.kind == scenario::metric_kind::rate    ? "rate"
                            : m.kind == scenario::metric_kind::counter ? "count"
                                                                       : "value";
    const threshold_result t = evaluated(m.name, std::string{statistic} + ">0");
    EXPECT_TRUE(t.has_data) << m.name;
    EXPECT_GT(t.observed, 0) << m.name;
  }
}

TEST(Thresholds, CompareAsWritten) {
  EXPECT_TRUE(evaluated("iterations", "count==100").passed);
  EXPECT_FALSE(evaluated("iterations", "count!=100").passed);
  EXPECT_FALSE(evaluated("iterations", "count<100").passed);
  EXPECT_TRUE(evaluated("iterations", "count<=100").passed);
  EXPECT_FALSE(evaluated("iterations", "count>100").passed);
  EXPECT_TRUE(evaluated("iterations", "count>=100").passed);
}

TEST(Thresholds, WithoutDataNothingHasPassed) {
  const run_result empty;
  for (const auto& [metric, expression] : {std::pair{"http_req_duration", "p(95)<800"},
                                           {"http_req_failed", "rate<0.5"},
                                           {"recovery_time", "value<=2000"},
                                           {"overload_goodput_ratio", "value<2"}}) {
    const threshold_result t = evaluated(metric, expression, empty);
    EXPECT_FALSE(t.has_data) << metric;
    EXPECT_FALSE(t.passed) << metric;
  }
  EXPECT_TRUE(evaluated("dropped_iterations", "count==0", empty).passed) << "nothing dropped is an observation";
}

TEST(Thresholds, KeepTheirWords) {
  const threshold_result t = evaluated("http_req_duration{step:order}", "p(95) < 800");
  EXPECT_EQ(t.metric, "http_req_duration{step:order}");
  EXPECT_EQ(t.expression, "p(95) < 800");
}

}  // namespace
