#pragma once
// Workload storm for threads: as many of them as can be there at a time, each takes its share of the arrivals.

#include "storm_record.hpp"

#include <sys/prctl.h>

#include <cstring>

namespace weir_peers {

/// Sleeps until then; also a thread that starts late keeps to the plan after that.
inline void sleep_until(time_point at) {
  if (at > clock::now()) std::this_thread::sleep_until(at);
}

/// Threads with stacks that thousands of them can have.
class small_threads {
 public:
  /// body(index) in each; if the system does not allow that many, there are fewer, and `failed` says why.
  template <class Body>
  small_threads(std::size_t count, Body& body) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 << 10);
    struct start {
      Body& body;
      std::size_t index;
    };
    for (std::size_t i = 0; i < count; ++i) {
      auto* const argument = new start{body, i};
      pthread_t thread{};
      const auto run = [](void* given) -> void* {
        const start s = *static_cast<start*>(given);
        delete static_cast<start*>(given);
        s.body(s.index);
        return nullptr;
      };
      if (const int error = pthread_create(&thread, &attributes, run, argument); error != 0) {
        delete argument;
        failed_ = "thread " + std::to_string(i) + " of " + std::to_string(count) + ": " + std::strerror(error);
        break;
      }
      threads_.push_back(thread);
    }
    pthread_attr_destroy(&attributes);
  }

  /// Empty: all of them run.
  [[nodiscard]] const std::string& failed() const { return failed_; }
  void join() {
    for (const pthread_t each : threads_) pthread_join(each, nullptr);
  }

 private:
  std::vector<pthread_t> threads_;
  std::string failed_;
};

template <thread_pool Pool>
metrics run_storm_threads(const settings& s) {
  prctl(PR_SET_TIMERSLACK, 1UL);  // inherited by the threads: holds end when they should
  const storm_plan plan(s);
  storm_run run(plan);
  Pool pool(storm_pool_size);
  // With a reserve, so that a thread is there for its next arrival.
  const auto thread_count = std::min(plan.count(), static_cast<std::size_t>(s.rate * (plan.longest_stay() + 0.25)));
  enum class start : std::uint8_t { wait, go, give_up };
  std::atomic<start> begun{start::wait};
  auto body = [&](std::size_t first) {
    begun.wait(start::wait);
    if (begun == start::give_up) return;
    for (std::size_t i = first; i < plan.count(); i += thread_count) {
      storm_arrival& a = run.arrivals[i];
      sleep_until(run.at(plan.intended(i)));
      a.sent = a.asked = run.now();
      auto held = pool.acquire(run.at(plan.intended(i) + s.deadline));
      run.template answered<Pool>(a, held);
      if (!held) continue;
      std::this_thread::sleep_until(run.at(a.answered + plan.hold(a.answered)));
      run.template releasing<Pool>(a, held);
      pool.release(std::move(held));
    }
  };
  small_threads threads(thread_count, body);
  run.begin(clock::now() + std::chrono::seconds{1});  // all have woken up by then
  begun = threads.failed().empty() ? start::go : start::give_up;
  begun.notify_all();
  threads.join();
  if (!threads.failed().empty()) throw std::runtime_error(threads.failed());
  return evaluate_storm(plan, run.arrivals, pool.idle());
}

}  // namespace weir_peers
