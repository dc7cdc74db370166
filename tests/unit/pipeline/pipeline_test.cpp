// What a chain of policies does, static or dynamic: one suite for both.
#include <weir/pipeline/dynamic_pipeline.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/testing/scripted_callee.hpp>

#include <support/recording_policy.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

namespace weir {
namespace {

using namespace std::chrono_literals;
using boost::system::error_code;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using weir::testing_support::journal;
using weir::testing_support::recording_policy;
using weir::testing_support::waiting_recording_policy;

struct static_chain {
  template <class... Policies>
  static auto make(Policies&... policies) {
    return pipeline<Policies&...>{policies...};
  }
};
struct dynamic_chain {
  template <class... Policies>
  static auto make(Policies&... policies) {
    return dynamic_pipeline{{any_policy{policies}...}};
  }
};

template <class Chain>
class PipelineTest : public ::testing::Test {
 protected:
  auto chain() { return Chain::make(a, b, c); }

  manual_clock clock;
  journal events;
  recording_policy a{"a", events, clock}, b{"b", events, clock}, c{"c", events, clock};
};
using Chains = ::testing::Types<static_chain, dynamic_chain>;
TYPED_TEST_SUITE(PipelineTest, Chains);

TYPED_TEST(PipelineTest, AsksOutermostFirstAndReleasesInnermostFirst) {
  auto chain = this->chain();
  {
    auto permit = chain.try_acquire();
    ASSERT_TRUE(permit);
    permit->release(outcome::success);
    permit->release(outcome::failure);  // the first report counts
  }
  EXPECT_THAT(this->events, ElementsAre("a+", "b+", "c+", "c.", "b.", "a."));
  for (const auto* p : {&this->a, &this->b, &this->c}) {
    ASSERT_EQ(p->completions.size(), 1u);
    EXPECT_EQ(p->completions[0].result, outcome::success);
  }
}

TYPED_TEST(PipelineTest, ReadsTheClockOnceOnEntryAndOnceOnExit) {
  auto chain = this->chain();
  auto permit = chain.try_acquire({.cost = 3});
  const time_point entered = this->clock.now();
  EXPECT_EQ(this->a.clock_reads, 1);
  this->clock.advance(7ms);
  permit->release(outcome::success);
  EXPECT_EQ(this->a.clock_reads + this->b.clock_reads + this->c.clock_reads, 2);
  for (const auto* p : {&this->a, &this->b, &this->c}) {
    EXPECT_EQ(p->asked[0].now, entered);
    EXPECT_EQ(p->asked[0].cost, 3u);
    EXPECT_EQ(p->completions[0].now, entered + 7ms);
    EXPECT_EQ(p->completions[0].took, 7ms);
  }
}

TYPED_TEST(PipelineTest, GivenTimesAreNotReplaced) {
  auto chain = this->chain();
  const time_point then = this->clock.now() - 1min;
  auto permit = chain.try_acquire({.now = then});
  permit->release(completion{.result = outcome::overload, .now = then + 1s, .took = 3ms, .retry_after = 2s});
  EXPECT_EQ(this->a.clock_reads, 0);
  EXPECT_EQ(this->b.asked[0].now, then);
  EXPECT_EQ(this->b.completions[0].now, then + 1s);
  EXPECT_EQ(this->b.completions[0].took, 3ms);
  EXPECT_EQ(this->b.completions[0].retry_after, 2s);
}

TYPED_TEST(PipelineTest, AClockThatGoesBackGivesNoNegativeDuration) {
  auto chain = this->chain();
  auto permit = chain.try_acquire();
  this->clock.set(this->clock.now() - 1s);
  permit->release(outcome::success);
  EXPECT_EQ(this->a.completions[0].took, 0ns);
}

TYPED_TEST(PipelineTest, ARejectionRollsBackInReverseAndSaysWhoRefused) {
  this->c.refuse_with = errc::circuit_open;
  this->c.retry_after = 3s;
  auto chain = this->chain();
  auto permit = chain.try_acquire();
  ASSERT_FALSE(permit);
  EXPECT_EQ(permit.error(), errc::circuit_open);
  EXPECT_EQ(permit.error().policy(), "c");
  EXPECT_EQ(permit.error().retry_after(), 3s);
  EXPECT_THAT(this->events, ElementsAre("a+", "b+", "c-", "b~", "a~"));
  EXPECT_THAT(this->a.completions, IsEmpty());
}

TYPED_TEST(PipelineTest, ARejectionAtTheDoorAsksNobodyElse) {
  this->a.refuse_with = errc::rate_limited;
  auto chain = this->chain();
  EXPECT_FALSE(chain.try_acquire());
  EXPECT_THAT(this->events, ElementsAre("a-"));
}

TYPED_TEST(PipelineTest, CancelRefundsEveryLayer) {
  auto chain = this->chain();
  auto permit = chain.try_acquire();
  permit->cancel();
  permit->release(outcome::success);
  EXPECT_THAT(this->events, ElementsAre("a+", "b+", "c+", "c~", "b~", "a~"));
}

TYPED_TEST(PipelineTest, ADroppedPermitIsIgnored) {
  auto chain = this->chain();
  {
    auto permit = chain.try_acquire();
  }
  EXPECT_EQ(this->a.completions[0].result, outcome::ignored);
  EXPECT_EQ(this->events.size(), 6u);
}

TYPED_TEST(PipelineTest, MovedAndSelfMovedPermitsReleaseOnce) {
  auto chain = this->chain();
  auto first = std::move(*chain.try_acquire());
  auto second = std::move(first);
  first.release(outcome::failure);  // empty
  first.cancel();
  EXPECT_EQ(this->a.in_flight, 1);

  auto* self = &second;
  second = std::move(*self);
  EXPECT_EQ(this->a.in_flight, 1);

  auto third = std::move(*chain.try_acquire());
  second = std::move(third);  // the old one is dropped
  EXPECT_EQ(this->a.in_flight, 1);
  EXPECT_EQ(this->a.completions.at(0).result, outcome::ignored);
  second.release(outcome::success);
  EXPECT_EQ(this->a.in_flight, 0);
  EXPECT_EQ(this->a.completions.size(), 2u);
}

TYPED_TEST(PipelineTest, RunPassesArgumentsAndReturnsTheValue) {
  auto chain = this->chain();
  auto owned = std::make_unique<int>(20);
  const auto r =
      chain.run([](std::unique_ptr<int> p, int more) { return std::make_unique<int>(*p + more); }, std::move(owned), 3);
  ASSERT_TRUE(r);
  EXPECT_EQ(**r, 23);
  EXPECT_EQ(this->a.completions.at(0).result, outcome::success);
}

TYPED_TEST(PipelineTest, RunOfVoid) {
  auto chain = this->chain();
  bool ran = false;
  result<void> r = chain.run([&] { ran = true; });
  EXPECT_TRUE(r && ran);
  this->b.refuse_with = errc::closed;
  ran = false;
  r = chain.run([&] { ran = true; });
  EXPECT_FALSE(r || ran);
  EXPECT_EQ(r.error(), errc::closed);
}

TYPED_TEST(PipelineTest, RunWithACall) {
  auto chain = this->chain();
  EXPECT_TRUE(chain.run({.cost = 5, .priority = 2}, [] {}));
  EXPECT_EQ(this->c.asked.at(0).cost, 5u);
  EXPECT_EQ(this->c.asked.at(0).priority, 2);
}

TYPED_TEST(PipelineTest, OutcomesComeFromTheReturnedValue) {
  auto chain = this->chain();
  const error_code refused = make_error_code(boost::system::errc::connection_refused);
  const error_code cancelled = make_error_code(boost::system::errc::operation_canceled);
  static_cast<void>(chain.run([&] { return refused; }));
  static_cast<void>(chain.run([&] { return cancelled; }));
  static_cast<void>(chain.run([&] { return boost::system::result<int>{refused}; }));
  static_cast<void>(chain.run([&] { return boost::system::result<int>{1}; }));
  std::vector<outcome> seen;
  for (const auto& completion : this->a.completions) seen.push_back(completion.result);
  EXPECT_THAT(seen, ElementsAre(outcome::failure, outcome::ignored, outcome::failure, outcome::success));
}

TYPED_TEST(PipelineTest, AnOverloadedCalleeCanSayWhenToComeBack) {
  auto chain = this->chain();
  scripted_callee callee{this->clock};
  callee.then({.result = outcome::overload, .latency = 4ms, .retry_after = 9s});
  auto reply = chain.run(callee);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->number, 1u);
  EXPECT_EQ(this->b.completions.at(0).result, outcome::overload);
  EXPECT_EQ(this->b.completions.at(0).retry_after, 9s);
  EXPECT_EQ(this->b.completions.at(0).took, 4ms);
}

TYPED_TEST(PipelineTest, ExceptionsAreFailuresAndPropagate) {
  auto chain = this->chain();
  EXPECT_THROW(static_cast<void>(chain.run([] { throw std::runtime_error{"down"}; })), std::runtime_error);
  const error_code cancelled = make_error_code(boost::system::errc::operation_canceled);
  EXPECT_THROW(static_cast<void>(chain.run([&]() -> int { throw boost::system::system_error{cancelled}; })),
               boost::system::system_error);
  EXPECT_EQ(this->a.completions.at(0).result, outcome::failure);
  EXPECT_EQ(this->a.completions.at(1).result, outcome::ignored);
  EXPECT_EQ(this->a.in_flight, 0);
}

TYPED_TEST(PipelineTest, OurOwnInnerRejectionIsIgnoredByOuterLayers) {
  auto chain = this->chain();
  journal inner_events;
  recording_policy inner{"inner", inner_events, this->clock};
  inner.refuse_with = errc::over_capacity;
  pipeline inner_chain{inner};

  result<int> r = chain.run([&] { return inner_chain.run([] { return 1; }); });  // not wrapped twice
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().policy(), "inner");
  EXPECT_EQ(this->a.completions.at(0).result, outcome::ignored);

