// weir_instructions: each hot operation a thousand times, for callgrind to count; run by scripts/instructions.
//
// Usage: weir_instructions            prints the compiler, then one operation a line
//        weir_instructions COUNT      runs each of them COUNT times, after a first round that nobody counts
//
// callgrind finds an operation by its function: what `measured` calls. No clock but a counter is read, so that the counts
// are the same on every machine; what the default clock costs has an entry of its own.

#include "../subjects.hpp"

#include <weir/core/default_clock.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/pool/blocking_pool.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/stats/counter.hpp>
#ifdef WEIR_BENCH_ROOM
#include <weir/room/room_core.hpp>
#endif

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using namespace std::chrono_literals;
using namespace weir_bench;

/// A nanosecond later at each reading.
struct ticking_clock {
  static inline weir::duration::rep ns = 1'000'000'000;
  [[nodiscard]] weir::time_point now() const noexcept { return weir::time_point{weir::duration{++ns}}; }
};

using rate_limiter = weir::basic_rate_limiter<ticking_clock>;
using window_limiter = weir::basic_window_limiter<ticking_clock>;
using concurrency_limiter = weir::basic_concurrency_limiter<ticking_clock>;
using circuit_breaker = weir::basic_circuit_breaker<ticking_clock>;

void keep(const void* result) { asm volatile("" : : "g"(result) : "memory"); }

/// A wrong answer would be counted as cheap.
void expect(bool admitted, bool wanted) {
  if (admitted == wanted) return;
  std::fputs(wanted ? "refused\n" : "admitted\n", stderr);
  std::exit(1);
}

template <class Outcomes = all_succeed, class Policy>
void admit_and_record(Policy& policy, unsigned count) {
  Outcomes next;
  while (count-- > 0) {
    auto permit = policy.try_acquire();
    expect(permit.has_value(), true);
    permit->release(next());
  }
}

template <class Policy>
void reject(Policy& policy, unsigned count) {
  while (count-- > 0) {
    auto permit = policy.try_acquire();
    expect(permit.has_value(), false);
    keep(&permit);
  }
}

// One function each, so that callgrind knows them apart.
#define WEIR_OPERATION(name) [[gnu::noinline]] void name(unsigned count)

WEIR_OPERATION(counter_add) {
  static weir::counter_set<4> counters;
  while (count-- > 0) {
    counters.add(1);
    keep(&counters);
  }
}

WEIR_OPERATION(default_clock_now) {
  const weir::default_clock clock;
  while (count-- > 0) {
    const weir::time_point now = clock.now();
    keep(&now);
  }
}

WEIR_OPERATION(rate_limiter_admit) {
  static rate_limiter limiter{plenty()};
  admit_and_record(limiter, count);
}

WEIR_OPERATION(rate_limiter_reject) {
  static rate_limiter limiter{one_a_day()};
  static const auto holder = limiter.try_acquire();
  keep(&holder);
  reject(limiter, count);
}

// A hundred tokens take longer than this to issue, so that each call replaces one that has just left.
WEIR_OPERATION(window_limiter_admit) {
  static window_limiter limiter{{.name = "bench", .limit = {.permits = 100, .per = 1ns}}};
  admit_and_record(limiter, count);
}

WEIR_OPERATION(window_limiter_admit_approximate) {
  static window_limiter limiter{
      {.name = "bench", .limit = {.permits = 100, .per = 1ns}, .precision = weir::window_precision::approximate}};
  admit_and_record(limiter, count);
}

WEIR_OPERATION(window_limiter_reject) {
  static window_limiter limiter{{.name = "bench", .limit = {.permits = 1, .per = 24h}}};
  static const auto holder = limiter.try_acquire();
  keep(&holder);
  reject(limiter, count);
}

WEIR_OPERATION(concurrency_limiter_acquire_release) {
  static concurrency_limiter limiter{{.name = "bench", .limit = 64}};
  admit_and_record(limiter, count);
}

WEIR_OPERATION(concurrency_limiter_reject) {
  static concurrency_limiter limiter{{.name = "bench", .limit = 1}};
  static const auto holder = limiter.try_acquire();
  reject(limiter, count);
}

WEIR_OPERATION(circuit_breaker_count_ok) {
  static circuit_breaker breaker{last_results(100)};
  admit_and_record(breaker, count);
}

WEIR_OPERATION(circuit_breaker_count_failing) {
  static circuit_breaker breaker{last_results(100)};
  admit_and_record<every_tenth_fails>(breaker, count);
}

WEIR_OPERATION(circuit_breaker_count_ok_timed) {
  static circuit_breaker breaker{timed(last_results(100))};
  admit_and_record(breaker, count);
}

WEIR_OPERATION(circuit_breaker_time_ok) {
  static circuit_breaker breaker{last_slices(10, 1s)};
  admit_and_record(breaker, count);
}

WEIR_OPERATION(circuit_breaker_time_failing) {
  static circuit_breaker breaker{last_slices(10, 1s)};
  admit_and_record<every_tenth_fails>(breaker, count);
}

WEIR_OPERATION(circuit_breaker_time_ok_timed) {
  static circuit_breaker breaker{timed(last_slices(10, 1s))};
  admit_and_record(breaker, count);
}

WEIR_OPERATION(circuit_breaker_open_reject) {
  static circuit_breaker breaker{opened()};
  reject(breaker, count);
}

WEIR_OPERATION(pipeline_limiter_bulkhead_breaker) {
  static rate_limiter limiter{plenty()};
  static concurrency_limiter bulkhead{{.name = "bench", .limit = 64}};
  static circuit_breaker breaker{timed(last_results(100))};
  static weir::pipeline protect{limiter, bulkhead, breaker};
  admit_and_record(protect, count);
}

