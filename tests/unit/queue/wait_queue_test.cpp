// The shell: hand-off, who may take when, the policy's waiting bit, alarms, blocked threads. Time stands still or is moved.
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;

using limiter = basic_concurrency_limiter<manual_clock>;
using bucket = basic_rate_limiter<manual_clock>;

/// Waits in a queue and remembers what came of it.
template <class Policy>
struct caller : wait_operation<typename Policy::permit> {
  using permit = typename Policy::permit;

  caller() {
    this->complete = [](wait_node& node, wait_outcome how) noexcept {
      auto& self = static_cast<caller&>(node);
      self.outcomes.push_back(how);
      self.answer.emplace(self.take());
    };
  }
  /// What the queue said, if it did at once or has done since.
  bool admitted() const { return answer && answer->has_value(); }
  errc refusal() const { return static_cast<errc>(answer.value().error().code().value()); }
  bool waits() const { return !answer; }
  permit& held() { return **answer; }

  std::vector<wait_outcome> outcomes;
  std::optional<result<permit>> answer;
};

template <class Policy>
class waiting_test : public ::testing::Test {
 protected:
  using queue_type = basic_wait_queue<Policy, manual_clock>;

  template <class Config>
  Policy& make_policy(Config config) {
    return policy.emplace(std::move(config), null_observer{}, clock);
  }
  queue_type& make_queue(wait_queue_config config) {
    return queue_in_front.emplace(*policy, config, null_observer{}, clock);
  }
  void TearDown() override {
    if (queue_in_front) queue_in_front->close();
    for (auto& c : callers) c.answer.reset();
  }

  caller<Policy>& ask(queue_type& queue, const call& c = {}) {
    auto& next = callers.emplace_back();
    if (auto answer = queue.start(next, c)) next.answer = std::move(answer);
    return next;
  }
  time_point in(duration d) const { return clock.now() + d; }

  /// The test's own count against the queue's.
  void expect_ledger(const queue_type& queue, std::uint64_t arrivals) {
    const auto s = queue.snapshot();
    std::uint64_t admitted = 0, waiting = 0;
    for (auto& c : callers) {
      admitted += c.admitted() ? 1 : 0;
      waiting += c.waits() ? 1 : 0;
      EXPECT_LE(c.outcomes.size(), 1u);
    }
    EXPECT_EQ(s.arrivals(), arrivals);
    EXPECT_EQ(s.admitted(), admitted);
    EXPECT_EQ(s.waiting, waiting);
    EXPECT_EQ(s.rejected() + s.cancelled, arrivals - admitted - waiting);
  }

  manual_clock clock;
  std::optional<Policy> policy;
  std::optional<queue_type> queue_in_front;
  std::deque<caller<Policy>> callers;
};

using wait_queue_test = waiting_test<limiter>;
using wait_queue_for_tokens_test = waiting_test<bucket>;

TEST(wait_queue, a_policy_has_one_queue_in_front_of_it) {
  concurrency_limiter slots{{.limit = 1}};
  rate_limiter tokens{{.limit = {1, 1h}}};
  {
    wait_queue first{slots};
    wait_queue other{tokens};
    EXPECT_THROW(wait_queue{slots}, std::logic_error);
    EXPECT_THROW(wait_queue{tokens}, std::logic_error);

    // The one that was there first still gets its wake-ups.
    auto held = slots.try_acquire();
    caller<concurrency_limiter> waiter;
    ASSERT_FALSE(first.start(waiter));
    held->release(outcome::success);
    EXPECT_TRUE(waiter.admitted());
  }
  EXPECT_NO_THROW(wait_queue{slots}) << "and when it has gone there may be another";
}

TEST_F(wait_queue_test, admits_at_once_while_there_is_room) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 2});
  queue_type& queue = make_queue({});
  EXPECT_TRUE(ask(queue).admitted());
  EXPECT_TRUE(ask(queue).admitted());
  EXPECT_TRUE(ask(queue).waits());
  EXPECT_TRUE(slots.snapshot().waiting);
  expect_ledger(queue, 3);
  queue.close();
  EXPECT_FALSE(slots.snapshot().waiting);
}

TEST_F(wait_queue_test, hands_released_slots_over_in_order) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({});
  for (int i = 0; i < 5; ++i) ask(queue);
  for (std::size_t i = 0; i < 5; ++i) {
    for (std::size_t j = 0; j < 5; ++j) EXPECT_EQ(callers[j].waits(), j > i);
    EXPECT_EQ(slots.snapshot().slots_in_use, 1u);
    callers[i].held().release(outcome::success);
  }
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
  EXPECT_FALSE(slots.snapshot().waiting);
  EXPECT_EQ(queue.snapshot().admitted_after_wait, 4u);
  expect_ledger(queue, 5);
}

