// What the window limiter is compared with, on the windows of window_limiter.cpp; linked, and so run, right after it.

#include "mutex_versions.hpp"
#include "support.hpp"

#include <chrono>

namespace {

using namespace std::chrono_literals;
using namespace weir_bench;

void admit(benchmark::State& state) {
  static mutex_window_limiter limiter{{.name = "bench", .limit = {.permits = 100, .per = 1ns}}};
  admit_and_record(state, limiter);
}
WEIR_BENCH_CONTENDED(admit, "mutex_version/window_limiter_admit");

void refuse(benchmark::State& state) {
  static mutex_window_limiter limiter{{.name = "bench", .limit = {.permits = 1, .per = 24h}}};
  static const auto holder = limiter.try_acquire();
  benchmark::DoNotOptimize(&holder);
  reject(state, limiter);
}
WEIR_BENCH_CONTENDED(refuse, "mutex_version/window_limiter_reject");

}  // namespace
