// Lesson 1: a rate limiter says no as a value, and says when to come back.
//
// The clock is a manual one, so that the output is the same every time. In a service, write `weir::rate_limiter`.
#include <weir/policy/rate_limiter.hpp>
#include <weir/testing/manual_clock.hpp>

#include <cstdio>

using namespace std::chrono_literals;

int main() {
  weir::manual_clock clock;
  // Ten a second on average, and up to three at once.
  weir::basic_rate_limiter<weir::manual_clock> limiter{{.name = "search", .limit = {10, 1s}, .burst = 3}, {}, clock};

  for (int i = 1; i <= 4; ++i) {
    if (auto permit = limiter.try_acquire()) {
      std::printf("call %d: admitted\n", i);
    } else {
      std::printf("call %d: %s\n", i, permit.error().message().c_str());
      clock.advance(permit.error().retry_after());  // the hint is exact
      std::printf("call %d, later: %s\n", i, limiter.try_acquire() ? "admitted" : "refused");
    }
  }

  // A call can cost more than one token. What could never be granted is told apart from "not now".
  auto large = limiter.try_acquire({.cost = 100});
  std::printf("100 at once: %s\n", large.error().message().c_str());
  std::printf("worth a retry? %s\n", large.error() == weir::condition::never ? "no" : "yes");
}
