// The circuit breaker under every schedule, by its public functions only: it trips once and never misses, what comes late
// moves nothing, probes are never too many, the books are exact, and from wherever it ends it can be closed again.
#include "world.hpp"

#include <weir/policy/circuit_breaker.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace {

using namespace std::chrono_literals;
using weir::breaker_state;
using weir::circuit_breaker_config;
using weir::outcome;
using breaker = weir::basic_circuit_breaker<model::clock>;
using permit = breaker::permit;

/// The last `size` results; opens for 10 s; one probe.
circuit_breaker_config by_count(std::uint32_t size, std::uint32_t minimum, double rate) {
  circuit_breaker_config c;
  c.over_time.slicing.length = weir::duration::zero();
  c.over_calls = {.size = size, .trip = {.minimum_calls = minimum, .failure_rate = rate, .slow_rate = 0}};
  c.open_for = {.initial = 10s, .multiplier = 1, .jitter = weir::jitter_kind::none};
  c.probes.count = 1;
  return c;
}
/// The results of the last 4 s, in slices of 1 s.
circuit_breaker_config by_time(std::uint32_t minimum, double rate) {
  circuit_breaker_config c = by_count(0, minimum, rate);
  c.over_time = {.slicing = {.length = 4s, .slices = 4},
                 .trip = {.minimum_calls = minimum, .failure_rate = rate, .slow_rate = 0}};
  return c;
}

/// What one thread has seen.
struct seen {
  std::uint64_t arrivals = 0, rejected = 0;
  seen operator+(const seen& o) const { return {arrivals + o.arrivals, rejected + o.rejected}; }
};

struct circuit {
  circuit(model::run& run, circuit_breaker_config c) : config(std::move(c)), it{config, {}, time} {
    run.name(it, "breaker");
  }

  /// A permit that was admitted before the run.
  permit admitted() {
    ++before.arrivals;
    return std::move(it.try_acquire().value());
  }
  bool call(seen& mine, outcome what) {
    ++mine.arrivals;
    auto asked = it.try_acquire();
    if (!asked) ++mine.rejected;
    if (asked) asked->release(what);
    return asked.has_value();
  }
  [[nodiscard]] weir::circuit_breaker_snapshot look() const { return it.snapshot(); }
  void open_and_wait() {
    EXPECT_TRUE(it.set_state(breaker_state::open));
    time.advance(10s);
  }

  /// At the end: the books, and that nothing is stuck or left behind.
  void expect_whole(const seen& threads = {}) {
    const seen all = before + threads;
    auto s = look();
    EXPECT_EQ(s.in_flight, 0u);
    EXPECT_EQ(s.admitted + s.rejected + s.cancelled, all.arrivals);
    EXPECT_EQ(s.rejected, all.rejected);
    EXPECT_EQ(s.admitted, s.success + s.failure + s.overload + s.ignored);
    EXPECT_EQ(s.probes_in_flight, 0u);
    seen mine;
    for (int i = 0; look().state != breaker_state::closed; ++i) {
      ASSERT_LT(i, 10) << "stuck";
      time.advance(10s);
      call(mine, outcome::success);
    }
    // Once around with successes: were the counts not those of the slots, it would show now.
    const std::uint32_t size = config.over_calls.size;
    for (std::uint32_t i = 0; i < size; ++i) EXPECT_TRUE(call(mine, outcome::success));
    s = look();
    EXPECT_EQ(s.over_calls.counts, (weir::window_counts{.calls = size}));
  }

  circuit_breaker_config config;
  model::clock time;
  breaker it;
  seen before;
};

// --- tripping

