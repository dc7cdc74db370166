#include <weir/room/hmac_signer.hpp>
#include <weir/room/waiting_room.hpp>
#include <weir/testing/manual_clock.hpp>

#include <support/slow_room_store.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::room_refusal;
using weir::seat_state;
using weir::ticket_problem;
using weir::token_kind;

const std::string secret(32, 'k');

struct request : weir::room_request {
  request() {
    complete = [](weir::room_request& r) noexcept { static_cast<request&>(r).done = true; };
  }
  bool done = false;
};

using weir::testing_support::slow_store;
using room_type = weir::basic_waiting_room<weir::hmac_signer, weir::manual_clock>;

struct waiting_room : testing::Test {
  weir::manual_clock clock;
  weir::hmac_signer keys{1, secret};

  weir::seat_id join(room_type& room, const weir::room_join& who = {}) {
    request r;
    EXPECT_TRUE(room.join(r, who));
    EXPECT_EQ(r.answer.why, room_refusal::none);
    return r.answer.view.seat;
  }
};

TEST_F(waiting_room, a_user_joins_waits_and_comes_in) {
  room_type room{weir::bank_teller(1), keys, nullptr, {}, clock};
  request first;
  ASSERT_TRUE(room.join(first, {}));
  EXPECT_EQ(first.answer.view.state, seat_state::active) << "there was room: nobody has to ask twice";

  const auto seat = join(room);
  const auto ticket = room.ticket_for(seat);
  const auto read = room.read(ticket.view(), token_kind::seat);
  ASSERT_EQ(read.problem, ticket_problem::none);
  const auto waits = room.look(read.holder);
  EXPECT_EQ(waits.view.state, seat_state::waiting);
  EXPECT_EQ(waits.view.position, 1U);
  EXPECT_EQ(waits.view.reason, weir::hold_reason::active);

  request early;
  ASSERT_TRUE(room.claim(early, read.holder));
  EXPECT_EQ(early.answer.why, room_refusal::not_yet);
  EXPECT_GT(early.answer.retry_after, 0s);

  EXPECT_EQ(room.complete({first.answer.view.seat, 0, 0}, first.answer.view.session).why, room_refusal::none);
  request claim;
  ASSERT_TRUE(room.claim(claim, read.holder));
  ASSERT_EQ(claim.answer.why, room_refusal::none);

  const auto pass = room.read(room.pass_for(claim.answer.view).view(), token_kind::pass);
  ASSERT_EQ(pass.problem, ticket_problem::none);
  EXPECT_TRUE(room.is_inside(pass));
  clock.advance(601s);
  EXPECT_FALSE(room.is_inside(pass)) << "its session has expired, whether the room has looked or not";
  room.pass();
  EXPECT_FALSE(room.is_inside(pass));
  EXPECT_EQ(room.snapshot().totals.expired, 1U);
}

TEST_F(waiting_room, tokens_of_others_change_nothing) {
  room_type room{weir::bank_teller(1), keys, nullptr, {}, clock};
  weir::room_config other_config = weir::bank_teller(1);
  other_config.name = "other";
  room_type other{other_config, keys, nullptr, {}, clock};
  const auto seat = join(room, {.bind = 5});
  const std::string good{room.ticket_for(seat, 0, 5).view()};

  EXPECT_EQ(room.read(good, token_kind::seat, 5).problem, ticket_problem::none);
  EXPECT_EQ(room.read(good, token_kind::seat, 6).problem, ticket_problem::bind);
  EXPECT_EQ(room.read(good, token_kind::seat).problem, ticket_problem::bind);
  EXPECT_EQ(room.read(good, token_kind::pass, 5).problem, ticket_problem::wrong_kind);
  EXPECT_EQ(other.read(good, token_kind::seat, 5).problem, ticket_problem::forged);
  EXPECT_EQ(room.read(good.substr(1), token_kind::seat, 5).problem, ticket_problem::malformed);
  std::string flipped = good;
  flipped[20] = flipped[20] == 'A' ? 'B' : 'A';
  EXPECT_EQ(room.read(flipped, token_kind::seat, 5).problem, ticket_problem::forged);
  weir::hmac_signer new_key{2, std::string(32, 'n')};
  room_type elsewhere{weir::bank_teller(1), new_key, nullptr, {}, clock};
  EXPECT_EQ(elsewhere.read(good, token_kind::seat, 5).problem, ticket_problem::unknown_key);

  const auto rejected = room.snapshot().tokens_rejected;
  EXPECT_EQ(rejected[static_cast<std::size_t>(ticket_problem::bind)], 2U);
  EXPECT_EQ(rejected[static_cast<std::size_t>(ticket_problem::forged)], 1U);
  EXPECT_EQ(room.snapshot().totals.polls, 0U);
}

