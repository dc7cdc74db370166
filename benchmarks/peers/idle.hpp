#pragma once
// Workload: a pool of ten that always has a connection to spare. Acquire, return.

#include "measure.hpp"

namespace weir_peers {

inline constexpr std::uint32_t idle_pool_size = 10;
inline constexpr std::uint32_t idle_chunk = 1000;  // operations between two looks at the stop flag

/// One or two threads, each on a processor of its own.
template <thread_pool Pool>
metrics run_idle(const settings& s, unsigned thread_count) {
  Pool pool(idle_pool_size);
  std::atomic<bool> stop{false};
  std::atomic<bool> refused{false};
  std::vector<progress> done(thread_count);
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < thread_count; ++t) {
    threads.emplace_back([&, t] {
      pin_to(t);
      while (!stop.load(std::memory_order_relaxed)) {
        for (std::uint32_t i = 0; i < idle_chunk; ++i) {
          auto held = pool.acquire(no_deadline);
          if (!held) {
            refused = true;
            return;
          }
          pool.release(std::move(held));
        }
        done[t].add(idle_chunk);
      }
    });
  }
  const double rate = measure_rate(done, s.seconds);
  stop = true;
  threads.clear();
  if (refused) throw std::runtime_error("no connection, though there were enough");
  expect_all_back(pool.idle(), idle_pool_size);
  return {{"ns/op per thread", 1e9 * thread_count / rate}, {"M ops/s", rate / 1e6}};
}

}  // namespace weir_peers