void failures_trip_once(const circuit_breaker_config& config, int healthy, int failing) {
  model::explore([&](model::run& run) {
    circuit c{run, config};
    for (int i = 0; i < healthy; ++i) c.call(c.before, outcome::success);
    permit one = c.admitted(), two = c.admitted();
    std::optional<permit> three;
    if (failing == 3) three = c.admitted();
    if (failing == 3) {
      run.threads({[&] { one.release(outcome::failure); }, [&] { two.release(outcome::failure); },
                   [&] { three->release(outcome::failure); }});
    } else {
      run.threads({[&] { one.release(outcome::failure); }, [&] { two.release(outcome::failure); }});
    }
    const auto s = c.look();
    EXPECT_EQ(s.state, breaker_state::open);
    EXPECT_EQ(s.trips, 1u);
    EXPECT_EQ(s.generation, 2u);
    EXPECT_EQ(s.late, 0u) << "all of them were needed";
    c.expect_whole();
  });
}

TEST(model_circuit_breaker, two_failures_that_just_reach_the_threshold) { failures_trip_once(by_count(4, 2, 1), 0, 2); }
TEST(model_circuit_breaker, three_failures_that_just_reach_the_threshold) { failures_trip_once(by_count(4, 3, 1), 0, 3); }
TEST(model_circuit_breaker, two_failures_that_replace_successes) { failures_trip_once(by_count(4, 4, 0.5), 5, 2); }
TEST(model_circuit_breaker, two_failures_in_a_time_window) { failures_trip_once(by_time(4, 0.5), 2, 2); }
TEST(model_circuit_breaker, three_failures_in_a_time_window) { failures_trip_once(by_time(3, 1), 0, 3); }
TEST(model_circuit_breaker, two_failures_in_a_row) {
  circuit_breaker_config c = by_count(8, 8, 1);
  c.consecutive_failures = 2;
  failures_trip_once(c, 1, 2);
}

// More failures than needed: the last one is in the evidence, or late; never a second trip.
void more_failures_trip_once(const circuit_breaker_config& config) {
  model::explore([&](model::run& run) {
    circuit c{run, config};
    c.call(c.before, outcome::failure);
    permit one = c.admitted(), two = c.admitted();
    seen mine;
    run.threads({[&] { one.release(outcome::failure); }, [&] { two.release(outcome::failure); },
                 [&] { c.call(mine, outcome::success); }});
    const auto s = c.look();
    EXPECT_EQ(s.trips, 1u);
    EXPECT_EQ(s.generation, 2u);
    const std::uint64_t counted = s.over_calls.counts.calls + s.over_time.counts.calls;
    EXPECT_EQ(counted + s.late, s.admitted) << "in the window, or late; not both, not neither";
    c.expect_whole(mine);
  });
}
TEST(model_circuit_breaker, more_failures_than_needed) { more_failures_trip_once(by_count(4, 2, 0.5)); }
TEST(model_circuit_breaker, more_failures_than_needed_in_a_time_window) { more_failures_trip_once(by_time(2, 0.5)); }

TEST(model_circuit_breaker, a_failure_between_two_successes_is_not_enough) {
  model::explore([](model::run& run) {
    circuit c{run, by_count(4, 3, 0.5)};
    permit one = c.admitted(), two = c.admitted(), three = c.admitted();
    run.threads({[&] { one.release(outcome::success); }, [&] { two.release(outcome::failure); },
                 [&] { three.release(outcome::success); }});
    const auto s = c.look();
    EXPECT_EQ(s.state, breaker_state::closed);
    EXPECT_EQ(s.over_calls.counts, (weir::window_counts{.calls = 3, .failures = 1}));
    c.expect_whole();
  });
}

// More results than places, so that recorders meet in a slot.
TEST(model_circuit_breaker, recorders_that_lap_each_other) {
  model::explore([](model::run& run) {
    circuit c{run, by_count(2, 2, 0)};  // never trips
    permit one = c.admitted(), two = c.admitted(), three = c.admitted();
    run.threads({[&] { one.release(outcome::failure); }, [&] { two.release(outcome::success); },
                 [&] { three.release(outcome::failure); }});
    const auto s = c.look();
    EXPECT_EQ(s.over_calls.counts.calls, 2u);
    EXPECT_LE(s.over_calls.counts.failures, 2u);
    EXPECT_GE(s.over_calls.counts.failures, 1u);
    c.expect_whole();
  });
}