TEST_F(wait_queue_test, nobody_overtakes) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 3});
  queue_type& queue = make_queue({});
  auto& holder = ask(queue, {.cost = 2});
  auto& large = ask(queue, {.cost = 3});
  auto& small = ask(queue, {.cost = 1});
  EXPECT_TRUE(large.waits());
  EXPECT_TRUE(small.waits()) << "a slot is free, but it is not its turn";
  EXPECT_EQ(queue.try_acquire().error(), errc::over_capacity);
  EXPECT_EQ(slots.try_acquire().error(), errc::over_capacity) << "not around the queue either";
  holder.held().release(outcome::success);
  EXPECT_TRUE(large.admitted());
  EXPECT_TRUE(small.waits());
  large.held().cancel();
  EXPECT_TRUE(small.admitted());
  small.held().release(outcome::success);
  EXPECT_TRUE(queue.try_acquire());
  EXPECT_EQ(queue.snapshot().arrivals(), 5u);
}

TEST_F(wait_queue_test, when_the_first_gives_up_the_next_may_fit) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 3});
  queue_type& queue = make_queue({});
  ask(queue, {.cost = 2});
  auto& large = ask(queue, {.cost = 3});
  auto& small = ask(queue, {.cost = 1});
  EXPECT_TRUE(queue.cancel(large));
  EXPECT_EQ(large.refusal(), errc::cancelled);
  EXPECT_TRUE(small.admitted());
  EXPECT_FALSE(slots.snapshot().waiting);
  EXPECT_FALSE(queue.cancel(small)) << "a grant that came first wins";
  expect_ledger(queue, 3);
}

TEST_F(wait_queue_test, withdrawing_does_not_complete) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({});
  ask(queue);
  auto& gone = ask(queue);
  EXPECT_TRUE(queue.withdraw(gone));
  EXPECT_FALSE(queue.withdraw(gone));
  EXPECT_TRUE(gone.outcomes.empty());
  EXPECT_FALSE(slots.snapshot().waiting);
  EXPECT_EQ(queue.snapshot().cancelled, 1u);
}

TEST_F(wait_queue_test, a_deadline_is_never_missed_by_a_grant) {
  make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.max_wait = 10s});
  auto& holder = ask(queue);
  auto& hasty = ask(queue, {.deadline = in(1s)});
  auto& patient = ask(queue);
  EXPECT_EQ(queue.next_event(), in(1s));
  clock.advance(1s);
  holder.held().release(outcome::success);
  EXPECT_EQ(hasty.refusal(), errc::wait_timeout);
  EXPECT_TRUE(patient.admitted());
  EXPECT_EQ(ask(queue, {.deadline = clock.now()}).refusal(), errc::expired);
  EXPECT_EQ(queue.try_acquire({.deadline = clock.now()}).error(), errc::expired);
  expect_ledger(queue, 5);
}

TEST_F(wait_queue_test, max_wait_caps_every_deadline) {
  make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.max_wait = 2s});
  ask(queue);
  auto& without = ask(queue);
  auto& later = ask(queue, {.deadline = in(1h)});
  clock.advance(2s - 1ns);
  queue.on_alarm();
  EXPECT_TRUE(without.waits());
  clock.advance(1ns);
  queue.on_alarm();
  EXPECT_EQ(without.refusal(), errc::wait_timeout);
  EXPECT_EQ(later.refusal(), errc::wait_timeout);
  EXPECT_EQ(queue.waits(wait_outcome::timed_out).min(), 2s);
  EXPECT_FALSE(queue.reconfigure({.max_wait = duration::max()}));
  auto& forever = ask(queue);
  EXPECT_EQ(queue.next_event(), never);
  queue.close();
  EXPECT_EQ(forever.refusal(), errc::closed);
  expect_ledger(queue, 4);
}

TEST_F(wait_queue_test, is_bounded_and_the_timed_out_make_room) {
  make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.capacity = 2, .max_wait = 10s});
  ask(queue);
  ask(queue);
  auto& short_lived = ask(queue, {.deadline = in(1s)});
  EXPECT_EQ(ask(queue).refusal(), errc::queue_full);
  clock.advance(1s);
  EXPECT_TRUE(ask(queue).waits()) << "found out at the door, without an alarm";
  EXPECT_EQ(short_lived.refusal(), errc::wait_timeout);
  EXPECT_EQ(queue.snapshot().waiting, 2u);
  expect_ledger(queue, 5);
  queue.close();
}

TEST_F(wait_queue_test, capacity_zero_means_nobody_waits) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.capacity = 0});
  auto& holder = ask(queue);
  EXPECT_EQ(ask(queue).refusal(), errc::queue_full);
  EXPECT_FALSE(slots.snapshot().waiting);
  holder.held().release(outcome::success);
  EXPECT_TRUE(ask(queue).admitted());
}

TEST_F(wait_queue_test, what_can_never_be_granted_does_not_wait) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 2});
  queue_type& queue = make_queue({});
  ask(queue, {.cost = 2});
  EXPECT_EQ(ask(queue, {.cost = 3}).refusal(), errc::never_admissible);
  auto& stranded = ask(queue, {.cost = 2});
  auto& next = ask(queue, {.cost = 1});
  EXPECT_FALSE(slots.reconfigure({.limit = 1}));
  EXPECT_EQ(stranded.refusal(), errc::shed) << "its request has become impossible; it must not block the others";
  EXPECT_TRUE(next.waits());
  callers[0].held().release(outcome::success);
  EXPECT_TRUE(next.admitted());
  expect_ledger(queue, 4);
}

