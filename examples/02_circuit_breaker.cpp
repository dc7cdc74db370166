// Lesson 2: a circuit breaker stops calling what is broken, and finds out with a few probes when it works again.
//
// The clock is a manual one, so that a minute takes no time. In a service, write `weir::circuit_breaker`, and keep the
// jitter, so that a fleet does not probe in step.
#include <weir/policy/circuit_breaker.hpp>
#include <weir/testing/manual_clock.hpp>

#include <cstdio>

using namespace std::chrono_literals;

int main() {
  weir::manual_clock clock;
  weir::basic_circuit_breaker<weir::manual_clock> breaker{
      {.name = "payments",
       .over_time = {.trip = {.minimum_calls = 4, .failure_rate = 0.5}},
       .open_for = {.initial = 5s, .multiplier = 2.0, .cap = 60s, .jitter = weir::jitter_kind::none},
       .probes = {.count = 2}},
      {},
      clock};

  const auto call = [&](weir::outcome how) {
    auto permit = breaker.try_acquire();
    if (permit) {
      clock.advance(20ms);
      permit->release(how);
    } else {
      std::printf("  refused: %s\n", permit.error().message().c_str());
    }
    std::printf("  %s\n", to_string(breaker.snapshot().state));
  };

  std::puts("two good calls, two failures: half of four have failed");
  call(weir::outcome::success);
  call(weir::outcome::success);
  call(weir::outcome::failure);
  call(weir::outcome::failure);

  std::puts("open: calls cost nothing and are told when to come back");
  call(weir::outcome::success);

  std::puts("5 s later: the first probe fails, and it stays open for twice as long");
  clock.advance(5s);
  call(weir::outcome::failure);
  call(weir::outcome::failure);

  std::puts("10 s later: two good probes close it");
  clock.advance(10s);
  call(weir::outcome::success);
  call(weir::outcome::success);

  const auto s = breaker.snapshot();
  std::printf("opened %d times; admitted %d, rejected %d\n", static_cast<int>(s.trips), static_cast<int>(s.admitted),
              static_cast<int>(s.rejected));
}
