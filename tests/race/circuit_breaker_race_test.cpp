// Threads on one circuit breaker, for the thread sanitizer and for what must hold whatever the interleaving.
#include <weir/policy/circuit_breaker.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <barrier>
#include <optional>
#include <thread>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;

struct counting {
  std::atomic<std::uint64_t>*opened, *events;
  void on(const circuit_opened&) {
    opened->fetch_add(1);
    events->fetch_add(1);
  }
  void on(const circuit_half_opened&) { events->fetch_add(1); }
  void on(const circuit_closed&) { events->fetch_add(1); }
  void on(const probe_lease_expired&) { events->fetch_add(1); }
  void on(const circuit_state_forced&) { events->fetch_add(1); }
};

class CircuitBreakerRace : public testing::Test {
 protected:
  using breaker_type = basic_circuit_breaker<manual_clock, counting>;
  static constexpr unsigned threads = 4;

  manual_clock clock;
  std::atomic<std::uint64_t> opened{0}, events{0};
};

// Many results that each would trip it arrive at once: it opens once, the rest is late, and nothing is lost. Who was
// already recording when it opened is in the evidence.
TEST_F(CircuitBreakerRace, TripsExactlyOncePerGeneration) {
  constexpr int rounds = 300, calls = 8;
  breaker_type breaker{
      {.over_time = {.slicing = {.length = 1h}, .trip = {.minimum_calls = 5}}}, counting{&opened, &events}, clock};
  std::atomic<std::uint64_t> wrong{0};
  std::uint64_t late = 0;
  std::barrier step{threads};
  const auto work = [&](unsigned me) {
    for (int round = 0; round < rounds; ++round) {
      std::vector<breaker_type::permit> permits;
      for (int i = 0; i < calls; ++i) {
        auto asked = breaker.try_acquire();
        if (asked) permits.push_back(std::move(*asked));
      }
      wrong += permits.size() != calls;
      step.arrive_and_wait();
      for (auto& p : permits) p.release(outcome::failure);
      step.arrive_and_wait();
      if (me == 0) {
        const auto s = breaker.snapshot();
        const auto n = static_cast<std::uint64_t>(round) + 1;
        wrong += s.state != breaker_state::open;
        wrong += s.trips != n;
        wrong += s.generation != 2 * n;
        const std::uint64_t evidence = s.over_time.counts.calls;
        wrong += evidence < 5 || evidence > 5 + threads - 1;
        wrong += s.over_time.counts.failures != evidence;
        late += threads * calls - evidence;
        wrong += s.late != late;
        wrong += s.failure != n * threads * calls;
        breaker.set_state(breaker_state::closed);
      }
      step.arrive_and_wait();
    }
  };
  {
    std::vector<std::jthread> crew;
    for (unsigned me = 0; me < threads; ++me) crew.emplace_back(work, me);
  }
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(opened, static_cast<std::uint64_t>(rounds));
}

// Only as many probes as there are, however many threads ask at the same instant.
TEST_F(CircuitBreakerRace, HandsOutItsProbesOnce) {
  constexpr int rounds = 300;
  circuit_breaker_config config{.probes = {.count = 2, .lease = 1h}, .initial_state = breaker_state::open};
  config.open_for = {.initial = 1s, .multiplier = 1, .jitter = jitter_kind::none};
  breaker_type breaker{config, counting{&opened, &events}, clock};
  std::atomic<std::uint64_t> probes{0}, wrong{0};
  std::barrier step{threads};
  const auto work = [&](unsigned me) {
    for (int round = 0; round < rounds; ++round) {
      if (me == 0) {
        probes = 0;
        breaker.set_state(breaker_state::open);
        clock.advance(1s);
      }
      step.arrive_and_wait();
      std::array<std::optional<breaker_type::permit>, 4> mine;
      for (auto& p : mine) {
        if (auto asked = breaker.try_acquire()) {
          ++probes;
          p.emplace(std::move(*asked));
        }
      }
      step.arrive_and_wait();
      if (me == 0) wrong += probes != 2 || breaker.snapshot().probes_in_flight != 2;
      step.arrive_and_wait();
    }
  };
  {
    std::vector<std::jthread> crew;
    for (unsigned me = 0; me < threads; ++me) crew.emplace_back(work, me);
  }
  EXPECT_EQ(wrong, 0u);
}

