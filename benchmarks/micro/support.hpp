#pragma once
// What every benchmark of weir_bench shares: pinned threads, the loops, and how rows are registered.

#include "../subjects.hpp"

#include <benchmark/benchmark.h>

#include <pthread.h>
#include <sched.h>

#include <string>
#include <thread>
#include <utility>

namespace weir_bench {

/// Puts thread i on processor i, so that a contended row means two processors and not the scheduler's mood.
inline void pin(const benchmark::State& state) {
  cpu_set_t processors;
  CPU_ZERO(&processors);
  CPU_SET(static_cast<unsigned>(state.thread_index()) % std::thread::hardware_concurrency(), &processors);
  pthread_setaffinity_np(pthread_self(), sizeof processors, &processors);
}

/// Asks and reports until the benchmark ends; a refusal ends it, since it would flatter the row.
template <class Outcomes = all_succeed, class Policy>
void admit_and_record(benchmark::State& state, Policy& policy) {
  pin(state);
  Outcomes next;
  for (auto _ : state) {
    auto permit = policy.try_acquire();
    if (!permit) {
      state.SkipWithError("refused");
      break;
    }
    permit->release(next());
  }
}

/// Asks one that refuses.
template <class Policy>
void reject(benchmark::State& state, Policy& policy) {
  pin(state);
  for (auto _ : state) {
    auto permit = policy.try_acquire();
    if (permit) {
      state.SkipWithError("admitted");
      break;
    }
    benchmark::DoNotOptimize(permit);
  }
}

/// Registers `run(state)` as "group/operation" at one and at two threads; google benchmark adds "/threads:N".
/// Rows run in the order in which they are registered: what is compared should be registered side by side.
template <class Run>
void contended(const std::string& row, Run run) {
  benchmark::RegisterBenchmark(row.c_str(), std::move(run))->Threads(1)->Threads(2);
}

}  // namespace weir_bench

/// The same for a plain function, at one thread and at one and two.
#define WEIR_BENCH_ONE(function, row) BENCHMARK(function)->Name(row)->Threads(1)
#define WEIR_BENCH_CONTENDED(function, row) BENCHMARK(function)->Name(row)->Threads(1)->Threads(2)
