#pragma once
// What every workload does with its clock and its numbers.

#include "connection.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace weir_peers {

/// One number of one run. NaN: there is none.
struct metric {
  std::string name;
  double value;
};
using metrics = std::vector<metric>;

/// What a workload is told.
struct settings {
  double seconds = 0.5;  ///< that are measured, of one run; not of the storm
  double rate = 10'000;  ///< storm: arrivals per second
  double hold_us = 600;  ///< storm: for how long a connection is held, before and after it
  double factor = 3;     ///< storm: times as long while it lasts
  double before = 2;     ///< storm: seconds before it
  double storm = 5;      ///< storm: seconds that it lasts
  double after = 6;      ///< storm: seconds of arrivals after it
  double deadline = 1;   ///< storm: seconds from the intended start
};

inline void pin_to(unsigned processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor % std::thread::hardware_concurrency(), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/// Written by one thread, read by another; on a line of its own.
struct alignas(128) progress {
  std::atomic<std::uint64_t> count{0};
  void add(std::uint64_t n) { count.store(count.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
};

[[nodiscard]] inline double percentile(std::vector<double>& values, double part) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

[[nodiscard]] inline double median(std::vector<double> values) { return percentile(values, 0.5); }

[[nodiscard]] inline double seconds_between(time_point from, time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

[[nodiscard]] inline clock::duration of_seconds(double seconds) {
  return std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(seconds));
}

/// Operations per second of all together: the median of five windows after a first part that does not count. Sleeps
/// meanwhile, so that the process has a second thread and no lock prefix is left out.
[[nodiscard]] inline double measure_rate(const std::vector<progress>& threads, double seconds) {
  const auto total = [&threads] {
    std::uint64_t sum = 0;
    for (const progress& each : threads) sum += each.count.load(std::memory_order_relaxed);
    return sum;
  };
  std::this_thread::sleep_for(of_seconds(seconds / 4));
  std::vector<double> rates;
  for (int window = 0; window < 5; ++window) {
    const time_point from = clock::now();
    const std::uint64_t before = total();
    std::this_thread::sleep_for(of_seconds(seconds / 5));
    rates.push_back(static_cast<double>(total() - before) / seconds_between(from, clock::now()));
  }
  return median(rates);
}

/// Throws if connections are missing after a run in which nobody may lose one.
inline void expect_all_back(std::size_t idle, std::uint32_t size) {
  if (idle != size)
    throw std::runtime_error(std::to_string(idle) + " connections of " + std::to_string(size) + " came back");
}

}  // namespace weir_peers