  EXPECT_THROW(static_cast<void>(chain.run([&] { return inner_chain.run([] { return 1; }).value(); })), rejected_error);
  EXPECT_EQ(this->a.completions.at(1).result, outcome::ignored);
}

TYPED_TEST(PipelineTest, RunInsideOfRunTellsBothTheSame) {
  auto chain = this->chain();
  journal inner_events;
  recording_policy inner{"inner", inner_events, this->clock};
  pipeline inner_chain{inner};
  scripted_callee callee{this->clock};
  callee.then({.result = outcome::overload, .latency = 4ms, .retry_after = 9s});

  static_cast<void>(chain.run([&] { return inner_chain.run(callee); }));
  EXPECT_EQ(inner.completions.at(0).result, outcome::overload);
  EXPECT_EQ(this->a.completions.at(0).result, outcome::overload);
  EXPECT_EQ(this->a.completions.at(0).retry_after, 9s);

  const error_code refused = make_error_code(boost::system::errc::connection_refused);
  static_cast<void>(chain.run([&] { return inner_chain.run([&] { return boost::system::result<int>{refused}; }); }));
  EXPECT_EQ(inner.completions.at(1).result, outcome::failure);
  EXPECT_EQ(this->a.completions.at(1).result, outcome::failure);
}

TYPED_TEST(PipelineTest, AClassifierOfTheCallersOwn) {
  auto chain = this->chain();
  const auto http = [](int status) -> completion {
    if (status == 503) return {.result = outcome::overload, .retry_after = 1s};
    return {.result = status >= 500 ? outcome::failure : outcome::success};
  };
  EXPECT_EQ(*chain.run_classified(http, call{}, [] { return 404; }), 404);
  EXPECT_EQ(*chain.run_classified(http, call{}, [] { return 500; }), 500);
  EXPECT_EQ(*chain.run_classified(http, call{}, [] { return 503; }), 503);
  EXPECT_EQ(this->a.completions.at(0).result, outcome::success);
  EXPECT_EQ(this->a.completions.at(1).result, outcome::failure);
  EXPECT_EQ(this->a.completions.at(2).result, outcome::overload);
  EXPECT_EQ(this->a.completions.at(2).retry_after, 1s);
}