TEST(model_circuit_breaker, an_overload_takes_a_place_but_is_no_call) {
  model::explore([](model::run& run) {
    circuit c{run, by_count(4, 4, 0)};
    permit one = c.admitted(), two = c.admitted(), three = c.admitted();
    run.threads({[&] { one.release(outcome::failure); }, [&] { two.release(outcome::overload); },
                 [&] { three.release(outcome::ignored); }});
    const auto s = c.look();
    EXPECT_EQ(s.over_calls.counts, (weir::window_counts{.calls = 1, .failures = 1, .overload = 1}));
    EXPECT_EQ(s.late, 0u);
    c.expect_whole();
  });
}

// The next slice begins while results of the last one are being recorded.
void a_slice_ends(bool two_recorders) {
  model::explore([&](model::run& run) {
    circuit c{run, by_time(2, 0)};
    c.call(c.before, outcome::failure);
    permit one = c.admitted(), two = c.admitted(), three = c.admitted();
    const auto begin = c.time.now();
    c.time.advance(999ms);
    const auto of_the_next = [&] { three.release({.result = outcome::success, .now = begin + 1s}); };
    if (two_recorders) {
      run.threads({[&] { one.release({.result = outcome::failure, .now = begin}); },
                   [&] { two.release({.result = outcome::success, .now = begin}); }, of_the_next});
    } else {
      two.release(outcome::success);
      run.threads({[&] { one.release(outcome::failure); },
                   [&] {
                     c.time.advance(1ms);
                     of_the_next();
                   }});
    }
    EXPECT_EQ(c.look().over_time.counts, (weir::window_counts{.calls = 4, .failures = 2}));
    c.time.advance(5s);
    EXPECT_EQ(c.look().over_time.counts, weir::window_counts{});
    c.expect_whole();
  });
}
TEST(model_circuit_breaker, a_slice_ends_under_a_recorder) { a_slice_ends(false); }
TEST(model_circuit_breaker, a_slice_ends_under_two_recorders) { a_slice_ends(true); }

TEST(model_circuit_breaker, no_trip_is_missed_at_the_end_of_a_slice) {
  model::explore([](model::run& run) {
    circuit c{run, by_time(2, 1)};
    permit one = c.admitted(), two = c.admitted();
    run.threads(
        {[&] { one.release(outcome::failure); }, [&] { two.release(outcome::failure); }, [&] { c.time.advance(1s); }});
    EXPECT_EQ(c.look().trips, 1u);
    c.expect_whole();
  });
}

// --- late results

void late_moves_nothing(const circuit_breaker_config& config) {
  model::explore([&](model::run& run) {
    circuit c{run, config};
    permit old = c.admitted();
    c.open_and_wait();
    seen mine;
    run.threads({[&] { old.release(outcome::failure); },
                 [&] {
                   EXPECT_TRUE(c.call(mine, outcome::success)) << "the probe, which closes";
                   EXPECT_TRUE(c.call(mine, outcome::success));
                   EXPECT_TRUE(c.call(mine, outcome::failure));
                 }});
    const auto s = c.look();
    EXPECT_EQ(s.state, breaker_state::closed);
    EXPECT_EQ(s.late, 1u);
    EXPECT_EQ(s.trips, 0u);
    const auto& counts = config.over_calls.size > 0 ? s.over_calls.counts : s.over_time.counts;
    EXPECT_EQ(counts, (weir::window_counts{.calls = 2, .failures = 1})) << "those of the present state, and no others";
    c.expect_whole(mine);
  });
}
TEST(model_circuit_breaker, a_late_failure_moves_nothing) { late_moves_nothing(by_count(4, 3, 0.6)); }
TEST(model_circuit_breaker, a_late_failure_moves_nothing_in_a_time_window) { late_moves_nothing(by_time(3, 0.6)); }

