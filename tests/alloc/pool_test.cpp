// Taking a connection and giving it back, waiting for one and being handed one allocates nothing: the waiter brings its own
// place. A refusal allocates its evidence.
#include "support/counting_allocator.hpp"

#include <weir/pool/blocking_pool.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <thread>

namespace {

using namespace std::chrono_literals;
using weir::testing_support::allocation_scope;

struct plain {
  struct connection {};
  connection connect(const weir::connect_context&) { return {}; }
};

TEST(allocation, pool_lends_and_takes_back_without) {
  weir::blocking_pool<plain> pool{plain{}, {.max_size = 2, .min_size = 2}, weir::pool_threads{0}};
  while (pool.tick()) {
  }
  std::uint64_t idle = 99, expired = 99;
  std::jthread{[&] {
    static_cast<void>(pool.acquire());
    {
      const allocation_scope scope;
      for (int i = 0; i < 100; ++i) {
        auto a = pool.try_acquire({.tag = "a tag"});
        auto b = pool.acquire({.deadline = pool.now() + 1s});
        EXPECT_TRUE(a && b);
      }
      idle = scope.count();
    }
    const auto a = pool.acquire(), b = pool.acquire();
    static_cast<void>(pool.acquire({.deadline = pool.now() + 100us}));  // a thread's first sleep
    const allocation_scope scope;
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(pool.acquire({.deadline = pool.now() + 100us}).error(), weir::errc::wait_timeout);
    }
    expired = scope.count();
  }}.join();
  EXPECT_EQ(idle, 0u);
  EXPECT_EQ(expired, 10u) << "one block of evidence each";
}

}  // namespace
