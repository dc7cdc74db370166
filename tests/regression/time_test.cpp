// Peer defects that have to do with time: a clock that is read behind one's back, time that nobody sees pass, time that is
// counted twice or shared by all. README.md says which peer did what.
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <utility>

namespace weir {
namespace {

using namespace std::chrono_literals;

using breaker_type = basic_circuit_breaker<manual_clock>;
using bucket = basic_rate_limiter<manual_clock>;

circuit_breaker_config last_minute() {
  circuit_breaker_config config;
  config.over_time = {.slicing = {.length = 60s, .slices = 60}, .trip = {.minimum_calls = 100, .failure_rate = 0.5}};
  config.open_for = {.initial = 10s, .multiplier = 1, .jitter = jitter_kind::none};
  return config;
}

bool run(breaker_type& breaker, outcome what) {
  auto permit = breaker.try_acquire();
  if (permit) permit->release(what);
  return permit.has_value();
}

// --- F-D2. Resilience4j: the lock-free time window reads the system's clock, not the one that it was given.

/// Counts how often it is read.
struct counting_clock {
  std::shared_ptr<std::atomic<int>> reads = std::make_shared<std::atomic<int>>(0);
  manual_clock line{};

  [[nodiscard]] time_point now() const noexcept {
    ++*reads;
    return line.now();
  }
  template <class F>
  int during(F&& f) {
    *reads = 0;
    f();
    return *reads;
  }
};

TEST(regression_fd2, EachOperationReadsItsOwnClockOnceOrNotAtAll) {
  counting_clock clock;
  const call timed{.now = clock.line.now()};
  const completion ended{.result = outcome::failure, .now = clock.line.now()};
  // Reads of an admission, of its end, and of the two where the caller says what time it is.
  const auto reads = [&](auto& policy) {
    std::optional<std::decay_t<decltype(*policy.try_acquire())>> permit;
    const auto ask = [&](const call& c) { permit.emplace(std::move(policy.try_acquire(c).value())); };
    std::array<int, 3> n{};
    n[0] = clock.during([&] { ask({}); });
    n[1] = clock.during([&] { permit->release(outcome::success); });
    n[2] = clock.during([&] {
      ask(timed);
      permit->release(ended);
    });
    return n;
  };
  using three = std::array<int, 3>;
  circuit_breaker_config config;
  basic_circuit_breaker<counting_clock> by_time{config, {}, clock};
  EXPECT_EQ(reads(by_time), (three{0, 1, 0}));
  config.slow_threshold = 1s;
  basic_circuit_breaker<counting_clock> measured{config, {}, clock};
  EXPECT_EQ(reads(measured), (three{1, 1, 0}));
  config = {.over_time = {.slicing = {.length = 0s}}, .over_calls = {.size = 100}};
  basic_circuit_breaker<counting_clock> by_calls{config, {}, clock};
  EXPECT_EQ(reads(by_calls), (three{0, 0, 0}));
  by_calls.set_state(breaker_state::open, clock.line.now());
  EXPECT_EQ(clock.during([&] { EXPECT_FALSE(by_calls.try_acquire()); }), 1);

  basic_rate_limiter<counting_clock> tokens{{}, {}, clock};
  EXPECT_EQ(reads(tokens), (three{1, 0, 0}));
  basic_window_limiter<counting_clock> window{{}, {}, clock};
  EXPECT_EQ(reads(window), (three{1, 0, 0}));
  basic_concurrency_limiter<counting_clock> slots{{}, {}, clock};
  EXPECT_EQ(reads(slots), (three{0, 0, 0}));
  basic_wait_queue<basic_rate_limiter<counting_clock>, counting_clock> queue{tokens, {}, {}, clock};
  EXPECT_EQ(reads(queue), (three{1, 0, 0}));

  counting_clock others;
  basic_circuit_breaker<counting_clock> inner{{.slow_threshold = 1s}, {}, others};
  pipeline chain{tokens, slots, inner};
  EXPECT_EQ(others.during([&] { EXPECT_EQ(reads(chain), (three{1, 1, 0})); }), 0) << "one clock for the whole chain";
}

// Real time goes on while this runs: more nanoseconds than any of these need.
TEST(regression_fd2, VirtualTimeIsAllTheTimeThereIs) {
  manual_clock clock;
  bucket tokens{{.limit = {1, 1ns}, .burst = 1}, {}, clock};
  basic_window_limiter<manual_clock> window{{.limit = {1, 1ns}}, {}, clock};
  circuit_breaker_config config;
  config.over_time = {.slicing = {.length = 10ns, .slices = 10}, .trip = {.minimum_calls = 500, .failure_rate = 1}};
  config.open_for = {.initial = 1ns, .multiplier = 1, .jitter = jitter_kind::none};
  breaker_type breaker{config, {}, clock};
  EXPECT_TRUE(tokens.try_acquire());
  EXPECT_TRUE(window.try_acquire());
  for (int i = 0; i < 500; ++i) {
    EXPECT_FALSE(tokens.try_acquire());
    EXPECT_FALSE(window.try_acquire());
    EXPECT_TRUE(run(breaker, outcome::failure)) << "nothing has left the window";
  }
  for (int i = 0; i < 500; ++i) EXPECT_FALSE(breaker.try_acquire());
  EXPECT_EQ(breaker.snapshot().over_time.counts.calls, 500u);
  clock.advance(1ns);
  EXPECT_TRUE(tokens.try_acquire());
  EXPECT_TRUE(window.try_acquire());
  EXPECT_TRUE(breaker.try_acquire());
}

// --- F-D7. failsafe-go: who reads the statistics without recording sees a window of long ago.

TEST(regression_fd7, ReadersDoNotSeeWhatHasExpired) {
  manual_clock clock;
  breaker_type breaker{last_minute(), {}, clock};
  bucket tokens{{.limit = {1, 1s}, .burst = 5}, {}, clock};
  basic_window_limiter<manual_clock> window{{.limit = {5, 1s}}, {}, clock};
  for (int i = 0; i < 99; ++i) run(breaker, outcome::failure);
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(tokens.try_acquire());
    EXPECT_TRUE(window.try_acquire());
  }
  EXPECT_EQ(breaker.snapshot().over_time.counts.failures, 99u);
  EXPECT_EQ(tokens.snapshot().tokens_approx, 0u);
  EXPECT_EQ(window.snapshot().used, 5u);
  clock.advance(61s);
  EXPECT_EQ(breaker.snapshot().over_time.counts, window_counts{});
  EXPECT_EQ(breaker.snapshot().over_time.failure_rate, std::nullopt);
  EXPECT_EQ(tokens.snapshot().tokens_approx, 5u);
  EXPECT_EQ(window.snapshot().used, 0u);
}

TEST(regression_fd7, ADecisionDoesNotRestOnWhatHasExpired) {
  manual_clock clock;
  breaker_type breaker{last_minute(), {}, clock};
  for (int i = 0; i < 99; ++i) run(breaker, outcome::failure);
  clock.advance(61s);
  for (int i = 0; i < 99; ++i) ASSERT_TRUE(run(breaker, outcome::failure)) << i;
  EXPECT_EQ(breaker.snapshot().state, breaker_state::closed);
  run(breaker, outcome::failure);
  EXPECT_EQ(breaker.snapshot().state, breaker_state::open);
}

// --- A-D4. x/time/rate sets its last instant to that of the call even if that is older: the interval is credited again.

TEST(regression_ad4, NoIntervalIsCreditedTwice) {
  manual_clock clock;
  const time_point start = clock.now();
  bucket limiter{{.limit = {10, 1s}, .burst = 10}, {}, clock};
  basic_window_limiter<manual_clock> window{{.limit = {10, 1s}}, {}, clock};
  int admitted = 0, recorded = 0;
  EXPECT_TRUE(limiter.try_acquire({.now = start, .cost = 10}));
  for (int i = 0; i < 50; ++i) {  // two callers, one of whom reads the clock and is then held up for a second
    admitted += limiter.try_acquire({.now = start + 1s}) ? 1 : 0;
    admitted += limiter.try_acquire({.now = start}) ? 1 : 0;
    recorded += window.try_acquire({.now = start + 1s}) ? 1 : 0;
    recorded += window.try_acquire({.now = start}) ? 1 : 0;
  }
  EXPECT_EQ(admitted, 10);
  EXPECT_EQ(recorded, 10);
}

// --- A-D9. userver: the mocked time is one for the whole process, and ties all its tests together.

TEST(regression_ad9, ClocksAreIndependent) {
  manual_clock mine, yours;
  bucket my_tokens{{.limit = {1, 1s}, .burst = 1}, {}, mine}, your_tokens{{.limit = {1, 1s}, .burst = 1}, {}, yours};
  breaker_type my_breaker{last_minute(), {}, mine}, your_breaker{last_minute(), {}, yours};
  EXPECT_TRUE(my_tokens.try_acquire());
  EXPECT_TRUE(your_tokens.try_acquire());
  my_breaker.set_state(breaker_state::open);
  your_breaker.set_state(breaker_state::open);
  mine.advance(10s);
  EXPECT_TRUE(my_tokens.try_acquire());
  EXPECT_TRUE(my_breaker.try_acquire());
  EXPECT_FALSE(your_tokens.try_acquire());
  EXPECT_FALSE(your_breaker.try_acquire());
}

}  // namespace
}  // namespace weir
