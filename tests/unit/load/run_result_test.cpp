#include <load/run_result.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weir::load;

TEST(RunResult, TheThreeRatiosHaveDifferentDenominators) {
  // The fifth report's case 1: 36 % of requests failed, which were 63 % of those who had started and 79 % of all.
  run_result r;
  r.journeys = {.intended = 3500, .started = 1975, .dropped = 1525, .completed = 726, .failed = 1249};
  r.steps.resize(3);
  r.steps[0].attempts = 1975;
  r.steps[0].verdicts[static_cast<std::size_t>(verdict::good)] = 600;
  r.steps[0].verdicts[static_cast<std::size_t>(verdict::slow)] = 126;
  r.steps[1].attempts = r.steps[2].attempts = 726;
  r.steps[1].verdicts[0] = r.steps[2].verdicts[0] = 726;
  EXPECT_NEAR(request_success(r), 2178.0 / 3427, 1e-12);
  EXPECT_NEAR(started_success(r), 726.0 / 1975, 1e-12);
  EXPECT_NEAR(intended_success(r), 726.0 / 3500, 1e-12);
}

TEST(RunResult, NothingAskedNothingFailed) {
  EXPECT_EQ(request_success({}), 1);
  EXPECT_EQ(started_success({}), 1);
  EXPECT_EQ(intended_success({}), 1);
}

TEST(RunResult, EveryVerdictHasItsName) {
  EXPECT_STREQ(to_string(verdict::good), "good");
  EXPECT_STREQ(to_string(verdict::slow), "slow");
  EXPECT_STREQ(to_string(verdict::rejected), "rejected");
  EXPECT_STREQ(to_string(verdict::timeout), "timeout");
  EXPECT_STREQ(to_string(verdict::error), "error");
  EXPECT_STREQ(to_string(verdict::broken), "broken");
}

}  // namespace
