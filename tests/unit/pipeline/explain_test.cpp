#include <weir/pipeline/explain.hpp>

#include <weir/pipeline/dynamic_pipeline.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const int one = 1, two = 2, three = 3;

const layer queue{.kind = layer_kind::wait_queue, .name = "line", .waits = true, .object = &one};
const layer slots{.kind = layer_kind::concurrency_limiter, .name = "slots", .object = &two};
const layer rate{.kind = layer_kind::rate_limiter, .name = "rate", .object = &two};
const layer breaker{.kind = layer_kind::circuit_breaker, .name = "db", .parameters = "opens at 50 %", .object = &three};

TEST(Explain, PrintsNestedLayers) {
  layer nested{.kind = layer_kind::pipeline, .inner = {slots, breaker}};
  EXPECT_EQ(detail::explain_chain({rate, nested}),
            "1. rate_limiter 'rate'\n"
            "2. pipeline\n"
            "   1. concurrency_limiter 'slots'\n"
            "   2. circuit_breaker 'db': opens at 50 %\n"
            "warning: 'rate' stands in the chain twice: every call pays it twice\n");
}

TEST(Explain, SaneOrdersGiveNoWarning) {
  EXPECT_THAT(detail::warnings_of({queue, slots, breaker}), IsEmpty());
  EXPECT_THAT(detail::warnings_of({rate, breaker}), IsEmpty());
}

TEST(Explain, WarnsOfWhatIsHeldWhileWaiting) {
  EXPECT_THAT(detail::warnings_of({slots, queue}), ElementsAre(HasSubstr("slots are held")));
  EXPECT_THAT(detail::warnings_of({rate, queue}), ElementsAre(HasSubstr("faster than the limit")));
  EXPECT_THAT(detail::warnings_of({breaker, queue}), ElementsAre(HasSubstr("probe")));
  layer other = queue;
  other.object = &two;
  EXPECT_THAT(detail::warnings_of({other, queue}), ElementsAre(HasSubstr("in the other")));
}

TEST(Explain, LooksThroughPipelines) {
  const layer nested{.kind = layer_kind::pipeline, .waits = true, .inner = {breaker, queue}};
  EXPECT_THAT(detail::warnings_of({slots, nested}), SizeIs(2));
}

TEST(Explain, APolicyBehindItsQueueStandsInsideIt) {
  layer with_policy = queue;
  with_policy.inner = {slots};
  EXPECT_THAT(detail::warnings_of({with_policy, breaker}), IsEmpty());
  EXPECT_THAT(detail::warnings_of({with_policy, slots}), ElementsAre(HasSubstr("twice")));
}

TEST(Explain, KnowsThePoliciesOfWeir) {
  rate_limiter search{{.name = "search", .limit = {500, 250ms}, .burst = 50}};
  concurrency_limiter workers{{.name = "workers", .limit = 3}};
  basic_wait_queue line{workers, {.name = "line", .capacity = 64}};
  const std::string text =
      "1. rate_limiter 'search': 500 per 250 ms, burst 50\n"
      "2. wait_queue 'line': at most 64 waiting\n"
      "warning: 'search' outside 'line': tokens are taken before the wait, so that calls can leave the queue faster than "
      "the limit\n";
  EXPECT_EQ(pipeline(search, line).explain(), text);
  EXPECT_EQ((dynamic_pipeline{{any_policy{search}, any_policy{line}}}).explain(), text);
  EXPECT_EQ(pipeline(workers).explain(), "1. concurrency_limiter 'workers': at most 3 at once\n");
  window_limiter door{{.name = "door", .limit = {50, 10s}}};
  EXPECT_EQ(pipeline(door).explain(), "1. window_limiter 'door': 50 in any 10 s\n");
  window_limiter gate{{.name = "gate", .limit = {50, 10s}, .precision = window_precision::approximate}};
  EXPECT_EQ(pipeline(gate).explain(), "1. window_limiter 'gate': about 50 in 10 s, up to twice as many\n");
}

TEST(Explain, AnErasedLayerWaitsOnlyWhereItsPolicyDoes) {
  rate_limiter search{{.name = "search"}};
  concurrency_limiter workers{{.name = "workers"}};
  basic_wait_queue line{workers, {.name = "line"}};
  pipeline chain{any_policy{search}, any_policy{workers}};
  EXPECT_EQ(chain.explain().find("warning"), std::string::npos) << chain.explain();
  EXPECT_FALSE(chain.describe().inner.at(0).waits);
  EXPECT_NE((pipeline{any_policy{search}, any_policy{line}}.explain().find("tokens are taken before the wait")),
            std::string::npos);
}

}  // namespace
}  // namespace weir
