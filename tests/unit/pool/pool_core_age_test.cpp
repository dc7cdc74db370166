// What time does to connections: renewal one after the other, idle ones, leaks.
#include "support/pool_driver.hpp"

#include <weir/pool/pool_snapshot.hpp>

namespace weir {
namespace {

using namespace std::chrono_literals;
using state = slot_state;

std::vector<pool_event> retirements(const pool_driver& pool) {
  std::vector<pool_event> found;
  for (const pool_event& e : pool.events) {
    if (e.kind == pool_event_kind::closed && e.reason == close_reason::lifetime) found.push_back(e);
  }
  return found;
}

TEST(PoolAge, IdleConnectionsAreRenewedBeforeTheirTimeOneAfterTheOther) {
  pool_driver pool{
      {.max_size = 10, .min_size = 10, .max_connecting = 10, .max_lifetime = 10s, .idle_timeout = duration::max()}};
  pool.finish_jobs();
  pool.jobs_end_at_once = true;
  pool.pass(60s);
  const auto found = retirements(pool);
  ASSERT_GE(found.size(), 50u);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_GE(found[i].took, 8s);
    EXPECT_LE(found[i].took, 10s);
  }
  // A tenth of the lifetime over max_size.
  for (std::size_t i = 1; i < found.size(); ++i) EXPECT_GE(found[i].at - found[i - 1].at, 100ms);
}

TEST(PoolAge, TheNewOneIsOpenedFirstWhereThereIsRoom) {
  pool_driver pool{{.max_size = 2, .min_size = 1, .max_lifetime = 10s, .idle_timeout = duration::max()}};
  pool.connect_ok();
  pool.pass(9s);
  EXPECT_TRUE(retirements(pool).empty());
  ASSERT_EQ(pool.connecting.size(), 1u);
  EXPECT_EQ(pool.in_state(state::idle), 1u);
  pool.connect_ok();
  pool.pass(1ms);
  EXPECT_EQ(retirements(pool).size(), 1u);
  pool.finish_jobs();
  pool.pass(1s);
  EXPECT_EQ(pool.in_state(state::idle), 1u);
  EXPECT_EQ(pool.core->totals().opened, 2u);
}

TEST(PoolAge, AFullPoolRenewsOnlyWhenNobodyWaitsUntilTheLastTenthOfALife) {
  pool_driver pool{{.max_size = 1, .acquire_timeout = duration::max(), .max_lifetime = 10s}};
  auto* holder = &pool.ask();
  pool.connect_ok();
  auto* next = &pool.ask();
  pool.pass(9s - 1ms);
  pool.put(holder->slot);
  EXPECT_TRUE(next->granted()) << "somebody waited";
  EXPECT_TRUE(retirements(pool).empty());
  holder = next;
  next = &pool.ask();
  pool.pass(1ms);
  pool.put(holder->slot);
  EXPECT_FALSE(next->done);
  EXPECT_EQ(retirements(pool).size(), 1u) << "the last tenth is for all to end one after the other";
  pool.finish_jobs();
  EXPECT_TRUE(next->granted());
}

// All as old as each other, and more users than connections all the time.
TEST(PoolAge, ASaturatedPoolRenewsInTimeAndOneAfterTheOther) {
  pool_driver pool{{.max_size = 10,
                    .max_connecting = 10,
                    .acquire_timeout = duration::max(),
                    .predict = false,
                    .max_lifetime = 10s,
                    .leak_after = duration::max()}};
  for (int i = 0; i < 15; ++i) pool.ask();
  pool.finish_jobs();
  for (std::size_t done = 0; retirements(pool).size() < 20;) {
    ASSERT_LT(pool.now - pool.waiters.front().asked_at, 25s);
    const std::size_t granted = pool.finished.size();
    for (; done < granted; ++done) {
      pool.put(pool.finished[done]->slot);
      pool.ask();
    }
    pool.finish_jobs();
    pool.pass(9ms);
  }
  const auto found = retirements(pool);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_GE(found[i].took, 8s);
    EXPECT_LE(found[i].took, 10s);
    if (i > 0) {
      EXPECT_GE(found[i].at - found[i - 1].at, 100ms);
    }
  }
}

