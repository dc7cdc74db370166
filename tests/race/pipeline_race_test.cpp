// Threads use one chain of real policies at once: every permit comes back once, and every ledger balances with what the
// threads saw.
#include <weir/pipeline/dynamic_pipeline.hpp>
#include <weir/pipeline/fallback.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;

struct policies {
  concurrency_limiter slots{{.name = "slots", .limit = 2}};
  wait_queue<concurrency_limiter> line{slots, {.name = "line", .capacity = 3, .max_wait = 50ms}};
  circuit_breaker breaker{
      {.name = "breaker", .consecutive_failures = 4, .open_for = {.initial = 50us, .cap = 200us}, .probes = {.count = 2}}};
  rate_limiter limiter{{.name = "rate", .limit = {200'000, 1s}, .burst = 50}};
};

template <class Chain>
void use_by_threads(policies& p, Chain& chain) {
  constexpr int threads = 4, rounds = 2000;
  std::atomic<std::uint64_t> admitted{0}, cancelled{0}, refused{0};
  std::atomic<int> inside{0};
  std::atomic<bool> too_many{false};
  fallback nothing;

  std::vector<std::jthread> users;
  for (int t = 0; t < threads; ++t) {
    users.emplace_back([&, t] {
      for (int i = 0; i < rounds; ++i) {
        const auto kind = (i + t) % 5;
        if (kind == 0) {
          const auto r = chain.run([&] {
            if (++inside > 2) too_many = true;
            --inside;
          });
          ++(r ? admitted : refused);
          continue;
        }
        if (kind == 1) {
          const bool ran = nothing.run(
              chain, []() -> bool { throw std::runtime_error{"callee"}; },
              [](const fallback_reason& why) { return why.cause == fallback_cause::threw; });
          ++(ran ? admitted : refused);
          continue;
        }
        auto permit = kind == 2 ? chain.acquire() : chain.try_acquire();
        if (!permit) {
          ++refused;
          continue;
        }
        if (++inside > 2) too_many = true;
        --inside;
        if (kind == 3) {
          permit->cancel();
          ++cancelled;
        } else {
          auto moved = std::move(*permit);
          moved.release(i % 3 == 0 ? outcome::failure : outcome::success);
          ++admitted;
        }
      }
    });
  }
  users.clear();

  EXPECT_FALSE(too_many);
  EXPECT_EQ(admitted + cancelled + refused, std::uint64_t{threads} * rounds);
  const auto s = p.slots.snapshot();
  EXPECT_EQ(s.slots_in_use, 0u);
  EXPECT_EQ(s.calls_in_flight(), 0u);
  EXPECT_EQ(s.admitted, admitted);
  EXPECT_FALSE(s.waiting);
  const auto b = p.breaker.snapshot();
  EXPECT_EQ(b.in_flight, 0u);
  EXPECT_EQ(b.admitted, admitted);
  const auto q = p.line.snapshot();
  EXPECT_EQ(q.waiting, 0u);
  EXPECT_EQ(q.arrivals(), std::uint64_t{threads} * rounds);
  const auto r = p.limiter.snapshot();
  EXPECT_EQ(r.admitted, admitted);
  EXPECT_EQ(r.arrivals(), r.admitted + r.cancelled + r.rejected());
  EXPECT_GT(s.cancelled + refused, 0u);
}

TEST(PipelineRace, Static) {
  policies p;
  pipeline chain{p.line, p.breaker, p.limiter};
  use_by_threads(p, chain);
}

TEST(PipelineRace, Dynamic) {
  policies p;
  dynamic_pipeline chain{{any_policy{p.line}, any_policy{p.breaker}, any_policy{p.limiter}}};
  use_by_threads(p, chain);
}

}  // namespace
}  // namespace weir