TEST_F(waiting_room, a_token_of_an_earlier_epoch_is_refused) {
  slow_store store;
  weir::room_config config = weir::bank_teller(1);
  room_type now{config, keys, &store, {}, clock};  // epoch 7
  room_type memory{config, keys, nullptr, {}, clock};
  const auto old = memory.ticket_for(join(memory));
  EXPECT_EQ(now.read(old.view(), token_kind::seat).problem, ticket_problem::epoch);
}

TEST_F(waiting_room, a_room_that_begins_afresh_within_a_second_takes_no_token_of_the_one_before) {
  room_type before{weir::bank_teller(1), keys, nullptr, {}, clock};
  const auto old = before.ticket_for(join(before));
  room_type after{weir::bank_teller(1), keys, nullptr, {}, clock};
  join(after);
  EXPECT_EQ(after.read(old.view(), token_kind::seat).problem, ticket_problem::epoch);
}

TEST_F(waiting_room, nobody_is_told_what_is_not_stored) {
  slow_store store;
  room_type room{weir::bank_teller(1), keys, &store, {}, clock};
  request early;
  ASSERT_TRUE(room.join(early, {}));
  EXPECT_EQ(early.answer.why, room_refusal::store) << "no numbers yet";
  store.commit();

  request first;
  ASSERT_FALSE(room.join(first, {})) << "comes in at once, which has to be written down";
  EXPECT_FALSE(first.done);
  store.commit();
  ASSERT_TRUE(first.done);
  EXPECT_EQ(first.answer.view.state, seat_state::active);

  const auto seat = join(room);  // waits for no store
  room.complete({first.answer.view.seat, 0, 0}, first.answer.view.session);
  EXPECT_EQ(room.look({seat, 0, 0}).view.state, seat_state::waiting) << "the offer is not stored";
  store.commit();
  clock.advance(2s);
  EXPECT_EQ(room.look({seat, 0, 0}).view.state, seat_state::offered);

  request claim;
  ASSERT_FALSE(room.claim(claim, {seat, 0, 0}));
  store.fail();
  ASSERT_TRUE(claim.done);
  EXPECT_EQ(claim.answer.why, room_refusal::store);
  EXPECT_EQ(room.snapshot().store_error, "disk full");
  store.commit();
  EXPECT_EQ(room.snapshot().store_error, "");
  request again;
  ASSERT_TRUE(room.claim(again, {seat, 0, 0})) << "the same claim: it had been decided, and is stored now";
  EXPECT_EQ(again.answer.view.state, seat_state::active);
}

TEST_F(waiting_room, how_long_the_store_takes_is_counted) {
  slow_store store;
  room_type room{weir::bank_teller(1), keys, &store, {}, clock};
  store.commit();
  EXPECT_EQ(room.snapshot().store_seconds[0].count(), 1U) << "read once";
  const std::uint64_t before = room.snapshot().store_seconds[1].count();
  request r;
  EXPECT_FALSE(room.join(r, {}));
  clock.advance(3s);
  store.fail();
  clock.advance(1s);
  store.commit();
  const auto s = room.snapshot();
  EXPECT_EQ(s.store_seconds[2].count(), 1U);
  EXPECT_EQ(s.store_seconds[2].sum, 3);
  EXPECT_GT(s.store_seconds[1].count(), before);
  EXPECT_EQ(s.store_seconds[1].sum, 4 * static_cast<double>(s.store_seconds[1].count() - before));
  EXPECT_EQ(s.lanes[0].totals.joined, 1U);
  EXPECT_EQ(s.lanes[0].totals.entered[static_cast<std::size_t>(weir::entry_way::concurrency)], 1U);
}