TEST(PoolAge, WhatComesBackTooOldIsNotUsedAgainHoweverManyDo) {
  pool_driver pool{{.max_size = 2, .max_connecting = 2, .acquire_timeout = duration::max(), .max_lifetime = 10s}};
  auto& a = pool.ask();
  auto& b = pool.ask();
  pool.finish_jobs();
  auto& next = pool.ask();
  pool.pass(10s);
  EXPECT_FALSE(pool.put_open(a.slot));
  EXPECT_FALSE(pool.put_open(b.slot));
  EXPECT_EQ(retirements(pool).size(), 2u) << "closer to each other than they should be";
  EXPECT_FALSE(next.done);
  pool.finish_jobs();
  EXPECT_TRUE(next.granted());
}

TEST(PoolAge, WhoseTurnToGoIsYetToComeGoesAtTheEndOfItsLife) {
  pool_driver pool{{.max_size = 2, .max_connecting = 2, .max_lifetime = 10s}};
  auto& a = pool.ask();
  auto& b = pool.ask();
  pool.finish_jobs();
  pool.pass(9900ms);
  pool.put(a.slot);
  pool.put(b.slot);
  EXPECT_EQ(retirements(pool).size(), 1u) << "the other one's turn is in half a second";
  pool_slot* again = b.slot->state() == state::idle ? b.slot : a.slot;
  ASSERT_TRUE(again->try_take());
  again->begin_use(pool.now, {}, std::source_location::current());
  pool.now += 150ms;
  EXPECT_FALSE(pool.put_open(again)) << "the pool is to look at it";
  EXPECT_EQ(retirements(pool).size(), 2u);
}

TEST(PoolAge, AConnectionInUseIsRenewedWhenItComesBack) {
  pool_driver pool{{.max_size = 1, .max_lifetime = 10s}};
  auto& a = pool.ask();
  pool.connect_ok();
  pool.pass(9s + 1ms);
  EXPECT_FALSE(pool.put_open(a.slot));
  EXPECT_EQ(retirements(pool).size(), 1u);
  pool.close_ends();
  EXPECT_EQ(pool.connecting.size(), 1u) << "a new one in its place, also without demand";
}

TEST(PoolAge, NothingIdleOutlivesItsLifetime) {
  pool_driver pool{{.max_size = 3,
                    .min_size = 3,
                    .max_connecting = 1,
                    .connect_timeout = 1h,
                    .max_lifetime = 10s,
                    .idle_timeout = duration::max()}};
  pool.connect_ok();
  pool.connect_ok();
  pool.connect_ok();
  pool.pass(9s + 1ms);
  // Nobody answers the attempt to replace: the others must go nevertheless.
  pool.pass(999ms);
  EXPECT_EQ(retirements(pool).size(), 3u);
}

TEST(PoolAge, WhatIsTooOldIsNotLentEvenIfNobodyHasLookedYet) {
  pool_driver pool{{.max_size = 1, .min_size = 1, .max_lifetime = 10s}};
  pool.connect_ok();
  pool.now += 11s;  // nobody has called pass() yet
  EXPECT_EQ(pool.take(), nullptr);
  EXPECT_EQ(retirements(pool).size(), 1u);
  auto& w = pool.ask();
  pool.finish_jobs();
  EXPECT_TRUE(w.granted());
}

TEST(PoolAge, UnusedConnectionsAreClosedDownToMinSize) {
  pool_driver pool{{.max_size = 4, .min_size = 1, .max_connecting = 4, .keepalive = duration::max(), .idle_timeout = 10s}};
  for (int i = 0; i < 4; ++i) pool.ask();
  pool.finish_jobs();
  for (auto& w : pool.waiters) pool.put(w.slot);
  pool.jobs_end_at_once = true;
  pool.pass(10s - 1ms);
  EXPECT_EQ(pool.in_state(state::idle), 4u);
  pool.pass(2ms);
  EXPECT_EQ(pool.in_state(state::idle), 1u);
  EXPECT_EQ(pool.closed_for(close_reason::idle), 3u);
}

