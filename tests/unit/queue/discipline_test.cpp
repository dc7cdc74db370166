// Who is next, order by order, and who is shed: on plain instants.
#include <weir/queue/discipline.hpp>
#include <weir/queue/wait_queue_core.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <string>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;

struct waiter : wait_node {
  waiter() {
    complete = [](wait_node& node, wait_outcome how) noexcept { static_cast<waiter&>(node).outcomes.push_back(how); };
  }
  std::vector<wait_outcome> outcomes;
};

/// A line, and a time that the test moves.
class line {
 public:
  explicit line(const queue_discipline& discipline, std::uint32_t capacity = 100)
      : core{capacity, {.on = false}, discipline} {}
  ~line() {
    core.close(now, out);
    complete_all(out);
  }

  waiter& join(call c = {}) {
    waiter& w = waiters.emplace_back();
    w.ask(c);
    refused = core.enqueue(w, now).value_or(errc{});
    return w;
  }
  waiter& join_after(duration d, call c = {}) {
    now += d;
    return join(c);
  }
  /// Who is served now; before that, whether `front` says the same.
  waiter* serve() {
    wait_node* const expected = core.front(now, out);
    EXPECT_EQ(core.front(now, out), expected) << "front changes nothing";
    wait_node* const served = core.grant(now, out);
    EXPECT_EQ(served, expected);
    complete_all(out);
    return static_cast<waiter*>(served);
  }
  waiter* serve_after(duration d) {
    now += d;
    return serve();
  }
  void expire_after(duration d) {
    now += d;
    core.expire(now, out);
    complete_all(out);
  }
  /// The tenants of the next `n` served, each of whom comes again.
  std::map<std::uint32_t, int> shares(int n) {
    std::map<std::uint32_t, int> served;
    for (int i = 0; i < n; ++i) {
      const waiter* w = serve();
      if (w == nullptr) break;
      ++served[w->tenant];
      join({.cost = w->cost, .tenant = w->tenant});
    }
    return served;
  }

  std::deque<waiter> waiters;
  ready_list out;
  wait_queue_core core;
  time_point now{1h};
  errc refused{};
};

// ---- lifo and adaptive lifo

TEST(lifo_test, serves_the_newest) {
  line l{{.order = queue_order::lifo}};
  waiter &a = l.join(), &b = l.join(), &c = l.join_after(1s);
  EXPECT_EQ(l.serve(), &c);
  waiter& d = l.join();
  EXPECT_EQ(l.serve(), &d);
  EXPECT_EQ(l.core.oldest_wait(l.now), 1s);
  EXPECT_EQ(l.serve(), &b);
  EXPECT_EQ(l.serve(), &a);
  EXPECT_EQ(l.serve(), nullptr);
}

TEST(lifo_test, who_is_overtaken_still_times_out) {
  line l{{.order = queue_order::lifo}};
  waiter& a = l.join({.deadline = l.now + 1s});
  waiter& b = l.join();
  EXPECT_EQ(l.serve_after(1s), &b);
  EXPECT_EQ(a.outcomes, std::vector{wait_outcome::timed_out});
}

class adaptive_lifo_test : public ::testing::Test {
 protected:
  adaptive_lifo_test() : l{{.order = queue_order::adaptive_lifo, .codel = {.target = 20ms, .interval = 200ms}}} {}
  /// Whether the newest would be served, rather than the oldest. Somebody waits.
  bool newest_first() {
    waiter& newest = l.join();
    const bool is = l.core.front(l.now, l.out) == &newest;
    EXPECT_TRUE(l.core.unlink(newest, l.now));
    return is;
  }
  line l;
};

TEST_F(adaptive_lifo_test, turns_round_once_the_oldest_has_been_late_for_an_interval) {
  l.join();
  EXPECT_FALSE(newest_first());
  l.now += 20ms;  // from now on it waits for more than the target
  EXPECT_FALSE(newest_first());
  l.now += 200ms - 1ns;
  EXPECT_FALSE(newest_first());
  l.now += 1ns;
  EXPECT_TRUE(newest_first());
}

TEST_F(adaptive_lifo_test, a_line_that_moves_is_not_overloaded) {
  l.join();
  for (int i = 0; i < 100; ++i) {
    waiter& next = l.join_after(10ms);
    EXPECT_FALSE(newest_first());
    l.serve_after(10ms);
    EXPECT_EQ(l.core.first(), &next) << "who has waited for less than the target";
  }
}

