// A working service in 30 lines: a limit, a breaker and a stale answer around a query. Needs weir::weir and nothing else.
#include <weir/weir.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

static std::string query(int id) {  // your database
  if (id % 4 == 3) throw std::runtime_error{"connection lost"};
  return "user " + std::to_string(id);
}

int main() {
  weir::rate_limiter limiter{{.name = "api", .limit = {.permits = 1, .per = 1h}, .burst = 6}};
  weir::circuit_breaker breaker{{.name = "users", .slow_threshold = 500ms, .consecutive_failures = 2}};
  weir::pipeline protect{limiter, breaker};  // outermost first
  weir::fallback stale{{.name = "stale"}};

  for (int id = 0; id < 8; ++id) {
    const auto why_not = [](const weir::fallback_reason& why) {
      return why.cause == weir::fallback_cause::rejected ? "try again later, " + why.why.message() : "a stale user";
    };
    const std::string page = stale.run(protect, [&] { return query(id); }, why_not);
    std::printf("%d: %s\n", id, page.c_str());
  }
  return breaker.snapshot().failure == 1 && stale.snapshot().rejected == 2 ? 0 : 1;
}