TEST(PoolAge, TheOneThatIsUsedStays) {
  pool_driver pool{{.max_size = 3, .min_size = 0, .max_connecting = 3, .keepalive = duration::max(), .idle_timeout = 10s}};
  for (int i = 0; i < 3; ++i) pool.ask();
  pool.finish_jobs();
  for (auto& w : pool.waiters) pool.put(w.slot);
  pool.jobs_end_at_once = true;
  for (int i = 0; i < 30; ++i) {
    pool.pass(500ms);
    pool_slot* s = pool.take();
    ASSERT_NE(s, nullptr);
    pool.put_open(s);
  }
  EXPECT_EQ(pool.in_state(state::idle), 1u);
}

TEST(PoolAge, ALeakIsReportedOnceAndItsReturnToo) {
  pool_driver pool{{.max_size = 2, .leak_after = 1s}};
  auto& a = pool.ask(never, "forgetful");
  pool.connect_ok();
  pool.pass(1s);
  ASSERT_EQ(pool.events_of(pool_event_kind::suspected_leak), 1u);
  EXPECT_EQ(pool.events.back().took, 1s);
  EXPECT_STREQ(pool.events.back().user.tag, "forgetful");
  pool.pass(10s);
  EXPECT_EQ(pool.core->totals().leaks_suspected, 1u);
  EXPECT_FALSE(pool.put_open(a.slot)) << "the pool is told";
  EXPECT_EQ(pool.core->totals().leaks_returned, 1u);
  EXPECT_EQ(pool.events.back().kind, pool_event_kind::returned_leak);
  EXPECT_STREQ(pool.events.back().user.tag, "forgetful");
  pool_slot* again = pool.take();
  pool.pass(10s);
  EXPECT_EQ(pool.core->totals().leaks_suspected, 2u) << "another use of the same connection";
  pool.put(again);
}

TEST(PoolAge, UsesThatNeedNoLockAreWatchedToo) {
  pool_driver pool{{.max_size = 1, .min_size = 1, .leak_after = 2s}};
  pool.connect_ok();
  pool_slot* s = pool.take();
  ASSERT_NE(s, nullptr);
  pool.put(s);
  pool.pass(10s);
  ASSERT_TRUE(s->try_take());
  s->begin_use(pool.now, "x", std::source_location::current());
  pool.pass(3s);
  EXPECT_EQ(pool.core->totals().leaks_suspected, 1u);
  EXPECT_FALSE(pool.put_open(s));
}

TEST(PoolAge, TheAdvisorHearsOfWhatElseIsWrong) {
  pool_driver pool{{.max_size = 4, .max_connecting = 4, .max_lifetime = duration::max(), .leak_after = duration::max()}};
  pool.jobs_end_at_once = true;
  for (int second = 0; second < 300; ++second) {
    auto& w = pool.ask();
    pool.finish_jobs();
    pool.pass(500ms);
    pool.put(w.slot, give_back::discard);
    pool.finish_jobs();
    pool.pass(500ms);
  }
  const pool_advice a = pool.core->advisor().advise(4, 20ms);
  EXPECT_TRUE(a.churns && a.min_idle_is_too_low);
  EXPECT_NEAR(a.opened_per_minute, 60, 2);
  EXPECT_NEAR(a.waits_for_connect, 1, 0.01);
  EXPECT_FALSE(a.never_full);
  auto& w = pool.ask();
  pool.finish_jobs();
  pool.put(w.slot);
  pool.pass(25h);
  pool.put(pool.ask().slot == nullptr ? &pool.connect_ok() : pool.waiters.back().slot);
  pool.pass(2s);
  EXPECT_TRUE(pool.core->advisor().advise(4, 20ms).never_full);
  for (int i = 0; i < 4; ++i) pool.ask();
  pool.finish_jobs();
  EXPECT_EQ(pool.take(), nullptr);
  for (int i = 0; i < 4; ++i) pool.put(pool.finished[pool.finished.size() - 4 + static_cast<std::size_t>(i)]->slot);
  pool.pass(2s);
  EXPECT_FALSE(pool.core->advisor().advise(4, 20ms).never_full) << "somebody found no place, for a moment";
}