TEST_F(adaptive_lifo_test, late_is_the_line_and_not_one_waiter) {
  waiter& a = l.join();
  l.join_after(100ms);
  l.now += 100ms;
  EXPECT_EQ(l.serve(), &a) << "after 200 ms, of which 180 ms late: the next is late, too";
  l.now += 20ms - 1ns;
  EXPECT_FALSE(newest_first());
  l.now += 1ns;
  EXPECT_TRUE(newest_first()) << "one of them has been late for 200 ms";
}

TEST_F(adaptive_lifo_test, turns_back_after_an_interval_without_a_late_one) {
  waiter& old = l.join();
  l.now += 220ms;
  ASSERT_TRUE(newest_first());
  ASSERT_TRUE(l.core.unlink(old, l.now));  // calm from here on
  for (int i = 0; i < 19; ++i) {
    waiter& brief = l.join();
    l.now += 10ms;
    EXPECT_TRUE(newest_first()) << "hysteresis, " << i;
    ASSERT_TRUE(l.core.unlink(brief, l.now));
  }
  waiter& brief = l.join();
  l.now += 10ms - 1ns;
  EXPECT_TRUE(newest_first());
  l.now += 1ns;
  EXPECT_FALSE(newest_first());
  ASSERT_TRUE(l.core.unlink(brief, l.now));
}

TEST_F(adaptive_lifo_test, a_late_one_in_between_begins_the_calm_again) {
  waiter& old = l.join();
  l.now += 220ms;
  ASSERT_TRUE(l.core.unlink(old, l.now));
  l.now += 100ms;
  waiter& late = l.join();
  l.now += 21ms;  // late for 1 ms
  ASSERT_TRUE(l.core.unlink(late, l.now));
  l.join_after(190ms);
  EXPECT_TRUE(newest_first()) << "290 ms after the first calm, 190 ms after the second";
  l.now += 10ms;
  EXPECT_FALSE(newest_first());
}

TEST_F(adaptive_lifo_test, a_calm_that_nobody_saw_counts) {
  waiter& old = l.join();
  l.now += 220ms;
  ASSERT_TRUE(newest_first());
  ASSERT_TRUE(l.core.unlink(old, l.now));
  l.join_after(200ms);
  l.now += 219ms;
  EXPECT_FALSE(newest_first()) << "calm for 220 ms, then late for 199 ms";
  l.now += 1ms;
  EXPECT_TRUE(newest_first());
}

// ---- CoDel

class codel_test : public ::testing::Test {
 protected:
  static queue_discipline config(queue_order order = queue_order::fifo) {
    return {.order = order, .codel = {.on = true, .target = 20ms, .interval = 200ms}};
  }
};

TEST_F(codel_test, a_stuck_line_sheds) {
  for (const auto order :
       {queue_order::fifo, queue_order::lifo, queue_order::adaptive_lifo, queue_order::priority, queue_order::tenants}) {
    SCOPED_TRACE(static_cast<int>(order));
    line l{config(order)};
    waiter& a = l.join({.tenant = 7, .priority = 3});
    waiter& b = l.join_after(160ms);
    EXPECT_EQ(l.core.next_event(), l.now + 40ms) << "the end of the first interval";
    l.expire_after(40ms - 1ns);
    EXPECT_TRUE(a.outcomes.empty());
    l.expire_after(1ns);
    EXPECT_EQ(a.outcomes, std::vector{wait_outcome::shed});
    EXPECT_TRUE(b.outcomes.empty()) << "not more than twice the target";
    EXPECT_TRUE(l.core.is_slow());
    EXPECT_EQ(l.core.next_event(), l.now + 1ns);
    l.expire_after(1ns);
    EXPECT_EQ(b.outcomes, std::vector{wait_outcome::shed});
    EXPECT_EQ(l.core.next_event(), never);
    EXPECT_EQ(l.core.totals().ended[static_cast<int>(wait_outcome::shed)], 2u);
  }
}

TEST_F(codel_test, goes_on_shedding_in_a_stuck_line) {
  line l{config()};
  l.join();
  l.expire_after(200ms);
  for (int i = 0; i < 100; ++i) {
    l.join();
    EXPECT_LE(l.core.next_event(), l.now + 40ms + 1ns);
    l.expire_after(10ms);
  }
  EXPECT_EQ(l.core.size(), 4u);
  for (const waiter& w : l.waiters) {
    if (w.outcomes.empty() || &w == &l.waiters.front()) continue;
    EXPECT_EQ(w.outcomes, std::vector{wait_outcome::shed});
    EXPECT_EQ(w.waited, 50ms) << "at the first look after more than 40 ms";
  }
}