// A recorder of the closed state is overtaken by everything: the trip, the probe and the next closed state.
void overtaken(const circuit_breaker_config& config, outcome what) {
  model::explore([&](model::run& run) {
    circuit c{run, config};
    permit slow = c.admitted(), failing = c.admitted();
    seen mine;
    run.threads({[&] { slow.release(what); },
                 [&] {
                   failing.release(outcome::failure);
                   c.it.set_state(breaker_state::closed);
                   c.call(mine, outcome::success);
                 }});
    const auto s = c.look();
    EXPECT_EQ(s.state, breaker_state::closed);
    const auto& counts = config.over_calls.size > 0 ? s.over_calls.counts : s.over_time.counts;
    EXPECT_EQ(counts, (weir::window_counts{.calls = 1}));
    c.expect_whole(mine);
  });
}
TEST(model_circuit_breaker, a_failure_is_overtaken_by_a_trip_and_a_new_state) {
  overtaken(by_count(3, 1, 0.5), outcome::failure);
}
TEST(model_circuit_breaker, a_success_is_overtaken_by_a_trip_and_a_new_state) {
  overtaken(by_count(3, 1, 0.5), outcome::success);
}
TEST(model_circuit_breaker, a_failure_is_overtaken_in_a_time_window) { overtaken(by_time(1, 0.5), outcome::failure); }
TEST(model_circuit_breaker, an_overload_is_overtaken) { overtaken(by_count(3, 1, 0.5), outcome::overload); }

TEST(model_circuit_breaker, a_row_of_failures_is_one_of_its_own_state) {
  model::explore([](model::run& run) {
    auto config = by_count(8, 8, 1);
    config.consecutive_failures = 2;
    circuit c{run, config};
    permit slow = c.admitted();
    seen mine;
    run.threads({[&] { slow.release(outcome::failure); },
                 [&] {
                   EXPECT_TRUE(c.it.set_state(breaker_state::closed));
                   c.call(mine, outcome::failure);
                 }});
    EXPECT_EQ(c.look().trips, 0u);
    c.expect_whole(mine);
  });
}
// ... and a success of an earlier state does not break it.
TEST(model_circuit_breaker, a_row_of_failures_is_broken_by_its_own_state_only) {
  model::explore([](model::run& run) {
    auto config = by_count(8, 8, 1);
    config.consecutive_failures = 2;
    circuit c{run, config};
    c.call(c.before, outcome::failure);
    permit slow = c.admitted();
    seen mine;
    run.threads({[&] { slow.release(outcome::success); },
                 [&] {
                   EXPECT_TRUE(c.it.set_state(breaker_state::closed));
                   c.call(mine, outcome::failure);
                   c.call(mine, outcome::failure);
                 }});
    EXPECT_EQ(c.look().trips, 1u);
    c.expect_whole(mine);
  });
}

// --- half-open

TEST(model_circuit_breaker, probes_are_never_more_than_allowed_at_once) {
  model::explore([](model::run& run) {
    auto config = by_count(4, 2, 0.5);
    config.probes.count = 3;
    config.probes.max_concurrent = 1;
    config.probes.failure_rate = 0.1;  // undecided until all three are back
    circuit c{run, config};
    c.open_and_wait();
    model::occupancy probing{1};
    seen mine[3];
    const auto probe = [&](seen& me, outcome what) {
      ++me.arrivals;
      auto asked = c.it.try_acquire();
      if (!asked) return void(++me.rejected);
      probing.enter();
      probing.leave();
      asked->release(what);
    };
    run.threads({[&] { probe(mine[0], outcome::overload); }, [&] { probe(mine[1], outcome::ignored); },
                 [&] { probe(mine[2], outcome::overload); }});
    EXPECT_EQ(c.look().state, breaker_state::half_open) << "at most two of three have answered";
    c.expect_whole(mine[0] + mine[1] + mine[2]);
  });
}

