// Admitting, refusing, probing and recording take no memory; neither do transitions and what an observer is told.
#include "support/counting_allocator.hpp"

#include <weir/policy/circuit_breaker.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <thread>

namespace {

using namespace std::chrono_literals;
using weir::testing_support::allocation_scope;

struct counting {
  int* events;
  void on(const weir::circuit_opened&) { ++*events; }
  void on(const weir::circuit_closed&) { ++*events; }
};

TEST(allocation, circuit_breaker_admits_and_refuses_without) {
  weir::manual_clock clock;
  int events = 0, admitted = 0, refused = 0;
  weir::circuit_breaker_config config{.over_calls = {.size = 50}, .slow_threshold = 1s, .watch_running = 4};
  config.open_for.jitter = weir::jitter_kind::none;
  weir::basic_circuit_breaker<weir::manual_clock, counting> breaker{config, counting{&events}, clock};
  std::uint64_t allocated = 99;
  std::jthread{[&] {
    const allocation_scope scope;
    for (int i = 0; i < 20; ++i) {
      for (int k = 0; k < 40; ++k) {
        auto permit = breaker.try_acquire();
        permit ? ++admitted : ++refused;
        if (permit) permit->release(k % 3 == 0 ? weir::outcome::success : weir::outcome::failure);
      }
      clock.advance(60s);
      for (int k = 0; k < 5; ++k) {
        auto probe = breaker.try_acquire();
        if (probe) probe->release(weir::outcome::success);
      }
      static_cast<void>(breaker.snapshot());
    }
    allocated = scope.count();
  }}.join();
  EXPECT_EQ(events, 40);
  EXPECT_GT(admitted, 100);
  EXPECT_GT(refused, 100);
  EXPECT_EQ(allocated, 0u);
}

TEST(allocation, default_circuit_breaker_admits_and_refuses_without) {
  weir::circuit_breaker breaker{{}};
  std::uint64_t allocated = 99;
  int refused = 0;
  std::jthread{[&] {
    const allocation_scope scope;
    for (int i = 0; i < 100; ++i) {
      auto permit = breaker.try_acquire();
      if (permit) permit->release(weir::outcome::failure);
      refused += !permit;
    }
    allocated = scope.count();
  }}.join();
  EXPECT_EQ(refused, 80);
  EXPECT_EQ(allocated, 0u);
}

}  // namespace