TEST_F(codel_test, one_short_wait_makes_an_interval_fast) {
  line l{config()};
  waiter& old = l.join();
  l.join_after(180ms);
  EXPECT_EQ(l.serve(), &old);  // 180 ms
  waiter& last = l.join();
  ASSERT_NE(l.serve_after(19ms), nullptr);  // 19 ms
  EXPECT_EQ(l.core.size(), 1u);
  l.expire_after(100ms);
  EXPECT_FALSE(l.core.is_slow());
  EXPECT_TRUE(last.outcomes.empty());
}

TEST_F(codel_test, only_long_waits_make_it_slow) {
  line l{config()};
  l.join();
  l.join();
  ASSERT_NE(l.serve_after(20ms + 1ns), nullptr);
  ASSERT_NE(l.serve(), nullptr);
  waiter& w = l.join_after(139ms);
  l.expire_after(41ms - 1ns);
  EXPECT_TRUE(l.core.is_slow()) << "the shortest wait was longer than the target";
  EXPECT_EQ(w.outcomes, std::vector{wait_outcome::shed});

  line at_target{config()};
  at_target.join();
  ASSERT_NE(at_target.serve_after(20ms), nullptr);
  at_target.join_after(139ms);
  at_target.expire_after(41ms);
  EXPECT_FALSE(at_target.core.is_slow()) << "not longer than the target";
}

TEST_F(codel_test, grants_of_long_ago_tell_nothing) {
  line l{config()};
  l.join();
  ASSERT_NE(l.serve_after(100ms), nullptr);
  l.expire_after(1h);
  EXPECT_FALSE(l.core.is_slow()) << "nobody waited since";
}

TEST_F(codel_test, whoever_is_handed_something_has_not_waited_for_too_long) {
  line l{config()};
  waiter& a = l.join();
  waiter& b = l.join_after(170ms);
  EXPECT_EQ(l.serve_after(30ms), &b) << "a is shed on the way";
  EXPECT_EQ(a.outcomes, std::vector{wait_outcome::shed});
}

TEST_F(codel_test, time_that_is_up_is_not_shed) {
  line l{config()};
  waiter& a = l.join({.deadline = l.now + 150ms});
  l.join();
  l.expire_after(300ms);
  EXPECT_EQ(a.outcomes, std::vector{wait_outcome::timed_out});
}

TEST_F(codel_test, off_is_off) {
  line l{{}};
  l.join();
  l.expire_after(1h);
  EXPECT_EQ(l.core.size(), 1u);
  EXPECT_EQ(l.core.next_event(), never);
}

// ---- priority

TEST(priority_test, the_more_important_and_then_the_older_goes_first) {
  line l{{.order = queue_order::priority}};
  waiter &c = l.join({.priority = 2}), &a = l.join({.priority = 0}), &b = l.join({.priority = 1}),
         &d = l.join({.priority = 2});
  for (waiter* expected : {&a, &b, &c, &d}) EXPECT_EQ(l.serve_after(1ms), expected);
}

TEST(priority_test, who_waits_gets_more_important) {
  line l{{.order = queue_order::priority, .aging = 100ms}};
  waiter& old = l.join({.priority = 2});
  waiter& before = l.join_after(200ms - 1ns, {.priority = 0});
  waiter& same = l.join_after(1ns, {.priority = 0});
  waiter& after = l.join_after(1ns, {.priority = 0});
  EXPECT_EQ(l.serve(), &before);
  EXPECT_EQ(l.serve(), &same) << "of equals the more important";
  EXPECT_EQ(l.serve(), &old);
  EXPECT_EQ(l.serve(), &after);
}

TEST(priority_test, there_are_eight) {
  line l{{.order = queue_order::priority}};
  waiter& a = l.join({.priority = 255});
  waiter& b = l.join({.priority = 7});
  waiter& c = l.join({.priority = 6});
  EXPECT_EQ(l.serve(), &c);
  EXPECT_EQ(l.serve(), &a);
  EXPECT_EQ(l.serve(), &b);
}

