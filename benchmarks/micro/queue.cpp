// Waiting: what passing an empty line, a place in the line and a hand-off cost, without the waking of a thread.

#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include "support.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <optional>
#include <thread>

namespace {

using queue_type = weir::wait_queue<weir::concurrency_limiter>;

struct waiter : queue_type::operation {
  waiter() {
    complete = [](weir::wait_node&, weir::wait_outcome) noexcept {};
  }
};

/// 64 waiters for one slot: each round releases the slot, which goes to the first in line, who will line up again.
void line_of_64(benchmark::State& state, bool predict) {
  weir_bench::pin(state);
  weir::concurrency_limiter limiter{{.name = "bench", .limit = 1}};
  queue_type queue{limiter, {.name = "bench", .max_wait = weir::duration::max(), .predict = predict}};
  std::array<waiter, 64> line;
  auto holder = limiter.try_acquire();
  for (auto& each : line) {
    if (queue.start(each)) state.SkipWithError("did not wait");
  }
  std::size_t first = 0;
  for (auto _ : state) {
    holder->release(weir::outcome::success);
    holder = line[first].take();
    if (!holder || queue.start(line[first])) {
      state.SkipWithError("not handed over");
      break;
    }
    first = (first + 1) % line.size();
  }
  queue.close();
}

void hand_off(benchmark::State& state) { line_of_64(state, false); }
WEIR_BENCH_ONE(hand_off, "wait_queue/hand_off");

/// As by default: each newcomer's wait is predicted, and it is turned away if that exceeds its deadline.
void hand_off_predicting(benchmark::State& state) { line_of_64(state, true); }
WEIR_BENCH_ONE(hand_off_predicting, "wait_queue/hand_off_predicting");

/// Nobody waits: a slot is taken through the queue and given back.
void pass(benchmark::State& state) {
  static weir::concurrency_limiter limiter{{.name = "bench", .limit = 64}};
  static queue_type queue{limiter, {.name = "bench"}};
  weir_bench::admit_and_record(state, queue);
}
WEIR_BENCH_CONTENDED(pass, "wait_queue/pass");

/// Two threads pass one slot to each other: who finds it taken lines up, and runs on when the other one releases.
struct running_waiter : queue_type::operation {
  running_waiter() {
    complete = [](weir::wait_node& node, weir::wait_outcome) noexcept {
      static_cast<running_waiter&>(node).done.store(true, std::memory_order_release);
    };
  }
  /// Never sleeps, or the row would be one of the scheduler; yields at times, for machines with one processor.
  void wait() {
    for (unsigned i = 1; !done.load(std::memory_order_acquire); ++i) {
      if (i % 4096 == 0) std::this_thread::yield();
    }
    done.store(false, std::memory_order_relaxed);
  }

  std::atomic<bool> done{false};
};

void between_threads(benchmark::State& state) {
  static weir::concurrency_limiter limiter{{.name = "bench", .limit = 1}};
  static queue_type queue{limiter, {.name = "bench", .max_wait = weir::duration::max(), .predict = false}};
  weir_bench::pin(state);
  running_waiter own;
  for (auto _ : state) {
    auto permit = queue.start(own);
    if (!permit) {
      own.wait();
      permit.emplace(own.take());
    }
    if (!*permit) {
      state.SkipWithError("refused");
      break;
    }
    (*permit)->release(weir::outcome::success);
  }
}
WEIR_BENCH_CONTENDED(between_threads, "wait_queue/one_slot");

}  // namespace