// ---- reclaiming leaks ----

class PoolLeaks : public testing::Test {
 protected:
  static constexpr pool_abilities can{.aborts = true};
  static pool_config config(std::uint32_t size) {
    return {.max_size = size, .min_size = size, .max_connecting = size, .leak_after = 1s, .leak_reclaim = 2s};
  }
};

TEST_F(PoolLeaks, WhoHasJustTakenItHasNotHeldItSinceTheLastOne) {
  pool_driver pool{config(1), can};
  pool.finish_jobs();
  pool_slot* slot = pool.take();
  ASSERT_TRUE(slot != nullptr);
  ASSERT_TRUE(pool.put_open(slot) || slot->state() == slot_state::idle);
  pool.now += 1h;
  ASSERT_TRUE(slot->is_open() && slot->try_take()) << "without the lock; begin_use is yet to come";
  pool.run([&](pool_effects& fx) { pool.core->pass(pool.now, fx); });
  EXPECT_EQ(pool.core->totals().leaks_suspected, 0u);
  EXPECT_FALSE(pool.core->has_leaks());
  EXPECT_LT(detail::take_snapshot(*pool.core, pool.now).in_use_seconds, 1.0);
  pool_slot::use u;
  EXPECT_FALSE(slot->read_use(u));
  pool.run([&](pool_effects& fx) { pool.core->take_back(*slot, pool.now, fx); });
}

TEST_F(PoolLeaks, APlaceIsTakenBackWithoutTheConnection) {
  pool_driver pool{config(1), can};
  pool.finish_jobs();
  pool_slot* leaked = pool.take();
  auto& w = pool.ask(pool.now + 1h);
  pool.pass(3s - 1ns);
  pool.reclaim();
  EXPECT_EQ(pool.in_state(slot_state::in_use), 1u) << "reported only";
  pool.pass(1ns);
  pool.reclaim();
  EXPECT_EQ(pool.in_state(slot_state::lost), 1u);
  EXPECT_EQ(pool.aborting, std::deque<pool_slot*>{leaked});
  EXPECT_EQ(pool.closed_for(close_reason::leak), 1u);
  EXPECT_EQ(pool.events.back().reason, close_reason::leak);
  pool.finish_jobs();
  EXPECT_FALSE(w.granted()) << "while it is being aborted it is one of the server's";
  pool.abort_ends();
  pool.finish_jobs();
  ASSERT_TRUE(w.granted()) << "by another connection, in another place";
  EXPECT_NE(w.slot, leaked);
  EXPECT_EQ(pool.core->table().occupied(), 1u) << "max_size: the one that was aborted counts no more";
  EXPECT_FALSE(pool.core->is_empty());
}