TEST(priority_test, nobody_starves) {
  // One served per millisecond, and one of the most important comes per millisecond: for ever.
  line l{{.order = queue_order::priority, .aging = 10ms}};
  for (std::uint8_t level = 1; level < 8; ++level) {
    l.join();
    waiter& low = l.join({.priority = level});
    const time_point came = l.now;
    while (low.outcomes.empty()) {
      ASSERT_NE(l.serve_after(1ms), nullptr);
      l.join();
    }
    // All who came until came + level * aging go first: one per millisecond, and the two of the beginning.
    EXPECT_LE(l.now - came, level * 10ms + 3ms);
    EXPECT_GE(l.now - came, level * 10ms);
    while (!l.core.empty()) l.serve();
  }
}

// ---- tenants

TEST(tenants_test, take_turns_in_proportion_to_their_weights) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1, .weight = 1}, {.tenant = 2, .weight = 9}}}};
  for (int i = 0; i < 20; ++i) l.join({.tenant = 1}), l.join({.tenant = 2});
  auto served = l.shares(1000);
  EXPECT_EQ(served[1], 100);
  EXPECT_EQ(served[2], 900);
}

TEST(tenants_test, weight_1_of_10_among_many_gets_its_tenth) {
  // Weights 1, 2, 3 and 4, each at its own time in line.
  queue_discipline d{.order = queue_order::tenants};
  for (std::uint32_t t = 1; t <= 4; ++t) d.tenants.push_back({.tenant = 1000 * t, .weight = t});
  line l{d};
  for (std::uint32_t i = 0; i < 40; ++i) l.join({.tenant = 1000 * (i % 4 + 1)});
  for (const auto& [tenant, n] : l.shares(1000)) {
    EXPECT_GE(n, 90 * static_cast<int>(tenant) / 1000);
    EXPECT_LE(n, 110 * static_cast<int>(tenant) / 1000);
  }
}

TEST(tenants_test, share_by_cost_and_not_by_calls) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1}, {.tenant = 2}}}};
  for (int i = 0; i < 20; ++i) l.join({.cost = 5, .tenant = 1}), l.join({.cost = 1, .tenant = 2});
  auto served = l.shares(600);
  EXPECT_NEAR(served[1] * 5, served[2], 10);
}

TEST(tenants_test, what_costs_nothing_is_not_free) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1}, {.tenant = 2}}}};
  for (int i = 0; i < 20; ++i) l.join({.cost = 0, .tenant = 1}), l.join({.cost = 1, .tenant = 2});
  auto served = l.shares(100);
  EXPECT_EQ(served[1], 50);
}

TEST(tenants_test, a_large_call_does_not_block_the_others_turns_for_long) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1}, {.tenant = 2}}}};
  waiter& large = l.join({.cost = 1'000'000'000, .tenant = 1});
  for (int i = 0; i < 50; ++i) l.join({.tenant = 2});
  EXPECT_EQ(l.serve()->tenant, 2u) << "more than it has in its first turn";
  EXPECT_EQ(l.serve(), &large) << "and not after a thousand million others";
}

TEST(tenants_test, who_is_not_listed_shares_a_lane) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1}}, .others = {.weight = 2}}};
  for (std::uint32_t i = 0; i < 60; ++i) l.join({.tenant = 1}), l.join({.tenant = 100 + i});
  int listed = 0;
  for (int i = 0; i < 60; ++i) listed += l.serve()->tenant == 1 ? 1 : 0;
  EXPECT_EQ(listed, 20);
}

TEST(tenants_test, the_oldest_of_a_tenant_goes_first) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1}, {.tenant = 2}}}};
  waiter &a = l.join({.tenant = 1}), &b = l.join({.tenant = 1}), &c = l.join({.tenant = 2});
  EXPECT_EQ(l.serve(), &a);
  EXPECT_EQ(l.serve(), &c);
  EXPECT_EQ(l.serve(), &b);
}

TEST(tenants_test, too_many_of_one_are_refused) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1, .max_waiting = 2}}, .others = {.max_waiting = 0}}};
  l.join({.tenant = 1});
  l.join({.tenant = 1});
  EXPECT_EQ(l.refused, errc{});
  l.join({.tenant = 1});
  EXPECT_EQ(l.refused, errc::quota);
  l.join({.tenant = 2});
  EXPECT_EQ(l.refused, errc::quota) << "never waits";
  EXPECT_EQ(l.core.totals().quota, 2u);
  l.serve();
  l.join({.tenant = 1});
  EXPECT_EQ(l.refused, errc{});
}