TEST_F(waiting_room, who_cannot_claim_because_of_the_store_keeps_its_offer) {
  slow_store store;
  room_type room{weir::bank_teller(1), keys, &store, {}, clock};
  store.commit();
  request first;
  ASSERT_FALSE(room.join(first, {}));
  store.commit();
  const auto seat = join(room);
  room.complete({first.answer.view.seat, 0, 0}, first.answer.view.session);
  store.commit();
  clock.advance(2s);
  ASSERT_EQ(room.look({seat, 0, 0}).view.state, seat_state::offered);
  store.fail();
  for (int i = 0; i < 60; ++i) {  // twice as long as an offer lasts
    request refused;
    ASSERT_TRUE(room.claim(refused, {seat, 0, 0}));
    ASSERT_EQ(refused.answer.why, room_refusal::store);
    clock.advance(1s);
    room.pass();
  }
  store.commit();
  request claim;
  ASSERT_FALSE(room.claim(claim, {seat, 0, 0}));
  store.commit();
  EXPECT_EQ(claim.answer.why, room_refusal::none);
}

TEST_F(waiting_room, the_order_that_was_drawn_is_told_when_it_is_stored) {
  slow_store store;
  weir::room_config config = weir::bank_teller(1);
  config.opens_at = clock.now() + 60s;
  room_type room{config, keys, &store, {}, clock};
  store.commit();
  std::vector<weir::seat_id> seats(10);
  for (auto& s : seats) s = join(room);
  clock.advance(60s);
  room.pass();
  for (const auto s : seats) {
    EXPECT_EQ(room.look_at({s, 0, 0}).state, seat_state::prequeued);
    EXPECT_EQ(room.look_at({s, 0, 0}).reason, weir::hold_reason::not_open);
  }
  store.commit();
  std::uint64_t sum = 0;
  for (const auto s : seats) sum += room.look_at({s, 0, 0}).position;
  EXPECT_EQ(sum, 45U) << "one is offered, nine wait";
}

TEST_F(waiting_room, joins_reach_the_store_in_groups) {
  slow_store store;
  room_type room{weir::bank_teller(1), keys, &store, {}, clock};
  store.commit();
  request first;
  ASSERT_FALSE(room.join(first, {}));
  store.commit();
  const std::size_t before = store.records();
  for (int i = 0; i < 1000; ++i) join(room);
  EXPECT_EQ(store.records(), before);
  room.pass();
  EXPECT_EQ(store.records(), before + 1) << "the end of the line, once";
}

TEST_F(waiting_room, the_gate_is_asked_before_every_step) {
  room_type room{weir::bank_teller(10), keys, nullptr, {}, clock};
  weir::gate_reading reading{0, "circuit_open"};
  bool throws = false;
  room.gate_by([&] {
    if (throws) throw std::runtime_error{"no"};
    return reading;
  });
  room.pass();
  const auto seat = join(room);
  EXPECT_EQ(room.look({seat, 0, 0}).view.reason, weir::hold_reason::gate);
  EXPECT_EQ(room.snapshot().gate_reason, "circuit_open");
  reading = {};
  room.pass();
  EXPECT_EQ(room.look_at({seat, 0, 0}).state, seat_state::offered);
  throws = true;
  room.pass();
  EXPECT_EQ(room.snapshot().gate, 0);
}