TEST(model_circuit_breaker, probes_are_never_more_than_allowed) {
  model::explore([](model::run& run) {
    auto config = by_count(4, 2, 0.5);
    config.probes.count = 2;
    config.probes.decide_early = false;
    circuit c{run, config};
    c.open_and_wait();
    seen mine[3];
    std::optional<weir::result<permit>> kept[3];
    const auto ask = [&](int i) {
      ++mine[i].arrivals;
      kept[i] = c.it.try_acquire();
      if (!*kept[i]) ++mine[i].rejected;
    };
    run.threads({[&] { ask(0); }, [&] { ask(1); }, [&] { ask(2); }});
    EXPECT_EQ((mine[0] + mine[1] + mine[2]).rejected, 1u);
    for (auto& k : kept) {
      if (*k) (*k)->release(outcome::success);
    }
    EXPECT_EQ(c.look().state, breaker_state::closed);
    c.expect_whole(mine[0] + mine[1] + mine[2]);
  });
}

// A probe that is cancelled or dropped gives its place to another.
TEST(model_circuit_breaker, a_refunded_probe_is_free_for_others) {
  model::explore([](model::run& run) {
    circuit c{run, by_count(4, 2, 0.5)};
    c.open_and_wait();
    model::occupancy probing{1};
    seen mine[3];
    const auto probe = [&](seen& me, bool cancel) {
      ++me.arrivals;
      auto asked = c.it.try_acquire();
      if (!asked) return void(++me.rejected);
      probing.enter();
      probing.leave();
      if (cancel) asked->cancel();
    };
    run.threads({[&] { probe(mine[0], true); }, [&] { probe(mine[1], false); }, [&] { probe(mine[2], true); }});
    EXPECT_EQ(c.look().state, breaker_state::half_open);
    EXPECT_EQ(c.look().late, 0u);
    c.expect_whole(mine[0] + mine[1] + mine[2]);
  });
}

TEST(model_circuit_breaker, a_lease_ends_while_the_probe_reports) {
  model::explore([](model::run& run) {
    auto config = by_count(4, 2, 0.5);
    config.probes.lease = 1s;
    circuit c{run, config};
    c.open_and_wait();
    permit probe = c.admitted();
    seen mine;
    run.threads({[&] { probe.release(outcome::success); },
                 [&] {
                   c.time.advance(1s);
                   c.call(mine, outcome::success);
                 }});
    const auto s = c.look();
    EXPECT_EQ(s.state, s.late == 0 ? breaker_state::closed : breaker_state::open);
    EXPECT_EQ(s.probes_expired, s.late);
    EXPECT_EQ(s.trips, s.late);
    EXPECT_EQ(mine.rejected, s.late);
    c.expect_whole(mine);
  });
}

// The lease ends, and with it the probe; the circuit is half-open still when its report comes.
TEST(model_circuit_breaker, a_report_after_the_lease_is_no_second_answer) {
  model::explore([](model::run& run) {
    auto config = by_count(4, 2, 0.5);
    config.probes.count = 3;
    config.probes.failure_rate = 0.6;
    config.probes.lease = 1s;
    circuit c{run, config};
    c.open_and_wait();
    permit probe = c.admitted();
    seen mine;
    run.threads({[&] { probe.release(outcome::failure); },
                 [&] {
                   c.time.advance(1s);
                   c.call(mine, outcome::success);
                 }});
    const auto s = c.look();
    EXPECT_EQ(s.state, breaker_state::half_open);
    EXPECT_EQ(s.probes.counts, (weir::window_counts{.calls = 2, .failures = 1}));
    EXPECT_EQ(s.probes_expired, s.late);
    c.expect_whole(mine);
  });
}

// Two probes, of which one fails and the other one's result comes in any order with it: one decision.
TEST(model_circuit_breaker, two_probes_decide_once) {
  model::explore([](model::run& run) {
    auto config = by_count(4, 2, 0.5);
    config.probes.count = 2;
    circuit c{run, config};
    c.open_and_wait();
    permit good = c.admitted(), bad = c.admitted();
    seen mine;
    run.threads({[&] { good.release(outcome::success); }, [&] { bad.release(outcome::failure); },
                 [&] { c.call(mine, outcome::success); }});
    const auto s = c.look();
    EXPECT_EQ(s.state, breaker_state::open);
    EXPECT_EQ(s.trips, 1u);
    EXPECT_EQ(mine.rejected, 1u);
    c.expect_whole(mine);
  });
}