// Everything at once: calls that fail and come back late, time that passes, an operator, other configurations, and a
// reader.
TEST_F(CircuitBreakerRace, TheLedgerIsExactAfterEverythingAtOnce) {
  constexpr int calls = 15000;
  circuit_breaker_config config{.slow_threshold = 5ms, .probes = {.count = 3, .max_concurrent = 2, .lease = 20ms}};
  config.over_time = {.slicing = {.length = 50ms, .slices = 5}, .trip = {.minimum_calls = 8}};
  config.open_for = {.initial = 2ms, .multiplier = 2, .cap = 20ms, .jitter = jitter_kind::proportional};
  config.recovery_ramp.length = 3ms;
  breaker_type breaker{config, counting{&opened, &events}, clock};
  struct tally {
    std::uint64_t asked = 0, refused = 0, cancelled = 0;
    std::array<std::uint64_t, 4> ended{};
  };
  std::array<tally, threads> tallies;
  std::atomic<unsigned> working{threads};
  std::atomic<std::uint64_t> wrong{0};
  // By steps of its own, so that it neither sleeps while all others call nor outpaces them.
  const auto operate = [&](unsigned step) {
    if (step % 64 == 13) breaker.set_state(static_cast<breaker_state>(step / 64 % 6));
    if (step % 64 == 40) breaker.set_state(breaker_state::closed);
    if (step % 32 == 5) {
      config.watch_running = step % 64 < 32 ? 16 : 0;
      config.over_calls.size = step % 96 < 32 ? 50 : 0;
      config.probes.count = 2 + step % 5;
      wrong += breaker.reconfigure(config).has_value();
    }
  };
  const auto work = [&](unsigned me) {
    random_stream random{me, "race"};
    tally mine;
    std::vector<breaker_type::permit> held;
    for (int i = 0; i < calls; ++i) {
      if (me == 0 && i % 8 == 0) operate(static_cast<unsigned>(i / 8));
      ++mine.asked;
      auto asked = breaker.try_acquire();
      if (asked) {
        held.push_back(std::move(*asked));
      } else {
        ++mine.refused;
      }
      if (i % 50 == 0) clock.advance(1ms);
      while (held.size() > 6 || (!held.empty() && random.below(3) == 0)) {
        const auto which = held.begin() + static_cast<std::ptrdiff_t>(random.below(held.size()));
        const auto kind = random.below(16);
        if (kind == 15) {
          which->cancel();
          ++mine.cancelled;
        } else {
          // Good and bad times take turns.
          const bool bad = (i / 500) % 2 == 1;
          const outcome what = kind == 14         ? outcome::ignored
                               : kind == 13       ? outcome::overload
                               : bad && kind < 10 ? outcome::failure
                                                  : outcome::success;
          which->release(what);
          ++mine.ended[static_cast<std::size_t>(what)];
        }
        held.erase(which);
      }
    }
    mine.ended[static_cast<std::size_t>(outcome::ignored)] += held.size();
    held.clear();
    tallies[me] = mine;
    --working;
  };
  {
    std::vector<std::jthread> crew;
    for (unsigned me = 0; me < threads; ++me) crew.emplace_back(work, me);
    crew.emplace_back([&] {
      while (working > 0) {
        wrong += breaker.snapshot().in_flight > UINT32_MAX;  // below zero; too high while others call, is documented
        std::this_thread::yield();
      }
    });
  }
  tally all;
  for (const tally& t : tallies) {
    all.asked += t.asked;
    all.refused += t.refused;
    all.cancelled += t.cancelled;
    for (std::size_t i = 0; i < 4; ++i) all.ended[i] += t.ended[i];
  }
  const auto s = breaker.snapshot();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(s.admitted + s.rejected + s.cancelled, all.asked);
  EXPECT_EQ(s.rejected, all.refused);
  EXPECT_EQ(s.cancelled, all.cancelled);
  EXPECT_EQ(s.success, all.ended[static_cast<std::size_t>(outcome::success)]);
  EXPECT_EQ(s.failure, all.ended[static_cast<std::size_t>(outcome::failure)]);
  EXPECT_EQ(s.overload, all.ended[static_cast<std::size_t>(outcome::overload)]);
  EXPECT_EQ(s.ignored, all.ended[static_cast<std::size_t>(outcome::ignored)]);
  EXPECT_EQ(s.in_flight, 0u);
  EXPECT_EQ(opened, s.trips) << "every trip is told once";
  EXPECT_GT(s.trips, 3u);
  EXPECT_GT(s.late, 3u);
}

// Windows that change their size and are emptied under recorders: when all are done, the counts are those of the slots, so
// that as many successes as there are slots leave nothing else.
TEST_F(CircuitBreakerRace, AWindowIsWholeAfterAnyNumberOfReshapings) {
  constexpr int rounds = 150, calls = 60;
  constexpr trip_thresholds never_trips{.minimum_calls = 1, .failure_rate = 0, .slow_rate = 0};
  circuit_breaker_config config{.over_time = {.slicing = {.length = {}}}, .over_calls = {.size = 7, .trip = never_trips}};
  breaker_type breaker{config, counting{&opened, &events}, clock};
  std::atomic<std::uint64_t> wrong{0};
  std::barrier step{threads};
  const auto record = [&](outcome what) {
    if (auto asked = breaker.try_acquire()) asked->release(what);
  };
  const auto work = [&](unsigned me) {
    random_stream random{me, "reshape"};
    for (int round = 0; round < rounds; ++round) {
      step.arrive_and_wait();
      for (int i = 0; i < calls; ++i) {
        if (me == 0 && i % 6 == 0) {
          config.over_calls.size = std::uint32_t{1} << random.below(9);
          wrong += breaker.reconfigure(config).has_value();
        } else if (me == 1 && i % 20 == 0) {
          breaker.set_state(breaker_state::closed);
        } else {
          record(static_cast<outcome>(random.below(4)));
        }
      }
      step.arrive_and_wait();
      if (me != 0) continue;
      const window_counts n = breaker.snapshot().over_calls.counts;
      wrong += n.failures > n.calls || n.calls + n.overload > config.over_calls.size;
      for (std::uint32_t i = 0; i < config.over_calls.size; ++i) record(outcome::success);
      wrong += breaker.snapshot().over_calls.counts != window_counts{.calls = config.over_calls.size};
    }
  };
  {
    std::vector<std::jthread> crew;
    for (unsigned me = 0; me < threads; ++me) crew.emplace_back(work, me);
  }
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(opened, 0u);
}

}  // namespace
}  // namespace weir