TEST_F(waiting_room, what_draws_the_order_is_committed_to_and_then_revealed) {
  weir::room_config config = weir::bank_teller(1);
  config.opens_at = clock.now() + 60s;
  room_type room{config, keys, nullptr, {}, clock};
  const std::string committed = room.commitment();
  EXPECT_FALSE(room.revealed_seed());
  std::vector<weir::seat_id> seats(10);
  for (auto& s : seats) s = join(room);
  clock.advance(60s);
  room.pass();
  const auto seed = room.revealed_seed();
  ASSERT_TRUE(seed);
  EXPECT_EQ(weir::commitment_of(seed.value()), committed);
  const weir::lottery drawn{seed.value(), 10};
  for (std::uint64_t i = 0; i < 10; ++i) {
    const auto v = room.look_at({seats[i], 0, 0});
    EXPECT_EQ(v.state == seat_state::offered ? 0 : v.position, drawn.rank_of(i));
  }
  config.name = "another";
  room_type another{config, keys, nullptr, {}, clock};
  EXPECT_NE(another.commitment(), committed);
}

TEST_F(waiting_room, a_turn_can_be_waited_for_in_process) {
  room_type room{weir::bank_teller(1), keys, nullptr, {}, clock};
  request first;
  ASSERT_TRUE(room.join(first, {}));
  const auto second = join(room);
  const auto third = join(room);
  request turn, other, given_up;
  EXPECT_FALSE(room.wait_turn(turn, {second, 0, 0}));
  EXPECT_TRUE(room.wait_turn(other, {second, 0, 0}));
  EXPECT_EQ(other.answer.why, room_refusal::duplicate);
  EXPECT_FALSE(room.withdraw(other, {second, 0, 0})) << "it is not this one that waits";
  EXPECT_FALSE(room.wait_turn(given_up, {third, 0, 0}));
  EXPECT_TRUE(room.withdraw(given_up, {third, 0, 0}));
  EXPECT_FALSE(room.withdraw(given_up, {third, 0, 0}));
  room.complete({first.answer.view.seat, 0, 0}, first.answer.view.session);
  ASSERT_TRUE(turn.done);
  EXPECT_EQ(turn.answer.view.state, seat_state::active);
  EXPECT_FALSE(given_up.done);
}

struct counting {
  std::vector<weir::seat_changed>* seen;
  void on(const weir::seat_changed& e) { seen->push_back(e); }
};

TEST_F(waiting_room, observers_are_told_of_every_change) {
  std::vector<weir::seat_changed> seen;
  weir::basic_waiting_room<weir::hmac_signer, weir::manual_clock, counting> room{weir::bank_teller(1), keys, nullptr,
                                                                                 counting{&seen}, clock};
  request r;
  ASSERT_TRUE(room.join(r, {}));
  room.complete({r.answer.view.seat, 0, 0}, r.answer.view.session);
  ASSERT_EQ(seen.size(), 4U);
  EXPECT_TRUE(seen[0].first);
  EXPECT_EQ(seen[1].to, seat_state::offered);
  EXPECT_EQ(seen[2].to, seat_state::active);
  EXPECT_EQ(seen[3].to, seat_state::completed);
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i].sequence, i + 1);
}

/// When those who want in one by one, every 100 ms, come in. From `from` on, for so long.
struct entries {
  room_type& room;
  weir::manual_clock clock;
  std::vector<weir::time_point> at{};

  void run(weir::duration d) {
    for (const auto until = clock.now() + d; clock.now() < until; clock.advance(100ms)) {
      room.pass();
      request r;
      (void)room.join(r, {});
      if (r.answer.view.state == seat_state::active) {
        at.push_back(clock.now());
        (void)room.complete({r.answer.view.seat, 0, 0}, r.answer.view.session);
      } else {
        (void)room.leave({r.answer.view.seat, 0, 0});
      }
    }
  }
  /// The most in any (t, t + per] that ends at `from` or later.
  [[nodiscard]] std::size_t most(weir::duration per, weir::time_point from) const {
    std::size_t most = 0;
    for (const auto end : at) {
      if (end < from) continue;
      const auto in = std::count_if(at.begin(), at.end(), [&](auto t) { return t > end - per && t <= end; });
      most = std::max(most, static_cast<std::size_t>(in));
    }
    return most;
  }
};