TEST_F(PoolLeaks, WhatComesBackLateIsClosedOnceAndGivesNothingBack) {
  for (const bool while_aborted : {false, true}) {
    pool_driver pool{config(1), can};
    pool.finish_jobs();
    pool_slot* leaked = pool.take();
    pool.pass(3s);
    pool.reclaim();
    if (!while_aborted) pool.abort_ends();
    EXPECT_FALSE(pool.put_open(leaked));
    EXPECT_EQ(pool.core->totals().leaks_returned, 1u);
    if (while_aborted) {
      EXPECT_TRUE(pool.closing.empty());
      EXPECT_EQ(pool.core->table().occupied(), 0u) << "nothing in its place yet";
      pool.abort_ends();
    }
    pool.connect_ok();
    ASSERT_EQ(pool.in_state(slot_state::idle), 1u);
    EXPECT_EQ(pool.closing, std::deque<pool_slot*>{leaked});
    EXPECT_EQ(pool.core->table().occupied(), 1u) << "the idle one, and not the one being closed";
    pool.close_ends();
    EXPECT_EQ(pool.in_state(slot_state::lost), 0u);
    EXPECT_EQ(pool.in_state(slot_state::vacant), 1u);
    EXPECT_EQ(pool.closed_for(close_reason::leak), 1u);
    pool_slot* next = pool.take();
    ASSERT_NE(next, nullptr);
    EXPECT_EQ(pool.ask().slot, nullptr) << "nothing was given back twice";
    pool.pass(3s);
    pool.reclaim();
    EXPECT_EQ(pool.slots.size(), 2u) << "the place of the last one is used again";
    pool.finish_jobs();
    pool.put(next);
  }
}

TEST_F(PoolLeaks, WhoComesBackInTimeKeepsItsPlace) {
  pool_driver pool{config(1), can};
  pool.finish_jobs();
  pool_slot* slow = pool.take();
  pool.now += 3s;
  pool.run([&](pool_effects& fx) { pool.core->pass(pool.now, fx); });
  ASSERT_TRUE(pool.core->has_leaks());
  pool.put(slow);
  ASSERT_EQ(pool.take(), slow);
  pool.reclaim();
  EXPECT_TRUE(pool.aborting.empty()) << "another use";
  pool.pass(3s - 1ms);
  ASSERT_TRUE(pool.core->may_detach(*slow));
  pool.pass(1s);
  pool.reclaim();
  EXPECT_TRUE(pool.aborting.empty()) << "is being taken out";
  pool.put(slow, give_back::detached);
  pool.finish_jobs();
  EXPECT_EQ(pool.in_state(slot_state::idle), 1u);
}

TEST_F(PoolLeaks, NoMoreThanMaxSizeAreLost) {
  pool_driver pool{config(2), can};
  std::vector<pool_slot*> kept;
  for (int round = 0; round < 4; ++round) {
    pool.finish_jobs();
    for (int i = 0; i < 2; ++i) kept.push_back(pool.take());
    pool.pass(4s);
    pool.reclaim();
    while (!pool.aborting.empty()) pool.abort_ends();
    EXPECT_LE(pool.in_state(slot_state::lost), 2u);
    if (round > 0) break;
  }
  EXPECT_EQ(pool.in_state(slot_state::in_use), 2u) << "stricter, not looser";
  ASSERT_TRUE(pool.core->may_detach(*kept[0]));
  pool.put(kept[0], give_back::detached);
  EXPECT_TRUE(pool.closing.empty());
  pool.pass(1s);
  pool.reclaim();
  EXPECT_EQ(pool.in_state(slot_state::in_use), 1u) << "there is room for one more";
  EXPECT_EQ(pool.closed_for(close_reason::detached), 0u) << "was counted as a leak";
}

TEST_F(PoolLeaks, WhereMaxSizeWasLoweredNoMoreAreLostUntilEnoughHaveComeBack) {
  pool_driver pool{config(3), can};
  pool.finish_jobs();
  std::vector<pool_slot*> kept{pool.take(), pool.take()};
  pool.pass(3s);
  pool.reclaim();
  while (!pool.aborting.empty()) pool.abort_ends();
  pool_config smaller = config(1);
  std::vector<pool_slot*> all = pool.core->table().slots();
  while (all.size() < 7) all.push_back(&pool.slots.emplace_back());  // room is there
  wait_queue_storage line{smaller.waiters_at_most(), smaller.waiting};
  pool.most_allowed = 3;
  pool.run([&](pool_effects& fx) { pool.core->reconfigure(smaller, all, line, pool.now, fx); });
  pool.finish_jobs();
  kept.push_back(pool.take());
  ASSERT_NE(kept.back(), nullptr);
  for (const std::uint32_t lost : {2u, 1u}) {
    pool.pass(4s);
    pool.reclaim();
    EXPECT_EQ(pool.in_state(slot_state::lost), lost);
    EXPECT_EQ(pool.in_state(slot_state::in_use), 1u) << "max_size are lost";
    pool.put(kept[2 - lost]);
    pool.finish_jobs();
  }
  pool.pass(1s);
  pool.reclaim();
  EXPECT_EQ(pool.in_state(slot_state::lost), 1u) << "now it may be";
  EXPECT_EQ(pool.in_state(slot_state::in_use), 0u);
}