TEST_F(wait_queue_test, a_limit_that_grows_serves_who_waits) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({});
  for (int i = 0; i < 4; ++i) ask(queue);
  EXPECT_FALSE(slots.reconfigure({.limit = 3}));
  EXPECT_TRUE(callers[2].admitted());
  EXPECT_TRUE(callers[3].waits());
  queue.close();
}

TEST_F(wait_queue_test, close_tells_everybody_now_and_later) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({});
  auto& holder = ask(queue);
  auto& waiter = ask(queue);
  queue.close();
  queue.close();
  EXPECT_EQ(waiter.refusal(), errc::closed);
  EXPECT_EQ(ask(queue).refusal(), errc::closed);
  EXPECT_EQ(queue.try_acquire().error(), errc::closed);
  holder.held().release(outcome::success);
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
  EXPECT_TRUE(slots.try_acquire()) << "the policy itself is free again";
  EXPECT_EQ(queue.snapshot().closed, 3u);
  EXPECT_TRUE(queue.snapshot().is_closed);
}

TEST_F(wait_queue_test, the_destructor_closes_and_detaches) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  caller<limiter> holder, waiter;
  {
    queue_type queue{slots, {}, {}, clock};
    holder.answer = queue.start(holder);
    EXPECT_FALSE(queue.start(waiter));
  }
  EXPECT_EQ(waiter.refusal(), errc::closed);
  queue_type another{slots, {}, {}, clock};
  holder.held().release(outcome::success);
}

TEST_F(wait_queue_test, an_operation_that_is_dropped_with_its_permit_refunds_it) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({});
  auto held = queue.try_acquire();
  {
    wait_operation<limiter::permit> op;
    op.complete = [](wait_node&, wait_outcome) noexcept {};
    EXPECT_FALSE(queue.start(op));
    held->release(outcome::success);
    EXPECT_EQ(slots.snapshot().slots_in_use, 1u);
  }
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
  EXPECT_EQ(slots.snapshot().cancelled, 1u);
}

TEST_F(wait_queue_test, an_operation_that_is_started_again_with_its_permit_refunds_it_first) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({});
  auto held = queue.try_acquire();
  wait_operation<limiter::permit> op;
  op.complete = [](wait_node&, wait_outcome) noexcept {};
  EXPECT_FALSE(queue.start(op));
  held->release(outcome::success);
  auto answer = queue.start(op);
  queue.close();
  ASSERT_TRUE(answer) << "it waits for the slot that it holds itself";
  EXPECT_TRUE(answer->has_value());
  EXPECT_EQ(slots.snapshot().slots_in_use, 1u);
  EXPECT_EQ(slots.snapshot().cancelled, 1u);
}

TEST_F(wait_queue_test, refuses_at_the_door_who_would_miss_its_deadline) {
  make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.name = "door", .capacity = 100, .max_wait = 1h});
  for (std::size_t i = 0; i < 60; ++i) ask(queue);
  for (std::size_t i = 0; i < 30; ++i) {
    clock.advance(100ms);
    callers[i].held().release(outcome::success);
  }
  ASSERT_EQ(queue.snapshot().waiting, 29u);
  EXPECT_NEAR(queue.snapshot().hand_off_rate, 10, 0.5);
  auto& refused = ask(queue, {.deadline = in(1s)});
  ASSERT_EQ(refused.refusal(), errc::would_miss_deadline);
  EXPECT_EQ(refused.answer->error().policy(), "door");
  EXPECT_NEAR(std::chrono::duration<double>(refused.answer->error().predicted_wait()).count(), 3, 0.2);
  EXPECT_NEAR(std::chrono::duration<double>(refused.answer->error().retry_after()).count(), 2.2, 0.2);
  EXPECT_TRUE(ask(queue, {.deadline = in(4s)}).waits());
  EXPECT_FALSE(queue.reconfigure({.capacity = 100, .max_wait = 1h, .predict = false}));
  EXPECT_TRUE(ask(queue, {.deadline = in(1s)}).waits());
  expect_ledger(queue, 63);
  queue.close();
}

TEST_F(wait_queue_test, reconfigure_keeps_who_waits) {
  make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.capacity = 1});
  for (int i = 0; i < 2; ++i) ask(queue);
  EXPECT_EQ(ask(queue).refusal(), errc::queue_full);
  EXPECT_FALSE(queue.reconfigure({.capacity = 3}));
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(ask(queue).waits());
  EXPECT_EQ(queue.reconfigure({.capacity = 1'000'001})->field, "wait_queue_config.capacity");
  EXPECT_FALSE(queue.reconfigure({.capacity = 1}));
  EXPECT_EQ(queue.snapshot().waiting, 3u);
  EXPECT_EQ(ask(queue).refusal(), errc::queue_full);
  callers[0].held().release(outcome::success);
  EXPECT_TRUE(callers[1].admitted());
  queue.close();
}

