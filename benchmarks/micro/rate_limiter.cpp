// The rate limiter: admitting from a bucket that never gets empty, and refusing from an empty one.

#include <weir/policy/rate_limiter.hpp>

#include "mutex_versions.hpp"
#include "support.hpp"

namespace {

using namespace weir_bench;

using on_steady_clock = weir::basic_rate_limiter<weir::steady_clock_source>;

template <class Limiter>
void admit(benchmark::State& state) {
  static Limiter limiter{plenty()};
  admit_and_record(state, limiter);
}
WEIR_BENCH_CONTENDED(admit<weir::rate_limiter>, "rate_limiter/admit");
WEIR_BENCH_CONTENDED(admit<mutex_rate_limiter>, "mutex_version/rate_limiter_admit");
WEIR_BENCH_CONTENDED(admit<on_steady_clock>, "rate_limiter/admit_steady");

template <class Limiter>
void refuse(benchmark::State& state) {
  static Limiter limiter{one_a_day()};
  static const auto holder = limiter.try_acquire();
  benchmark::DoNotOptimize(&holder);
  reject(state, limiter);
}
WEIR_BENCH_CONTENDED(refuse<weir::rate_limiter>, "rate_limiter/reject");
WEIR_BENCH_CONTENDED(refuse<mutex_rate_limiter>, "mutex_version/rate_limiter_reject");
WEIR_BENCH_CONTENDED(refuse<on_steady_clock>, "rate_limiter/reject_steady");

}  // namespace
