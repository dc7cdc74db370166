// Three policies asked as one, and beside it each of them on its own clock.

#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>

#include "support.hpp"

namespace {

using namespace weir_bench;

/// A limiter that has plenty, slots that nobody else wants, and a breaker that measures calls.
template <class Clock>
struct parts {
  explicit parts(const weir::circuit_breaker_config& config) : breaker(config) {}

  weir::basic_rate_limiter<Clock> limiter{plenty()};
  weir::basic_concurrency_limiter<Clock> bulkhead{{.name = "bench", .limit = 64}};
  weir::basic_circuit_breaker<Clock> breaker;
};

template <class Clock>
parts<Clock>& closed_parts() {
  static parts<Clock> all{timed(last_results(100))};
  return all;
}

template <class Clock, class Outcomes>
void three(benchmark::State& state) {
  auto& [limiter, bulkhead, breaker] = closed_parts<Clock>();
  static weir::pipeline protect{limiter, bulkhead, breaker};
  admit_and_record<Outcomes>(state, protect);
}

template <class Clock>
void part_rate_limiter(benchmark::State& state) {
  admit_and_record(state, closed_parts<Clock>().limiter);
}
template <class Clock>
void part_concurrency_limiter(benchmark::State& state) {
  admit_and_record(state, closed_parts<Clock>().bulkhead);
}
template <class Clock>
void part_circuit_breaker(benchmark::State& state) {
  admit_and_record(state, closed_parts<Clock>().breaker);
}

/// The breaker, innermost, refuses: the other two are asked and take back what they gave.
void inner_reject(benchmark::State& state) {
  static parts<weir::default_clock> all{opened()};
  static weir::pipeline protect{all.limiter, all.bulkhead, all.breaker};
  reject(state, protect);
}

using tsc = weir::default_clock;
using steady = weir::steady_clock_source;

WEIR_BENCH_CONTENDED((three<tsc, all_succeed>), "pipeline/limiter_bulkhead_breaker");
WEIR_BENCH_CONTENDED(part_rate_limiter<tsc>, "part/limiter");
WEIR_BENCH_CONTENDED(part_concurrency_limiter<tsc>, "part/bulkhead");
WEIR_BENCH_CONTENDED(part_circuit_breaker<tsc>, "part/breaker");

WEIR_BENCH_CONTENDED((three<steady, all_succeed>), "pipeline/limiter_bulkhead_breaker_steady");
WEIR_BENCH_CONTENDED(part_rate_limiter<steady>, "part/limiter_steady");
WEIR_BENCH_CONTENDED(part_concurrency_limiter<steady>, "part/bulkhead_steady");
WEIR_BENCH_CONTENDED(part_circuit_breaker<steady>, "part/breaker_steady");

WEIR_BENCH_CONTENDED((three<tsc, every_tenth_fails>), "pipeline/limiter_bulkhead_breaker_failing");
WEIR_BENCH_CONTENDED(inner_reject, "pipeline/inner_reject");

}  // namespace