TEST(wait_queue_config_test, names_the_wrong_field) {
  concurrency_limiter slots{{}};
  EXPECT_THROW((wait_queue{slots, {.capacity = 1'000'001}}), std::invalid_argument);
  EXPECT_EQ(validate({.max_wait = 0ns})->field, "wait_queue_config.max_wait");
  EXPECT_EQ(validate({.rate_window = -1ns})->field, "wait_queue_config.rate_window");
  EXPECT_FALSE(validate(wait_queue_config{.capacity = 1'000'000, .max_wait = duration::max()}));
}

TEST_F(wait_queue_test, a_chain_of_releases_inside_of_completions_is_iterative) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.capacity = 100'000, .max_wait = 1h});
  static int depth, deepest, served;
  depth = deepest = served = 0;
  struct link : wait_operation<limiter::permit> {
    link() {
      complete = [](wait_node& node, wait_outcome) noexcept {
        deepest = std::max(deepest, ++depth);
        ++served;
        if (auto permit = static_cast<link&>(node).take()) permit->release(outcome::success);  // grants the next
        --depth;
      };
    }
  };
  auto held = queue.try_acquire();
  std::vector<link> chain(100'000);
  for (auto& l : chain) ASSERT_FALSE(queue.start(l));
  held->release(outcome::success);
  EXPECT_EQ(served, 100'000);
  EXPECT_EQ(deepest, 1);
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
}

TEST_F(wait_queue_test, completions_may_use_the_queue) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.max_wait = 1h});
  struct user : wait_operation<limiter::permit> {
    queue_type* queue = nullptr;
    user* victim = nullptr;
    int starts = 0;
    std::optional<errc> last;
  };
  user first, second;
  for (auto* u : {&first, &second}) {
    u->queue = &queue;
    u->complete = [](wait_node& node, wait_outcome) noexcept {
      auto& self = static_cast<user&>(node);
      if (self.victim != nullptr) self.queue->cancel(*std::exchange(self.victim, nullptr));
      auto permit = self.take();
      if (!permit) self.last = static_cast<errc>(permit.error().code().value());
      if (permit && self.starts++ < 3) {
        EXPECT_FALSE(self.queue->start(self));  // waits again, behind itself
        permit->release(outcome::success);
      }
    };
  }
  first.victim = &second;
  auto held = queue.try_acquire();
  ASSERT_FALSE(queue.start(first));
  ASSERT_FALSE(queue.start(second));
  held->release(outcome::success);
  EXPECT_EQ(first.starts, 4);
  EXPECT_EQ(second.last, errc::cancelled);
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
  EXPECT_EQ(queue.snapshot().arrivals(), 6u);
  EXPECT_EQ(queue.snapshot().waiting, 0u);
}

struct log_entry {
  std::string what;
  duration waited;
  std::uint64_t sequence;
};
struct logging {
  std::vector<log_entry>* log;
  basic_concurrency_limiter<manual_clock>* slots;
  void on(const wait_ended& e) {
    log->push_back(
        {std::string{errc_table[0].label} + "/" + std::to_string(static_cast<int>(e.how)), e.waited, e.sequence});
    static_cast<void>(slots->snapshot());
    throw 1;  // is swallowed
  }
  void on(const wait_refused& e) { log->push_back({std::string{name_of(e.why)}, e.predicted_wait, e.sequence}); }
  static std::string name_of(errc e) { return errc_table[static_cast<int>(e) - 1].label; }
};

TEST_F(wait_queue_test, tells_an_observer_who_waited_and_who_was_turned_away) {
  std::vector<log_entry> log;
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  basic_wait_queue<limiter, manual_clock, logging> queue{slots, {.capacity = 1}, logging{&log, &slots}, clock};
  caller<limiter> holder, waiter, third;
  holder.answer = queue.start(holder);
  EXPECT_FALSE(queue.start(waiter));
  third.answer = queue.start(third);
  clock.advance(50ms);
  holder.held().release(outcome::success);
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[0].what, "queue_full");
  EXPECT_EQ(log[1].waited, 50ms);
  EXPECT_EQ(log[1].sequence, 2u);
}

TEST_F(wait_queue_test, an_alarm_drives_deadlines_and_is_silent_when_nobody_waits) {
  make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.max_wait = 1h});
  manual_timer timer{clock, [&] { queue.on_alarm(); }};
  queue.use_alarm(alarm_ref{timer});
  EXPECT_EQ(timer.due(), never);
  auto& holder = ask(queue);
  EXPECT_EQ(timer.due(), never) << "nobody waits";
  auto& late = ask(queue, {.deadline = in(3s)});
  auto& early = ask(queue, {.deadline = in(1s)});
  EXPECT_EQ(timer.due(), in(1s));
  clock.advance(1s);
  EXPECT_EQ(early.refusal(), errc::wait_timeout);
  EXPECT_EQ(timer.due(), in(2s)) << "armed again for the next";
  holder.held().release(outcome::success);
  EXPECT_TRUE(late.admitted());
  EXPECT_EQ(timer.due(), never);
  auto& next = ask(queue, {.deadline = in(1s)});
  EXPECT_EQ(timer.due(), in(1s));
  queue.use_alarm(alarm_ref{});
  timer.disarm();
  clock.advance(1h);
  EXPECT_TRUE(next.waits()) << "nobody drives";
  queue.close();
  expect_ledger(queue, 4);
}

