// The storm that took a database proxy down (vitess#20310): ten thousand waiters with deadlines of one second on eight
// connections whose users take three times as long for five seconds. In virtual time, with this pool's own decisions.
#include "support/pool_driver.hpp"

#include <weir/core/random.hpp>

#include <queue>

namespace weir {
namespace {

using namespace std::chrono_literals;

struct storm_result {
  std::uint64_t granted = 0, in_time = 0;  // of those who asked, or were served, during the storm
  double capacity = 0;
  duration recovery{};  // when the last call asked, after the storm, that got nothing
  std::uint32_t most_waiting = 0;
};

/// 14,400 calls a second that hold for 0.5 ms: nine tenths of what eight connections can do; for five seconds 1.5 ms.
storm_result storm(pool_config config) {
  constexpr duration hold = 500us, slow_hold = 1500us, spacing = duration{1s} / 14'400;
  config.max_size = config.min_size = config.max_connecting = 8;
  config.max_waiters = 20'000;
  config.idle_timeout = config.keepalive = config.max_lifetime = config.leak_after = duration::max();
  pool_driver pool{config};
  pool.finish_jobs();
  const time_point begin = pool.now, from = begin + 1s, until = from + 5s, end = until + 3s;

  struct use {
    time_point done;
    pool_slot* slot;
    time_point deadline;
    bool operator<(const use& other) const { return done > other.done; }
  };
  std::priority_queue<use> uses;
  std::size_t seen = 0;
  storm_result result;
  random_stream random{1, "storm"};
  const auto hold_now = [&] { return random.exponential(pool.now >= from && pool.now < until ? slow_hold : hold); };
  const auto collect = [&] {
    for (; seen < pool.finished.size(); ++seen) {
      auto& w = *pool.finished[seen];
      if (w.granted()) uses.push({pool.now + hold_now(), w.slot, w.deadline});
    }
  };
  time_point next = begin;
  while (pool.now < end) {
    const time_point event = std::min({next, uses.empty() ? never : uses.top().done, pool.core->next_event()});
    pool.now = std::max(pool.now, event);
    if (event == next) {
      next += random.exponential(spacing);
      auto& w = pool.ask(pool.now + 1s);
      if (w.granted() && w.where != wait_node::state::ended) uses.push({pool.now + hold_now(), w.slot, w.deadline});
    } else if (!uses.empty() && event == uses.top().done) {
      const use u = uses.top();
      uses.pop();
      if (pool.now >= from && pool.now < until) {
        ++result.granted;
        result.in_time += pool.now <= u.deadline ? 1 : 0;
      }
      pool.put(u.slot);
    } else {
      pool.run([&](pool_effects& fx) { pool.core->pass(pool.now, fx); });
    }
    collect();
    result.most_waiting = std::max(result.most_waiting, pool.core->queue().size());
  }
  result.capacity = 8.0 * 5 / std::chrono::duration<double>(slow_hold).count();
  for (const auto& w : pool.waiters) {
    if (w.done && w.slot == nullptr && w.asked_at > until) result.recovery = elapsed(until, w.asked_at);
  }
  EXPECT_EQ(pool.core->totals().expired_handoffs, 0u);
  return result;
}

void expect_calm(const storm_result& r) {
  EXPECT_GE(r.most_waiting, 2000u);
  EXPECT_GE(static_cast<double>(r.granted), 0.95 * r.capacity) << "connections do not lie idle while somebody waits";
  EXPECT_LE(r.recovery, 1s);
}

TEST(PoolStorm, NobodyExpiredIsServedAndItEndsByItself) {
  const auto r = storm({.predict = false});
  expect_calm(r);
  EXPECT_GE(r.most_waiting, 10'000u);
}

TEST(PoolStorm, PredictionRefusesThoseWhoWouldBeServedTooLate) {
  const auto without = storm({.predict = false});
  const auto with = storm({.predict = true});
  expect_calm(with);
  EXPECT_LT(with.most_waiting, without.most_waiting);
  EXPECT_LT(static_cast<double>(without.in_time), 0.5 * without.capacity) << "served with their last millisecond";
  EXPECT_GT(static_cast<double>(with.in_time), 0.9 * with.capacity);
}

TEST(PoolStorm, CodelServesNearlyEverybodyInTime) {
  const auto r = storm({.waiting = {.codel = {.on = true}}});
  expect_calm(r);
  EXPECT_GE(static_cast<double>(r.in_time), 0.95 * r.capacity);
}

TEST(PoolStorm, NewestFirstServesNearlyEverybodyInTime) {
  const auto r = storm({.waiting = {.order = queue_order::adaptive_lifo}});
  expect_calm(r);
  EXPECT_GE(static_cast<double>(r.in_time), 0.95 * r.capacity);
}

}  // namespace
}  // namespace weir
