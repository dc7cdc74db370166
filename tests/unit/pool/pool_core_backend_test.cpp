// A backend that does not answer: who is told what, and how carefully it is tried again.
#include "support/pool_driver.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using state = slot_state;

constexpr backoff steady{.initial = 100ms, .cap = 500ms, .jitter = jitter_kind::none};

TEST(PoolBackend, AFailureLeavesWaitersInLineAndIsTriedAgainAfterAPause) {
  pool_driver pool{{.max_size = 4, .max_connecting = 1, .probe = steady}};
  auto& w = pool.ask();
  pool.connect_fails();
  EXPECT_FALSE(w.done);
  EXPECT_TRUE(pool.connecting.empty());
  pool.pass(99ms);
  EXPECT_TRUE(pool.connecting.empty());
  pool.pass(1ms);
  ASSERT_EQ(pool.connecting.size(), 1u);
  EXPECT_EQ(pool.connecting[0]->attempt, 1u);
  pool.connect_ok();
  EXPECT_TRUE(w.granted());
  EXPECT_FALSE(pool.core->is_failing());
}

TEST(PoolBackend, DownAfterThreeFailuresWithNothingAlive) {
  pool_driver pool{{.max_size = 4, .max_connecting = 1, .probe = steady}};
  auto& w = pool.ask();
  pool.connect_fails("one");
  pool.pass(100ms);
  pool.connect_fails("two");
  EXPECT_FALSE(pool.core->is_down());
  pool.pass(200ms);
  pool.connect_fails("three");
  EXPECT_TRUE(pool.core->is_down());
  EXPECT_EQ(w.why, errc::backend_down);
  ASSERT_NE(w.evidence, nullptr);
  ASSERT_NE(w.evidence->last_failure, nullptr);
  EXPECT_EQ(w.evidence->last_failure->text, "three");
  EXPECT_EQ(w.evidence->next_probe_in, 400ms);
  EXPECT_EQ(pool.ask().why, errc::backend_down);
  EXPECT_EQ(pool.events_of(pool_event_kind::backend_down), 1u);
  for (const pool_event& e : pool.events) ASSERT_NE(e.cause, nullptr) << static_cast<int>(e.kind);
  EXPECT_EQ(pool.events.front().cause->text, "one");
  EXPECT_EQ(pool.events.back().cause->text, "three");
  EXPECT_EQ(pool.core->totals().outages, 1u);
}

