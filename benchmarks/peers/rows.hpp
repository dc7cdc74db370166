#pragma once
// What can be run: a workload on a pool.

#include "measure.hpp"

#include <functional>
#include <string>
#include <vector>

namespace weir_peers {

struct row {
  std::string workload;
  std::string pool;
  std::function<metrics(const settings&)> run;  ///< throws what went wrong

  [[nodiscard]] std::string name() const { return workload + "/" + pool; }
};

/// Workloads in the order in which they are printed, and what they are.
struct workload {
  std::string name;
  std::string text;
};
inline const std::vector<workload> workloads{
    {"idle_1", "acquire and return, pool of 10, 1 thread"},
    {"idle_2", "acquire and return, pool of 10, 2 threads"},
    {"idle_co", "co_acquire and return, pool of 10, 1 coroutine"},
    {"hand_off", "64 coroutines on 8 connections, 1 context, no deadlines"},
    {"hand_off_deadline", "64 coroutines on 8 connections, 1 context, each with a deadline"},
    {"crowd", "32 threads on 2 connections, held for 20 us busily"},
    {"storm_threads", "storm on 8 connections, a thread for each who waits"},
    {"storm_co", "storm on 8 connections, coroutines on 1 context"},
};

std::vector<row> thread_rows();
std::vector<row> coroutine_rows();

}  // namespace weir_peers
