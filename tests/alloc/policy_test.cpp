// Admitting, refusing, ending, reporting: none of it allocates. The first call of a limiter and of a thread is included.
#include "support/counting_allocator.hpp"

#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/stats/histogram.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <thread>

namespace {

using namespace std::chrono_literals;
using weir::testing_support::allocation_scope;

TEST(allocation, concurrency_limiter_admits_and_refuses_without) {
  weir::concurrency_limiter limiter{{.limit = 2}};
  std::uint64_t allocated = 99;
  int refused = 0;
  std::jthread{[&] {
    const allocation_scope scope;
    for (int i = 0; i < 100; ++i) {
      auto first = limiter.try_acquire();
      auto second = limiter.try_acquire();
      const auto third = limiter.try_acquire();
      const auto never = limiter.try_acquire({.cost = 3});
      refused += !third + !never;
      first->release(weir::outcome::success);
      second->cancel();
      static_cast<void>(limiter.snapshot());
    }
    allocated = scope.count();
  }}.join();
  EXPECT_EQ(refused, 200);
  EXPECT_EQ(allocated, 0u);
}

TEST(allocation, window_limiter_admits_and_refuses_without) {
  weir::manual_clock clock;
  weir::basic_window_limiter<weir::manual_clock> limiter{{.limit = {2, 10s}}, {}, clock};
  std::uint64_t allocated = 99;
  int admitted = 0;
  std::jthread{[&] {
    const allocation_scope scope;
    for (int i = 0; i < 100; ++i) {
      for (int k = 0; k < 4; ++k) {
        auto permit = limiter.try_acquire();
        admitted += permit.has_value();
        if (k == 1) permit->cancel();
      }
      static_cast<void>(limiter.try_acquire({.cost = 3}));
      static_cast<void>(limiter.next_available(1, clock.now()));
      static_cast<void>(limiter.snapshot());
      clock.advance(10s);
    }
    allocated = scope.count();
  }}.join();
  EXPECT_EQ(admitted, 300);
  EXPECT_EQ(allocated, 0u);
}

TEST(allocation, rate_limiter_admits_and_refuses_without) {
  weir::manual_clock clock;
  weir::basic_rate_limiter<weir::manual_clock> limiter{{.limit = {10, 1s}, .burst = 2}, {}, clock};
  std::uint64_t allocated = 99;
  int admitted = 0;
  std::jthread{[&] {
    const allocation_scope scope;
    for (int i = 0; i < 100; ++i) {
      for (int k = 0; k < 4; ++k) {
        auto permit = limiter.try_acquire();
        admitted += permit.has_value();
        if (k == 1) permit->cancel();
      }
      static_cast<void>(limiter.try_acquire({.cost = 3}));
      static_cast<void>(limiter.next_available(1, clock.now()));
      limiter.drain();
      static_cast<void>(limiter.snapshot());
      clock.advance(i % 10 == 0 ? 24h * 365 : 1s);  // moves the origin now and then
    }
    allocated = scope.count();
  }}.join();
  EXPECT_EQ(admitted, 300);
  EXPECT_EQ(allocated, 0u);
}

TEST(allocation, recording_a_latency_takes_none) {
  weir::recording_histogram recording;
  std::uint64_t allocated = 99;
  std::jthread{[&] {
    const allocation_scope scope;
    for (int i = 0; i < 100; ++i) recording.record(i * 37ms);
    allocated = scope.count();
  }}.join();
  EXPECT_EQ(allocated, 0u);
  const allocation_scope scope;
  EXPECT_EQ(recording.snapshot().count(), 100u);
  EXPECT_GT(scope.count(), 0u) << "a snapshot does, which shows that this test can see it";
}

}  // namespace
