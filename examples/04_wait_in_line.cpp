// Lesson 4: where a short wait is better than a refusal, put a wait_queue in front of a limiter.
//
// The line is bounded in length and in time, nobody overtakes, and a wait that cannot succeed is refused at the door.
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

int main() {
  weir::concurrency_limiter workers{{.name = "hashing", .limit = 2}};
  weir::basic_wait_queue line{workers, {.name = "line", .capacity = 16, .max_wait = 10s, .predict = false}};

  std::atomic<int> at_once{0}, most{0}, served{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      auto permit = line.acquire();  // blocks; with Asio: async_acquire
      if (!permit) return;
      const int now = ++at_once;
      for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
      }
      std::this_thread::sleep_for(2ms);  // the work
      --at_once;
      permit->release(weir::outcome::success);
      ++served;
    });
  }
  for (auto& thread : threads) thread.join();
  std::printf("served %d of 8, never more than 2 at once: %s\n", served.load(), most <= 2 ? "true" : "false");

  // Both workers are busy and stay so. Who waits gives up at the deadline; who is late already does not wait at all.
  auto first = workers.try_acquire(), second = workers.try_acquire();
  auto late = line.acquire({.deadline = line.now() + 50ms});
  std::printf("%s\n", late.error().message().c_str());
  auto too_late = line.acquire({.deadline = line.now() - 1ms});
  std::printf("%s\n", too_late.error().message().c_str());

  const auto s = line.snapshot();
  std::printf("arrivals %d = admitted %d + rejected %d\n", static_cast<int>(s.arrivals()), static_cast<int>(s.admitted()),
              static_cast<int>(s.rejected()));
}
