// Lesson 6: coroutines under protection, with Boost.Asio.
//
// `co_run` asks a policy and awaits the function; in a wait_queue it waits for its turn without blocking a thread. One
// timer serves all who wait.
#include <weir/asio/co_run.hpp>
#include <weir/asio/queue_timer.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstdio>
#include <functional>

namespace asio = boost::asio;
using namespace std::chrono_literals;

int busy = 0;

asio::awaitable<int> work(asio::io_context& context, int number) {
  std::printf("%d begins, %d at once\n", number, ++busy);
  asio::steady_timer pause{context, 1ms};
  co_await pause.async_wait(asio::use_awaitable);
  --busy;
  co_return number* number;
}

int main() {
  asio::io_context context{1};
  weir::concurrency_limiter workers{{.name = "workers", .limit = 1}};
  weir::basic_wait_queue line{workers, {.name = "line", .capacity = 2, .max_wait = 10s}};
  weir::queue_timer timer{line, context.get_executor()};

  // Four at the same time: one works, two wait, and the line is full for the fourth.
  const auto visitor = [&](int number) -> asio::awaitable<void> {
    weir::result<int> r = co_await weir::co_run(line, work, std::ref(context), number);
    if (r) {
      std::printf("%d got %d\n", number, *r);
    } else {
      std::printf("%d was turned away: %s\n", number, r.error().message().c_str());
    }
  };
  for (int number = 1; number <= 4; ++number) asio::co_spawn(context, visitor(number), asio::detached);
  context.run();

  // What blocks a thread in lesson 4 suspends a coroutine here; the permit can also be held by hand.
  const auto by_hand = [&]() -> asio::awaitable<void> {
    const weir::call c{.deadline = line.now() + 1s};
    auto permit = co_await weir::async_acquire(line, c, asio::use_awaitable);
    std::printf("by hand: %s\n", permit ? "admitted" : "refused");
    permit->release(weir::outcome::success);
  };
  asio::co_spawn(context, by_hand(), asio::detached);
  context.restart();
  context.run();
}
