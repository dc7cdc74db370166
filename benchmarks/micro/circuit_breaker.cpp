// The circuit breaker: admitting and recording while closed, refusing while open, probing while half-open.

#include <weir/policy/circuit_breaker.hpp>

#include "mutex_versions.hpp"
#include "support.hpp"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace weir_bench;

struct window {
  std::string name;
  weir::circuit_breaker_config config;
};

std::vector<window> windows() {
  return {{"count_10", last_results(10)},
          {"count_100", last_results(100)},
          {"count_10000", last_results(10'000)},
          {"time_10x1s", last_slices(10, 1s)},
          {"time_10x100ms", last_slices(10, 100ms)}};
}

/// A breaker of its own for each row.
template <class Breaker, class Outcomes>
void closed_row(const std::string& row, const weir::circuit_breaker_config& config) {
  contended(row, [breaker = std::make_shared<Breaker>(config)](benchmark::State& state) {
    admit_and_record<Outcomes>(state, *breaker);
  });
}

template <class Outcomes>
void beside_mutex(const std::string& operation, const weir::circuit_breaker_config& config) {
  closed_row<weir::circuit_breaker, Outcomes>("circuit_breaker/" + operation, config);
  closed_row<mutex_breaker, Outcomes>("mutex_version/circuit_breaker_" + operation, config);
}

const bool registered = [] {
  for (const auto& [name, config] : windows()) {
    beside_mutex<all_succeed>(name + "_ok", config);
    beside_mutex<every_tenth_fails>(name + "_failing", config);
    beside_mutex<all_succeed>(name + "_ok_timed", timed(config));
    beside_mutex<every_tenth_fails>(name + "_failing_timed", timed(config));
  }
  return true;
}();

void open_reject(benchmark::State& state) {
  static weir::circuit_breaker breaker{opened()};
  reject(state, breaker);
}
WEIR_BENCH_CONTENDED(open_reject, "circuit_breaker/open_reject");

void mutex_open_reject(benchmark::State& state) {
  static mutex_breaker breaker{opened()};
  reject(state, breaker);
}
WEIR_BENCH_CONTENDED(mutex_open_reject, "mutex_version/circuit_breaker_open_reject");

/// So many probes that the half-open state is begun anew (which costs far less than a nanosecond each) before it decides.
weir::circuit_breaker_config probing() {
  weir::circuit_breaker_config config = opened();
  config.probes = {.count = 100'000, .decide_early = false};
  return config;
}

void probe(benchmark::State& state) {
  static weir::circuit_breaker breaker{probing()};
  pin(state);
  unsigned probes = 0;
  for (auto _ : state) {
    // Two threads hand out less than half of the probes in between.
    if (probes++ % 20'000 == 0) breaker.set_state(weir::breaker_state::half_open);
    auto permit = breaker.try_acquire();
    if (!permit) {
      state.SkipWithError("refused");
      break;
    }
    permit->release(weir::outcome::success);
  }
}
WEIR_BENCH_CONTENDED(probe, "circuit_breaker/probe");

}  // namespace
