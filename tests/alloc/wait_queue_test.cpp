// Being admitted, waiting and being refused by a queue allocates nothing: the waiter brings its own place.
#include "support/counting_allocator.hpp"

#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::testing_support::allocation_scope;

struct waiter : weir::wait_operation<weir::concurrency_limiter::permit> {
  waiter() {
    complete = [](weir::wait_node&, weir::wait_outcome) noexcept {};
  }
};

TEST(allocation, wait_queue_admits_queues_and_refuses_without) {
  weir::concurrency_limiter slots{{.limit = 1}};
  weir::wait_queue queue{slots, {.capacity = 100, .max_wait = 1h}};
  std::uint64_t at_once = 99, waited = 99;
  int full = 0;
  std::vector<waiter> waiters(101);
  std::jthread{[&] {
    {
      const allocation_scope scope;
      for (int i = 0; i < 100; ++i) {
        auto first = queue.try_acquire();
        EXPECT_TRUE(first.has_value() && !queue.try_acquire({.deadline = queue.now() + 1s}));
      }
      at_once = scope.count();
    }
    const allocation_scope scope;
    auto held = queue.acquire();
    for (auto& w : waiters) full += queue.start(w, {.deadline = queue.now() + 1min}) ? 1 : 0;
    for (std::size_t i = 0; i < 10; ++i) queue.cancel(waiters[i]);
    held->release(weir::outcome::success);
    for (std::size_t i = 10; i < 100; ++i) waiters[i].take()->release(weir::outcome::success);
    static_cast<void>(queue.acquire());
    static_cast<void>(queue.snapshot());
    waited = scope.count();
  }}.join();
  EXPECT_EQ(at_once, 0u);
  EXPECT_EQ(full, 1);
  EXPECT_EQ(waited, 0u);
}

}  // namespace
