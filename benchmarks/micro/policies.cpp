// Admitting, refusing and recording, by one policy and by several.

#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>

#include "support.hpp"

#include <chrono>

namespace {

using namespace std::chrono_literals;
using weir_bench::pin;

/// Asks and reports until the benchmark ends; a refusal ends it, since it would flatter the row.
template <class Policy>
void admit_and_release(benchmark::State& state, Policy& policy) {
  pin(state);
  for (auto _ : state) {
    auto permit = policy.try_acquire();
    if (!permit) {
      state.SkipWithError("refused");
      break;
    }
    permit->release(weir::outcome::success);
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

void concurrency_acquire_release(benchmark::State& state) {
  static weir::concurrency_limiter limiter{{.name = "bench", .limit = 64}};
  admit_and_release(state, limiter);
}
WEIR_BENCH_CONTENDED(concurrency_acquire_release, "concurrency_limiter/acquire_release");

void concurrency_reject(benchmark::State& state) {
  static weir::concurrency_limiter limiter{{.name = "bench", .limit = 1}};
  static const auto holder = limiter.try_acquire();
  reject(state, limiter);
}
WEIR_BENCH_CONTENDED(concurrency_reject, "concurrency_limiter/reject");

/// So fast that no benchmark empties it: the admitting path never meets the limit.
weir::rate_limiter_config plenty() {
  return {.name = "bench", .limit = {.permits = 1'000'000'000, .per = 1s}, .burst = 1'000'000'000'000};
}

void rate_admit(benchmark::State& state) {
  static weir::rate_limiter limiter{plenty()};
  admit_and_release(state, limiter);
}
WEIR_BENCH_CONTENDED(rate_admit, "rate_limiter/admit");

void rate_reject(benchmark::State& state) {
  static weir::rate_limiter limiter{{.name = "bench", .limit = {.permits = 1, .per = 24h}, .burst = 1}};
  static const auto holder = limiter.try_acquire();
  benchmark::DoNotOptimize(&holder);
  reject(state, limiter);
}
WEIR_BENCH_CONTENDED(rate_reject, "rate_limiter/reject");

void breaker_admit_record(benchmark::State& state) {
  static weir::circuit_breaker breaker{{.name = "bench"}};
  admit_and_release(state, breaker);
}
WEIR_BENCH_CONTENDED(breaker_admit_record, "circuit_breaker/admit_record_ok");

void breaker_open_reject(benchmark::State& state) {
  static weir::circuit_breaker breaker{{.name = "bench", .open_for = {.initial = 24h, .cap = 24h}}};
  static const bool opened = breaker.set_state(weir::breaker_state::open);
  benchmark::DoNotOptimize(opened);
  reject(state, breaker);
}
WEIR_BENCH_CONTENDED(breaker_open_reject, "circuit_breaker/open_reject");

void pipeline_of_three(benchmark::State& state) {
  static weir::rate_limiter limiter{plenty()};
  static weir::concurrency_limiter bulkhead{{.name = "bench", .limit = 64}};
  static weir::circuit_breaker breaker{{.name = "bench"}};
  static weir::pipeline protect{limiter, bulkhead, breaker};
  admit_and_release(state, protect);
}
WEIR_BENCH_CONTENDED(pipeline_of_three, "pipeline/limiter_bulkhead_breaker");

}  // namespace
