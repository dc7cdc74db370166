// The concurrency limiter: a slot taken and given back, and refusing while all are taken.

#include <weir/policy/concurrency_limiter.hpp>

#include "mutex_versions.hpp"
#include "support.hpp"

namespace {

using namespace weir_bench;

template <class Limiter, class Outcomes = all_succeed>
void acquire_release(benchmark::State& state) {
  static Limiter limiter{{.name = "bench", .limit = 64}};
  admit_and_record<Outcomes>(state, limiter);
}
WEIR_BENCH_CONTENDED(acquire_release<weir::concurrency_limiter>, "concurrency_limiter/acquire_release");
WEIR_BENCH_CONTENDED(acquire_release<mutex_concurrency_limiter>, "mutex_version/concurrency_limiter_acquire_release");
WEIR_BENCH_CONTENDED((acquire_release<weir::concurrency_limiter, every_tenth_fails>),
                     "concurrency_limiter/acquire_release_failing");

template <class Limiter>
void refuse(benchmark::State& state) {
  static Limiter limiter{{.name = "bench", .limit = 1}};
  static const auto holder = limiter.try_acquire();
  reject(state, limiter);
}
WEIR_BENCH_CONTENDED(refuse<weir::concurrency_limiter>, "concurrency_limiter/reject");
WEIR_BENCH_CONTENDED(refuse<mutex_concurrency_limiter>, "mutex_version/concurrency_limiter_reject");

}  // namespace