struct not_found {};
struct knows_exceptions {
  outcome operator()(int) const { return outcome::success; }
  outcome of_exception(std::exception_ptr error) const {
    try {
      std::rethrow_exception(error);
    } catch (const not_found&) {
      return outcome::success;  // an answer like any other
    } catch (...) {
      return outcome::failure;
    }
  }
};

TYPED_TEST(PipelineTest, AClassifierForExceptions) {
  auto chain = this->chain();
  EXPECT_THROW(static_cast<void>(chain.run_classified(knows_exceptions{}, call{}, []() -> int { throw not_found{}; })),
               not_found);
  EXPECT_THROW(static_cast<void>(chain.run_classified(knows_exceptions{}, call{}, []() -> int { throw 1; })), int);
  EXPECT_EQ(this->a.completions.at(0).result, outcome::success);
  EXPECT_EQ(this->a.completions.at(1).result, outcome::failure);
}

TYPED_TEST(PipelineTest, AThrowingClassifierIsNotTheCalleesFault) {
  auto chain = this->chain();
  const auto broken = [](int) -> outcome { throw std::logic_error{"classifier"}; };
  EXPECT_THROW(static_cast<void>(chain.run_classified(broken, call{}, [] { return 1; })), std::logic_error);
  EXPECT_EQ(this->a.completions.at(0).result, outcome::ignored);
  EXPECT_EQ(this->a.in_flight, 0);
}