TEST_F(wait_queue_test, an_alarm_that_comes_or_is_replaced_while_somebody_waits_is_set) {
  make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.max_wait = 1h});
  ask(queue);
  auto& waiter = ask(queue, {.deadline = in(2s)});
  manual_timer first{clock, [&] { queue.on_alarm(); }}, second{clock, [&] { queue.on_alarm(); }};
  queue.use_alarm(alarm_ref{first});
  EXPECT_EQ(first.due(), in(2s));
  queue.use_alarm(alarm_ref{second});
  EXPECT_EQ(second.due(), in(2s));
  first.disarm();
  clock.advance(2s);
  EXPECT_EQ(waiter.refusal(), errc::wait_timeout);
  queue.use_alarm(alarm_ref{});
}

/// A limiter at which something happens right after it has refused.
struct interrupted_limiter {
  using permit = limiter::permit;

  result<permit> try_acquire(const call& c) noexcept {
    auto answer = inner.try_acquire(c);
    if (!answer && meanwhile) std::exchange(meanwhile, nullptr)();
    return answer;
  }
  result<permit> try_acquire_for_waiter(const call& c) noexcept { return inner.try_acquire_for_waiter(c); }
  void attach(capacity_listener* listener) noexcept { inner.attach(listener); }
  void set_waiting(bool waiting) noexcept { inner.set_waiting(waiting); }
  time_point next_available(std::uint32_t cost, time_point now) const noexcept { return inner.next_available(cost, now); }
  time_point now() const noexcept { return inner.now(); }

  limiter& inner;
  std::function<void()> meanwhile{};
};

TEST(wait_queue_race_window_test, a_release_between_the_refusal_and_the_joining_is_not_lost) {
  manual_clock clock;
  limiter slots{{.limit = 1}, {}, clock};
  interrupted_limiter policy{slots};
  basic_wait_queue<interrupted_limiter, manual_clock> queue{policy, {}, {}, clock};
  auto held = queue.try_acquire();
  policy.meanwhile = [&] { held->release(outcome::success); };
  caller<limiter> newcomer;
  auto answer = queue.start(newcomer);
  ASSERT_TRUE(answer) << "it would wait for a release that has been";
  EXPECT_TRUE(answer->has_value());
  EXPECT_FALSE(slots.snapshot().waiting);
  EXPECT_EQ(queue.snapshot().admitted_at_once, 2u);
}

TEST(wait_queue_race_window_test, a_request_that_becomes_impossible_before_the_joining_is_refused_and_counted) {
  manual_clock clock;
  limiter slots{{.limit = 2}, {}, clock};
  interrupted_limiter policy{slots};
  basic_wait_queue<interrupted_limiter, manual_clock> queue{policy, {}, {}, clock};
  auto held = queue.try_acquire();
  policy.meanwhile = [&] { EXPECT_FALSE(slots.reconfigure({.limit = 1})); };
  caller<limiter> newcomer;
  auto answer = queue.start(newcomer, {.cost = 2});
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->error(), errc::never_admissible);
  EXPECT_EQ(queue.snapshot().refused, 1u);
  EXPECT_EQ(queue.snapshot().arrivals(), 2u);
}

/// An alarm during whose setting something happens.
struct interrupted_alarm {
  void arm(time_point t) noexcept {
    if (meanwhile) std::exchange(meanwhile, nullptr)();
    at = t;
  }
  void disarm() noexcept { arm(never); }

  std::function<void()> meanwhile;
  time_point at = never;
};

TEST_F(wait_queue_test, an_alarm_is_set_to_the_latest_plan_though_plans_change_while_it_is_set) {
  make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.max_wait = 1h});
  interrupted_alarm alarm;
  queue.use_alarm(alarm_ref{alarm});
  ask(queue);
  alarm.meanwhile = [&] { ask(queue, {.deadline = in(1s)}); };
  auto& first = ask(queue, {.deadline = in(5s)});
  EXPECT_EQ(alarm.at, in(1s)) << "not the later one, which was under way";
  alarm.meanwhile = [&] { queue.cancel(first); };
  clock.set(in(1s));
  queue.on_alarm();  // sets it to the deadline of the first, who leaves at this moment
  EXPECT_EQ(alarm.at, never);
  queue.use_alarm(alarm_ref{});
}

// ---- disciplines, seen through the shell

