// Lesson 3: several policies asked as one, and something else to answer with.
//
// Outermost first: the rate limiter refuses before the breaker is asked. If an inner layer refuses, what the outer ones
// took goes back. `run` tells all of them how the call ended.
#include <weir/pipeline/fallback.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

int main() {
  weir::rate_limiter limiter{{.name = "search", .limit = {100, 1h}, .burst = 5}};
  weir::circuit_breaker breaker{{.name = "index", .consecutive_failures = 2}};
  weir::concurrency_limiter slots{{.name = "workers", .limit = 8}};
  weir::pipeline protect{limiter, breaker, slots};
  std::fputs(protect.explain().c_str(), stdout);

  // A result: the function's value, or who refused.
  weir::result<std::string> page = protect.run([] { return std::string{"found"}; });
  std::printf("\n%s\n", page->c_str());

  // Exceptions pass through, and count as failures of the callee.
  for (int i = 1; i <= 2; ++i) {
    try {
      static_cast<void>(protect.run([] { throw std::runtime_error{"index unreachable"}; }));
    } catch (const std::runtime_error& e) {
      std::printf("%s\n", e.what());
    }
  }

  // The breaker is open now. The limiter's token for this call goes back.
  const auto tokens = limiter.snapshot().tokens_approx;
  page = protect.run([] { return std::string{"found"}; });
  std::printf("refused by '%s'; tokens as before: %s\n", std::string{page.error().policy()}.c_str(),
              limiter.snapshot().tokens_approx == tokens ? "yes" : "no");

  // A fallback stands around the pipeline, so the breaker sees the failures and not the substitute.
  weir::fallback cached{{.name = "cached"}};
  const std::string answer = cached.run(protect, [] { return std::string{"found"}; }, std::string{"yesterday's page"});
  std::printf("%s\n", answer.c_str());
}
