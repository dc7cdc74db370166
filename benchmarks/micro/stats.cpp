// Recording: what a policy does on top of its decision.

#include <weir/stats/counter.hpp>
#include <weir/stats/histogram.hpp>

#include "support.hpp"

#include <chrono>

namespace {

using weir_bench::pin;

void counter_add(benchmark::State& state) {
  pin(state);
  static weir::counter_set<4> counters;
  for (auto _ : state) counters.add(1);
}
WEIR_BENCH_CONTENDED(counter_add, "counter/add");

void histogram_record(benchmark::State& state) {
  pin(state);
  weir::histogram latencies;
  std::chrono::nanoseconds value{1};
  for (auto _ : state) {
    latencies.record(value);
    value = std::chrono::nanoseconds{(value.count() * 5) & 0xfffffff};  // over many buckets
  }
}
WEIR_BENCH_ONE(histogram_record, "histogram/record");

}  // namespace