using queue_type = weir::basic_wait_queue<concurrency_limiter, ticking_clock>;

struct waiter : queue_type::operation {
  waiter() {
    complete = [](weir::wait_node&, weir::wait_outcome) noexcept {};
  }
};

/// A slot that goes from one to the next of 64 who line up for it.
struct line_of_64 {
  concurrency_limiter limiter{{.name = "bench", .limit = 1}};
  queue_type queue{limiter, {.name = "bench", .max_wait = weir::duration::max(), .predict = false}};
  std::array<waiter, 64> line;
  weir::result<concurrency_limiter::permit> holder = limiter.try_acquire();
  std::size_t first = 0;

  line_of_64() {
    for (auto& each : line) expect(queue.start(each).has_value(), false);
  }
  ~line_of_64() { queue.close(); }
};

WEIR_OPERATION(wait_queue_hand_off) {
  static line_of_64 all;
  while (count-- > 0) {
    all.holder->release(weir::outcome::success);
    all.holder = all.line[all.first].take();
    expect(all.holder.has_value() && !all.queue.start(all.line[all.first]), true);
    all.first = (all.first + 1) % all.line.size();
  }
}

struct operation {
  const char* name;
  void (*run)(unsigned);
};
void pool_take_put(unsigned count) {
  struct nothing {
    struct connection {};
    connection connect(const weir::connect_context&) { return {}; }
  };
  static weir::blocking_pool<nothing> pool{
      nothing{}, {.name = "counted", .max_size = 10, .min_size = 1}, weir::pool_threads{0}};
  pool.tick();
  for (unsigned i = 0; i < count; ++i) {
    auto lease = pool.try_acquire();
    keep(&lease);
  }
}

// As in weir_bench, where there is such a row.
#ifdef WEIR_BENCH_ROOM
/// Ten thousand wait, and come in by hand only.
struct crowded_room {
  crowded_room() {
    for (int i = 0; i < 10'000; ++i) join();
  }
  void join() {
    expect(core.join(request, {}, clock.now(), effects) && request.answer.why == weir::room_refusal::none, true);
  }
  [[nodiscard]] weir::seat_holder last() const { return {request.answer.view.seat, 0, 0}; }
  static weir::room_config by_hand() {
    weir::room_config c;
    c.capacity = 100'000'000;
    c.manual = true;
    return c;
  }

  ticking_clock clock;
  weir::room_core core{by_hand(), false, clock.now()};
  weir::room_effects effects;
  weir::room_request request;
};

void room_join(unsigned count) {
  static crowded_room room;
  while (count-- > 0) room.join();
}
void room_poll_early(unsigned count) {
  static crowded_room room;
  (void)room.core.look(room.last(), room.clock.now(), room.effects);
  while (count-- > 0) {
    expect(room.core.look(room.last(), room.clock.now(), room.effects).why == weir::room_refusal::early, true);
  }
}
void room_view(unsigned count) {
  static crowded_room room;
  while (count-- > 0) expect(room.core.look_at(room.last(), room.clock.now()).position == 10'000, true);
}
#endif

constexpr operation operations[] = {
#define WEIR_LISTED(name) {#name, name}
    WEIR_LISTED(default_clock_now),  // first: soon after the calibration no correction is due
    WEIR_LISTED(counter_add),
    WEIR_LISTED(rate_limiter_admit),
    WEIR_LISTED(rate_limiter_reject),
    WEIR_LISTED(window_limiter_admit),
    WEIR_LISTED(window_limiter_admit_approximate),
    WEIR_LISTED(window_limiter_reject),
    WEIR_LISTED(concurrency_limiter_acquire_release),
    WEIR_LISTED(concurrency_limiter_reject),
    WEIR_LISTED(circuit_breaker_count_ok),
    WEIR_LISTED(circuit_breaker_count_failing),
    WEIR_LISTED(circuit_breaker_count_ok_timed),
    WEIR_LISTED(circuit_breaker_time_ok),
    WEIR_LISTED(circuit_breaker_time_failing),
    WEIR_LISTED(circuit_breaker_time_ok_timed),
    WEIR_LISTED(circuit_breaker_open_reject),
    WEIR_LISTED(pipeline_limiter_bulkhead_breaker),
    WEIR_LISTED(wait_queue_hand_off),
    WEIR_LISTED(pool_take_put),
#ifdef WEIR_BENCH_ROOM
    WEIR_LISTED(room_join),
    WEIR_LISTED(room_poll_early),
    WEIR_LISTED(room_view),
#endif
};

[[gnu::noinline]] void measured(const operation& each, unsigned count) {
  each.run(count);
  keep(&each);  // else the call would be a jump
}

/// Whether the default clock reads the time stamp counter, once it has had the time to find out.
bool reads_counter() {
  const auto& clock = weir::detail::tsc_clock::instance();
  const auto give_up = std::chrono::steady_clock::now() + 1s;
  while (std::string{clock.source()} != "tsc" && std::chrono::steady_clock::now() < give_up) {
    static_cast<void>(weir::default_clock{}.now());
  }
  return std::string{clock.source()} == "tsc";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 1) {
    std::puts(WEIR_BENCH_COMPILER);
    for (const operation& each : operations) {
      if (each.run != default_clock_now || reads_counter()) std::puts(each.name);
    }
    return 0;
  }
  const auto count = static_cast<unsigned>(std::strtoul(argv[1], nullptr, 10));
  if (argc != 2 || count == 0) {
    std::fputs("usage: weir_instructions [COUNT]\n", stderr);
    return 2;
  }
  reads_counter();
  for (const operation& each : operations) {
    each.run(count);
    measured(each, count);
  }
  return 0;
}