TEST_F(PoolLeaks, WhatIsLostIsNotInUse) {
  pool_driver pool{config(1), can};
  pool.finish_jobs();
  pool_slot* leaked = pool.take();
  const auto in_use_seconds = [&] { return detail::take_snapshot(*pool.core, pool.now).in_use_seconds; };
  pool.pass(3s);
  pool.reclaim();
  pool.abort_ends();
  EXPECT_DOUBLE_EQ(in_use_seconds(), 3.0);
  pool.pass(100s);
  EXPECT_DOUBLE_EQ(in_use_seconds(), 3.0);
  leaked->end_use(pool.now, 1s);
  EXPECT_DOUBLE_EQ(in_use_seconds(), 3.0) << "also before the pool is told";
  pool.run([&](pool_effects& fx) { pool.core->put(*leaked, give_back::used, pool.now, fx); });
  EXPECT_DOUBLE_EQ(in_use_seconds(), 3.0);
  EXPECT_EQ(leaked->held.sum(), 103s) << "but so long it was held";
  pool.finish_jobs();
  EXPECT_DOUBLE_EQ(in_use_seconds(), 3.0);
  pool_slot* next = pool.take();
  pool.pass(2s);
  EXPECT_DOUBLE_EQ(in_use_seconds(), 5.0);
  pool.put(next);
  EXPECT_DOUBLE_EQ(in_use_seconds(), 5.0);
}

TEST_F(PoolLeaks, NothingIsTakenBackUnlessConfiguredAndPossible) {
  for (const bool possible : {true, false}) {
    pool_config c = config(1);
    if (possible) c.leak_reclaim = duration::max();
    pool_driver pool{c, {.aborts = possible}};
    pool.finish_jobs();
    pool_slot* leaked = pool.take();
    pool.pass(1h);
    pool.reclaim();
    EXPECT_EQ(leaked->state(), possible ? slot_state::in_use : slot_state::lost) << "the shell asks for abort";
    EXPECT_TRUE(pool.aborting.empty());
    pool.put(leaked);
    pool.finish_jobs();
  }
}

TEST_F(PoolLeaks, ATenantsShareComesBackOnce) {
  pool_config c = config(2);
  c.waiting = {.order = queue_order::tenants, .tenants = {{.tenant = 1, .max_in_use = 1}}};
  pool_driver pool{c, can};
  pool.finish_jobs();
  pool_slot* leaked = pool.take(nullptr, {}, 1);
  EXPECT_EQ(pool.take(nullptr, {}, 1), nullptr);
  pool.pass(3s);
  pool.reclaim();
  pool.finish_jobs();
  EXPECT_NE(pool.take(nullptr, {}, 1), nullptr);
  pool.abort_ends();
  pool.put(leaked);
  pool.finish_jobs();
  EXPECT_EQ(pool.take(nullptr, {}, 1), nullptr) << "not twice";
}

// ---- waiting for the pool as a whole ----

