// What a waiting room does for each who joins, asks or is admitted, with ten million waiting.

#include <weir/core/default_clock.hpp>
#include <weir/core/random.hpp>
#include <weir/room/eta_estimator.hpp>
#include <weir/room/poll_hints.hpp>
#include <weir/room/presence_map.hpp>
#include <weir/room/rank_index.hpp>
#ifdef WEIR_BENCH_SIGNER
#include <weir/room/hmac_signer.hpp>
#include <weir/room/seat_token.hpp>
#endif

#include "support.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <string>

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t ten_million = 10'000'000;
constexpr std::uint64_t crowd = 1'000'000;

/// A line in which every tenth, at random, has left its place.
weir::rank_index& long_line() {
  static weir::rank_index line = [] {
    weir::rank_index made;
    weir::random_stream random{1, "holes"};
    for (std::uint64_t i = 0; i < ten_million; ++i) made.join();
    for (std::uint64_t i = 0; i < ten_million / 10; ++i) made.leave(random.below(ten_million));
    return made;
  }();
  return line;
}

void join(benchmark::State& state) {
  weir_bench::pin(state);
  constexpr std::int64_t batch = 1 << 16;
  weir::rank_index line;
  weir::presence_map presence;
  while (state.KeepRunningBatch(batch)) {
    for (std::int64_t i = 0; i < batch; ++i) {
      presence.cover(line.tail() + 1);
      benchmark::DoNotOptimize(line.join());
    }
    if (line.size() < ten_million) continue;
    state.PauseTiming();
    line = weir::rank_index{};
    presence = weir::presence_map{};
    state.ResumeTiming();
  }
}
WEIR_BENCH_ONE(join, "room/join");

/// Of random numbers. Counter p50_ns: the median of groups of sixteen, since one is shorter than a reading of the clock.
void rank(benchmark::State& state) {
  weir_bench::pin(state);
  const weir::rank_index& line = long_line();
  weir::random_stream random{2, "rank"};
  for (auto _ : state) benchmark::DoNotOptimize(line.ahead(random.below(ten_million)));
  const weir::default_clock clock;
  std::array<double, 501> groups;
  for (double& g : groups) {
    std::array<std::uint64_t, 16> numbers;
    for (auto& n : numbers) n = random.below(ten_million);
    const weir::time_point begin = clock.now();
    for (const std::uint64_t n : numbers) benchmark::DoNotOptimize(line.ahead(n));
    g = static_cast<double>((clock.now() - begin).count()) / numbers.size();
  }
  std::nth_element(groups.begin(), groups.begin() + groups.size() / 2, groups.end());
  state.counters["p50_ns"] = groups[groups.size() / 2];
}
WEIR_BENCH_ONE(rank, "room/rank");

/// The first thousand of a line with holes, as a tick admits them.
void pop_1000(benchmark::State& state) {
  weir_bench::pin(state);
  weir::rank_index line;
  weir::random_stream random{3, "holes"};
  const auto fill = [&] {
    for (std::uint64_t i = 0; i < crowd; ++i) line.join();
    for (std::uint64_t i = 0; i < crowd / 10; ++i) line.leave(line.head() + random.below(line.tail() - line.head()));
  };
  fill();
  for (auto _ : state) {
    for (int i = 0; i < 1000; ++i) {
      const auto first = line.front();
      benchmark::DoNotOptimize(first);
      line.leave(*first);
    }
    if (line.size() > 2000) continue;
    state.PauseTiming();
    line.forget_before(line.head());
    fill();
    state.ResumeTiming();
  }
}
WEIR_BENCH_ONE(pop_1000, "room/pop_1000");

void presence_beat(benchmark::State& state) {
  weir_bench::pin(state);
  weir::presence_map presence;
  presence.cover(ten_million);
  weir::random_stream random{4, "beat"};
  for (auto _ : state) presence.beat(random.below(ten_million));
}
WEIR_BENCH_ONE(presence_beat, "room/presence_beat");

/// A block of 4096 seats, of which 64 wait and have not been heard of.
void presence_turn(benchmark::State& state) {
  weir_bench::pin(state);
  weir::rank_index line;
  weir::presence_map presence;
  presence.cover(weir::presence_map::block_size);
  for (std::uint64_t i = 0; i < weir::presence_map::block_size; ++i) line.join();
  for (std::uint64_t i = 0; i < weir::presence_map::block_size; ++i) {
    if (i % 64 != i / 64) line.leave(i);
  }
  std::uint64_t absent = 0;
  for (auto _ : state) presence.turn(0, line, [&](std::uint64_t) { ++absent; });
  benchmark::DoNotOptimize(absent);
  if (state.iterations() > 1 && absent == 0) state.SkipWithError("nobody was found absent");
}
WEIR_BENCH_ONE(presence_turn, "room/presence_turn");

/// What a poll is told: its wait, and when to ask again.
void estimate(benchmark::State& state) {
  weir_bench::pin(state);
  weir::eta_estimator eta;
  weir::time_point now{1h};
  for (int i = 0; i < 3000; ++i) eta.admitted(10, now += 100ms);
  weir::random_stream random{5, "estimate"};
  for (auto _ : state) benchmark::DoNotOptimize(eta.estimate(random.below(ten_million), now));
}
WEIR_BENCH_ONE(estimate, "room/estimate");

void poll_after(benchmark::State& state) {
  weir_bench::pin(state);
  weir::random_stream random{6, "poll"};
  for (auto _ : state) benchmark::DoNotOptimize(weir::poll_after(random.below(ten_million), ten_million, 100));
}
WEIR_BENCH_ONE(poll_after, "room/poll_after");

#ifdef WEIR_BENCH_SIGNER
weir::token_claims claims_of(std::uint64_t number) {
  return {.number = number, .at = 1'800'000'000, .about = number * 0x9e3779b97f4a7c15, .bind = number * 0xbf58476d1ce4e5b9};
}

void make_token(benchmark::State& state) {
  weir_bench::pin(state);
  const weir::hmac_signer signer{1, std::string(32, 'k')};
  std::uint64_t number = 0;
  for (auto _ : state) benchmark::DoNotOptimize(weir::make_token(signer, "tickets", claims_of(++number)));
}
WEIR_BENCH_ONE(make_token, "room/make_token");

void read_token(benchmark::State& state) {
  weir_bench::pin(state);
  const weir::hmac_signer signer{1, std::string(32, 'k')};
  const weir::seat_token token = weir::make_token(signer, "tickets", claims_of(7));
  weir::token_claims claims;
  for (auto _ : state) {
    if (weir::read_token(signer, "tickets", token.view(), claims) != weir::token_problem::none) {
      state.SkipWithError("refused");
      break;
    }
    benchmark::DoNotOptimize(claims);
  }
}
WEIR_BENCH_ONE(read_token, "room/read_token");

/// A line of its own is joined and the seat signed: what an answer to somebody new costs without its transport.
void join_signed(benchmark::State& state) {
  weir_bench::pin(state);
  const weir::hmac_signer signer{1, std::string(32, 'k')};
  const weir::default_clock clock;
  weir::rank_index line;
  weir::presence_map presence;
  for (auto _ : state) {
    benchmark::DoNotOptimize(clock.now());
    presence.cover(line.tail() + 1);
    benchmark::DoNotOptimize(weir::make_token(signer, "tickets", claims_of(line.join())));
  }
}
WEIR_BENCH_ONE(join_signed, "room/join_signed");
#endif

}  // namespace
