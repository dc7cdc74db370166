#include <load/self_check.hpp>
#include <load/traffic.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace {

using namespace weir;
using namespace weir::load;
using namespace std::chrono_literals;
using testing::HasSubstr;

run_result healthy() {
  run_result r;
  r.generator.lateness.record(1ms, 1000);
  r.generator.loop_lag.record(100us, 1000);
  r.generator.own_cpu_peak = 0.5;
  r.generator.ports_available = 28232;
  r.generator.connections_per_minute_peak = 100;
  r.generator.descriptors_peak = 100;
  r.generator.descriptors_limit = 1024;
  r.seconds.resize(1);
  r.seconds[0].intended = 1000;
  return r;
}

void expect_invalid(run_result r, const char* because) {
  judge_validity(r);
  EXPECT_FALSE(r.generator.valid) << because;
  ASSERT_EQ(r.generator.reasons.size(), 1u) << because;
  EXPECT_THAT(r.generator.reasons[0], HasSubstr(because));
}

TEST(SelfCheck, AGeneratorThatKeptUpIsValid) {
  run_result r = healthy();
  judge_validity(r);
  EXPECT_TRUE(r.generator.valid);
  EXPECT_TRUE(r.generator.reasons.empty());
}

TEST(SelfCheck, EachSignOfTroubleIsNamedWithItsNumber) {
  run_result r = healthy();
  r.generator.lateness.record(50ms, 20);
  expect_invalid(r, "Journeys started late: p99 ");

  r = healthy();
  r.generator.loop_lag.record(1s, 100);
  expect_invalid(r, "event loop lagged: p99 ");

  r = healthy();
  r.seconds[0].dropped = 2;
  expect_invalid(r, "2 of 1000 (0.2 %)");
  r.seconds[0].dropped = 1;
  judge_validity(r);
  EXPECT_TRUE(r.generator.valid) << "0.1 % is allowed";

  r = healthy();
  r.generator.own_cpu_peak = 0.95;
  expect_invalid(r, "95 % of a core");

  r = healthy();
  r.generator.connections_per_minute_peak = 25000;
  expect_invalid(r, "25000 connections within a minute, 28232 ports");

  r = healthy();
  r.generator.descriptors_peak = 1000;
  expect_invalid(r, "1000 of 1024");

  r = healthy();
  r.generator.own_errors["no free local port"] = 3;
  expect_invalid(r, "no free local port, 3 times");
}

TEST(SelfCheck, ARunThatReachedNobodyIsNone) {
  run_result r = healthy();
  r.target = "http://127.0.0.1:1";
  r.steps.resize(2);
  r.steps[1].attempts = 5;
  r.steps[1].failures["connection refused"] = 5;
  expect_invalid(r, "Not one connection to http://127.0.0.1:1 came about: connection refused");
  r.generator.connections_opened = 1;
  judge_validity(r);
  EXPECT_TRUE(r.generator.valid) << "it went away: that is a result";
  r.generator.connections_opened = 0;
  r.generator.own_errors["no free file descriptor"] = 5;
  expect_invalid(r, "no free file descriptor, 5 times");
}

TEST(SelfCheck, ReasonsThatAreThereStay) {
  run_result r = healthy();
  r.generator.reasons.push_back("The run was stopped.");
  expect_invalid(r, "The run was stopped.");
}

TEST(SelfCheck, KnowsThisProcess) {
  EXPECT_GT(raise_descriptor_limit(), 0u);
  EXPECT_GE(open_descriptors(), 3u) << "input, output, errors";
  EXPECT_GT(local_ports(), 0u);
  const duration before = own_cpu_time();
  volatile unsigned sink = 0;
  for (unsigned i = 0; i < 1'000'000; ++i) sink = sink + i;
  EXPECT_GT(own_cpu_time(), before);
}

TEST(Traffic, ConnectionsCountForTheMinuteInWhichTheirPortsStayTaken) {
  traffic t;
  time_point now{1h};
  for (int i = 0; i < 10; ++i) t.opened(now);
  now += 30s;
  for (int i = 0; i < 5; ++i) t.opened(now);
  t.closed();
  EXPECT_EQ(t.per_minute_peak, 15u);
  now += 40s;  // the first ten are free again
  t.opened(now);
  EXPECT_EQ(t.per_minute_peak, 15u);
  EXPECT_EQ(t.connections_opened, 16u);
  EXPECT_EQ(t.open_now, 15u);
  EXPECT_EQ(t.open_peak, 15u);
  for (int i = 0; i < 20; ++i) t.opened(now);
  EXPECT_EQ(t.per_minute_peak, 26u);
}

}  // namespace