TEST(PoolDrain, EndsWhenTheLastConnectionIsClosed) {
  pool_driver pool{{.max_size = 4, .min_size = 3, .max_connecting = 4}, {.resets = true}};
  pool.finish_jobs();
  pool_slot* a = pool.take();
  pool_slot* b = pool.take();
  pool.ready(4);
  ASSERT_EQ(pool.connecting.size(), 1u);
  auto& drained = pool.drain();
  EXPECT_EQ(pool.overdue.size(), 1u) << "nobody wants what is being opened any more";
  EXPECT_EQ(pool.ask().why, errc::closed);
  EXPECT_EQ(pool.watchers[0].why, errc::closed);
  pool.connect_fails("cancelled");
  EXPECT_EQ(pool.events_of(pool_event_kind::connect_failed), 0u) << "it did not fail";
  pool.finish_jobs();
  pool.put(a);
  EXPECT_TRUE(pool.resetting.empty()) << "nobody will use it";
  pool.put(b);
  pool.close_ends();
  EXPECT_FALSE(drained.done);
  EXPECT_EQ(pool.in_state(slot_state::closing), 1u);
  pool.close_ends();
  ASSERT_TRUE(drained.done);
  EXPECT_EQ(drained.why, errc{});
  EXPECT_TRUE(drained.report.is_complete());
  EXPECT_TRUE(pool.core->is_empty());
  EXPECT_TRUE(pool.drain().done) << "nothing is there: at once";
}

TEST(PoolDrain, SaysAtItsDeadlineWhatThereIsStill) {
  pool_driver pool{{.max_size = 3, .min_size = 3, .max_connecting = 3, .leak_after = duration::max()}};
  pool.finish_jobs();
  pool_slot* a = pool.take();
  pool_slot* b = pool.take();
  const time_point deadline = pool.now + 2718ms;
  auto& drained = pool.drain(deadline);
  pool.put(b);
  pool.pass(2718ms - 1ns);
  EXPECT_FALSE(drained.done);
  pool.pass(1s);
  ASSERT_TRUE(drained.done);
  EXPECT_EQ(drained.done_at, deadline);
  EXPECT_EQ(drained.why, errc{});
  EXPECT_EQ(drained.report.in_use, 1u);
  EXPECT_EQ(drained.report.aborted, 0u) << "this backend cannot";
  EXPECT_EQ(drained.report.under_way, 2u) << "are still being closed";
  EXPECT_FALSE(drained.report.is_complete());
  pool.put(a);
  pool.finish_jobs();
  EXPECT_TRUE(pool.core->is_empty()) << "later is not never";
}

TEST(PoolDrain, AtItsDeadlineConnectionsAreAbortedUnderTheirUsersAndClosedAfterThat) {
  pool_driver pool{{.max_size = 3, .min_size = 3, .max_connecting = 3}, {.aborts = true}};
  pool.finish_jobs();
  pool_slot* slow = pool.take();
  pool_slot* quick = pool.take();
  pool_slot* leaves = pool.take();
  ASSERT_TRUE(pool.core->may_detach(*leaves));
  auto& drained = pool.drain(pool.now);
  ASSERT_TRUE(drained.done);
  EXPECT_EQ(drained.report.in_use, 3u);
  EXPECT_EQ(drained.report.aborted, 2u) << "but the one that is being taken out";
  pool.put(leaves, give_back::detached);
  ASSERT_EQ(pool.aborting, (std::deque<pool_slot*>{quick, slow}));
  EXPECT_FALSE(pool.core->may_detach(*quick)) << "not while it is aborted";
  pool.put(quick);
  EXPECT_EQ(quick->state(), slot_state::closing);
  EXPECT_TRUE(pool.closing.empty()) << "not while it is aborted";
  pool.abort_ends();
  ASSERT_EQ(pool.closing.size(), 1u);
  EXPECT_EQ(pool.closing[0], quick);
  pool.abort_ends();
  EXPECT_EQ(pool.closing.size(), 1u) << "is still in use";
  EXPECT_EQ(pool.drain(pool.now).report.aborted, 1u);
  EXPECT_TRUE(pool.aborting.empty()) << "once is enough";
  EXPECT_TRUE(pool.core->may_detach(*slow));
  pool.put(slow);
  pool.finish_jobs();
  EXPECT_TRUE(pool.core->is_empty());
}

