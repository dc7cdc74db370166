// Admitting, refusing and recording, by one policy and by several.

#include <weir/policy/concurrency_limiter.hpp>

#include "support.hpp"

namespace {

using weir_bench::pin;

void concurrency_acquire_release(benchmark::State& state) {
  pin(state);
  static weir::concurrency_limiter limiter{{.name = "bench", .limit = 64}};
  for (auto _ : state) {
    auto permit = limiter.try_acquire();
    if (!permit) {
      state.SkipWithError("refused");
      break;
    }
    permit->release(weir::outcome::success);
  }
}
WEIR_BENCH_CONTENDED(concurrency_acquire_release, "concurrency_limiter/acquire_release");

void concurrency_reject(benchmark::State& state) {
  pin(state);
  static weir::concurrency_limiter limiter{{.name = "bench", .limit = 1}};
  static const auto holder = limiter.try_acquire();
  for (auto _ : state) benchmark::DoNotOptimize(limiter.try_acquire());
}
WEIR_BENCH_CONTENDED(concurrency_reject, "concurrency_limiter/reject");

}  // namespace