TEST(PoolBackend, ThousandsThatWaitAreToldOnceAndAtOnce) {
  pool_driver pool{{.max_size = 4, .max_connecting = 4, .max_waiters = 10'000, .probe = steady}};
  for (int i = 0; i < 10'000; ++i) pool.ask();
  for (int i = 0; i < 3; ++i) pool.connect_fails();
  EXPECT_EQ(pool.finished.size(), 10'000u);
  EXPECT_EQ(pool.waiters.front().evidence, pool.waiters.back().evidence) << "one look at the pool for all";
}

TEST(PoolBackend, WhileDownThereIsOneAttemptAtATimeByTheBackoffAlsoWithoutDemand) {
  pool_driver pool{{.max_size = 8, .max_connecting = 4, .probe = steady}};
  for (int i = 0; i < 4; ++i) pool.ask();
  for (int i = 0; i < 4; ++i) pool.connect_fails();
  std::vector<duration> pauses;
  time_point last = pool.now;
  for (int i = 0; i < 5; ++i) {
    while (pool.connecting.empty()) pool.pass(1ms);
    ASSERT_EQ(pool.connecting.size(), 1u);
    pauses.push_back(elapsed(last, pool.now));
    pool.pass(10ms);
    EXPECT_EQ(pool.connecting.size(), 1u);
    pool.connect_fails();
    last = pool.now;
  }
  EXPECT_EQ(pauses, (std::vector<duration>{100ms, 200ms, 400ms, 500ms, 500ms}));
}

TEST(PoolBackend, ItNeverFailsFastWhileSomethingIsAlive) {
  pool_driver pool{{.max_size = 4, .max_connecting = 1, .probe = steady}};
  auto& a = pool.ask();
  pool.connect_ok();
  auto& w = pool.ask();
  for (int i = 0; i < 5; ++i) {
    while (pool.connecting.empty()) pool.pass(10ms);
    pool.connect_fails();
  }
  EXPECT_FALSE(w.done);
  EXPECT_FALSE(pool.core->is_down());
  pool.put(a.slot, give_back::broken);
  EXPECT_FALSE(pool.core->is_down() && pool.closing.empty());
  EXPECT_TRUE(pool.core->is_down()) << "what is being closed is not alive";
  EXPECT_EQ(w.why, errc::backend_down);
}

TEST(PoolBackend, ThoseWhoWantToWaitMay) {
  pool_driver pool{{.max_size = 2, .max_connecting = 1, .on_down = when_down::wait, .down_after = 1, .probe = steady}};
  auto& w = pool.ask();
  pool.connect_fails();
  EXPECT_TRUE(pool.core->is_down());
  EXPECT_FALSE(w.done);
  pool.pass(100ms);
  pool.connect_ok();
  EXPECT_TRUE(w.granted());
}

TEST(PoolBackend, WhoWaitsIsToldWhenWaitingIsNotAllowedAnyMore) {
  pool_driver pool{{.max_size = 2, .max_connecting = 1, .on_down = when_down::wait, .down_after = 1, .probe = steady}};
  auto& w = pool.ask();
  auto& warm = pool.ready(1);
  pool.connect_fails("no route");
  EXPECT_TRUE(pool.core->is_down());
  pool_config impatient = pool.core->config();
  impatient.on_down = when_down::fail_fast;
  std::vector<pool_slot*> none;
  wait_queue_storage line{impatient.waiters_at_most(), impatient.waiting};
  pool.run([&](pool_effects& fx) { pool.core->reconfigure(impatient, none, line, pool.now, fx); });
  EXPECT_EQ(w.why, errc::backend_down);
  ASSERT_NE(w.evidence, nullptr);
  EXPECT_EQ(w.evidence->last_failure->text, "no route");
  EXPECT_EQ(warm.why, errc::backend_down);
  EXPECT_EQ(pool.core->totals().shed_when_down, 1u);
}

TEST(PoolBackend, RecoveryIsOneThenTwoThenFour) {
  pool_driver pool{{.max_size = 20, .max_connecting = 8, .on_down = when_down::wait, .down_after = 1, .probe = steady}};
  for (int i = 0; i < 20; ++i) pool.ask();
  while (!pool.connecting.empty()) pool.connect_fails();
  pool.pass(100ms);
  std::vector<std::size_t> rounds;
  while (pool.finished.size() < 15) {
    rounds.push_back(pool.connecting.size());
    for (std::size_t i = rounds.back(); i > 0; --i) pool.connect_ok();
  }
  EXPECT_EQ(rounds, (std::vector<std::size_t>{1, 2, 4, 8}));
  EXPECT_EQ(pool.events_of(pool_event_kind::backend_up), 1u);
}

TEST(PoolBackend, AttemptsThatFailTogetherAreOneFailureToTheBackoff) {
  pool_driver pool{{.max_size = 8, .max_connecting = 4, .down_after = 100, .probe = steady}};
  for (int i = 0; i < 8; ++i) pool.ask();
  pool.pass(1ms);
  for (int i = 0; i < 4; ++i) pool.connect_fails();
  pool.pass(99ms);
  EXPECT_TRUE(pool.connecting.empty());
  pool.pass(1ms);
  EXPECT_EQ(pool.connecting.size(), 1u) << "100 ms, not 800";
}

TEST(PoolBackend, AnEndpointThatFailsDoesNotKeepTheOthersWaiting) {
  pool_driver pool{{.max_size = 6, .max_connecting = 2, .endpoints = 2, .probe = steady}};
  for (int i = 0; i < 4; ++i) pool.ask();
  ASSERT_EQ(pool.connecting.size(), 2u);
  EXPECT_EQ(pool.connecting[0]->endpoint, 0u);
  EXPECT_EQ(pool.connecting[1]->endpoint, 1u);
  pool.connect_fails();
  pool.connect_ok();
  for (int i = 0; i < 3; ++i) {
    ASSERT_FALSE(pool.connecting.empty());
    for (const pool_slot* s : pool.connecting) EXPECT_EQ(s->endpoint, 1u);
    pool.connect_ok();
  }
  EXPECT_EQ(pool.finished.size(), 4u);
}

TEST(PoolBackend, ALateSuccessAfterShutdownIsClosed) {
  pool_driver pool{{.max_size = 2}};
  pool.ask();
  pool.run([&](pool_effects& fx) { pool.core->close(pool.now, fx); });
  pool.connect_ok();
  EXPECT_EQ(pool.closed_for(close_reason::shutdown), 1u);
  pool.close_ends();
  EXPECT_EQ(pool.core->table().occupied(), 0u);
}

TEST(PoolBackend, MessagesShowTheEvidence) {
  pool_driver pool{{.name = "orders", .max_size = 2, .max_connecting = 2}};
  pool.ask(never, "checkout");
  pool.connect_ok();
  pool.pass(2s);
  pool.ask(never, "report");
  pool.connect_ok();
  pool.pass(20ms);
  auto& oldest = pool.ask(pool.now + 5s);
  pool.pass(2s);
  pool.ask(pool.now + 4s);
  pool.pass(3s);
  ASSERT_TRUE(oldest.done);
  const pool_rejection why{rejection{oldest.why, pool.core->name()}, oldest.waited, oldest.evidence};
  EXPECT_EQ(why.message(),
            "pool 'orders': no connection within 5s (total=2/2, in_use=2, idle=0, connecting=0, waiting=1, oldest_wait=3s, "
            "last_connect_error=none, longest held: checkout 7.02s, report 5.02s)");
}

TEST(PoolBackend, DurationsInMessagesAreShort) {
  EXPECT_EQ(detail::short_duration(5s), "5s");
  EXPECT_EQ(detail::short_duration(4980ms), "4.98s");
  EXPECT_EQ(detail::short_duration(4983ms), "4.98s");
  EXPECT_EQ(detail::short_duration(12345ms), "12.3s");
  EXPECT_EQ(detail::short_duration(123456ms), "123s");
  EXPECT_EQ(detail::short_duration(9999us), "10ms");
  EXPECT_EQ(detail::short_duration(250ms), "250ms");
  EXPECT_EQ(detail::short_duration(999600us), "1s");
  EXPECT_EQ(detail::short_duration(40us), "40us");
  EXPECT_EQ(detail::short_duration(0ns), "0s");
  EXPECT_EQ(detail::short_duration(duration::max()), "ever");
}

}  // namespace
}  // namespace weir
