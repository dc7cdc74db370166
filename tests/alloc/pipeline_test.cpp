// A pipeline of three layers allocates nothing, admitted, refused or rolled back; neither does one put together at run
// time.
#include "support/counting_allocator.hpp"

#include <weir/pipeline/dynamic_pipeline.hpp>
#include <weir/pipeline/fallback.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>
#include <utility>

namespace {

using namespace std::chrono_literals;
using weir::testing_support::allocation_scope;

struct policies {
  weir::rate_limiter limiter{{.limit = {1'000'000, 1s}}};
  weir::circuit_breaker breaker{{}};
  weir::concurrency_limiter slots{{.limit = 2}};
};

// What a new thread allocates that admits, refuses, rolls back, runs, moves, cancels and falls back; 0 is the claim.
template <class Chain>
std::uint64_t allocated_by_using(Chain& chain) {
  std::uint64_t allocated = 99;
  int refused = 0, ran = 0, substituted = 0;
  weir::fallback zero;
  std::jthread{[&] {
    const allocation_scope scope;
    for (int i = 0; i < 100; ++i) {
      auto first = chain.try_acquire();
      auto second = chain.try_acquire();
      auto third = chain.try_acquire();  // the third layer refuses, the first two take back
      refused += !third;
      substituted += zero.run(chain, [] { return 0; }, 1);
      auto moved = std::move(*first);
      moved.release(weir::outcome::success);
      second->cancel();
      ran += *chain.run([] { return 1; });
      substituted += zero.run(chain, [] { return boost::system::result<int>{boost::system::error_code{}}; }, 0).has_value();
    }
    allocated = scope.count();
  }}.join();
  EXPECT_EQ(refused, 100);
  EXPECT_EQ(ran, 100);
  EXPECT_GE(substituted, 100);
  return allocated;
}

TEST(allocation, pipeline_of_three_takes_none) {
  policies p;
  weir::pipeline chain{p.limiter, p.breaker, p.slots};
  EXPECT_EQ(allocated_by_using(chain), 0u);
}

TEST(allocation, dynamic_pipeline_of_three_takes_none) {
  policies p;
  weir::dynamic_pipeline chain{{weir::any_policy{p.limiter}, weir::any_policy{p.breaker}, weir::any_policy{p.slots}}};
  EXPECT_EQ(allocated_by_using(chain), 0u);
  const allocation_scope scope;
  EXPECT_FALSE(chain.explain().empty());
  EXPECT_GT(scope.count(), 0u) << "explaining does, which shows that this test can see it";
}

}  // namespace