TEST_F(wait_queue_test, serves_in_the_order_that_was_configured) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.discipline = {.order = queue_order::lifo}});
  auto held = slots.try_acquire();
  auto &a = ask(queue), &b = ask(queue);
  EXPECT_TRUE(a.waits());
  held->release(outcome::success);
  EXPECT_TRUE(b.admitted());
  EXPECT_FALSE(queue.reconfigure({.discipline = {.order = queue_order::priority}}));
  auto& important = ask(queue);
  auto& less = ask(queue, {.priority = 3});
  b.held().release(outcome::success);
  EXPECT_TRUE(a.admitted()) << "it has come before";
  a.held().release(outcome::success);
  EXPECT_TRUE(important.admitted());
  EXPECT_TRUE(less.waits());
  expect_ledger(queue, 4);
}

TEST_F(wait_queue_test, a_new_order_may_serve_somebody_at_once) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 2});
  queue_type& queue = make_queue({});
  auto held = slots.try_acquire();
  auto& large = ask(queue, {.cost = 2});
  auto& small = ask(queue);
  EXPECT_TRUE(small.waits()) << "behind one for which there is no room";
  EXPECT_FALSE(queue.reconfigure({.discipline = {.order = queue_order::lifo}}));
  EXPECT_TRUE(small.admitted());
  EXPECT_TRUE(large.waits());
}

TEST_F(wait_queue_test, tenants_share_by_weight_and_have_a_place_in_line_each) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue =
      make_queue({.discipline = {.order = queue_order::tenants,
                                 .tenants = {{.tenant = 1, .weight = 3, .max_waiting = 6}, {.tenant = 2, .weight = 1}}}});
  auto held = slots.try_acquire();
  for (int i = 0; i < 6; ++i) ask(queue, {.tenant = 1}), ask(queue, {.tenant = 2});
  EXPECT_EQ(ask(queue, {.tenant = 1}).refusal(), errc::quota);
  EXPECT_EQ(queue.snapshot().quota, 1u);
  held->release(outcome::success);
  int of_1 = 0;
  std::vector<caller<limiter>*> served;
  while (served.size() < 4) {
    const auto next = std::find_if(callers.begin(), callers.end(), [&](auto& c) {
      return c.admitted() && std::find(served.begin(), served.end(), &c) == served.end();
    });
    ASSERT_NE(next, callers.end());
    served.push_back(&*next);
    of_1 += next->tenant == 1 ? 1 : 0;
    next->held().release(outcome::success);
  }
  EXPECT_EQ(of_1, 3);
  expect_ledger(queue, 13);
}

TEST_F(wait_queue_test, an_alarm_sheds_where_nothing_comes_back) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue =
      make_queue({.max_wait = 1h, .discipline = {.codel = {.on = true, .target = 20ms, .interval = 200ms}}});
  manual_timer timer{clock, [&] { queue.on_alarm(); }};
  queue.use_alarm(alarm_ref{timer});
  auto held = slots.try_acquire();
  auto& a = ask(queue);
  clock.advance(170ms);
  auto& b = ask(queue);
  clock.advance(30ms - 1ns);
  EXPECT_TRUE(a.waits());
  clock.advance(1ns);
  EXPECT_EQ(a.refusal(), errc::shed);
  EXPECT_EQ(timer.due(), in(10ms + 1ns));
  EXPECT_TRUE(b.waits());
  clock.advance(10ms + 1ns);
  EXPECT_EQ(b.refusal(), errc::shed);
  EXPECT_EQ(timer.due(), never);
  expect_ledger(queue, 2);

  // Switched on while somebody waits: the alarm hears of it.
  EXPECT_FALSE(queue.reconfigure({.max_wait = 1h}));
  auto& c = ask(queue);
  clock.advance(1s);
  EXPECT_TRUE(c.waits());
  EXPECT_FALSE(queue.reconfigure({.max_wait = 1h, .discipline = {.codel = {.on = true}}}));
  clock.advance(200ms);
  EXPECT_EQ(c.refusal(), errc::shed);
  queue.use_alarm({});
}

TEST_F(wait_queue_for_tokens_test, the_wait_for_tokens_is_not_predicted_for_the_newest) {
  make_policy(rate_limiter_config{.limit = {10, 1s}, .burst = 1});
  queue_type& queue = make_queue({.max_wait = 1h, .discipline = {.order = queue_order::lifo}});
  EXPECT_TRUE(ask(queue).admitted());
  auto& patient = ask(queue);
  ask(queue);
  auto& hasty = ask(queue, {.deadline = in(110ms)});
  EXPECT_TRUE(hasty.waits()) << "as the last of three it would be too late, as the first it is not";
  clock.advance(100ms);
  queue.on_alarm();
  EXPECT_TRUE(hasty.admitted());
  EXPECT_TRUE(patient.waits());
}

