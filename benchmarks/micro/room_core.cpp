// The waiting room as a whole: joining, polling and being admitted, with ten million waiting; and what they occupy.

#include <weir/core/default_clock.hpp>
#include <weir/core/random.hpp>
#include <weir/room/hmac_signer.hpp>
#include <weir/room/room_core.hpp>
#include <weir/room/waiting_room.hpp>

#include "support.hpp"

#include <chrono>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t ten_million = 10'000'000;

double resident_mb() {
  std::ifstream statm{"/proc/self/statm"};
  std::uint64_t all = 0, resident = 0;
  statm >> all >> resident;
  return static_cast<double>(resident) * 4096 / 1e6;
}

weir::room_config by_hand() {
  weir::room_config c;
  c.capacity = 100'000'000;
  c.manual = true;
  c.presence_least = std::chrono::hours{24 * 365};  // who does not poll here stays
  return c;
}

/// Through its requests: what an answer to somebody new costs without token and transport.
void core_join(benchmark::State& state) {
  weir_bench::pin(state);
  const weir::default_clock clock;
  weir::room_effects fx;
  auto room = std::make_unique<weir::room_core>(by_hand(), false, clock.now());
  constexpr std::int64_t batch = 1 << 14;
  weir::room_request r;
  while (state.KeepRunningBatch(batch)) {
    for (std::int64_t i = 0; i < batch; ++i) {
      benchmark::DoNotOptimize(room->join(r, {}, clock.now(), fx));
    }
    if (room->waiting() < ten_million) continue;
    state.PauseTiming();
    room = std::make_unique<weir::room_core>(by_hand(), false, clock.now());
    state.ResumeTiming();
  }
}
WEIR_BENCH_ONE(core_join, "room/core_join");

/// Ten million of whom one in 64 has polled, so that all blocks exist that a room ever has.
struct crowd {
  crowd() {
    const double before = resident_mb();
    weir::room_effects fx;
    room = std::make_unique<weir::room_core>(by_hand(), false, now);
    for (std::uint64_t i = 0; i < ten_million; ++i) {
      weir::room_request r;
      (void)room->join(r, {}, now, fx);
    }
    for (std::uint64_t i = 0; i < ten_million; i += 64) (void)room->look({{0, i}, 0, 0}, now, fx);
    resident = resident_mb() - before;
  }

  weir::time_point now = weir::default_clock{}.now();
  std::unique_ptr<weir::room_core> room;
  double resident = 0;
};

/// What a poll costs, and what ten million occupy.
void core_poll(benchmark::State& state) {
  weir_bench::pin(state);
  static crowd waiting;
  weir::room_effects fx;
  static weir::random_stream random{1, "poll"};  // goes on: who has just polled is early
  std::uint64_t served = 0, asked = 0;
  for (auto _ : state) {
    waiting.now += 1ms;
    if (++asked % 100 == 0) waiting.room->pass(waiting.now, fx);
    const weir::room_answer a = waiting.room->look({{0, random.below(ten_million)}, 0, 0}, waiting.now, fx);
    served += a.why == weir::room_refusal::none ? 1 : 0;
  }
  state.counters["served"] = static_cast<double>(served) / static_cast<double>(state.iterations());
  state.counters["resident_MB"] = waiting.resident;
}
WEIR_BENCH_ONE(core_poll, "room/core_poll");

/// A poll that is early: what a storm of them costs each.
void core_early(benchmark::State& state) {
  weir_bench::pin(state);
  const weir::default_clock clock;
  weir::room_effects fx;
  weir::room_core room{by_hand(), false, clock.now()};
  const weir::time_point now = clock.now();
  for (std::uint64_t i = 0; i < 1'000'000; ++i) {
    weir::room_request r;
    (void)room.join(r, {}, now, fx);
  }
  (void)room.look({{0, 500'000}, 0, 0}, now, fx);
  for (auto _ : state) {
    if (room.look({{0, 500'000}, 0, 0}, now, fx).why != weir::room_refusal::early) {
      state.SkipWithError("was not early");
      break;
    }
  }
}
WEIR_BENCH_ONE(core_early, "room/core_early");

/// A step that asks a thousand in.
void core_admit_1000(benchmark::State& state) {
  weir_bench::pin(state);
  const weir::default_clock clock;
  weir::room_effects fx;
  weir::time_point now = clock.now();
  auto room = std::make_unique<weir::room_core>(by_hand(), false, now);
  const auto fill = [&] {
    for (std::uint64_t i = 0; i < 1'000'000; ++i) {
      weir::room_request r;
      (void)room->join(r, {}, now, fx);
    }
  };
  fill();
  for (auto _ : state) {
    room->advance(1000, now, fx);
    state.PauseTiming();
    now += 60s;  // they do not claim
    room->pass(now, fx);
    if (room->waiting() < 2000) fill();
    state.ResumeTiming();
  }
}
WEIR_BENCH_ONE(core_admit_1000, "room/core_admit_1000");

/// The whole way of a join but for its transport: lock, clock, token.
void signed_join(benchmark::State& state) {
  weir_bench::pin(state);
  const weir::hmac_signer keys{1, std::string(32, 'k')};
  weir::waiting_room<weir::hmac_signer> room{by_hand(), keys};
  for (auto _ : state) {
    weir::room_request r;
    if (!room.join(r, {.bind = 7})) state.SkipWithError("nobody has to wait here");
    benchmark::DoNotOptimize(room.ticket_for(r.answer.view.seat, 0, 7));
  }
}
WEIR_BENCH_ONE(signed_join, "room/signed_join");

}  // namespace
