#include <weir/pipeline/fallback.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/testing/scripted_callee.hpp>

#include <support/recording_policy.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;
using boost::system::error_code;
using ::testing::ElementsAre;
using weir::testing_support::journal;
using weir::testing_support::recording_policy;

const error_code down = make_error_code(boost::system::errc::connection_refused);
const error_code given_up = make_error_code(boost::system::errc::operation_canceled);

class FallbackTest : public ::testing::Test {
 protected:
  journal events;
  recording_policy breaker{"breaker", events};
  pipeline<recording_policy&> chain{breaker};
  fallback stale{{.name = "stale"}};
};

TEST_F(FallbackTest, IsNotUsedForSuccess) {
  EXPECT_EQ(stale.run(chain, [] { return 1; }, 2), 1);
  EXPECT_EQ(stale.snapshot().rejected + stale.snapshot().failed + stale.snapshot().threw, 0u);
  EXPECT_EQ(stale.name(), "stale");
}

TEST_F(FallbackTest, AnswersForARejection) {
  breaker.refuse_with = errc::circuit_open;
  EXPECT_EQ(stale.run(chain, [] { return 1; }, 2), 2);
  EXPECT_EQ(stale.run(chain, [] { return 1; }, [] { return 3; }), 3);
  EXPECT_EQ(stale.run(
                chain, [] { return std::string{"fresh"}; },
                [](const fallback_reason& why) {
                  EXPECT_EQ(why.cause, fallback_cause::rejected);
                  return std::string{why.why.policy()};
                }),
            "breaker");
  EXPECT_EQ(stale.snapshot().rejected, 3u);
}

TEST_F(FallbackTest, AFailureReachesTheBreakerFirst) {
  const auto r = stale.run(
      chain, [] { return boost::system::result<int>{down}; },
      [&](const fallback_reason& why) {
        EXPECT_EQ(why.cause, fallback_cause::failed);
        EXPECT_EQ(why.result, outcome::failure);
        EXPECT_THAT(events, ElementsAre("breaker+", "breaker."));
        return 7;
      });
  EXPECT_EQ(r, 7);
  EXPECT_EQ(breaker.completions.at(0).result, outcome::failure);
  EXPECT_EQ(stale.snapshot().failed, 1u);
}

TEST_F(FallbackTest, OverloadOfTheCalleeIsReplacedToo) {
  scripted_callee callee;
  callee.then({.result = outcome::overload});
  EXPECT_EQ(stale.run(chain, callee, scripted_reply{.number = 99}).number, 99u);
  EXPECT_EQ(breaker.completions.at(0).result, outcome::overload);
}

TEST_F(FallbackTest, ExceptionsAreReplacedAndSeenByTheBreaker) {
  EXPECT_EQ(stale.run(
                chain, []() -> int { throw std::runtime_error{"x"}; },
                [](const fallback_reason& why) {
                  EXPECT_EQ(why.cause, fallback_cause::threw);
                  EXPECT_TRUE(why.error);
                  return 5;
                }),
            5);
  EXPECT_EQ(breaker.completions.at(0).result, outcome::failure);
  EXPECT_EQ(stale.snapshot().threw, 1u);
}

TEST_F(FallbackTest, WhoHasGivenUpGetsNoSubstitute) {
  const auto r = stale.run(chain, [] { return boost::system::result<int>{given_up}; }, 7);
  EXPECT_EQ(r.error(), given_up);
  EXPECT_THROW(
      stale.run(chain, []() -> int { throw boost::system::system_error{given_up}; }, 7), boost::system::system_error);
  const result<int> c = stale.run(chain, [] { return result<int>{rejection{errc::cancelled, {}}}; }, 7);
  EXPECT_EQ(c.error(), errc::cancelled);
  EXPECT_EQ(stale.snapshot().rejected + stale.snapshot().failed + stale.snapshot().threw, 0u);
}

TEST_F(FallbackTest, ARejectionInsideTheFunctionIsARejection) {
  const auto inner = [] { return result<int>{rejection{errc::over_capacity, weir::name{"inner"}}}; };
  EXPECT_EQ(stale.run(chain, inner, 7).value(), 7);
  EXPECT_EQ(stale.run(
                chain, [&] { return inner().value(); },
                [](const fallback_reason& why) {
                  EXPECT_EQ(why.why.policy(), "inner");
                  return 8;
                }),
            8);
  EXPECT_EQ(breaker.completions.at(0).result, outcome::ignored);
  EXPECT_EQ(breaker.completions.at(1).result, outcome::ignored);
  EXPECT_EQ(stale.snapshot().rejected, 2u);
}