TYPED_TEST(PipelineTest, NestsInAPipeline) {
  auto inner = TypeParam::make(this->b, this->c);
  auto outer = TypeParam::make(this->a);
  pipeline chain{outer, inner};
  this->c.refuse_with = errc::shed;
  EXPECT_FALSE(chain.try_acquire());
  EXPECT_THAT(this->events, ElementsAre("a+", "b+", "c-", "b~", "a~"));
  this->c.refuse_with.reset();
  this->events.clear();
  EXPECT_TRUE(chain.run([] {}));
  EXPECT_THAT(this->events, ElementsAre("a+", "b+", "c+", "c.", "b.", "a."));
  EXPECT_EQ(this->a.completions.at(0).now, this->c.completions.at(0).now);
}

TYPED_TEST(PipelineTest, TryAcquireNeverWaitsInAWaitingLayer) {
  waiting_recording_policy queue{"q", this->events, this->clock};
  queue.wait = 1h;
  auto chain = TypeParam::make(this->a, queue, this->c);
  const auto before = this->clock.now();
  EXPECT_TRUE(chain.try_acquire());
  EXPECT_EQ(this->clock.now(), before);
}

TYPED_TEST(PipelineTest, AcquireReadsTheClockAgainAfterTheWait) {
  waiting_recording_policy queue{"q", this->events, this->clock};
  queue.wait = 40ms;
  auto chain = TypeParam::make(this->a, queue, this->c);
  const auto before = this->clock.now();
  auto permit = chain.acquire({.deadline = before + 1s});
  ASSERT_TRUE(permit);
  EXPECT_EQ(this->a.asked.at(0).now, before);
  EXPECT_EQ(this->c.asked.at(0).now, before + 40ms);
  this->clock.advance(5ms);
  permit->release(outcome::success);
  // Time in our own queue is not the callee's slowness.
  EXPECT_EQ(this->a.completions.at(0).took, 5ms);
  EXPECT_THAT(this->events, ElementsAre("a+", "q+", "c+", "c.", "q.", "a."));
}

TYPED_TEST(PipelineTest, ARejectionAfterTheWaitGivesTheSlotBack) {
  waiting_recording_policy queue{"q", this->events, this->clock};
  auto chain = TypeParam::make(queue, this->c);
  this->c.refuse_with = errc::circuit_open;
  EXPECT_FALSE(chain.acquire());
  EXPECT_THAT(this->events, ElementsAre("q+", "c-", "q~"));
}

TYPED_TEST(PipelineTest, ExplainsItself) {
  auto chain = this->chain();
  EXPECT_EQ(chain.explain(), "1. policy 'a'\n2. policy 'b'\n3. policy 'c'\n");
}

struct throwing_observer {
  template <class Event>
  void on(const Event&) {
    throw std::runtime_error{"observer"};
  }
};

TYPED_TEST(PipelineTest, AThrowingObserverChangesNothing) {
  basic_concurrency_limiter<manual_clock, throwing_observer> slots{{.name = "slots", .limit = 1}, {}, this->clock};
  auto chain = TypeParam::make(this->a, slots);
  auto held = chain.try_acquire();
  ASSERT_TRUE(held);
  const auto refused = chain.try_acquire();  // published, thrown, swallowed
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().policy(), "slots");
  EXPECT_THAT(this->events, ElementsAre("a+", "a+", "a~"));
  held->release(outcome::success);
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
}

// A pipeline of references is a handle: its permits do not need it.
struct throwing_queue : waiting_recording_policy {
  using waiting_recording_policy::waiting_recording_policy;
  result<permit> acquire(const call&, std::stop_token) { throw std::runtime_error{"no thread"}; }
};

TYPED_TEST(PipelineTest, AWaitThatThrowsRefundsWhatLiesOutside) {
  throwing_queue queue{"q", this->events, this->clock};
  auto chain = TypeParam::make(this->a, this->b, queue);
  EXPECT_THROW(static_cast<void>(chain.acquire()), std::runtime_error);
  EXPECT_THAT(this->events, ElementsAre("a+", "b+", "b~", "a~"));
}