// --- what operators do

void states_under_recorders(breaker_state to) {
  model::explore([&](model::run& run) {
    circuit c{run, by_count(3, 2, 0.5)};
    permit one = c.admitted(), two = c.admitted();
    run.threads({[&] { one.release(outcome::failure); }, [&] { two.release(outcome::failure); },
                 [&] { EXPECT_TRUE(c.it.set_state(to)); }});
    const auto s = c.look();
    EXPECT_EQ(s.state, to);
    EXPECT_LE(s.trips, 1u);
    // Both may be in the window when the operator comes, just before they are judged: no trip then, and nothing late.
    EXPECT_TRUE(s.trips == 0 || s.late == 0);
    if (to != breaker_state::open) {
      EXPECT_EQ(s.over_calls.counts, weir::window_counts{});
    }
    if (to == breaker_state::disabled) {
      EXPECT_TRUE(c.it.set_state(breaker_state::closed));
    }
    c.expect_whole();
  });
}
TEST(model_circuit_breaker, closing_by_hand_under_recorders) { states_under_recorders(breaker_state::closed); }
TEST(model_circuit_breaker, opening_by_hand_under_recorders) { states_under_recorders(breaker_state::open); }
TEST(model_circuit_breaker, disabling_under_recorders) { states_under_recorders(breaker_state::disabled); }

// The window keeps its shape, and so its contents; the threshold falls to what is in it.
TEST(model_circuit_breaker, other_thresholds_under_recorders) {
  model::explore([](model::run& run) {
    circuit c{run, by_count(4, 4, 1)};
    permit one = c.admitted(), two = c.admitted();
    run.threads({[&] { one.release(outcome::failure); }, [&] { two.release(outcome::failure); },
                 [&] { EXPECT_FALSE(c.it.reconfigure(by_count(4, 2, 1))); }});
    auto s = c.look();
    EXPECT_EQ(s.over_calls.counts, (weir::window_counts{.calls = 2, .failures = 2}));
    EXPECT_EQ(s.late, 0u);
    if (s.trips == 0) c.call(c.before, outcome::failure);  // the next result is judged
    EXPECT_EQ(c.look().trips, 1u);
    c.expect_whole();
  });
}

// A larger window begins empty, and nothing of the old one gets into it.
TEST(model_circuit_breaker, another_window_under_recorders) {
  model::explore([](model::run& run) {
    circuit c{run, by_count(2, 2, 0)};
    c.call(c.before, outcome::failure);
    permit one = c.admitted(), two = c.admitted();
    run.threads({[&] { one.release(outcome::failure); }, [&] { two.release(outcome::success); },
                 [&] { EXPECT_FALSE(c.it.reconfigure(by_count(5, 5, 0))); }});
    const auto s = c.look();
    EXPECT_LE(s.over_calls.counts.calls, 2u);
    EXPECT_LE(s.over_calls.counts.failures, 1u);
    EXPECT_EQ(s.late, 0u);
    c.config = by_count(5, 5, 0);
    c.expect_whole();
  });
}

TEST(model_circuit_breaker, other_slices_under_recorders) {
  model::explore([](model::run& run) {
    circuit c{run, by_time(2, 0)};
    c.call(c.before, outcome::failure);
    permit one = c.admitted(), two = c.admitted();
    auto other = by_time(2, 0);
    other.over_time.slicing.length = 8s;
    run.threads({[&] { one.release(outcome::failure); }, [&] { two.release(outcome::success); },
                 [&] { EXPECT_FALSE(c.it.reconfigure(other)); }});
    const auto s = c.look();
    EXPECT_LE(s.over_time.counts.calls, 2u);
    EXPECT_LE(s.over_time.counts.failures, 1u);
    c.expect_whole();
  });
}

}  // namespace
