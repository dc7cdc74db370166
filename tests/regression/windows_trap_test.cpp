// Traps that lock-free windows of a breaker fall into: prototypes of this library and other libraries did. README.md has
// the table.
#include <regression/crew.hpp>
#include <weir/core/random.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <optional>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing_support::run_crew;
using testing_support::run_crew_beside;

using breaker_type = basic_circuit_breaker<manual_clock>;
using permit = breaker_type::permit;

circuit_breaker_config last_calls(std::uint32_t size, std::uint32_t minimum) {
  circuit_breaker_config config;
  config.over_time.slicing.length = 0s;
  config.over_calls = {.size = size, .trip = {.minimum_calls = minimum, .failure_rate = 0.5}};
  return config;
}

circuit_breaker_config last_hour() {
  circuit_breaker_config config;
  config.over_time = {.slicing = {.length = 1h, .slices = 1}, .trip = {.minimum_calls = 20, .failure_rate = 0.5}};
  return config;
}

void run(breaker_type& breaker, outcome what) { breaker.try_acquire().value().release(what); }

// A reset that clears slots and sum one after the other, while others record: a result that is half in leaves a sum that is
// not that of the slots, for ever. When all is quiet, N successes must leave N calls and no failure, and N more with one
// failure exactly one.
void expect_slots_and_sum_to_agree_after_trips(std::uint32_t size) {
  constexpr unsigned threads = 4;
  constexpr int rounds = 150, calls = 400;
  breaker_type breaker{last_calls(size, size == 10 ? 5 : 10)};
  const auto fill = [&](std::uint32_t failures) {
    for (std::uint32_t i = 0; i < size; ++i) {
      auto asked = breaker.try_acquire();
      if (!asked) {  // what was in the window before made it open meanwhile
        breaker.set_state(breaker_state::closed);
        i = UINT32_MAX;
        continue;
      }
      asked->release(i < failures ? outcome::failure : outcome::success);
    }
    ASSERT_EQ(breaker.snapshot().over_calls.counts, (window_counts{.calls = size, .failures = failures}));
  };
  std::barrier step{threads};
  run_crew(threads, [&](unsigned me) {
    random_stream random{me, "trips"};
    for (int round = 0; round < rounds; ++round) {
      std::optional<permit> late;
      for (int i = 0; i < calls; ++i) {
        auto asked = breaker.try_acquire();
        if (!asked) {
          breaker.set_state(breaker_state::closed);
          continue;
        }
        const outcome what = random.below(100) < 45 ? outcome::failure : outcome::success;
        if (i % 16 == 0) {
          late.emplace(std::move(*asked));
        } else if (i % 16 == 5 && late) {
          late->release(what);
        }
        asked->release(what);  // nothing, if it was moved away
      }
      late.reset();
      step.arrive_and_wait();
      if (me == 0) {
        const auto now = breaker.snapshot().over_calls.counts;
        EXPECT_LE(now.failures, now.calls);
        EXPECT_LE(now.calls, size);
        fill(0);
        fill(1);
        fill(0);
      }
      step.arrive_and_wait();
    }
  });
  const auto s = breaker.snapshot();
  EXPECT_GT(s.trips, 500u);
  EXPECT_GT(s.late, 0u);
  EXPECT_EQ(s.in_flight, 0u);
}

TEST(regression_trap, ResetOnTripLeavesSlotsAndSumEqualForTenCalls) { expect_slots_and_sum_to_agree_after_trips(10); }
TEST(regression_trap, ResetOnTripLeavesSlotsAndSumEqualForAHundredCalls) { expect_slots_and_sum_to_agree_after_trips(100); }

// A count of 20 bits ran over into the failures and opened a circuit that was well. Here a slice is gathered in fields
// of 16.
TEST(regression_trap, AFullCountOfASliceOpensNothing) {
  constexpr unsigned threads = 3, calls = 70'000;  // each alone is more than a field holds
  manual_clock clock;
  breaker_type breaker{last_hour(), {}, clock};
  std::atomic<unsigned> refused{0};
  run_crew(threads, [&](unsigned) {
    for (unsigned i = 0; i < calls; ++i) {
      auto asked = breaker.try_acquire();
      if (!asked) {
        ++refused;
      } else {
        asked->release(i % 100 == 99 ? outcome::failure : outcome::success);
      }
    }
  });
  EXPECT_EQ(refused, 0u);
  const auto s = breaker.snapshot();
  EXPECT_EQ(s.state, breaker_state::closed);
  EXPECT_EQ(s.over_time.counts, (window_counts{.calls = threads * calls, .failures = threads * calls / 100}));
}

TEST(regression_trap, AFullCountOfFailuresIsNoFewer) {
  constexpr unsigned calls = 140'000;
  manual_clock clock;
  circuit_breaker_config config = last_hour();
  config.slow_threshold = 1s;
  config.initial_state = breaker_state::metrics_only;
  config.over_time.trip = {.minimum_calls = 2 * calls, .failure_rate = 1, .slow_rate = 1};
  breaker_type breaker{config, {}, clock};
  for (unsigned i = 0; i < calls; ++i) {
    breaker.try_acquire()->release({.result = outcome::failure, .took = 2s});
  }
  EXPECT_EQ(breaker.snapshot().over_time.counts, (window_counts{.calls = calls, .failures = calls, .slow = calls}));
}