// A result of weir can carry what is not weir's: those are judged as the layers judge them.
TEST_F(FallbackTest, AForeignErrorInAResultIsNoRejection) {
  const auto r = stale.run(
      chain, [] { return result<int>{rejection{down}}; },
      [](const fallback_reason& why) {
        EXPECT_EQ(why.cause, fallback_cause::failed);
        EXPECT_EQ(why.result, outcome::failure);
        EXPECT_EQ(why.why.code(), down);
        return 7;
      });
  EXPECT_EQ(r.value(), 7);
  EXPECT_EQ(breaker.completions.at(0).result, outcome::failure);
  EXPECT_EQ(stale.snapshot().failed, 1u);
  EXPECT_EQ(stale.run(chain, [] { return result<int>{rejection{given_up}}; }, 7).error().code(), given_up);

  const auto thrown = [](const error_code& code) { return [code] { return result<int>{rejection{code}}.value(); }; };
  EXPECT_EQ(stale.run(chain, thrown(down), 8), 8);
  EXPECT_THROW(stale.run(chain, thrown(given_up), 8), rejected_error);
  EXPECT_EQ(stale.snapshot().threw, 1u);
  EXPECT_EQ(stale.snapshot().rejected, 0u);
}

TEST_F(FallbackTest, ASubstituteMayDecline) {
  breaker.refuse_with = errc::circuit_open;
  const result<int> r =
      stale.run(chain, [] { return 1; }, [](const fallback_reason& why) -> result<int> { return why.why; });
  EXPECT_EQ(r.error(), errc::circuit_open);
  const result<void> v = stale.run(chain, [] {}, [](const fallback_reason& why) -> result<void> { return why.why; });
  EXPECT_EQ(v.error(), errc::circuit_open);
  breaker.refuse_with.reset();
  EXPECT_THROW(stale.run(
                   chain, []() -> int { throw std::runtime_error{"x"}; },
                   [](const fallback_reason& why) -> int { std::rethrow_exception(why.error); }),
               std::runtime_error);
  EXPECT_EQ(stale.snapshot().substitute_threw, 1u);
}

TEST_F(FallbackTest, VoidFunctions) {
  int fresh = 0, instead = 0;
  stale.run(chain, [&] { ++fresh; }, [&] { ++instead; });
  breaker.refuse_with = errc::circuit_open;
  stale.run(chain, [&] { ++fresh; }, [&] { ++instead; });
  EXPECT_EQ(fresh, 1);
  EXPECT_EQ(instead, 1);
}

TEST_F(FallbackTest, PassesTheCallOn) {
  EXPECT_EQ(stale.run(chain, {.cost = 6}, [] { return 1; }, 2), 1);
  EXPECT_EQ(breaker.asked.at(0).cost, 6u);
}

struct collecting {
  std::vector<fallback_used>* seen;
  void on(const fallback_used& event) {
    seen->push_back(event);
    throw std::runtime_error{"observer"};  // swallowed
  }
};

TEST_F(FallbackTest, TellsItsObserver) {
  std::vector<fallback_used> seen;
  basic_fallback<collecting> told{{.name = "told"}, collecting{&seen}};
  breaker.refuse_with = errc::circuit_open;
  EXPECT_EQ(told.run(chain, [] { return 1; }, 2), 2);
  breaker.refuse_with.reset();
  EXPECT_EQ(told.run(chain, []() -> int { throw 1; }, 2), 2);
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].name.view(), "told");
  EXPECT_EQ(seen[0].sequence, 1u);
  EXPECT_EQ(seen[0].code, errc::circuit_open);
  EXPECT_EQ(seen[1].cause, fallback_cause::threw);
  EXPECT_FALSE(seen[1].code);
}

TEST_F(FallbackTest, StandsAroundASinglePolicyToo) {
  breaker.refuse_with = errc::circuit_open;
  EXPECT_EQ(stale.run(breaker, [] { return 1; }, 2), 2);
}

// A fallback admits nobody: inside a pipeline it would hide failures from the breaker.
static_assert(!admission_policy<fallback>);

}  // namespace
}  // namespace weir
