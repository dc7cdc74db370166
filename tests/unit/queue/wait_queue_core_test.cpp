// Decisions of the waiting queue, on plain instants: order, bound, deadlines, prediction at the door.
#include <weir/queue/wait_queue_core.hpp>

#include <weir/core/random.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;

struct waiter : wait_node {
  explicit waiter(time_point until = never, std::uint32_t its_cost = 1) {
    deadline = until;
    cost = its_cost;
    complete = [](wait_node& node, wait_outcome how) noexcept { static_cast<waiter&>(node).outcomes.push_back(how); };
  }
  std::vector<wait_outcome> outcomes;
};

class wait_queue_core_test : public ::testing::Test {
 protected:
  time_point at(duration d) const { return start + d; }
  // g++ cannot deduce through optional's comparison with an enumerator of a class with operator==.
  static errc refused(const std::optional<errc>& answer) { return answer.value(); }

  void complete() { complete_all(out); }

  const time_point start{1h};
  ready_list out;
};

TEST_F(wait_queue_core_test, grants_in_order_of_arrival) {
  wait_queue_core core{8};
  std::deque<waiter> waiters(5);
  for (auto& w : waiters) ASSERT_FALSE(core.enqueue(w, at(0s)));
  EXPECT_EQ(core.size(), 5u);
  for (auto& w : waiters) EXPECT_EQ(core.grant(at(1s), out), &w);
  EXPECT_EQ(core.grant(at(1s), out), nullptr);
  complete();
  for (auto& w : waiters) {
    EXPECT_EQ(w.outcomes, std::vector{wait_outcome::granted});
    EXPECT_EQ(w.waited, 1s);
  }
  EXPECT_EQ(core.totals().ended[0], 5u);
  EXPECT_EQ(core.waits(wait_outcome::granted).snapshot().max(), 1s);
}

TEST_F(wait_queue_core_test, is_bounded) {
  wait_queue_core core{2};
  waiter a, b, c;
  EXPECT_FALSE(core.enqueue(a, at(0s)));
  EXPECT_FALSE(core.enqueue(b, at(0s)));
  EXPECT_EQ(refused(core.enqueue(c, at(0s))), errc::queue_full);
  EXPECT_EQ(core.totals().queue_full, 1u);
  EXPECT_TRUE(core.unlink(a, at(0s)));
  EXPECT_FALSE(core.enqueue(c, at(0s))) << "a place is free again";
  core.close(at(0s), out);
  complete();

  wait_queue_core none{0};
  EXPECT_EQ(refused(none.enqueue(a, at(0s))), errc::queue_full);
}

TEST_F(wait_queue_core_test, nobody_is_granted_at_or_after_its_deadline) {
  wait_queue_core core{8};
  waiter early{at(1s)}, late{at(2s)};
  ASSERT_FALSE(core.enqueue(early, at(0s)));
  ASSERT_FALSE(core.enqueue(late, at(0s)));
  EXPECT_EQ(core.next_event(), at(1s));
  EXPECT_EQ(core.grant(at(1s), out), &late) << "a deadline is the first instant that is too late";
  complete();
  EXPECT_EQ(early.outcomes, std::vector{wait_outcome::timed_out});
  EXPECT_EQ(late.outcomes, std::vector{wait_outcome::granted});
  EXPECT_EQ(core.next_event(), never);

  waiter gone{at(1s)};
  EXPECT_EQ(refused(core.enqueue(gone, at(1s))), errc::expired);
}

TEST_F(wait_queue_core_test, expires_by_deadline_not_by_order) {
  wait_queue_core core{64};
  std::deque<waiter> waiters;
  for (int i = 0; i < 40; ++i) {
    auto& w = waiters.emplace_back(i % 4 == 3 ? never : at(std::chrono::seconds{1 + (i * 17) % 40}));
    ASSERT_FALSE(core.enqueue(w, at(0s)));
  }
  for (int second = 0; second <= 41; ++second) {
    core.expire(at(std::chrono::seconds{second}), out);
    complete();
    for (auto& w : waiters) EXPECT_EQ(w.outcomes.size(), w.deadline <= at(std::chrono::seconds{second}) ? 1u : 0u);
  }
  EXPECT_EQ(core.size(), 10u) << "who has no deadline";
  core.close(at(41s), out);
  complete();
}

