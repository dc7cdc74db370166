// The window limiter: admitting into a window whose oldest token is always just out of it, and refusing.

#include <weir/policy/window_limiter.hpp>

#include "support.hpp"

#include <chrono>

namespace {

using namespace std::chrono_literals;
using weir_bench::pin;

template <class Limiter>
void ask(benchmark::State& state, Limiter& limiter, bool admitted) {
  pin(state);
  for (auto _ : state) {
    auto permit = limiter.try_acquire();
    if (permit.has_value() != admitted) {
      state.SkipWithError(admitted ? "refused" : "admitted");
      break;
    }
    benchmark::DoNotOptimize(permit);
  }
}

// A hundred tokens take far longer than this to issue, so that each call replaces one that has just left.
weir::window_limiter_config brief(weir::window_precision precision) {
  return {.name = "bench", .limit = {.permits = 100, .per = 1ns}, .precision = precision};
}

void admit(benchmark::State& state) {
  static weir::window_limiter limiter{brief(weir::window_precision::exact)};
  ask(state, limiter, true);
}
WEIR_BENCH_CONTENDED(admit, "window_limiter/admit");

void admit_approximate(benchmark::State& state) {
  static weir::window_limiter limiter{brief(weir::window_precision::approximate)};
  ask(state, limiter, true);
}
WEIR_BENCH_ONE(admit_approximate, "window_limiter/admit_approximate");

void reject(benchmark::State& state) {
  static weir::window_limiter limiter{{.name = "bench", .limit = {.permits = 1, .per = 24h}}};
  static const auto holder = limiter.try_acquire();
  benchmark::DoNotOptimize(&holder);
  ask(state, limiter, false);
}
WEIR_BENCH_CONTENDED(reject, "window_limiter/reject");

}  // namespace
