// Connections, one step at a time: what is taken, what is opened, who is served.
#include "support/pool_driver.hpp"

#include <weir/pool/pool_snapshot.hpp>

namespace weir {
namespace {

using namespace std::chrono_literals;
using state = slot_state;

TEST(PoolCore, OpensNothingUntilSomebodyAsks) {
  pool_driver pool{{.max_size = 3}};
  EXPECT_TRUE(pool.connecting.empty());
  auto& w = pool.ask();
  EXPECT_FALSE(w.done);
  ASSERT_EQ(pool.connecting.size(), 1u);
  pool.connect_ok();
  EXPECT_TRUE(w.granted());
  EXPECT_EQ(pool.in_state(state::in_use), 1u);
}

TEST(PoolCore, KeepsMinSizeOpenFromTheStart) {
  pool_driver pool{{.max_size = 5, .min_size = 3, .max_connecting = 2}};
  EXPECT_EQ(pool.connecting.size(), 2u) << "as many at a time as may be";
  pool.connect_ok();
  EXPECT_EQ(pool.connecting.size(), 2u);
  pool.finish_jobs();
  EXPECT_EQ(pool.in_state(state::idle), 3u);
}

TEST(PoolCore, KeepsMinIdleReady) {
  pool_driver pool{{.max_size = 4, .min_idle = 2, .max_connecting = 4}};
  pool.finish_jobs();
  EXPECT_EQ(pool.in_state(state::idle), 2u);
  ASSERT_NE(pool.take(), nullptr);
  pool.finish_jobs();
  pool.pass(1ms);
  pool.finish_jobs();
  EXPECT_EQ(pool.in_state(state::idle), 2u) << "beside the one in use";
}

TEST(PoolCore, ConnectsForWaitersInParallelUpToTheBound) {
  pool_driver pool{{.max_size = 10, .max_connecting = 3}};
  for (int i = 0; i < 8; ++i) pool.ask();
  EXPECT_EQ(pool.connecting.size(), 3u);
  pool.connect_ok();
  EXPECT_EQ(pool.connecting.size(), 3u);
  EXPECT_EQ(pool.finished.size(), 1u);
  pool.finish_jobs();
  EXPECT_EQ(pool.finished.size(), 8u);
  EXPECT_EQ(pool.in_state(state::in_use), 8u);
}

TEST(PoolCore, NeverOpensMoreThanMaxSizeAlsoCountingWhatIsBeingClosed) {
  pool_driver pool{{.max_size = 2, .max_connecting = 2}};
  auto& a = pool.ask();
  pool.ask();
  pool.ask();
  pool.finish_jobs();
  pool.put(a.slot, give_back::discard);
  EXPECT_EQ(pool.in_state(state::closing), 1u);
  EXPECT_TRUE(pool.connecting.empty()) << "the server still has both";
  pool.close_ends();
  EXPECT_EQ(pool.connecting.size(), 1u);
  pool.connect_ok();
  EXPECT_EQ(pool.finished.size(), 3u);
}

TEST(PoolCore, WhicheverComesFirstServesTheFirst) {
  pool_driver pool{{.max_size = 2}};
  auto& a = pool.ask();
  pool.finish_jobs();
  auto& b = pool.ask();
  ASSERT_EQ(pool.connecting.size(), 1u) << "one is being opened for b";
  pool.put(a.slot);
  EXPECT_TRUE(b.granted()) << "but one came back before";
  pool.connect_ok();
  EXPECT_EQ(pool.in_state(state::idle), 1u) << "the new one is kept";
}

TEST(PoolCore, ServesInTheOrderOfAskingAndNobodyOvertakes) {
  pool_driver pool{{.max_size = 1}};
  auto& first = pool.ask();
  pool.finish_jobs();
  std::vector<pool_driver::waiter*> line;
  for (int i = 0; i < 5; ++i) line.push_back(&pool.ask());
  for (std::size_t i = 0; i < line.size(); ++i) {
    errc why{};
    EXPECT_EQ(pool.take(&why), nullptr) << "a newcomer";
    EXPECT_EQ(why, errc::over_capacity);
    pool.put(i == 0 ? first.slot : line[i - 1]->slot);
    for (std::size_t k = 0; k < line.size(); ++k) EXPECT_EQ(line[k]->granted(), k <= i);
  }
}

TEST(PoolCore, TheWarmestIsUsedFirstOrEachInTurn) {
  for (const auto order : {idle_order::lifo, idle_order::fifo}) {
    pool_driver pool{{.max_size = 3, .min_size = 3, .order = order}};
    pool.finish_jobs();
    std::vector<pool_slot*> used;
    for (int i = 0; i < 6; ++i) {
      used.push_back(pool.take());
      pool.put(used.back());
    }
    if (order == idle_order::lifo) {
      for (const pool_slot* s : used) EXPECT_EQ(s, used[0]);
    } else {
      for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(used[i], used[i + 3]);
      EXPECT_NE(used[0], used[1]);
      EXPECT_NE(used[1], used[2]);
    }
  }
}

TEST(PoolCore, AWaiterIsNeverServedAfterItsDeadline) {
  pool_driver pool{{.max_size = 1}};
  auto& holder = pool.ask();
  pool.finish_jobs();
  auto& late = pool.ask(pool.now + 10ms);
  auto& patient = pool.ask(pool.now + 1s);
  pool.now += 10ms;  // nobody has called pass() yet
  pool.put(holder.slot);
  EXPECT_TRUE(late.done);
  EXPECT_EQ(late.slot, nullptr);
  EXPECT_EQ(late.why, errc::wait_timeout);
  EXPECT_TRUE(patient.granted());
}

TEST(PoolCore, ADeadlineThatNobodyGaveIsTheAcquireTimeout) {
  pool_driver pool{{.max_size = 1, .acquire_timeout = 50ms}};
  pool.ask();
  pool.finish_jobs();
  auto& w = pool.ask();
  EXPECT_EQ(w.deadline, pool.now + 50ms);
  pool.pass(49ms);
  EXPECT_FALSE(w.done);
  pool.pass(1ms);
  EXPECT_EQ(w.why, errc::wait_timeout);
}

TEST(PoolCore, TooManyWaitersAreRefused) {
  pool_driver pool{{.max_size = 1, .max_waiters = 2}};
  pool.ask();
  pool.finish_jobs();
  pool.ask();
  pool.ask();
  EXPECT_EQ(pool.ask().why, errc::queue_full);
}

TEST(PoolCore, ACancelledWaiterLeavesTheConnectionToThePool) {
  pool_driver pool{{.max_size = 2}};
  auto& w = pool.ask();
  ASSERT_EQ(pool.connecting.size(), 1u);
  EXPECT_TRUE(pool.run([&](pool_effects& fx) { return pool.core->cancel(w, pool.now, fx); }));
  EXPECT_EQ(w.why, errc::cancelled);
  pool.connect_ok();
  EXPECT_EQ(pool.in_state(state::idle), 1u);
  EXPECT_FALSE(pool.run([&](pool_effects& fx) { return pool.core->cancel(w, pool.now, fx); }));
}

TEST(PoolCore, OpenConnectionsGoBackAndForthWithoutTheLockUntilSomebodyWaits) {
  pool_driver pool{{.max_size = 2, .min_size = 2, .max_connecting = 2}};
  pool.finish_jobs();
  pool_slot* a = pool.take();
  pool.put(a);
  ASSERT_TRUE(a->is_open());
  ASSERT_TRUE(a->try_take());
  a->begin_use(pool.now, {}, std::source_location::current());
  EXPECT_EQ(pool.in_state(state::in_use), 1u);
  EXPECT_EQ(pool.in_state(state::idle), 1u);
  pool_slot* b = pool.take();
  ASSERT_NE(b, nullptr);
  EXPECT_NE(b, a);
  auto& w = pool.ask();
  EXPECT_FALSE(w.done);
  EXPECT_FALSE(a->is_open());
  EXPECT_FALSE(pool.put_open(a)) << "the pool has to know";
  EXPECT_TRUE(w.granted());
  EXPECT_EQ(w.slot, a);
}

TEST(PoolCore, AConnectionPutBackBeforeTheWaiterLinesUpIsFound) {
  pool_driver pool{{.max_size = 1, .min_size = 1}};
  pool.finish_jobs();
  pool_slot* a = pool.take();
  pool.put(a);
  ASSERT_TRUE(a->try_take());
  a->begin_use(pool.now, {}, std::source_location::current());
  ASSERT_TRUE(pool.put_open(a));
  EXPECT_TRUE(pool.ask().granted());
}

// A thread takes the connection that it had before without the lock, finds that it lay for too long, and meanwhile somebody
// has lined up who waits for just this one.
TEST(PoolCore, WhatWasTakenInVainServesWhoHasLinedUpMeanwhile) {
  for (const int what : {0, 1, 2}) {
    SCOPED_TRACE(what);
    pool_driver pool{{.max_size = 1, .min_size = 1, .keepalive = duration::max()}, {.validates = true}};
    pool.finish_jobs();
    pool_slot* slot = pool.take();
    pool.put(slot);
    pool.now += 2s;
    ASSERT_TRUE(slot->try_take());
    auto& waiting = pool.ask();
    EXPECT_FALSE(waiting.done);
    if (what == 1) pool.run([&](pool_effects& fx) { pool.core->invalidate(pool.now, fx); });
    if (what == 2) pool.run([&](pool_effects& fx) { pool.core->close(pool.now, fx); });
    pool.run([&](pool_effects& fx) { pool.core->take_back(*slot, pool.now, fx); });
    EXPECT_EQ(slot->state(), what == 0 ? state::validating : state::closing);
    pool.finish_jobs();
    EXPECT_EQ(waiting.granted(), what != 2);
  }
}

TEST(PoolCore, KnowsWhetherAllAreWithOneThread) {
  pool_driver pool{{.max_size = 2, .max_connecting = 2}};
  auto& a = pool.ask();
  pool.finish_jobs();
  a.slot->is_with(7);
  EXPECT_FALSE(pool.core->are_all_with(7)) << "one more can be opened";
  auto& b = pool.ask();
  EXPECT_FALSE(pool.core->are_all_with(7)) << "and it is on its way";
  pool.finish_jobs();
  b.slot->is_with(7);
  EXPECT_TRUE(pool.core->are_all_with(7));
  EXPECT_FALSE(pool.core->are_all_with(8));
  auto& next = pool.ask();
  pool.put(a.slot);
  ASSERT_TRUE(next.granted());
  EXPECT_FALSE(pool.core->are_all_with(7)) << "another one's by now, who has not said so yet";
}

// ---- validation ----

TEST(PoolCore, WhatLayIdleForLongIsAskedFirst) {
  pool_driver pool{{.max_size = 1, .min_size = 1, .keepalive = duration::max()}, {.validates = true}};
  pool.finish_jobs();
  pool.pass(1s);
  EXPECT_NE(pool.take(), nullptr) << "just fresh enough";
  pool.put(&pool.slots[0]);
  pool.pass(1s + 1ns);
  auto& w = pool.ask();
  EXPECT_FALSE(w.done);
  ASSERT_EQ(pool.validating.size(), 1u);
  pool.validate_ends(true);
  EXPECT_TRUE(w.granted());
}

TEST(PoolCore, ADeadConnectionCostsTheWaiterNotItsPlace) {
  pool_driver pool{{.max_size = 2, .min_size = 2, .max_connecting = 2, .keepalive = duration::max()}, {.validates = true}};
  pool.finish_jobs();
  pool.pass(2s);
  auto& first = pool.ask();
  auto& second = pool.ask();
  ASSERT_EQ(pool.validating.size(), 2u);
  pool.validate_ends(false);
  EXPECT_FALSE(first.done);
  EXPECT_EQ(pool.closed_for(close_reason::validation), 1u);
  pool.validate_ends(true);
  EXPECT_TRUE(first.granted()) << "the first in line gets the first that is alive";
  EXPECT_FALSE(second.done);
  pool.finish_jobs();
  EXPECT_TRUE(second.granted());
}

TEST(PoolCore, OnlyAsManyAreAskedAsThereAreWaiters) {
  pool_driver pool{{.max_size = 4, .min_size = 4, .max_connecting = 4, .keepalive = duration::max()}, {.validates = true}};
  pool.finish_jobs();
  pool.pass(2s);
  pool.ask();
  EXPECT_EQ(pool.validating.size(), 1u);
  pool.ask();
  EXPECT_EQ(pool.validating.size(), 2u);
  EXPECT_EQ(pool.in_state(state::idle), 2u);
}

TEST(PoolCore, KeepalivesOfAnIdlePoolAreSpreadAndFew) {
  pool_driver pool{
      {.max_size = 20, .min_size = 20, .max_connecting = 20, .validate_timeout = 1min, .idle_timeout = duration::max()},
      {.validates = true}};
  pool.finish_jobs();
  pool.pass(27s - 1ns);
  EXPECT_TRUE(pool.validating.empty());
  pool.pass(6s);
  EXPECT_EQ(pool.validating.size(), 2u) << "a tenth of them at a time";
  pool.jobs_end_at_once = true;
  pool.finish_jobs();
  pool.pass(1s);
  EXPECT_EQ(pool.core->lasted().validated.count(), 20u);
  EXPECT_EQ(pool.in_state(state::idle), 20u);
}

TEST(PoolCore, WhatHasBeenIdleForLongestIsKeptAliveFirst) {
  pool_driver pool{{.max_size = 20,
                    .min_size = 20,
                    .max_connecting = 20,
                    .validate_after_idle = 1h,
                    .validate_timeout = 1min,
                    .idle_timeout = duration::max()},
                   {.validates = true}};
  pool.finish_jobs();
  std::vector<pool_slot*> used;
  for (int i = 0; i < 20; ++i) used.push_back(pool.take());
  pool.pass(25s);
  for (pool_slot* s : used) {
    pool.now += 1ms;
    pool.put(s);
  }
  pool.now += 9s;  // all are due
  std::vector<pool_slot*> asked;
  for (int i = 0; i < 20; ++i) {
    while (pool.validating.empty()) pool.pass(10ms);
    while (!pool.validating.empty()) {
      asked.push_back(pool.validating[0]);
      pool.validate_ends(true);
    }
  }
  EXPECT_GE(asked.size(), 20u);
  asked.resize(20);
  EXPECT_EQ(asked, used);
}

TEST(PoolCore, AKeepaliveMakesNoConnectionTheWarmest) {
  pool_driver pool{
      {.max_size = 2, .min_size = 2, .max_connecting = 2, .validate_after_idle = 1h, .idle_timeout = duration::max()},
      {.validates = true}};
  pool.finish_jobs();
  pool_slot* warm = pool.take();
  pool_slot* other = pool.take();
  pool.put(other);
  pool.pass(1ms);
  pool.put(warm);
  pool.jobs_end_at_once = true;
  pool.pass(200s);
  EXPECT_GE(pool.core->lasted().validated.count(), 10u);
  EXPECT_EQ(pool.take(), warm);
}

TEST(PoolCore, WhatTakesTooLongIsReportedOverdueOnce) {
  pool_driver pool{{.max_size = 2, .connect_timeout = 100ms}};
  pool.ask();
  pool.connect_ok();  // the pool looks at it every second
  auto& w = pool.ask(pool.now + 10s);
  pool.pass(99ms);
  EXPECT_TRUE(pool.overdue.empty());
  pool.pass(2ms);
  ASSERT_EQ(pool.overdue.size(), 1u);
  EXPECT_EQ(pool.overdue[0], pool.connecting[0]);
  pool.pass(4s);
  EXPECT_EQ(pool.overdue.size(), 1u);
  pool.connect_fails("timed out");
  EXPECT_EQ(pool.core->totals().connect_timed_out, 1u);
  EXPECT_FALSE(w.done);
}

// In a blocking pool nobody can call it back, however long it takes.
TEST(PoolCore, WhatDoesNotAnswerInTimeKeepsNobodyFromGettingAnother) {
  pool_driver pool{{.max_size = 3, .min_size = 2, .validate_timeout = 100ms}, {.validates = true}};
  pool.finish_jobs();
  pool.finish_jobs();
  pool.pass(2s);
  auto& w = pool.ask();
  ASSERT_EQ(pool.validating.size(), 1u);
  pool.pass(100ms);
  ASSERT_EQ(pool.validating.size(), 2u) << "the other one is asked";
  EXPECT_TRUE(pool.connecting.empty());
  pool.pass(100ms);
  ASSERT_EQ(pool.connecting.size(), 1u) << "and then another one is opened";
  pool.connect_ok();
  EXPECT_TRUE(w.granted());
  pool.validate_ends(true);
  pool.validate_ends(true);
  EXPECT_EQ(pool.closed_for(close_reason::validation), 2u);
  pool.finish_jobs();
  pool.pass(2s);
  pool.ask();
  EXPECT_EQ(pool.validating.size(), 1u);
  EXPECT_TRUE(pool.core->take_up(*pool.validating[0], pool.now += 200ms)) << "which had to wait for a thread";
  pool.validate_ends(true);
  EXPECT_EQ(pool.finished.size(), 2u);
}

// Between being told and acting on it, a shell may find the place at its next job.
TEST(PoolCore, WhatIsOverdueHasANumberOfItsOwn) {
  pool_driver pool{{.max_size = 1, .connect_timeout = 100ms, .down_after = 9, .probe = {.initial = 1ms, .cap = 1ms}}};
  pool.ask();
  pool.now += 100ms;
  pool_effects fx;
  pool.core->pass(pool.now, fx);
  const overdue_job late = pool.core->take_overdue();
  ASSERT_EQ(late.slot, pool.connecting[0]);
  EXPECT_EQ(late.number, late.slot->job);
  pool.connect_fails("in the last moment");
  pool.pass(10ms);
  ASSERT_EQ(pool.connecting[0], late.slot) << "the next attempt";
  EXPECT_NE(late.number, late.slot->job);
}

TEST(PoolCore, TheTimeOfAJobRunsFromWhenSomebodyDoesIt) {
  pool_driver pool{{.max_size = 2, .max_connecting = 2, .connect_timeout = 100ms}};
  pool.ask();
  pool_slot& slot = *pool.connecting[0];
  pool.pass(150ms);
  EXPECT_EQ(pool.overdue.size(), 1u);
  EXPECT_TRUE(pool.core->take_up(slot, pool.now));
  EXPECT_EQ(slot.due, pool.now + 100ms);
  pool.pass(90ms);
  pool.connect_ok();
  EXPECT_LE(pool.core->lasted().connected.sum(), 90ms);
  EXPECT_EQ(pool.overdue.size(), 1u);
  pool.ask();
  pool_slot& second = *pool.connecting.at(0);
  pool.run([&](pool_effects& fx) { pool.core->close(pool.now, fx); });
  EXPECT_FALSE(pool.core->take_up(second, pool.now)) << "nobody wants it any more";
  pool.connect_fails("");
  EXPECT_EQ(pool.events_of(pool_event_kind::connect_failed), 0u);
}

// ---- reset ----

TEST(PoolCore, ResetsBeforeTheNextUserUnlessToldThatItIsClean) {
  pool_driver pool{{.max_size = 1}, {.resets = true}};
  auto& a = pool.ask();
  pool.finish_jobs();
  auto& b = pool.ask();
  pool.put(a.slot);
  EXPECT_EQ(pool.in_state(state::resetting), 1u);
  EXPECT_FALSE(b.done);
  pool.reset_ends(true);
  EXPECT_TRUE(b.granted());
  auto& c = pool.ask();
  pool.put(b.slot, give_back::clean);
  EXPECT_TRUE(c.granted());
}

TEST(PoolCore, AFailedResetClosesIt) {
  pool_driver pool{{.max_size = 1}, {.resets = true}};
  pool.ask();
  pool.finish_jobs();
  pool.put(&pool.slots[0]);
  pool.reset_ends(false);
  EXPECT_EQ(pool.closed_for(close_reason::reset), 1u);
}

// ---- shutting down, suspending, changing ----

TEST(PoolCore, CloseRefusesEverybodyAndEndsEveryConnection) {
  pool_driver pool{{.max_size = 3, .max_connecting = 1}};
  auto& a = pool.ask();
  auto& b = pool.ask();
  pool.finish_jobs();
  auto& connecting = pool.ask();
  EXPECT_FALSE(connecting.done);
  pool.run([&](pool_effects& fx) { pool.core->close(pool.now, fx); });
  EXPECT_EQ(connecting.why, errc::closed);
  EXPECT_EQ(pool.ask().why, errc::closed);
  pool.put(a.slot);
  pool.put(b.slot);
  pool.finish_jobs();
  EXPECT_EQ(pool.core->table().occupied(), 0u);
}

TEST(PoolCore, ASuspendedPoolLetsWaitersWaitWithTheirDeadlinesRunning) {
  pool_driver pool{{.max_size = 2}};
  auto& a = pool.ask();
  pool.finish_jobs();
  pool.run([&](pool_effects& fx) { pool.core->suspend(pool.now, fx); });
  errc why{};
  EXPECT_EQ(pool.take(&why), nullptr);
  EXPECT_EQ(why, errc::suspended);
  pool_driver::waiter hasty, patient;
  for (auto* w : {&hasty, &patient}) {
    w->driver = &pool;
    w->deadline = pool.now + (w == &hasty ? 10ms : 1s);
    EXPECT_FALSE(pool.run([&](pool_effects& fx) { return pool.core->wait(*w, pool.now, fx); }));
  }
  EXPECT_TRUE(pool.connecting.empty()) << "nothing is opened meanwhile";
  pool.put(a.slot);
  EXPECT_FALSE(patient.done);
  pool.pass(10ms);
  EXPECT_EQ(hasty.why, errc::wait_timeout);
  ASSERT_NE(hasty.evidence, nullptr);
  EXPECT_TRUE(hasty.evidence->suspended);
  pool.run([&](pool_effects& fx) { pool.core->resume(pool.now, fx); });
  EXPECT_TRUE(patient.granted());
}

TEST(PoolCore, NoConnectionOfASuspendedPoolIsTakenWithoutTheLock) {
  pool_driver pool{{.max_size = 2, .min_size = 2, .max_connecting = 2}};
  pool.finish_jobs();
  for (pool_slot* s : {pool.take(), pool.take()}) pool.put(s);
  EXPECT_EQ(pool.core->table().open_count(), 2u);
  pool.run([&](pool_effects& fx) { pool.core->suspend(pool.now, fx); });
  for (pool_slot& s : pool.slots) EXPECT_FALSE(s.try_take());
}

TEST(PoolCore, InvalidateReplacesWhatIsOpenAndWhatIsOnTheWay) {
  pool_driver pool{{.max_size = 3, .min_size = 3, .max_connecting = 3}};
  pool.connect_ok();
  pool.connect_ok();
  pool_slot* used = pool.take();
  pool.run([&](pool_effects& fx) { pool.core->invalidate(pool.now, fx); });
  EXPECT_EQ(pool.in_state(state::closing), 1u);
  pool.connect_ok();
  EXPECT_EQ(pool.in_state(state::closing), 2u) << "who knows to what that one was connected";
  pool.put(used);
  EXPECT_EQ(pool.closed_for(close_reason::invalidated), 3u);
  pool.finish_jobs();
  EXPECT_EQ(pool.in_state(state::idle), 3u);
}

TEST(PoolCore, ABurstOfBrokenConnectionsEndsTheOthersToo) {
  pool_driver pool{{.max_size = 6, .min_size = 6, .max_connecting = 6}};
  pool.finish_jobs();
  std::vector<pool_slot*> used;
  for (int i = 0; i < 4; ++i) used.push_back(pool.take());
  pool.put(used[0], give_back::broken);
  pool.pass(600ms);
  pool.put(used[1], give_back::broken);
  pool.pass(500ms);
  pool.put(used[2], give_back::broken);
  EXPECT_EQ(pool.core->totals().purges, 0u) << "three, but not within a second";
  pool.pass(100ms);
  pool.put(used[3], give_back::broken);
  EXPECT_EQ(pool.core->totals().purges, 1u);
  EXPECT_EQ(pool.closed_for(close_reason::invalidated), 2u);
  EXPECT_EQ((pool.events.end() - 2)->kind, pool_event_kind::purged) << "not forgotten, however many were closed for it";
  pool.finish_jobs();
  EXPECT_EQ(pool.in_state(state::idle), 6u);
  EXPECT_EQ(pool.core->totals().purges, 1u);
}

TEST(PoolCore, WhatItsUsersDiscardIsBrokenToo) {
  pool_driver pool{{.max_size = 4, .min_size = 4, .max_connecting = 4}};
  pool.finish_jobs();
  std::vector<pool_slot*> used;
  for (int i = 0; i < 3; ++i) used.push_back(pool.take());
  for (pool_slot* slot : used) pool.put(slot, give_back::discard);
  EXPECT_EQ(pool.core->totals().purges, 1u);
  EXPECT_EQ(pool.closed_for(close_reason::discarded), 3u);
  EXPECT_EQ(pool.closed_for(close_reason::invalidated), 1u);
}

TEST(PoolCore, WhatWasOpenedBeforeAPurgeDoesNotPurgeAgain) {
  pool_driver pool{{.max_size = 8, .min_size = 8, .max_connecting = 8}};
  pool.finish_jobs();
  std::vector<pool_slot*> used;
  for (int i = 0; i < 8; ++i) used.push_back(pool.take());
  for (pool_slot* s : used) {
    pool.put(s, give_back::broken);
    pool.finish_jobs();
  }
  EXPECT_EQ(pool.core->totals().purges, 1u);
  EXPECT_EQ(pool.closed_for(close_reason::broken), 8u);
  EXPECT_EQ(pool.closed_for(close_reason::invalidated), 2u) << "the two that were opened before, none since";
}

TEST(PoolCore, NoEventOfALargeStepIsForgottenAndWhatIsIsCounted) {
  for (const bool observed : {true, false}) {
    pool_driver pool{{.max_size = 40, .min_size = 40, .max_connecting = 40}, {.observed = observed}};
    pool.finish_jobs();
    while (pool.core->take_event()) {
    }
    const std::uint64_t before = pool.core->events();
    const std::uint64_t missed = pool.core->missed_events();
    EXPECT_EQ(missed, observed ? 0u : 24u);
    pool.run([&](pool_effects& fx) { pool.core->invalidate(pool.now, fx, "failover"); });
    const std::uint64_t all = pool.core->events() - before;
    EXPECT_EQ(all, 41u);
    std::uint64_t told = 0;
    pool_event last;
    while (auto e = pool.core->take_event()) {
      EXPECT_TRUE(told == 0 || e->sequence == last.sequence + 1);
      ++told;
      last = *e;
    }
    EXPECT_EQ(last.kind, pool_event_kind::invalidated);
    EXPECT_STREQ(last.note, "failover");
    EXPECT_EQ(told, observed ? all : pool_core::recent_events);
    EXPECT_EQ(detail::take_snapshot(*pool.core, pool.now).missed_events - missed, all - told);
    // A larger pool keeps more, and what was there.
    std::vector<pool_event> room(pool_core::events_of_a_step(60, true));
    pool.core->keep_events_in(room);
    for (std::uint64_t k = 0; k < pool_core::recent_events; ++k) {
      EXPECT_EQ(pool.core->event(pool.core->events() - k).sequence, pool.core->events() - k);
    }
  }
}

TEST(PoolCore, ADetachedConnectionFreesItsPlace) {
  pool_driver pool{{.max_size = 1}};
  auto& a = pool.ask();
  pool.finish_jobs();
  auto& b = pool.ask();
  pool.put(a.slot, give_back::detached);
  EXPECT_EQ(pool.closed_for(close_reason::detached), 1u);
  EXPECT_TRUE(pool.closing.empty());
  pool.finish_jobs();
  EXPECT_TRUE(b.granted());
}

TEST(PoolCore, ASmallerPoolGetsThereAsConnectionsComeBack) {
  pool_driver pool{{.max_size = 4, .min_size = 4, .max_connecting = 4}};
  pool.finish_jobs();
  std::vector<pool_slot*> used;
  for (int i = 0; i < 3; ++i) used.push_back(pool.take());
  pool.most_allowed = 4;
  pool_config smaller{.max_size = 2};
  std::vector<pool_slot*> none;
  wait_queue_storage line{smaller.waiters_at_most(), smaller.waiting};
  pool.run([&](pool_effects& fx) { pool.core->reconfigure(smaller, none, line, pool.now, fx); });
  EXPECT_EQ(pool.closed_for(close_reason::shrink), 1u);
  for (pool_slot* s : used) pool.put(s);
  pool.finish_jobs();
  EXPECT_EQ(pool.closed_for(close_reason::shrink), 2u);
  EXPECT_EQ(pool.core->table().occupied(), 2u);
}

TEST(PoolCore, ALargerPoolServesWaitersAtOnce) {
  pool_driver pool{{.max_size = 1}};
  pool.ask();
  pool.finish_jobs();
  auto& w = pool.ask();
  EXPECT_FALSE(w.done);
  pool_config larger{.max_size = 3};
  wait_queue_storage line{larger.waiters_at_most(), larger.waiting};
  std::vector<pool_slot*> all = pool.core->table().slots();
  for (int i = 0; i < 2; ++i) all.push_back(&pool.slots.emplace_back());
  pool.run([&](pool_effects& fx) { pool.core->reconfigure(larger, all, line, pool.now, fx); });
  pool.finish_jobs();
  EXPECT_TRUE(w.granted());
}

// ---- who is next ----

TEST(PoolCore, TheNewestFirstIfSoConfigured) {
  pool_driver pool{{.max_size = 1, .waiting = {.order = queue_order::lifo}}};
  auto& holder = pool.ask();
  pool.connect_ok();
  auto& old = pool.ask();
  auto& young = pool.ask();
  pool.put(holder.slot);
  EXPECT_TRUE(young.granted());
  EXPECT_FALSE(old.done);
}

TEST(PoolCore, CodelShedsAlsoWhenNothingComesBack) {
  pool_driver pool{{.max_size = 1, .waiting = {.codel = {.on = true, .target = 20ms, .interval = 200ms}}}};
  pool.ask();
  pool.connect_ok();
  auto& stuck = pool.ask();
  pool.pass(500ms);
  EXPECT_EQ(stuck.why, errc::shed);
  EXPECT_LT(stuck.done_at, pool.now);
}

TEST(PoolCore, TenantsHaveCapsAndReservations) {
  queue_discipline fair{
      .order = queue_order::tenants,
      .tenants = {{.tenant = 1, .max_in_use = 2}, {.tenant = 2, .reserved = 1}, {.tenant = 3, .max_waiting = 1}}};
  pool_driver pool{{.max_size = 4, .max_connecting = 4, .waiting = fair}};
  std::vector<pool_driver::waiter*> one, three;
  for (int i = 0; i < 3; ++i) one.push_back(&pool.ask(never, {}, 1));
  pool.finish_jobs();
  EXPECT_TRUE(one[0]->granted() && one[1]->granted());
  EXPECT_FALSE(one[2]->done) << "has two already";
  three.push_back(&pool.ask(never, {}, 3));
  pool.finish_jobs();
  EXPECT_TRUE(three[0]->granted());
  three.push_back(&pool.ask(never, {}, 3));
  EXPECT_FALSE(three[1]->done) << "the last one is reserved";
  EXPECT_EQ(pool.ask(never, {}, 3).why, errc::quota);
  auto& two = pool.ask(never, {}, 2);
  pool.finish_jobs();
  EXPECT_TRUE(two.granted());
  pool.put(one[0]->slot);
  EXPECT_TRUE(one[2]->granted() || three[1]->granted());
}

TEST(PoolCore, NothingIsOpenedForThoseWhomAShareHoldsBack) {
  queue_discipline fair{.order = queue_order::tenants,
                        .tenants = {{.tenant = 1, .max_in_use = 1}, {.tenant = 2, .reserved = 2}}};
  pool_driver pool{{.max_size = 4, .max_connecting = 4, .waiting = fair}, {.validates = true}};
  auto& one = pool.ask(never, {}, 1);
  auto& held_back = pool.ask(never, {}, 1);
  EXPECT_EQ(pool.connecting.size(), 1u) << "its cap is 1";
  for (int i = 0; i < 4; ++i) pool.ask(never, {}, 3);
  EXPECT_EQ(pool.connecting.size(), 2u) << "of four, one is not lent by tenant 2 nor wanted by tenant 1";
  pool.finish_jobs();
  EXPECT_EQ(pool.core->table().occupied(), 2u);
  auto& two = pool.ask(never, {}, 2);
  EXPECT_EQ(pool.connecting.size(), 1u);
  pool.finish_jobs();
  EXPECT_TRUE(two.granted());
  pool.put(two.slot);
  EXPECT_EQ(pool.in_state(state::idle), 1u);
  pool.pass(2s);
  EXPECT_TRUE(pool.validating.empty()) << "nor is one asked whether it is alive";
  EXPECT_FALSE(held_back.done);
  pool.put(one.slot);
  pool.finish_jobs();
  EXPECT_EQ(pool.finished.size(), 4u) << "it, or one of the others: as the order says";
}

TEST(PoolCore, ASmallTenantIsNotStarvedByALargeOne) {
  queue_discipline fair{.order = queue_order::tenants, .tenants = {{.tenant = 1, .weight = 9}, {.tenant = 2, .weight = 1}}};
  pool_driver pool{
      {.max_size = 2, .max_connecting = 2, .acquire_timeout = duration::max(), .max_waiters = 3000, .waiting = fair}};
  for (int i = 0; i < 2000; ++i) pool.ask(never, {}, 1);
  for (int i = 0; i < 500; ++i) pool.ask(never, {}, 2);
  pool.finish_jobs();
  int small = 0;
  constexpr std::size_t served = 1000;
  for (std::size_t i = 0; i < served; ++i) {
    small += pool.finished.at(i)->tenant == 2 ? 1 : 0;
    pool.put(pool.finished[i]->slot);
  }
  EXPECT_GE(small, 90) << "one in ten";
  EXPECT_LE(small, 110);
}

TEST(PoolCore, AClockThatGoesBackChangesNothing) {
  pool_driver pool{{.max_size = 1, .acquire_timeout = 100ms}};
  auto& a = pool.ask();
  pool.finish_jobs();
  auto& b = pool.ask();
  pool.now -= 1h;
  pool.put(a.slot);
  EXPECT_TRUE(b.granted());
  auto& c = pool.ask(pool.now + 2h);
  pool.now += 1h + 99ms;
  pool.run([&](pool_effects& fx) { pool.core->pass(pool.now, fx); });
  EXPECT_FALSE(c.done);
  pool.pass(1ms);
  EXPECT_EQ(c.why, errc::wait_timeout);
}

}  // namespace
}  // namespace weir
