#pragma once
// What every benchmark of weir_bench shares.

#include <benchmark/benchmark.h>

#include <pthread.h>
#include <sched.h>

#include <thread>

namespace weir_bench {

/// Puts thread i on processor i, so that a contended row means two processors and not the scheduler's mood.
inline void pin(const benchmark::State& state) {
  cpu_set_t processors;
  CPU_ZERO(&processors);
  CPU_SET(static_cast<unsigned>(state.thread_index()) % std::thread::hardware_concurrency(), &processors);
  pthread_setaffinity_np(pthread_self(), sizeof processors, &processors);
}

}  // namespace weir_bench

/// Registers `function` under a "group/operation" name with the thread counts given; google benchmark adds "/threads:N".
#define WEIR_BENCH_ONE(function, row) BENCHMARK(function)->Name(row)->Threads(1)
#define WEIR_BENCH_CONTENDED(function, row) BENCHMARK(function)->Name(row)->Threads(1)->Threads(2)