TYPED_TEST(PipelineTest, AConstResultIsNotWrappedASecondTime) {
  auto chain = this->chain();
  const auto inner = []() -> const result<int> { return 3; };
  result<int> r = chain.run(inner);
  EXPECT_EQ(r.value(), 3);
}

TEST(StaticPipeline, PermitsOfATemporaryPipelineLive) {
  journal events;
  recording_policy a{"a", events}, b{"b", events};
  auto permit = pipeline{pipeline{a}, b}.try_acquire();
  permit->release(outcome::success);
  EXPECT_EQ(a.completions.at(0).result, outcome::success);
  EXPECT_EQ(b.clock_reads, 2);  // the outermost that is referred to
}

struct always {
  struct permit {
    permit() = default;
    permit(permit&&) = default;
    permit& operator=(permit&&) = default;
    void release(const completion&) noexcept {}
    void release(outcome) noexcept {}
    void cancel() noexcept {}
  };
  static inline int clock_reads = 0;
  result<permit> try_acquire(const call&) noexcept { return result<permit>{boost::system::in_place_value}; }
  time_point now() const noexcept {
    ++clock_reads;
    return time_point{};
  }
};
static_assert(admission_policy<always>);

TEST(StaticPipeline, PermitsThatHoldNothingCostNothing) {
  using one = pipeline<always>::permit;
  using two = pipeline<always, recording_policy&>::permit;
  static_assert(sizeof(one) == sizeof(void*) + sizeof(time_point));
  static_assert(std::is_trivially_destructible_v<always::permit>);
  static_assert(sizeof(two) == sizeof(one) + sizeof(recording_policy::permit));
  pipeline chain{always{}, always{}};
  auto permit = chain.try_acquire();
  permit->release(outcome::success);
  EXPECT_EQ(always::clock_reads, 1);  // nobody wants to know when it ended
}

template <class... Layers>
concept can_wait = waiting_policy<pipeline<Layers&...>>;
using queue_of_weir = wait_queue<concurrency_limiter>;
static_assert(waiting_policy<queue_of_weir>);
static_assert(can_wait<recording_policy, queue_of_weir>);
static_assert(!can_wait<recording_policy>);
static_assert(can_wait<recording_policy, waiting_recording_policy>);
static_assert(!can_wait<waiting_recording_policy, waiting_recording_policy>);
static_assert(can_wait<pipeline<waiting_recording_policy&>, recording_policy>);
static_assert(!std::is_copy_constructible_v<pipeline<recording_policy&>::permit>);

TEST(DynamicPipeline, RefusesChainsThatItCannotRun) {
  journal events;
  recording_policy a{"a", events};
  EXPECT_THROW(dynamic_pipeline{std::vector<any_policy>{}}, std::invalid_argument);
  const std::vector<any_policy> most(dynamic_pipeline::max_stages, any_policy{a});
  dynamic_pipeline longest{most};
  EXPECT_TRUE(longest.run([] {}));
  EXPECT_EQ(a.completions.size(), dynamic_pipeline::max_stages);
  auto too_many = most;
  too_many.push_back(any_policy{a});
  EXPECT_THROW(dynamic_pipeline{too_many}, std::invalid_argument);

  waiting_recording_policy q{"q", events, manual_clock{}};
  EXPECT_THROW((dynamic_pipeline{{any_policy{q}, any_policy{a}, any_policy{q}}}), std::invalid_argument);
}

TEST(DynamicPipeline, WaitsOnlyIfALayerOfItDoes) {
  journal events;
  manual_clock clock;
  recording_policy a{"a", events, clock};
  waiting_recording_policy queue{"q", events, clock};
  dynamic_pipeline plain{{any_policy{a}}}, waiting{{any_policy{a}, any_policy{queue}}};
  pipeline around{plain, waiting};
  EXPECT_FALSE(around.describe().inner.at(0).waits);
  EXPECT_TRUE(around.describe().inner.at(1).waits);
}

TEST(DynamicPipeline, AcquireWithoutAWaitingLayerTries) {
  journal events;
  recording_policy a{"a", events};
  dynamic_pipeline chain{{any_policy{a}}};
  EXPECT_TRUE(chain.acquire());
  EXPECT_THAT(events, ElementsAre("a+", "a."));
}

}  // namespace
}  // namespace weir