TEST_F(wait_queue_core_test, knows_the_next_deadline_whoever_leaves) {
  random_stream random{7, "heap"};
  for (int round = 0; round < 50; ++round) {
    wait_queue_core core{64};
    std::deque<waiter> waiters;
    std::vector<waiter*> in;
    const auto leave = [&] {
      const auto which = in.begin() + static_cast<std::ptrdiff_t>(random.below(in.size()));
      EXPECT_TRUE(core.unlink(**which, at(0s)));
      in.erase(which);
    };
    const auto expect_next = [&] {
      time_point next = never;
      for (const waiter* w : in) next = std::min(next, w->deadline);
      ASSERT_EQ(core.next_event(), next);
    };
    for (int i = 0; i < 200; ++i) {
      if (in.size() < 64 && random.below(5) < 3) {
        in.push_back(&waiters.emplace_back(at(std::chrono::milliseconds{1 + random.below(1000)})));
        ASSERT_FALSE(core.enqueue(*in.back(), at(0s)));
      } else if (!in.empty()) {
        leave();
      }
      expect_next();
    }
    while (!in.empty()) leave(), expect_next();
  }
}

TEST_F(wait_queue_core_test, cancelling_decides_once) {
  wait_queue_core core{8};
  waiter a, b, c{at(5s)};
  for (auto* w : {&a, &b, &c}) ASSERT_FALSE(core.enqueue(*w, at(0s)));
  EXPECT_TRUE(core.cancel(b, at(1s), out));
  EXPECT_FALSE(core.cancel(b, at(1s), out));
  EXPECT_EQ(core.grant(at(1s), out), &a);
  EXPECT_FALSE(core.cancel(a, at(1s), out)) << "granted before";
  EXPECT_TRUE(core.unlink(c, at(2s)));
  EXPECT_EQ(core.next_event(), never) << "its deadline has left with it";
  complete();
  EXPECT_EQ(a.outcomes, std::vector{wait_outcome::granted});
  EXPECT_EQ(b.outcomes, std::vector{wait_outcome::cancelled});
  EXPECT_TRUE(c.outcomes.empty()) << "unlink gives it back without completing it";
  EXPECT_EQ(core.totals().ended[static_cast<int>(wait_outcome::cancelled)], 2u);
  EXPECT_TRUE(core.empty());
}

TEST_F(wait_queue_core_test, close_ends_all_and_keeps_the_door_shut) {
  wait_queue_core core{8};
  waiter a, b{at(5s)}, c;
  ASSERT_FALSE(core.enqueue(a, at(0s)));
  ASSERT_FALSE(core.enqueue(b, at(0s)));
  core.close(at(1s), out);
  complete();
  EXPECT_EQ(a.outcomes, std::vector{wait_outcome::closed});
  EXPECT_EQ(b.outcomes, std::vector{wait_outcome::closed});
  EXPECT_EQ(refused(core.enqueue(c, at(2s))), errc::closed);
  EXPECT_EQ(core.totals().closed, 1u);
}

TEST_F(wait_queue_core_test, an_older_now_is_the_latest_one_seen) {
  wait_queue_core core{8};
  waiter a{at(10s)}, b{at(4s)};
  ASSERT_FALSE(core.enqueue(a, at(5s)));
  EXPECT_EQ(refused(core.enqueue(b, at(0s))), errc::expired) << "it was 5 s before";
  EXPECT_EQ(core.grant(at(-1h), out), &a);
  complete();
  EXPECT_EQ(a.waited, 0s);
  EXPECT_EQ(core.waiter_seconds(at(0s)), 0);
}

