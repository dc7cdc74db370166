// The same with an observer that counts events. Compare with the rows without "_observed": where there is nothing to tell,
// an observer costs nothing; a refusal is an event.

#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/stats/counter.hpp>

#include "support.hpp"

#include <chrono>

namespace {

using namespace std::chrono_literals;
using namespace weir_bench;

/// Counts whatever it is told, each thread on its own line.
struct counting {
  weir::counter_set<1>* events;

  template <class Event>
  void on(const Event&) {
    events->add(0);
  }
};

counting count_events() {
  static weir::counter_set<1> events;
  return counting{&events};
}

using rate_limiter = weir::basic_rate_limiter<weir::default_clock, counting>;
using concurrency_limiter = weir::basic_concurrency_limiter<weir::default_clock, counting>;
using window_limiter = weir::basic_window_limiter<weir::default_clock, counting>;
using circuit_breaker = weir::basic_circuit_breaker<weir::default_clock, counting>;

void rate_limiter_reject(benchmark::State& state) {
  static rate_limiter limiter{one_a_day(), count_events()};
  static const auto holder = limiter.try_acquire();
  benchmark::DoNotOptimize(&holder);
  reject(state, limiter);
}
WEIR_BENCH_CONTENDED(rate_limiter_reject, "rate_limiter/reject_observed");

void concurrency_limiter_reject(benchmark::State& state) {
  static concurrency_limiter limiter{{.name = "bench", .limit = 1}, count_events()};
  static const auto holder = limiter.try_acquire();
  reject(state, limiter);
}
WEIR_BENCH_CONTENDED(concurrency_limiter_reject, "concurrency_limiter/reject_observed");

void window_limiter_reject(benchmark::State& state) {
  static window_limiter limiter{{.name = "bench", .limit = {.permits = 1, .per = 24h}}, count_events()};
  static const auto holder = limiter.try_acquire();
  benchmark::DoNotOptimize(&holder);
  reject(state, limiter);
}
WEIR_BENCH_CONTENDED(window_limiter_reject, "window_limiter/reject_observed");

template <class Outcomes>
void breaker_closed(benchmark::State& state) {
  static circuit_breaker breaker{last_results(100), count_events()};
  admit_and_record<Outcomes>(state, breaker);
}
WEIR_BENCH_CONTENDED(breaker_closed<all_succeed>, "circuit_breaker/count_100_ok_observed");
WEIR_BENCH_CONTENDED(breaker_closed<every_tenth_fails>, "circuit_breaker/count_100_failing_observed");

void breaker_open(benchmark::State& state) {
  static circuit_breaker breaker{opened(), count_events()};
  reject(state, breaker);
}
WEIR_BENCH_CONTENDED(breaker_open, "circuit_breaker/open_reject_observed");

void pipeline_of_three(benchmark::State& state) {
  static rate_limiter limiter{plenty(), count_events()};
  static concurrency_limiter bulkhead{{.name = "bench", .limit = 64}, count_events()};
  static circuit_breaker breaker{timed(last_results(100)), count_events()};
  static weir::pipeline protect{limiter, bulkhead, breaker};
  admit_and_record(state, protect);
}
WEIR_BENCH_CONTENDED(pipeline_of_three, "pipeline/limiter_bulkhead_breaker_observed");

}  // namespace