// A late result that takes a place of the new window leaves a hole in it, or counts.
TEST(regression_trap, LateResultsPunchNoHoleIntoTheNewWindow) {
  breaker_type breaker{last_calls(20, 10)};
  for (int round = 0; round < 20; ++round) {
    std::vector<permit> late;
    for (int i = 0; i < 50; ++i) late.push_back(breaker.try_acquire().value());
    while (breaker.snapshot().state == breaker_state::closed) run(breaker, outcome::failure);
    for (int i = 0; i < 10; ++i) late.pop_back();
    breaker.set_state(breaker_state::closed);
    for (int i = 0; i < 7; ++i) run(breaker, outcome::success);
    for (std::size_t i = 0; i < late.size(); ++i) late[i].release(i % 3 == 0 ? outcome::failure : outcome::success);
    ASSERT_EQ(breaker.snapshot().over_calls.counts, (window_counts{.calls = 7})) << round;
    for (int i = 0; i < 13; ++i) run(breaker, i % 2 == 1 ? outcome::failure : outcome::success);
    ASSERT_EQ(breaker.snapshot().over_calls.counts, (window_counts{.calls = 20, .failures = 6})) << round;
    for (int i = 0; i < 20; ++i) run(breaker, outcome::success);
    ASSERT_EQ(breaker.snapshot().over_calls.counts, (window_counts{.calls = 20})) << round;
  }
}

// Many results at once, each of which would open the circuit: it opens once, and says so once.
TEST(regression_trap, TripsExactlyOncePerGeneration) {
  constexpr unsigned threads = 4;
  constexpr std::uint64_t rounds = 150;
  struct counting {
    std::atomic<std::uint64_t>* opened;
    void on(const circuit_opened&) { opened->fetch_add(1); }
  };
  std::atomic<std::uint64_t> opened{0};
  basic_circuit_breaker<default_clock, counting> breaker{last_calls(10, 4), counting{&opened}};
  std::barrier step{threads};
  run_crew(threads, [&](unsigned me) {
    for (std::uint64_t round = 0; round < rounds; ++round) {
      std::vector<decltype(breaker)::permit> permits;
      for (int i = 0; i < 8; ++i) permits.push_back(breaker.try_acquire().value());
      step.arrive_and_wait();
      for (auto& p : permits) p.release(outcome::failure);
      step.arrive_and_wait();
      if (me == 0) {
        const auto s = breaker.snapshot();
        EXPECT_EQ(s.trips, round + 1);
        EXPECT_EQ(s.generation, 2 * round + 2);
        breaker.set_state(breaker_state::closed);
      }
      step.arrive_and_wait();
    }
  });
  EXPECT_EQ(opened, rounds);
}

// Who replaces a failure may take it from the count before the one who put it there has added it: for a moment the count is
// below zero, and borrows from its neighbours. So successes, which are what is left of the calls, go wrong, too.
TEST(regression_trap, NoCountIsBelowZeroAndNoneBorrows) {
  circuit_breaker_config config = last_calls(2, 2);  // so that threads often meet in a slot
  config.over_time = last_hour().over_time;
  config.over_calls.trip.failure_rate = config.over_time.trip.failure_rate = 0;  // never opens
  breaker_type breaker{config};
  std::atomic<std::uint64_t> wrong{0};
  for (int round = 0; round < 60; ++round) {
    run_crew_beside(
        3,
        [&](unsigned me) {
          for (unsigned i = 0; i < 2000; ++i) run(breaker, (i + me) % 2 == 0 ? outcome::failure : outcome::success);
        },
        20,
        [&](unsigned) {
          const auto s = breaker.snapshot();
          for (const window_view& w : {s.over_calls, s.over_time}) {
            wrong += w.counts.failures > w.counts.calls || w.counts.slow != 0 || w.failure_rate.value_or(0) > 1;
          }
          wrong += s.over_calls.counts.calls > 2;
          wrong += s.success + s.failure > s.admitted || s.in_flight > UINT32_MAX;
        });
    for (int i = 0; i < 2; ++i) run(breaker, outcome::failure);
    ASSERT_EQ(breaker.snapshot().over_calls.counts, (window_counts{.calls = 2, .failures = 2}));
    for (int i = 0; i < 2; ++i) run(breaker, outcome::success);
    ASSERT_EQ(breaker.snapshot().over_calls.counts, (window_counts{.calls = 2}));
  }
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(breaker.snapshot().over_time.counts.failures, 60 * (3 * 1000 + 2u));
}

// With 14 bits of generation a permit was taken for one of the present state after 16,384 transitions.
TEST(regression_trap, AGenerationDoesNotComeAgain) {
  circuit_breaker_config config = last_calls(10, 10);
  config.over_time = last_hour().over_time;
  config.consecutive_failures = 10;
  breaker_type breaker{config};
  std::vector<permit> early;
  for (int i = 0; i < 3; ++i) early.push_back(breaker.try_acquire().value());
  const std::uint64_t admitted_in = breaker.snapshot().generation;
  for (const std::uint64_t passed : {1u << 14, 1u << 15, 1u << 16}) {
    while (breaker.snapshot().generation < admitted_in + passed) breaker.set_state(breaker_state::closed);
    early.back().release(outcome::failure);
    early.pop_back();
    EXPECT_EQ(breaker.snapshot().over_calls.counts, window_counts{}) << passed;
    EXPECT_EQ(breaker.snapshot().over_time.counts, window_counts{}) << passed;
  }
  EXPECT_EQ(breaker.snapshot().late, 3u);
}

}  // namespace
}  // namespace weir