TEST_F(wait_queue_core_test, integrates_the_length_over_time) {
  wait_queue_core core{8};
  waiter a, b;
  ASSERT_FALSE(core.enqueue(a, at(0s)));
  ASSERT_FALSE(core.enqueue(b, at(2s)));
  EXPECT_EQ(core.oldest_wait(at(3s)), 3s);
  core.grant(at(5s), out);
  EXPECT_EQ(core.oldest_wait(at(6s)), 4s);
  core.grant(at(6s), out);
  complete();
  EXPECT_DOUBLE_EQ(core.waiter_seconds(at(10s)), 2 + 2 * 3 + 1);
  EXPECT_EQ(core.oldest_wait(at(10s)), 0s);
}

TEST_F(wait_queue_core_test, reconfigure_keeps_who_waits) {
  wait_queue_core core{2};
  std::deque<waiter> waiters;
  for (int i = 0; i < 2; ++i) ASSERT_FALSE(core.enqueue(waiters.emplace_back(at(9s)), at(0s)));
  wait_queue_storage more{4, {}};
  core.reconfigure(4, {}, {}, more);
  for (int i = 0; i < 2; ++i) ASSERT_FALSE(core.enqueue(waiters.emplace_back(at(8s)), at(0s)));
  EXPECT_EQ(refused(core.enqueue(waiters.emplace_back(), at(0s))), errc::queue_full);

  wait_queue_storage less{1, {}};
  core.reconfigure(1, {}, {}, less);
  EXPECT_EQ(core.room(), 4u) << "those who wait stay";
  EXPECT_EQ(core.size(), 4u);
  EXPECT_EQ(refused(core.enqueue(waiters.emplace_back(), at(0s))), errc::queue_full);
  EXPECT_EQ(core.next_event(), at(8s));
  core.expire(at(9s), out);
  complete();
  EXPECT_TRUE(core.empty());
}

// wait_prediction_test: 10 hand-offs per second, always `length` in line.
class wait_prediction_test : public wait_queue_core_test {
 protected:
  void move_for(duration how_long, duration spacing = 100ms) {
    for (const time_point end = now + how_long; now + spacing <= end;) {
      while (core.size() < 10) ASSERT_FALSE(core.enqueue(waiters.emplace_back(), now));
      now += spacing;
      core.grant(now, out);
      complete();
    }
  }
  void TearDown() override {
    core.close(now, out);
    complete();
  }
  std::optional<errc> ask(duration patience, std::uint32_t cost = 1) {
    return core.enqueue(waiters.emplace_back(now + patience, cost), now);
  }
  duration predicted() { return core.predicted_wait(1, now).value(); }
  static bool near(duration a, duration b) { return a > b * 9 / 10 && a < b * 11 / 10; }

  wait_queue_core core{1000, {.on = true, .tau = 5s}};
  std::deque<waiter> waiters;
  time_point now = start;
};

TEST_F(wait_prediction_test, says_nothing_without_evidence) {
  move_for(1900ms);
  EXPECT_FALSE(core.predicted_wait(1, now)) << "19 hand-offs";
  EXPECT_FALSE(ask(1ms));
  move_for(100ms);
  EXPECT_TRUE(core.predicted_wait(1, now));
}

TEST_F(wait_prediction_test, refuses_who_would_miss_its_deadline_and_nobody_else) {
  move_for(10s);
  ASSERT_EQ(core.size(), 9u);
  EXPECT_TRUE(near(predicted(), 1s)) << predicted().count();
  EXPECT_EQ(refused(ask(1100ms)), errc::would_miss_deadline) << "it would be served just so";
  EXPECT_FALSE(ask(1400ms)) << "the predicted second and a quarter fit";
  EXPECT_FALSE(ask(weir::duration::max() / 2));
  EXPECT_EQ(core.totals().would_miss_deadline, 1u);
}

TEST_F(wait_prediction_test, counts_cost_not_calls) {
  move_for(10s);
  EXPECT_EQ(refused(ask(1s, 30)), errc::would_miss_deadline);
  EXPECT_FALSE(ask(10s, 30));
  EXPECT_TRUE(near(predicted(), 4s)) << "9 + 30 + 1 at 10 per second";
}

