// Lesson 11: what a pool tells Prometheus.
//
// A collector shows any number of pools. Answer GET /metrics with its text, or give it to prometheus-cpp's own server:
//   prometheus::Exposer exposer{"127.0.0.1:9464"};
//   exposer.RegisterCollectable(collector.collectable());
// Needs weir::prometheus. The clock stands still here, so that the numbers are the same whenever you run it.
#include <weir/observe/prometheus_collector.hpp>
#include <weir/pool/blocking_pool.hpp>
#include <weir/testing/manual_clock.hpp>

#include <chrono>
#include <cstdio>
#include <sstream>
#include <string>

using namespace std::chrono_literals;

struct orders_db {
  struct connection {};
  connection connect(const weir::connect_context&) {
    clock.advance(5ms);  // that is how long it takes here
    return {};
  }

  weir::manual_clock clock;
};

// What is not zero, but for the single buckets.
void print(const std::string& metrics) {
  std::istringstream lines{metrics};
  for (std::string line; std::getline(lines, line);) {
    const bool bucket = line.find("_bucket{") != std::string::npos;
    if (!line.starts_with('#') && !line.ends_with(" 0") && !bucket) std::printf("%s\n", line.c_str());
  }
}

int main() {
  weir::manual_clock clock;
  weir::basic_blocking_pool<orders_db, weir::manual_clock> pool{
      orders_db{clock}, {.name = "orders", .max_size = 2, .min_size = 2}, weir::pool_threads{0}, {}, clock};
  pool.tick();  // it connects here, since it has no threads

  weir::prometheus_collector collector;
  const auto shown = collector.add(pool);  // until `shown` goes

  for (int i = 0; i < 3; ++i) {
    auto quick = pool.try_acquire();
    clock.advance(250ms);
  }
  auto slow = pool.try_acquire({.tag = "report"});
  auto other = pool.try_acquire({.tag = "checkout"});
  auto none = pool.try_acquire();  // both are in use
  clock.advance(10s);
  other->discard();  // closed instead of given back
  clock.advance(30s);
  pool.tick();  // nobody has seen the slow one for long: a leak?

  std::printf("content type: %.*s\n", static_cast<int>(collector.content_type.size()), collector.content_type.data());
  print(collector.text());
}
