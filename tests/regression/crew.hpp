#pragma once
/// \file
/// Threads of a test that has several doing the same thing.

#include <atomic>
#include <thread>
#include <vector>

namespace weir::testing_support {

/// Runs `work(0)` ... `work(size - 1)`, each on a thread of its own, and returns when all have ended.
template <class Work>
void run_crew(unsigned size, const Work& work) {
  std::vector<std::jthread> crew;
  for (unsigned me = 0; me < size; ++me) crew.emplace_back([&work, me] { work(me); });
}

/// As `run_crew`, and meanwhile calls `beside(0)`, `beside(1)`, ... on one more thread: at least `at_least` times.
template <class Work, class Beside>
void run_crew_beside(unsigned size, const Work& work, unsigned at_least, const Beside& beside) {
  std::atomic<unsigned> working{size};
  std::jthread other{[&] {
    for (unsigned i = 0; i < at_least || working.load() > 0; ++i) {
      beside(i);
      std::this_thread::yield();
    }
  }};
  run_crew(size, [&](unsigned me) {
    work(me);
    --working;
  });
}

}  // namespace weir::testing_support