TEST_F(wait_prediction_test, lets_one_in64_through) {
  move_for(10s);
  int in = 0;
  for (int i = 0; i < 64 * 3; ++i) in += ask(10ms) ? 0 : 1;
  EXPECT_EQ(in, 3);
  EXPECT_EQ(core.totals().probes, 3u);
}

TEST_F(wait_prediction_test, the_first_in_line_is_always_let_in) {
  move_for(60s, 2s);
  while (!core.empty()) core.grant(now, out);
  complete();
  now += 1ms;
  EXPECT_GT(predicted(), 100ms);
  EXPECT_FALSE(ask(100ms)) << "nobody would be left to prove the prediction wrong";
  EXPECT_EQ(refused(ask(100ms)), errc::would_miss_deadline);
}

TEST_F(wait_prediction_test, can_be_switched_off) {
  move_for(10s);
  wait_queue_storage same{1000, {}};
  core.reconfigure(1000, {.on = false}, {}, same);
  EXPECT_FALSE(ask(1ns));
}

TEST_F(wait_prediction_test, a_quiet_hour_is_not_a_slow_callee) {
  move_for(10s);
  while (!core.empty()) core.grant(now, out);
  complete();
  const double before = core.hand_off_rate();
  now += 1s;
  ASSERT_FALSE(core.enqueue(waiters.emplace_back(), now));
  EXPECT_NEAR(core.hand_off_rate(), before, 1e-6) << "idle time says nothing about speed";
  now += 1h;
  core.grant(now, out);
  now += 1h;
  complete();
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(ask(1ms)) << "the evidence has aged";
}

TEST_F(wait_prediction_test, follows_a_callee_that_becomes_slower) {
  move_for(10s);
  move_for(60s, 1s);
  EXPECT_TRUE(near(predicted(), 10s)) << predicted().count();
  move_for(20s, 100ms);
  EXPECT_TRUE(near(predicted(), 1s)) << predicted().count();
}

TEST_F(wait_prediction_test, a_callee_that_hangs_is_waited_for_at_least_as_long_as_the_oldest_has) {
  move_for(10s);
  now += 30s;
  EXPECT_GE(predicted(), core.oldest_wait(now));
  EXPECT_EQ(refused(ask(10s)), errc::would_miss_deadline) << "no evidence is lost by hanging";
}

TEST_F(wait_prediction_test, time_counts_before_anything_is_forgotten) {
  move_for(10ms, 250us);
  EXPECT_NEAR(core.hand_off_rate(), 4000, 400);
  now += 50ms;
  EXPECT_FALSE(ask(1h)) << "tells it the time";
  EXPECT_NEAR(core.hand_off_rate(), 40 / 0.06, 70) << "40 in 60 ms";
}

TEST_F(wait_prediction_test, a_slow_callee_is_judged_by_twenty_hand_offs_too) {
  move_for(60s, 2s);
  EXPECT_TRUE(near(predicted(), 20s)) << predicted().count();
  EXPECT_EQ(refused(ask(5s)), errc::would_miss_deadline);
}

TEST_F(wait_prediction_test, what_time_brings_is_known_exactly) {
  waiter& a = waiters.emplace_back(at(1s));
  EXPECT_EQ(refused(core.enqueue(a, now, at(1s))), errc::would_miss_deadline) << "needs no evidence";
  EXPECT_FALSE(core.enqueue(a, now, at(1s) - 1ns));
}

TEST(completions_test, a_chain_is_iterative) {
  static ready_list later;
  static int depth, deepest, done;
  struct link : wait_node {
    link* next = nullptr;
  };
  std::vector<link> chain(100'000);
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) chain[i].next = &chain[i + 1];
  for (auto& l : chain) {
    l.complete = [](wait_node& node, wait_outcome) noexcept {
      deepest = std::max(deepest, ++depth);
      ++done;
      if (link* next = static_cast<link&>(node).next) {
        ready_list more;
        more.push_back(*next);
        complete_all(more);
      }
      --depth;
    };
  }
  ready_list out;
  out.push_back(chain.front());
  complete_all(out);
  EXPECT_EQ(done, 100'000);
  EXPECT_EQ(deepest, 1);
}

}  // namespace
}  // namespace weir