TEST_F(wait_queue_test, caps_and_reservations_need_an_owner) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  const auto problem = [](queue_discipline d) {
    return validate(wait_queue_config{.discipline = std::move(d)}).value().message();
  };
  EXPECT_EQ(problem({.tenants = {{.tenant = 1}, {.tenant = 2, .reserved = 1}}}),
            "wait_queue_config.discipline.tenants[1]: reserved and max_in_use need an owner that reports what comes back: "
            "the pool");
  EXPECT_EQ(
      problem({.others = {.max_in_use = 3}}),
      "wait_queue_config.discipline.others: reserved and max_in_use need an owner that reports what comes back: the pool");
  EXPECT_EQ(problem({.codel = {.target = -1ns}}),
            "wait_queue_config.discipline.codel.target: must be > 0 and <= 1 h, is -1 ns");
  EXPECT_THROW((basic_wait_queue<limiter, manual_clock>{slots, {.discipline = {.others = {.reserved = 1}}}, {}, clock}),
               std::invalid_argument);
}

TEST_F(wait_queue_for_tokens_test, time_brings_tokens_in_order) {
  bucket& tokens = make_policy(rate_limiter_config{.limit = {10, 1s}, .burst = 2});
  queue_type& queue = make_queue({.max_wait = 1h});
  manual_timer timer{clock, [&] { queue.on_alarm(); }};
  queue.use_alarm(alarm_ref{timer});
  for (int i = 0; i < 6; ++i) ask(queue);
  EXPECT_TRUE(callers[1].admitted());
  EXPECT_TRUE(callers[2].waits());
  for (std::size_t i = 2; i < 6; ++i) {
    clock.advance(100ms - 1us);
    EXPECT_TRUE(callers[i].waits());
    clock.advance(1us);
    EXPECT_TRUE(callers[i].admitted());
    if (i == 5) break;
    EXPECT_TRUE(callers[i + 1].waits());
    EXPECT_EQ(queue.try_acquire().error(), errc::rate_limited) << "newcomers do not overtake";
  }
  EXPECT_FALSE(tokens.snapshot().waiting);
  queue.use_alarm(alarm_ref{});
}

TEST_F(wait_queue_for_tokens_test, reconfiguring_the_rate_rearms) {
  bucket& tokens = make_policy(rate_limiter_config{.limit = {1, 10s}, .burst = 1});
  queue_type& queue = make_queue({.max_wait = 1h});
  manual_timer timer{clock, [&] { queue.on_alarm(); }};
  queue.use_alarm(alarm_ref{timer});
  ask(queue);
  auto& waiter = ask(queue);
  EXPECT_EQ(timer.due(), in(10s));
  EXPECT_FALSE(tokens.reconfigure({.limit = {1, 1s}, .burst = 1}));
  EXPECT_LE(timer.due(), in(1s));
  clock.advance(1s);
  EXPECT_TRUE(waiter.admitted());
  queue.use_alarm(alarm_ref{});
}

TEST_F(wait_queue_for_tokens_test, the_wait_for_tokens_is_predicted_exactly) {
  make_policy(rate_limiter_config{.limit = {10, 1s}, .burst = 5});
  queue_type& queue = make_queue({.max_wait = 1h});
  for (int i = 0; i < 5; ++i) ask(queue);
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(ask(queue).waits());
  auto& refused = ask(queue, {.deadline = in(5s)});
  EXPECT_EQ(refused.refusal(), errc::would_miss_deadline);
  EXPECT_NEAR(static_cast<double>(refused.answer->error().predicted_wait().count()), 5.1e9, 1e4);
  EXPECT_TRUE(ask(queue, {.deadline = in(5200ms)}).waits()) << "no evidence is needed";
  queue.close();
  expect_ledger(queue, 57);
}

TEST_F(wait_queue_for_tokens_test, without_an_alarm_whoever_calls_on_alarm_at_next_event_drives) {
  make_policy(rate_limiter_config{.limit = {10, 1s}, .burst = 1});
  queue_type& queue = make_queue({.max_wait = 1h});
  for (int i = 0; i < 4; ++i) ask(queue);
  for (std::size_t i = 1; i < 4; ++i) {
    EXPECT_LE(queue.next_event(), in(100ms));
    clock.set(std::max(clock.now(), queue.next_event()));
    queue.on_alarm();
    EXPECT_TRUE(callers[i].admitted()) << i;
  }
  EXPECT_EQ(queue.next_event(), never);
}

// Blocked threads. The manual clock polls in real time, so nothing here depends on how fast threads run.
class blocked_threads_test : public wait_queue_test {
 protected:
  template <class Queue>
  static void until_waiting(const Queue& queue, std::uint32_t n) {
    while (queue.snapshot().waiting != n) std::this_thread::yield();
  }
};

