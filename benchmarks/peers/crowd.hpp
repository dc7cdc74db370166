#pragma once
// Workload: 32 threads want 2 connections, and keep their processor busy for 20 us with each.

#include "measure.hpp"

#include <numeric>

namespace weir_peers {

inline constexpr std::uint32_t crowd_pool_size = 2;
inline constexpr std::uint32_t crowd_threads = 32;
inline constexpr std::chrono::microseconds crowd_hold{20};

template <thread_pool Pool>
metrics run_crowd(const settings& s) {
  enum class phase : std::uint8_t { warm_up, measured, over };
  Pool pool(crowd_pool_size);
  std::atomic<phase> now{phase::warm_up};
  std::atomic<bool> refused{false};
  std::vector<std::vector<double>> waits(crowd_threads);  // microseconds
  std::vector<std::size_t> done(crowd_threads);
  std::vector<std::jthread> threads;
  for (std::uint32_t t = 0; t < crowd_threads; ++t) {
    threads.emplace_back([&, t] {
      waits[t].reserve(1 << 16);
      while (now != phase::over) {
        const time_point asked = clock::now();
        auto held = pool.acquire(asked + std::chrono::seconds{30});
        const time_point got = clock::now();
        if (!held) {
          refused = true;
          return;
        }
        while (clock::now() < got + crowd_hold) {
        }
        pool.release(std::move(held));
        // Whoever waited until the end is not to be forgotten; but it was served too late to count as served.
        const phase p = now;
        if (p != phase::warm_up) waits[t].push_back(1e6 * seconds_between(asked, got));
        if (p == phase::measured) ++done[t];
      }
    });
  }
  std::this_thread::sleep_for(of_seconds(s.seconds / 4));
  const time_point from = clock::now();
  now = phase::measured;
  std::this_thread::sleep_for(of_seconds(s.seconds));
  now = phase::over;
  const double took = seconds_between(from, clock::now());
  threads.clear();
  if (refused) throw std::runtime_error("somebody waited for more than 30 seconds");
  expect_all_back(pool.idle(), crowd_pool_size);

  std::vector<double> all;
  for (const auto& of_thread : waits) all.insert(all.end(), of_thread.begin(), of_thread.end());
  const auto [least, most] = std::minmax_element(done.begin(), done.end());
  const double rate = static_cast<double>(std::accumulate(done.begin(), done.end(), std::size_t{0})) / took;
  return {{"k ops/s", rate / 1e3},
          {"wait p50 us", percentile(all, 0.5)},
          {"p99 us", percentile(all, 0.99)},
          {"p99.9 us", percentile(all, 0.999)},
          {"max us", percentile(all, 1)},
          {"least/most served thread", static_cast<double>(*least) / static_cast<double>(std::max<std::size_t>(*most, 1))}};
}

}  // namespace weir_peers
