// What the machine itself costs: no operation of weir can be cheaper than the instructions that it cannot do without.

#include <weir/core/default_clock.hpp>
#include <weir/core/random.hpp>

#include "support.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <numeric>
#include <vector>

namespace {

using weir_bench::pin;

struct alignas(64) padded {
  std::atomic<std::uint64_t> word{0};
};

void steady(benchmark::State& state) {
  pin(state);
  for (auto _ : state) benchmark::DoNotOptimize(std::chrono::steady_clock::now());
}
WEIR_BENCH_ONE(steady, "floor/steady");

void clock(benchmark::State& state) {
  pin(state);
  const weir::default_clock source;
  for (auto _ : state) benchmark::DoNotOptimize(source.now());
}
WEIR_BENCH_ONE(clock, "floor/clock");

void two_clocks(benchmark::State& state) {
  pin(state);
  const weir::default_clock source;
  for (auto _ : state) {
    benchmark::DoNotOptimize(source.now());
    benchmark::DoNotOptimize(source.now());
  }
}
WEIR_BENCH_ONE(two_clocks, "floor/two_clocks");

void fetch_add(benchmark::State& state) {
  pin(state);
  static padded counter;
  for (auto _ : state) benchmark::DoNotOptimize(counter.word.fetch_add(1, std::memory_order_relaxed));
}
WEIR_BENCH_CONTENDED(fetch_add, "floor/fetch_add");

void clock_fetch_add(benchmark::State& state) {
  pin(state);
  static padded counter;
  const weir::default_clock source;
  for (auto _ : state) {
    benchmark::DoNotOptimize(source.now());
    counter.word.fetch_add(1, std::memory_order_relaxed);
  }
}
WEIR_BENCH_CONTENDED(clock_fetch_add, "floor/clock_fetch_add");

/// The least that a decision costs: read a word, change it if nobody else did.
void compare_and_swap(std::atomic<std::uint64_t>& word, std::uint64_t add) {
  std::uint64_t seen = word.load(std::memory_order_relaxed);
  while (!word.compare_exchange_weak(seen, seen + add, std::memory_order_acq_rel, std::memory_order_relaxed)) {
  }
}

void cas(benchmark::State& state) {
  pin(state);
  static padded decision;
  for (auto _ : state) compare_and_swap(decision.word, 1);
}
WEIR_BENCH_CONTENDED(cas, "floor/cas");

void clock_cas_add(benchmark::State& state) {
  pin(state);
  static padded decision;
  static padded counter;
  const weir::default_clock source;
  for (auto _ : state) {
    compare_and_swap(decision.word, static_cast<std::uint64_t>(source.now().time_since_epoch().count()));
    counter.word.fetch_add(1, std::memory_order_relaxed);
  }
}
WEIR_BENCH_CONTENDED(clock_cas_add, "floor/clock_cas_add");

void mutex(benchmark::State& state) {
  pin(state);
  static std::mutex guard;
  static std::uint64_t guarded = 0;
  for (auto _ : state) {
    const std::lock_guard lock{guard};
    benchmark::DoNotOptimize(++guarded);
  }
}
WEIR_BENCH_CONTENDED(mutex, "floor/mutex");

/// One cycle through 256 MiB in random order (Sattolo 1986), a cache line a step: each read has to wait for the one before.
std::vector<std::uint64_t> random_cycle() {
  constexpr std::size_t step = 64 / sizeof(std::uint64_t);
  constexpr std::size_t lines = (std::size_t{256} << 20) / 64;
  std::vector<std::uint32_t> order(lines);
  std::iota(order.begin(), order.end(), 0u);
  weir::random_stream random{1, "dram"};
  for (std::size_t i = lines - 1; i > 0; --i) std::swap(order[i], order[random.below(i)]);
  std::vector<std::uint64_t> next(lines * step);
  for (std::size_t i = 0; i < lines; ++i) next[i * step] = order[i] * step;
  return next;
}

void dram(benchmark::State& state) {
  pin(state);
  static const std::vector<std::uint64_t> next = random_cycle();
  std::uint64_t at = 0;
  for (auto _ : state) benchmark::DoNotOptimize(at = next[at]);
}
WEIR_BENCH_ONE(dram, "floor/dram");

}  // namespace