TEST(PoolDrain, MayBeGivenUpAndThePoolStaysClosed) {
  pool_driver pool{{.max_size = 1, .min_size = 1}};
  pool.finish_jobs();
  pool_slot* a = pool.take();
  auto& drained = pool.drain(pool.now + 1h);
  EXPECT_TRUE(pool.run([&](pool_effects& fx) { return pool.core->cancel(drained, pool.now, fx); }));
  EXPECT_EQ(drained.why, errc::cancelled);
  EXPECT_NE(drained.evidence, nullptr);
  EXPECT_FALSE(pool.run([&](pool_effects& fx) { return pool.core->cancel(drained, pool.now, fx); }));
  auto& other = pool.drain();
  EXPECT_TRUE(pool.core->withdraw(other, pool.now));
  EXPECT_FALSE(pool.core->withdraw(other, pool.now));
  EXPECT_EQ(pool.ask().why, errc::closed);
  pool.put(a);
  pool.finish_jobs();
  EXPECT_FALSE(other.done);
}

TEST(PoolReady, OpensWhatIsMissingAndCountsWhatIsInUse) {
  pool_driver pool{{.max_size = 4, .max_connecting = 2}};
  pool.ask();
  pool.connect_ok();
  auto& three = pool.ready(3);
  EXPECT_EQ(pool.connecting.size(), 2u);
  pool.connect_ok();
  EXPECT_FALSE(three.done);
  pool.connect_ok();
  ASSERT_TRUE(three.done);
  EXPECT_EQ(three.why, errc{});
  EXPECT_EQ(three.warm, 3u);
  EXPECT_TRUE(pool.connecting.empty());
  EXPECT_TRUE(pool.ready(3).done);
  EXPECT_TRUE(pool.ready(0).done);
  auto& four = pool.ready(4);
  EXPECT_EQ(pool.connecting.size(), 1u);
  pool.run([&](pool_effects& fx) { pool.core->invalidate(pool.now, fx); });
  pool.finish_jobs();
  EXPECT_TRUE(four.done) << "what is in use counts, also if it will not be used again";
}

TEST(PoolReady, OfASuspendedPoolWaitsForItToGoOn) {
  pool_driver pool{{.max_size = 2}};
  pool.run([&](pool_effects& fx) { pool.core->suspend(pool.now, fx); });
  auto& patient = pool.ready(1);
  auto& hasty = pool.ready(1, pool.now + 1s);
  EXPECT_TRUE(pool.connecting.empty());
  pool.pass(1s);
  EXPECT_EQ(hasty.why, errc::wait_timeout);
  EXPECT_TRUE(hasty.evidence->suspended);
  EXPECT_FALSE(patient.done);
  pool.run([&](pool_effects& fx) { pool.core->resume(pool.now, fx); });
  pool.finish_jobs();
  EXPECT_TRUE(patient.done);
  EXPECT_EQ(patient.why, errc{});
}

TEST(PoolReady, SaysWhyItCannotBe) {
  pool_driver pool{{.max_size = 2, .min_size = 1, .max_connecting = 2, .down_after = 1}};
  EXPECT_EQ(pool.ready(3).why, errc::never_admissible);
  EXPECT_EQ(pool.ready(2, pool.now).why, errc::expired);
  EXPECT_EQ(pool.connecting.size(), 1u) << "nothing is opened for these";
  auto& late = pool.ready(2, pool.now + 1ms);
  pool.pass(1ms);
  EXPECT_EQ(late.why, errc::wait_timeout);
  ASSERT_NE(late.evidence, nullptr);
  EXPECT_EQ(late.evidence->connecting, 2u);
  auto& hopeful = pool.ready(1);
  pool.connect_fails("no route");
  EXPECT_EQ(hopeful.why, errc::backend_down);
  EXPECT_EQ(hopeful.evidence->last_failure->text, "no route");
  EXPECT_EQ(pool.ready(1).why, errc::backend_down);
  pool.run([&](pool_effects& fx) { pool.core->close(pool.now, fx); });
  EXPECT_EQ(pool.ready(1).why, errc::closed);
}

}  // namespace
}  // namespace weir
