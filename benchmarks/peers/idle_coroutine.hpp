#pragma once
// Workload idle for a coroutine: a pool of ten that always has a connection to spare. Acquire, return.

#include "coroutines.hpp"
#include "idle.hpp"

namespace weir_peers {

template <coroutine_pool Pool>
boost::asio::awaitable<void, typename Pool::executor_type> acquire_and_return(Pool& pool, std::atomic<bool>& stop,
                                                                              std::atomic<bool>& refused, progress& done) {
  while (!stop.load(std::memory_order_relaxed)) {
    for (std::uint32_t i = 0; i < idle_chunk; ++i) {
      auto held = co_await pool.co_acquire(no_deadline);
      if (!held) {
        refused = true;
        co_return;
      }
      pool.release(std::move(held));
    }
    done.add(idle_chunk);
  }
}

/// One coroutine on one context.
template <coroutine_pool Pool>
metrics run_idle_coroutine(const settings& s) {
  boost::asio::io_context context(1);
  Pool pool(context, idle_pool_size);
  std::atomic<bool> stop{false};
  std::atomic<bool> refused{false};
  std::vector<progress> done(1);
  coroutine_group group(context, 1);
  group.spawn(acquire_and_return(pool, stop, refused, done[0]));
  std::jthread thread([&] {
    pin_to(0);
    context.run();
  });
  const double rate = measure_rate(done, s.seconds);
  stop = true;
  thread.join();
  if (refused) throw std::runtime_error("no connection, though there were enough");
  expect_all_back(pool.idle(), idle_pool_size);
  return {{"ns/op", 1e9 / rate}, {"M ops/s", rate / 1e6}};
}

}  // namespace weir_peers