TEST(tenants_test, who_has_all_it_may_have_is_passed_over_until_something_comes_back) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1, .max_in_use = 2}, {.tenant = 2}}}};
  waiter &a = l.join({.tenant = 1}), &b = l.join({.tenant = 1}), &c = l.join({.tenant = 1}), &d = l.join({.tenant = 2});
  const auto take = [&](waiter* w) {
    if (w != nullptr) l.core.took(w->tenant, w->cost);
    return w;
  };
  EXPECT_EQ(take(l.serve()), &a);
  EXPECT_EQ(take(l.serve()), &d);
  EXPECT_EQ(take(l.serve()), &b);
  EXPECT_FALSE(l.core.may_take(1, 1));
  EXPECT_TRUE(l.core.may_take(2, 1));
  EXPECT_EQ(l.serve(), nullptr) << "c waits, and may not have more";
  EXPECT_EQ(l.core.size(), 1u);
  l.core.gave_back(1, 1);
  EXPECT_EQ(l.core.in_use(1), 1u);
  EXPECT_EQ(take(l.serve()), &c);
}

TEST(tenants_test, what_is_left_of_a_turn_is_not_lost_at_the_cap) {
  // At most one at a time, and nine times the weight: nine in a row as long as each comes back at once.
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1, .weight = 9, .max_in_use = 1}, {.tenant = 2}}}};
  for (int i = 0; i < 20; ++i) l.join({.tenant = 1}), l.join({.tenant = 2});
  std::map<std::uint32_t, int> served;
  for (int i = 0; i < 1000; ++i) {
    waiter* w = l.serve();
    ASSERT_NE(w, nullptr);
    l.core.took(w->tenant, 1);
    ++served[w->tenant];
    l.join({.tenant = w->tenant});
    l.core.gave_back(w->tenant, 1);
  }
  EXPECT_EQ(served[1], 900);
}

TEST(tenants_test, reservations_are_not_lent) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1, .reserved = 2}, {.tenant = 2}}}};
  l.core.set_capacity_of_owner(4);
  const auto take = [&](std::uint32_t tenant) {
    if (!l.core.may_take(tenant, 1)) return false;
    l.core.took(tenant, 1);
    return true;
  };
  EXPECT_TRUE(take(2));
  EXPECT_TRUE(take(2));
  EXPECT_FALSE(take(2)) << "two are free, and reserved";
  l.join({.tenant = 2});
  EXPECT_EQ(l.serve(), nullptr);
  waiter& entitled = l.join({.tenant = 1});
  EXPECT_EQ(l.serve(), &entitled) << "whose they are overtakes";
  l.core.took(1, 1);
  EXPECT_TRUE(take(1));
  EXPECT_FALSE(take(1));
  l.core.gave_back(1, 1);
  EXPECT_FALSE(take(2)) << "it is reserved again";
  l.core.gave_back(2, 1);
  EXPECT_TRUE(take(2));
}

TEST(tenants_test, what_nobody_has_reserved_is_borrowed) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1, .reserved = 1}, {.tenant = 2}}}};
  l.core.set_capacity_of_owner(4);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(l.core.may_take(1, 1)) << i;
    l.core.took(1, 1);
  }
  EXPECT_FALSE(l.core.may_take(2, 1));
  EXPECT_FALSE(l.core.may_take(1, 1)) << "all four are in use";
}

TEST(tenants_test, reservations_do_not_count_as_turns) {
  // A slot each for those who have reserved one, and one that all share: by weight.
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1, .weight = 3, .reserved = 1}, {.tenant = 2}}}};
  l.core.set_capacity_of_owner(2);
  for (int i = 0; i < 20; ++i) l.join({.tenant = 1}), l.join({.tenant = 2});
  waiter* mine = l.serve();
  ASSERT_EQ(mine->tenant, 1u);
  l.core.took(1, 1);
  std::map<std::uint32_t, int> shared;
  for (int i = 0; i < 400; ++i) {
    waiter* w = l.serve();
    ASSERT_NE(w, nullptr);
    l.core.took(w->tenant, 1);
    ++shared[w->tenant];
    l.join({.tenant = w->tenant});
    if (w->tenant == 1) {
      // The one that it has reserved comes back, too, and is taken again, before the shared one comes back.
      l.core.gave_back(1, 1);
      l.core.gave_back(1, 1);
      waiter* again = l.serve();
      ASSERT_EQ(again->tenant, 1u);
      l.core.took(1, 1);
      l.join({.tenant = 1});
    } else {
      l.core.gave_back(2, 1);
    }
  }
  EXPECT_EQ(shared[1], 300);
  EXPECT_EQ(shared[2], 100);
}