TEST_F(waiting_room, a_strict_limit_that_changes_holds_in_windows_that_began_before) {
  weir::room_config config;
  config.admit = weir::rate{5, 10s};
  config.pace = weir::room_pace::strict;
  room_type room{config, keys, nullptr, {}, clock};
  entries in{room, clock};
  const auto change = [&](std::uint64_t n, weir::duration per) {
    config.admit = weir::rate{n, per};
    EXPECT_FALSE(room.reconfigure(config).has_value());
    return clock.now();
  };
  in.run(60s);
  EXPECT_EQ(in.most(10s, weir::time_point::min()), 5U);
  EXPECT_EQ(in.at.size(), 30U);
  auto changed = change(8, 10s);
  in.run(200ms);
  EXPECT_EQ(in.at.size(), 32U) << "there is room for three more, and each 100 ms somebody comes";
  in.run(60s);
  EXPECT_EQ(in.most(10s, changed), 8U);
  changed = change(3, 10s);
  in.run(100s);
  EXPECT_EQ(in.most(10s, changed), 3U);
  changed = change(100, 120s);  // of the last two minutes it knows only a part
  in.run(1000s);
  EXPECT_LE(in.most(120s, changed), 100U);
  EXPECT_EQ(in.most(120s, changed + 500s), 100U);
  changed = change(4, 1s);
  in.run(20s);
  EXPECT_EQ(in.most(1s, changed), 4U);
}

TEST_F(waiting_room, a_change_of_the_rate_gains_nobody_anything) {
  for (const auto pace : {weir::room_pace::smooth, weir::room_pace::batch, weir::room_pace::strict}) {
    weir::room_config config;
    config.admit = weir::rate{10, 10s};
    config.pace = pace;
    room_type room{config, keys, nullptr, {}, clock};
    entries in{room, clock};
    in.run(20s);
    const std::size_t before = in.at.size();
    for (int i = 0; i < 100; ++i) {  // back and forth, all the time
      config.admit = weir::rate{10 + static_cast<std::uint64_t>(i % 2), 10s};
      EXPECT_FALSE(room.reconfigure(config).has_value());
      in.run(200ms);
    }
    EXPECT_LE(in.at.size() - before, 23U) << static_cast<int>(pace);
    EXPECT_GE(in.at.size() - before, 18U) << static_cast<int>(pace);
    config.pace = weir::room_pace::batch;
    for (int i = 0; i < 50; ++i) {
      config.pace = static_cast<weir::room_pace>((static_cast<int>(config.pace) + 1) % 2);
      EXPECT_FALSE(room.reconfigure(config).has_value());
      in.run(200ms);
    }
    EXPECT_LE(in.at.size() - before, 23U + 11U) << static_cast<int>(pace);
  }
}

TEST_F(waiting_room, a_change_throws_nobody_out_and_keeps_what_was_promised) {
  weir::room_config config = weir::bank_teller(3);
  config.overbook_at_most = 0;
  config.session_ttl = 100s;
  room_type room{config, keys, nullptr, {}, clock};
  std::vector<weir::seat_id> seats;
  for (int i = 0; i < 5; ++i) seats.push_back(join(room));
  config.max_active = 1;
  config.capacity = 1;
  config.session_ttl = 10s;
  EXPECT_FALSE(room.reconfigure(config).has_value());
  EXPECT_EQ(room.config().max_active, 1U);
  EXPECT_EQ(room.snapshot().active, 3U);
  EXPECT_EQ(room.look_at({seats[0], 0, 0}).session_expires, clock.now() + 100s) << "as it was told";
  EXPECT_EQ(room.look_at({seats[4], 0, 0}).position, 2U);
  request more;
  EXPECT_TRUE(room.join(more, {}));
  EXPECT_EQ(more.answer.why, room_refusal::full);
  for (int i = 0; i < 2; ++i) {
    const auto inside = room.look_at({seats[static_cast<std::size_t>(i)], 0, 0});
    (void)room.complete({inside.seat, 0, 0}, inside.session);
    EXPECT_EQ(room.snapshot().offered, 0U) << "there are still as many as may be";
  }
  const auto last = room.look_at({seats[2], 0, 0});
  (void)room.complete({last.seat, 0, 0}, last.session);
  request claim;
  ASSERT_TRUE(room.claim(claim, {seats[3], 0, 0}));
  EXPECT_EQ(claim.answer.view.session_expires, clock.now() + 10s);
  config.max_active = 2;
  EXPECT_FALSE(room.reconfigure(config).has_value());
  EXPECT_EQ(room.snapshot().offered, 1U) << "a higher limit takes effect at once";
}

