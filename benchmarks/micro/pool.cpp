// A connection is taken and given back, counted and timed: without the lock where a thread takes again what it had, under
// it otherwise; and handed to who waits.

#include <weir/pool/blocking_pool.hpp>

#include "support.hpp"

#include <array>
#include <cstddef>
#include <optional>

namespace {

struct nothing {
  struct connection {
    int number = 0;
  };
  connection connect(const weir::connect_context&) { return {}; }
};

using pool_type = weir::blocking_pool<nothing>;

weir::pool_config ten(weir::idle_order order) {
  return {.name = "bench", .max_size = 10, .min_size = 10, .max_connecting = 10, .order = order};
}

/// With its connections open, and no thread of its own that could interfere.
pool_type warm(const weir::pool_config& config) {
  pool_type pool{nothing{}, config, weir::pool_threads{0}};
  pool.tick();
  return pool;
}

void take_and_put(benchmark::State& state, pool_type& pool) {
  weir_bench::pin(state);
  for (auto _ : state) {
    auto lease = pool.try_acquire();
    if (!lease) {
      state.SkipWithError("none was free");
      break;
    }
  }
}

void take_put(benchmark::State& state) {
  static pool_type pool = warm(ten(weir::idle_order::lifo));
  take_and_put(state, pool);
}
WEIR_BENCH_CONTENDED(take_put, "pool/take_put");

/// In turn, so that every one is taken from the list under the lock.
void take_put_locked(benchmark::State& state) {
  static pool_type pool = warm(ten(weir::idle_order::fifo));
  take_and_put(state, pool);
}
WEIR_BENCH_CONTENDED(take_put_locked, "pool/take_put_locked");

}  // namespace
