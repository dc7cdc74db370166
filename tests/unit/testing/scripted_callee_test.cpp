#include <weir/testing/scripted_callee.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;

TEST(ScriptedCallee, SucceedsInNoTimeAtFirst) {
  manual_clock clock;
  scripted_callee callee{clock};
  const auto before = clock.now();
  const auto reply = callee();
  EXPECT_EQ(reply.result, outcome::success);
  EXPECT_EQ(reply.number, 1u);
  EXPECT_EQ(clock.now(), before);
}

TEST(ScriptedCallee, FollowsItsScriptThenAnswersAsUsual) {
  scripted_callee callee;
  callee.then({.result = outcome::failure}, 2).then({.result = outcome::overload, .retry_after = 3s});
  callee.usually({.result = outcome::ignored});
  EXPECT_EQ(callee().result, outcome::failure);
  EXPECT_EQ(callee().result, outcome::failure);
  EXPECT_EQ(callee().retry_after, 3s);
  EXPECT_EQ(callee().result, outcome::ignored);
  EXPECT_EQ(callee.calls(), 4u);
}

TEST(ScriptedCallee, PeriodicAnswersWaitForTheScript) {
  scripted_callee callee;
  callee.then({.result = outcome::ignored}, 2);
  callee.every(2, {.result = outcome::failure}).every(6, {.result = outcome::overload});
  std::vector<outcome> seen;
  for (int i = 0; i < 6; ++i) seen.push_back(callee().result);
  using enum outcome;
  EXPECT_EQ(seen, (std::vector{ignored, ignored, success, failure, success, overload}));
}

TEST(ScriptedCallee, MovesTheClockByTheLatencyAlsoBeforeItThrows) {
  manual_clock clock;
  scripted_callee callee{clock};
  callee.then({.latency = 5ms, .error = std::make_exception_ptr(std::runtime_error{"down"})});
  const auto before = clock.now();
  EXPECT_THROW(callee(), std::runtime_error);
  EXPECT_EQ(clock.now(), before + 5ms);
  EXPECT_EQ(callee.in_progress(), 0u);
}

TEST(ScriptedCallee, CountsCallsThatOverlap) {
  scripted_callee callee;
  callee.then({.latency = 1ms}).then({.latency = 2ms});
  auto first = callee.begin();
  {
    auto second = callee.begin();
    auto third = callee.begin();
    EXPECT_EQ(second.latency(), 2ms);
    EXPECT_EQ(callee.in_progress(), 3u);
    EXPECT_EQ(third.finish().number, 3u);
    EXPECT_EQ(callee.in_progress(), 2u);
  }  // second is dropped
  auto moved = std::move(first);
  EXPECT_EQ(moved.finish().number, 1u);
  EXPECT_EQ(callee.in_progress(), 0u);
  EXPECT_EQ(callee.most_in_progress(), 3u);
}

TEST(ScriptedCallee, CountsCallsOfManyThreads) {
  scripted_callee callee;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) callee();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(callee.calls(), 400u);
  EXPECT_LE(callee.most_in_progress(), 4u);
  EXPECT_EQ(callee.in_progress(), 0u);
}

TEST(ScriptedCallee, RepliesSpeakTheLanguageOfOutcomes) {
  const completion c = outcome_traits<scripted_reply>::of({.result = outcome::overload, .retry_after = 2s, .number = 1});
  EXPECT_EQ(c.result, outcome::overload);
  EXPECT_EQ(c.retry_after, 2s);
}

}  // namespace
}  // namespace weir