TEST_F(blocked_threads_test, get_slots_deadlines_stops_and_closure) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  queue_type& queue = make_queue({.max_wait = 1h});
  auto held = queue.acquire();
  ASSERT_TRUE(held);
  std::optional<errc> timed_out, stopped, closed;
  bool granted = false;
  std::stop_source stop;
  const auto code = [](auto& r) { return static_cast<errc>(r.error().code().value()); };
  {
    std::jthread a{[&] {
      auto r = queue.acquire();
      granted = r.has_value();
    }};
    until_waiting(queue, 1);
    std::jthread b{[&] {
      auto r = queue.acquire_until(clock.now() + 1s);
      timed_out = code(r);
    }};
    until_waiting(queue, 2);
    clock.advance(1s);
    b.join();
    std::jthread c{[&] {
      auto r = queue.acquire({}, stop.get_token());
      stopped = code(r);
    }};
    until_waiting(queue, 2);
    stop.request_stop();
    c.join();
    held->release(outcome::success);
    a.join();
    auto again = queue.try_acquire();
    std::jthread d{[&] {
      auto r = queue.acquire();
      closed = code(r);
    }};
    until_waiting(queue, 1);
    queue.close();
  }
  EXPECT_TRUE(granted);
  EXPECT_EQ(timed_out, errc::wait_timeout);
  EXPECT_EQ(stopped, errc::cancelled);
  EXPECT_EQ(closed, errc::closed);
  auto late = queue.acquire({}, stop.get_token());
  EXPECT_EQ(code(late), errc::cancelled) << "stopped before it asked";
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
  EXPECT_EQ(queue.snapshot().arrivals(), 7u);
}

TEST_F(blocked_threads_test, the_first_in_line_drives_the_tokens_and_hands_the_task_on) {
  bucket tokens{{.limit = {10, 1s}, .burst = 1}, {}, clock};
  basic_wait_queue<bucket, manual_clock> queue{tokens, {.max_wait = 1h, .predict = false}, {}, clock};
  ASSERT_TRUE(queue.try_acquire());
  std::atomic<int> granted = 0, timed_out = 0;
  std::vector<std::jthread> threads;
  for (std::uint32_t i = 0; i < 6; ++i) {
    threads.emplace_back([&, i] {
      // The first gives up soon: the next has to take over.
      auto r = i == 0 ? queue.acquire_until(clock.now() + 50ms) : queue.acquire();
      ++(r ? granted : timed_out);
    });
    until_waiting(queue, i + 1);
  }
  clock.advance(50ms);
  threads[0].join();
  EXPECT_EQ(timed_out, 1);
  for (std::uint32_t left = 5; left > 0; --left) {
    EXPECT_EQ(queue.snapshot().waiting, left);
    clock.advance(left == 5 ? 50ms : 100ms);
    until_waiting(queue, left - 1);
  }
  threads.clear();
  EXPECT_EQ(granted, 5);
  EXPECT_EQ(tokens.snapshot().admitted, 6u);
  EXPECT_FALSE(tokens.snapshot().waiting);
}

TEST_F(blocked_threads_test, whoever_is_next_sheds_for_all) {
  limiter& slots = make_policy(concurrency_limiter_config{.limit = 1});
  for (const auto order : {queue_order::fifo, queue_order::lifo}) {
    basic_wait_queue<limiter, manual_clock>& queue = make_queue(
        {.max_wait = 1h, .discipline = {.order = order, .codel = {.on = true, .target = 20ms, .interval = 200ms}}});
    auto held = slots.try_acquire();
    std::atomic<int> shed = 0;
    std::vector<std::jthread> threads;
    for (std::uint32_t i = 0; i < 3; ++i) {
      threads.emplace_back([&] { shed += queue.acquire().error() == errc::shed ? 1 : 0; });
      until_waiting(queue, i + 1);
    }
    clock.advance(200ms);
    until_waiting(queue, 0);
    threads.clear();
    EXPECT_EQ(shed, 3);
    queue_in_front.reset();
  }
}

TEST_F(blocked_threads_test, a_driver_that_woke_too_early_sleeps_on_and_still_drives) {
  bucket tokens{{.limit = {10, 1s}, .burst = 1}, {}, clock};
  basic_wait_queue<bucket, manual_clock> queue{tokens, {.max_wait = 1h, .predict = false}, {}, clock};
  ASSERT_TRUE(queue.try_acquire());
  std::jthread waiter{[&] { EXPECT_TRUE(queue.acquire()); }};
  until_waiting(queue, 1);
  EXPECT_FALSE(tokens.reconfigure({.limit = {1, 1s}, .burst = 1}));
  for (int i = 0; i < 1000 && queue.snapshot().waiting != 0; ++i) {
    clock.advance(50ms);
    std::this_thread::sleep_for(2ms);  // lets it look at the clock at each step
  }
  EXPECT_EQ(queue.snapshot().waiting, 0u);
  queue.close();
}

TEST(blocked_threads_in_real_time_test, default_clock) {
  concurrency_limiter slots{{.limit = 1}};
  wait_queue queue{slots, {.max_wait = 1h}};
  auto held = queue.acquire();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(queue.acquire_until(queue.now() + 5ms).error(), errc::wait_timeout);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 4900us);
  std::jthread other{[&] { EXPECT_TRUE(queue.acquire()); }};
  while (queue.snapshot().waiting == 0) std::this_thread::yield();
  held->release(outcome::success);
}

}  // namespace
}  // namespace weir
