// Lesson 10: a connection pool that says what is wrong.
//
// Four threads share two connections. Whoever waits is served in order, never after its deadline; and when there is no
// connection in time, the error says what the pool looked like: is it too small, is the backend down, who holds what?
#include <weir/pool/blocking_pool.hpp>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

// What the pool needs to know of your database. Everything but `connect` is optional.
struct orders_db {
  struct connection {
    std::string query(const char* sql) { return std::string{"answer to "} + sql; }
  };
  connection connect(const weir::connect_context&) {
    if (*down) throw std::runtime_error("connection refused");
    return {};
  }
  void validate(connection&) {}                                       // asked after a second without use
  void reset(connection&) {}                                          // before the next user
  bool is_broken(const connection&) const noexcept { return *down; }  // asked when it comes back

  std::atomic<bool>* down;
};

int main() {
  std::atomic<bool> down{false};
  weir::blocking_pool<orders_db> pool{orders_db{&down}, {.name = "orders", .max_size = 2, .down_after = 1}};

  std::atomic<int> answers{0};
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int k = 0; k < 50; ++k) {
          auto db = pool.acquire({.deadline = pool.now() + 5s, .tag = "list"});
          if (db && !(*db)->query("SELECT 1").empty()) ++answers;
        }  // the lease goes, the connection goes back
      });
    }
  }
  std::printf("%d answers\n", answers.load());

  auto a = pool.acquire({.tag = "report"});
  auto b = pool.acquire({.tag = "checkout"});
  auto none = pool.acquire({.deadline = pool.now() + 10ms});
  std::printf("all in use: %s\n", none.error().code().message().c_str());
  std::printf("in use: %u of %u\n", none.error().evidence()->in_use, none.error().evidence()->max);

  down = true;
  a->release();
  b->release();
  while (pool.acquire().error() != weir::errc::backend_down) {
  }
  none = pool.acquire();
  std::printf("backend gone: %s (%s)\n", none.error().code().message().c_str(),
              none.error().evidence()->last_failure->text.c_str());

  down = false;
  while (!pool.acquire()) std::this_thread::sleep_for(10ms);  // it is tried again and again, by one attempt at a time
  std::printf("and back again\n");
}