TEST_F(waiting_room, a_change_that_is_wrong_changes_nothing_and_says_why) {
  const weir::room_config config = weir::bank_teller(3);
  room_type room{config, keys, nullptr, {}, clock};
  const auto problem = [&](auto change) {
    weir::room_config wrong = config;
    wrong.max_active = 7;
    change(wrong);
    const auto e = room.reconfigure(wrong);
    EXPECT_EQ(room.config().max_active, 3U);
    return e ? e->message() : "";
  };
  EXPECT_EQ(problem([](auto& c) { c.name = "x"; }), "room_config.name: remains that of the construction");
  EXPECT_EQ(problem([](auto& c) { c.presence = false; }), "room_config.presence: remains that of the construction");
  EXPECT_EQ(problem([](auto& c) { c.lapsed = weir::after_lapse::requeue_back; }),
            "room_config.lapsed: remains that of the construction");
  EXPECT_EQ(problem([](auto& c) { c.lanes[0].name = "x"; }), "room_config.lanes[0].name: remains that of the construction");
  EXPECT_EQ(problem([](auto& c) { c.lanes.push_back({.name = "x"}); }),
            "room_config.lanes: remains that of the construction");
  EXPECT_EQ(problem([](auto& c) { c.claim_window = 0s; }).substr(0, 25), "room_config.claim_window:");
}

TEST_F(waiting_room, never_more_are_inside_whoever_claims_at_once) {
  weir::room_config config = weir::bank_teller(5);
  config.claim_window = 3600s;
  weir::basic_waiting_room<weir::hmac_signer> room{config, keys};
  std::vector<weir::seat_id> seats;
  for (int i = 0; i < 400; ++i) {
    request r;
    ASSERT_TRUE(room.join(r, {}));
    if (r.answer.view.state == seat_state::active) {
      room.complete({r.answer.view.seat, 0, 0}, r.answer.view.session);
    } else {
      seats.push_back(r.answer.view.seat);
    }
  }
  std::vector<std::thread> claimers;
  claimers.reserve(8);
  std::atomic<int> entered{0}, too_many{0}, inside{0};
  for (std::size_t t = 0; t < 8; ++t) {
    claimers.emplace_back([&, t] {
      for (std::size_t i = t; i < seats.size(); i += 8) {
        for (;;) {
          request r;
          if (!room.claim(r, {seats[i], 0, 0})) ADD_FAILURE() << "without a store nobody waits";
          if (r.answer.why == room_refusal::none) {
            if (++inside > 5) ++too_many;
            ++entered;
            --inside;
            room.complete({seats[i], 0, 0}, r.answer.view.session);
            break;
          }
          if (r.answer.why != room_refusal::not_yet) {
            ADD_FAILURE() << to_string(r.answer.why);
            break;
          }
          std::this_thread::yield();
        }
      }
    });
  }
  for (auto& c : claimers) c.join();
  EXPECT_EQ(too_many, 0);
  const auto s = room.snapshot();
  EXPECT_EQ(s.totals.entered, s.totals.joined);
  EXPECT_EQ(s.totals.completed, s.totals.joined);
}

}  // namespace