TEST(tenants_test, who_does_not_report_has_neither_caps_nor_reservations) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1, .reserved = 5, .max_in_use = 5}}}};
  waiter& w = l.join({.tenant = 2});
  EXPECT_EQ(l.serve(), &w);
}

TEST(tenants_test, other_orders_know_no_tenants) {
  line l{{}};
  l.core.set_capacity_of_owner(1);
  l.core.took(1, 1);
  EXPECT_TRUE(l.core.may_take(1, 1));
  EXPECT_EQ(l.core.in_use(1), 0u);
  l.core.gave_back(1, 1);
}

// ---- prediction

TEST(prediction_by_order_test, counts_only_who_is_ahead_for_certain) {
  const auto predicted = [](queue_discipline d, call newcomer) {
    line l{d, 1000};
    // Ten per second, a hundred in line: 20 of each priority 0 .. 4, of as many tenants.
    for (int i = 0; i < 100; ++i)
      l.join({.tenant = static_cast<unsigned>(i % 5), .priority = static_cast<std::uint8_t>(i % 5)});
    for (int i = 0; i < 50; ++i) {
      l.now += 100ms;
      waiter* w = l.serve();
      l.join({.tenant = w->tenant, .priority = w->priority});
    }
    const auto wait = l.core.predicted_wait(newcomer.cost, l.now, newcomer.priority, newcomer.tenant);
    return std::chrono::duration<double>(wait.value_or(-1s)).count();
  };
  const auto near = [](double expected) { return expected / 50; };
  EXPECT_NEAR(predicted({}, {}), 10.1, near(10.1));
  EXPECT_NEAR(predicted({.order = queue_order::lifo}, {}), 0.1, near(0.1));
  EXPECT_NEAR(predicted({.order = queue_order::adaptive_lifo}, {.cost = 2}), 0.2, near(0.2));
  EXPECT_NEAR(predicted({.order = queue_order::priority, .aging = 1h}, {.priority = 0}), 2.1, near(2.1));
  EXPECT_NEAR(predicted({.order = queue_order::priority, .aging = 1h}, {.priority = 4}), 10.1, near(10.1));
  EXPECT_NEAR(predicted({.order = queue_order::tenants, .tenants = {{.tenant = 3}}}, {.tenant = 3}), 2.1, near(2.1));
}

// ---- changing it while they wait

TEST(reconfigure_order_test, those_who_wait_are_put_into_the_new_order_as_they_came) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1}, {.tenant = 2}}}};
  waiter &a = l.join({.deadline = l.now + 9s, .tenant = 1, .priority = 1}),
         &b = l.join_after(1ms, {.deadline = l.now + 5s, .tenant = 1, .priority = 0}),
         &c = l.join_after(1ms, {.tenant = 2, .priority = 0}), &d = l.join_after(1ms, {.tenant = 2, .priority = 1});
  const auto change = [&](const queue_discipline& to, std::uint32_t capacity = 100) {
    wait_queue_storage storage{capacity, to};
    l.core.reconfigure(capacity, {.on = false}, to, storage);
  };
  change({.order = queue_order::priority});
  EXPECT_EQ(l.core.first(), &b);
  change({.order = queue_order::lifo}, 1000);
  EXPECT_EQ(l.core.first(), &d);
  EXPECT_EQ(l.core.next_event(), time_point{1h} + 5s) << "deadlines move along";
  change({.order = queue_order::tenants, .tenants = {{.tenant = 2}}});
  EXPECT_EQ(l.core.first(), &a) << "whose lane came first";
  change({.order = queue_order::adaptive_lifo});
  l.now += 220ms;
  EXPECT_EQ(l.core.front(l.now, l.out), &d) << "late for an interval already";
  change({});
  for (waiter* expected : {&a, &b, &c, &d}) EXPECT_EQ(l.serve(), expected);
  EXPECT_EQ(l.core.next_event(), never);
}

