#include <weir/pipeline/any_policy.hpp>
#include <weir/pipeline/pipeline.hpp>

#include <support/recording_policy.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace weir {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using weir::testing_support::journal;
using weir::testing_support::recording_policy;
using weir::testing_support::waiting_recording_policy;

TEST(AnyPolicy, IsThePolicyItRefersTo) {
  journal events;
  manual_clock clock;
  recording_policy a{"a", events, clock};
  any_policy any{a};
  any_policy copy = any;
  EXPECT_EQ(any.now(), clock.now());
  EXPECT_FALSE(any.waits());
  EXPECT_EQ(any.describe().name, "a");
  EXPECT_EQ(any.describe().object, &a);
  auto permit = copy.try_acquire({.cost = 4});
  EXPECT_EQ(a.asked.at(0).cost, 4u);
  permit->release(completion{.result = outcome::overload, .retry_after = 1s});
  EXPECT_EQ(a.completions.at(0).retry_after, 1s);
  a.refuse_with = errc::shed;
  EXPECT_EQ(any.try_acquire().error(), errc::shed);
}

TEST(AnyPolicy, SharesAPolicy) {
  journal events;
  auto policy = std::make_shared<recording_policy>("a", events);
  std::weak_ptr<recording_policy> watch = policy;
  {
    any_policy any{std::move(policy)};
    any_policy copy = any;
    EXPECT_TRUE(copy.try_acquire());
    EXPECT_FALSE(watch.expired());
  }
  EXPECT_TRUE(watch.expired());
}

TEST(AnyPolicy, WaitsWhereThePolicyDoes) {
  journal events;
  manual_clock clock;
  recording_policy plain{"p", events, clock};
  waiting_recording_policy queue{"q", events, clock};
  queue.wait = 3s;
  const auto before = clock.now();
  EXPECT_TRUE(any_policy{plain}.acquire());
  EXPECT_EQ(clock.now(), before);
  EXPECT_TRUE(any_policy{queue}.acquire());
  EXPECT_EQ(clock.now(), before + 3s);
  EXPECT_TRUE(any_policy{queue}.waits());
}

TEST(AnyPermit, IsGivenBackOnceHoweverItIsMoved) {
  journal events;
  recording_policy a{"a", events};
  any_policy any{a};
  auto first = *any.try_acquire();
  any_permit second = std::move(first);
  first.release(outcome::failure);
  first.cancel();
  auto* self = &second;
  second = std::move(*self);
  EXPECT_THAT(events, ElementsAre("a+"));
  second = *any.try_acquire();
  EXPECT_THAT(events, ElementsAre("a+", "a+", "a."));
  second.cancel();
  second.release(outcome::success);
  EXPECT_THAT(events, ElementsAre("a+", "a+", "a.", "a~"));
}

TEST(AnyPermit, HoldsThePermitOfASmallPipeline) {
  journal events;
  recording_policy a{"a", events}, b{"b", events};
  pipeline both{a, b};
  any_policy any{both};
  EXPECT_TRUE(any.try_acquire());
  EXPECT_THAT(events, ElementsAre("a+", "b+", "b.", "a."));
}

}  // namespace
}  // namespace weir
