// Lesson 9: "50 users per 10 seconds", whichever 10 seconds somebody looks at.
//
// A token bucket keeps an average; a window limiter keeps a contract. The clock is a manual one, so that the output is the
// same every time. In a service, write `weir::window_limiter`.
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/testing/manual_clock.hpp>

#include <cstdio>

using namespace std::chrono_literals;

template <class Limiter>
int let_in(Limiter& limiter) {
  int users = 0;
  while (limiter.try_acquire()) ++users;
  return users;
}

int main() {
  weir::manual_clock clock;
  weir::basic_window_limiter<weir::manual_clock> entrance{{.name = "entrance", .limit = {50, 10s}}, {}, clock};
  weir::basic_rate_limiter<weir::manual_clock> bucket{{.name = "bucket", .limit = {50, 10s}}, {}, clock};

  std::printf("        window  bucket\n");
  for (int second = 0; second <= 20; second += 5) {
    std::printf("at %2d s %6d  %6d\n", second, let_in(entrance), let_in(bucket));
    clock.advance(5s);
  }

  auto refused = entrance.try_acquire();
  std::printf("%s\n", refused ? "admitted" : refused.error().message().c_str());

  // A user who leaves before the door makes room for another.
  clock.advance(5s);
  auto user = entrance.try_acquire();
  user->cancel();
  std::printf("used: %d of 50\n", static_cast<int>(entrance.snapshot().used));
}
