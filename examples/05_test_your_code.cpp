// Lesson 5: testing code that uses weir, without sleeping and without a network.
//
// Code that takes the clock as a template parameter runs by a manual clock in tests. The scripted callee plays the
// dependency: it answers as the script says, lets time pass, and counts.
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/testing/scripted_callee.hpp>

#include <cstdio>
#include <cstdlib>

using namespace std::chrono_literals;

// The code under test: asks the callee unless it is broken.
template <class Clock = weir::default_clock>
class price_client {
 public:
  explicit price_client(Clock clock = {})
      : breaker_({.name = "prices", .slow_threshold = 100ms, .consecutive_failures = 3}, {}, clock) {}

  template <class Callee>
  bool ask(Callee& callee) {
    auto reply = weir::pipeline{breaker_}.run(callee);
    return reply && reply->result == weir::outcome::success;
  }
  bool is_open() { return breaker_.snapshot().state == weir::breaker_state::open; }

 private:
  weir::basic_circuit_breaker<Clock> breaker_;
};

void check(bool ok, const char* what) {
  std::printf("%s: %s\n", ok ? "ok" : "FAILED", what);
  if (!ok) std::exit(1);
}

int main() {
  weir::manual_clock clock;
  weir::scripted_callee prices{clock};
  price_client<weir::manual_clock> client{clock};

  prices.then({.latency = 5ms}, 2).then({.result = weir::outcome::failure}, 3).usually({.latency = 5ms});

  check(client.ask(prices) && client.ask(prices), "two good answers");
  for (int i = 0; i < 3; ++i) client.ask(prices);
  check(client.is_open(), "three failures in a row open the circuit");
  check(!client.ask(prices) && prices.calls() == 5, "while it is open, nobody calls");

  clock.advance(1min);
  check(client.ask(prices), "a minute later it probes");
  for (int i = 0; i < 4; ++i) client.ask(prices);
  check(!client.is_open(), "and five good probes close it");

  // Every tenth answer is an overload: the callee's own 503. That is no reason to open.
  prices.every(10, {.result = weir::outcome::overload, .retry_after = 1s});
  for (int i = 0; i < 100; ++i) client.ask(prices);
  check(!client.is_open(), "overload of the callee does not open the circuit");
  check(prices.most_in_progress() == 1, "one call at a time");
}