TEST(reconfigure_order_test, what_tenants_have_stays_with_them) {
  line l{{.order = queue_order::tenants, .tenants = {{.tenant = 1, .reserved = 1}, {.tenant = 2}}}};
  l.core.set_capacity_of_owner(3);
  l.core.took(1, 1);
  l.core.took(2, 1);
  l.core.took(9, 1);
  const queue_discipline to{.order = queue_order::tenants,
                            .tenants = {{.tenant = 2, .max_in_use = 1}, {.tenant = 1, .weight = 2}},
                            .others = {.max_in_use = 2}};
  wait_queue_storage storage{100, to};
  l.core.reconfigure(100, {.on = false}, to, storage);
  EXPECT_EQ(l.core.in_use(1), 1u);
  EXPECT_EQ(l.core.in_use(2), 1u);
  EXPECT_EQ(l.core.in_use(9), 1u);
  EXPECT_FALSE(l.core.may_take(1, 1)) << "three of three";
  l.core.gave_back(1, 1);
  EXPECT_FALSE(l.core.may_take(2, 1)) << "its cap";
  EXPECT_TRUE(l.core.may_take(9, 1));
}

TEST(reconfigure_order_test, codel_starts_and_stops) {
  line l{{}};
  waiter& w = l.join();
  const auto change = [&](bool on) {
    const queue_discipline to{.codel = {.on = on}};
    wait_queue_storage storage{100, to};
    l.core.reconfigure(100, {.on = false}, to, storage);
  };
  l.now += 1h;
  change(true);
  l.expire_after(1ns);
  EXPECT_EQ(w.outcomes, std::vector{wait_outcome::shed}) << "it has waited for an hour, and nothing has been granted";
  change(false);
  EXPECT_FALSE(l.core.is_slow());
  l.join();
  EXPECT_EQ(l.core.next_event(), never);
}

// ---- the config

TEST(queue_discipline_test, validation_names_the_field_and_the_range) {
  const auto problem = [](const queue_discipline& d, std::uint32_t slots = tenant_share::unlimited) {
    const auto wrong = validate(d, "pool_config.waiting", slots);
    return wrong ? wrong->message() : std::string{};
  };
  EXPECT_EQ(problem({}), "");
  EXPECT_EQ(problem({.order = static_cast<queue_order>(5)}),
            "pool_config.waiting.order: must be fifo, lifo, adaptive_lifo, priority or tenants");
  EXPECT_EQ(problem({.codel = {.target = 0ns}}), "pool_config.waiting.codel.target: must be > 0 and <= 1 h, is 0 s");
  EXPECT_EQ(problem({.codel = {.interval = 2h}}), "pool_config.waiting.codel.interval: must be > 0 and <= 1 h, is 7200 s");
  EXPECT_EQ(problem({.aging = -1ns}), "pool_config.waiting.aging: must be in [0, 1 h], is -1 ns");
  EXPECT_EQ(problem({.aging = 1h + 1ns}), "pool_config.waiting.aging: must be in [0, 1 h], is 3600000000001 ns");
  EXPECT_EQ(problem({.tenants = {{.tenant = 1}, {.tenant = 2, .weight = 0}}}),
            "pool_config.waiting.tenants[1].weight: must be in [1, 1000], is 0");
  EXPECT_EQ(problem({.others = {.weight = 1001}}), "pool_config.waiting.others.weight: must be in [1, 1000], is 1001");
  EXPECT_EQ(problem({.tenants = {{.max_in_use = 0}}}), "pool_config.waiting.tenants[0].max_in_use: must be >= 1, is 0");
  EXPECT_EQ(problem({.others = {.reserved = 3, .max_in_use = 2}}),
            "pool_config.waiting.others.reserved: must be <= max_in_use, is 3");
  EXPECT_EQ(problem({.tenants = {{.tenant = 7}, {.tenant = 1}, {.tenant = 7}}}),
            "pool_config.waiting.tenants: must list each tenant once, lists 7 twice");
  EXPECT_EQ(problem({.tenants = std::vector<tenant_share>(10'001)}),
            "pool_config.waiting.tenants: must be at most 10000, is 10001");
  const queue_discipline reserving{
      .order = queue_order::tenants, .tenants = {{.tenant = 1, .reserved = 4}}, .others = {.reserved = 4}};
  EXPECT_EQ(problem(reserving, 8), "");
  EXPECT_EQ(problem(reserving, 7), "pool_config.waiting.tenants: must not reserve more than 7 together, is 8");
}

}  // namespace
}  // namespace weir
