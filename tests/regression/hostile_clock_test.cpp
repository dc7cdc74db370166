// F-D1. Resilience4j: after one step back of a second, the head of the time window runs a second ahead with every call: it
// holds the last 60 calls, for ever, and a breaker with a minimum of 100 can never open. Here every part meets clocks that
// step, by a second and by an hour, also under load.
#include <regression/crew.hpp>
#include <support/seeds.hpp>
#include <weir/core/random.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;
using testing_support::run_crew_beside;
using testing_support::seeds;

using breaker_type = basic_circuit_breaker<manual_clock>;
using bucket = basic_rate_limiter<manual_clock>;
using slots_type = basic_concurrency_limiter<manual_clock>;

/// Resilience4j's: 60 slices of a second, at least 100 calls, half of them failures.
circuit_breaker_config last_minute() {
  circuit_breaker_config config;
  config.over_time = {.slicing = {.length = 60s, .slices = 60, .aligned = true},
                      .trip = {.minimum_calls = 100, .failure_rate = 0.5}};
  config.open_for = {.initial = 10s, .multiplier = 1, .jitter = jitter_kind::none};
  config.probes.count = 2;
  return config;
}

circuit_breaker_config that_never_opens(circuit_breaker_config config) {
  config.over_time.trip.failure_rate = 0;
  return config;
}

/// What the window above should hold: a list. An older time counts as the newest that was recorded.
class naive_minute {
 public:
  void record(time_point now, bool failed) {
    newest_ = std::max(newest_, now);
    results_.emplace_back(second(newest_), failed);
  }
  window_counts at(time_point now) {
    const auto last = second(std::max(newest_, now));
    window_counts n;
    for (const auto& [second, failed] : results_) {
      if (second > last - 60) n.add({.failure = failed});
    }
    while (!results_.empty() && results_.front().first <= second(newest_) - 60) results_.pop_front();
    return n;
  }

 private:
  static std::int64_t second(time_point t) {
    return std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count();
  }

  time_point newest_ = time_point::min();
  std::deque<std::pair<std::int64_t, bool>> results_;
};

bool run(breaker_type& breaker, outcome what) {
  auto permit = breaker.try_acquire();
  if (permit) permit->release(what);
  return permit.has_value();
}

/// Goes by what refusals say until the circuit is closed again; how long that took.
duration until_closed(breaker_type& breaker, manual_clock& clock) {
  const time_point before = clock.now();
  for (int i = 0; i < 20 && breaker.snapshot().state != breaker_state::closed; ++i) {
    auto permit = breaker.try_acquire();
    if (permit) {
      permit->release(outcome::success);
    } else {
      clock.advance(permit.error().retry_after());
    }
  }
  EXPECT_EQ(breaker.snapshot().state, breaker_state::closed);
  return elapsed(before, clock.now());
}

TEST(regression_fd1, ClockBackOneSecondDoesNotShrinkTheWindow) {
  manual_clock clock;
  breaker_type breaker{last_minute(), {}, clock};
  naive_minute model;
  const auto ten_calls_a_second = [&](int seconds, outcome what) {
    for (int i = 0; i < 10 * seconds && run(breaker, what); ++i) {
      model.record(clock.now(), what == outcome::failure);
      clock.advance(100ms);
      if (i % 10 == 5 && breaker.snapshot().state == breaker_state::closed) {
        ASSERT_EQ(breaker.snapshot().over_time.counts, model.at(clock.now())) << i;
      }
    }
  };
  ten_calls_a_second(60, outcome::success);
  run(breaker, outcome::success);
  model.record(clock.now(), false);
  clock.set(clock.now() - 1s);
  ten_calls_a_second(600, outcome::success);
  EXPECT_EQ(breaker.snapshot().over_time.counts.calls, 590u) << "ten minutes later: 59 whole seconds, and one that begins";
  ten_calls_a_second(35, outcome::failure);
  EXPECT_EQ(breaker.snapshot().trips, 1u);
  EXPECT_GE(breaker.snapshot().over_time.counts.failures, 290u) << "opened by half of what a minute holds";
}

TEST(regression_fd1, HourStepsLeaveTheCountsOfANaiveModel) {
  for (const std::uint64_t seed : seeds(10)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "steps"};
    manual_clock clock;
    breaker_type breaker{that_never_opens(last_minute()), {}, clock};
    naive_minute model;
    for (int i = 0; i < 600; ++i) {
      const std::uint64_t kind = random.below(20);
      if (kind == 0) clock.set(clock.now() - 1h);
      if (kind == 1) clock.set(clock.now() + 1h);
      if (kind == 2) clock.set(clock.now() - 1s);
      if (kind > 10) clock.advance(random.between(0s, 3s));
      const bool failed = random.below(3) == 0;
      run(breaker, failed ? outcome::failure : outcome::success);
      model.record(clock.now(), failed);
      ASSERT_EQ(breaker.snapshot().over_time.counts, model.at(clock.now())) << i;
    }
    clock.advance(1000h);
    for (int i = 0; i < 200; ++i) run(breaker, i % 10 == 0 ? outcome::failure : outcome::success);
    EXPECT_EQ(breaker.snapshot().over_time.counts, (window_counts{.calls = 200, .failures = 20}));
    EXPECT_EQ(breaker.snapshot().over_time.failure_rate, 0.1);
  }
}

TEST(regression_fd1, HourStepsUnderLoadCorruptNoWindow) {
  constexpr unsigned threads = 3, calls = 50'000;
  manual_clock clock;
  const time_point late = clock.now() + 1h;
  breaker_type breaker{that_never_opens(last_minute()), {}, clock};
  clock.set(late);
  run(breaker, outcome::success);  // from here on, an hour ago counts as now
  run_crew_beside(
      threads,
      [&](unsigned) {
        for (unsigned i = 0; i < calls; ++i) run(breaker, i % 10 == 0 ? outcome::failure : outcome::success);
      },
      1000, [&](unsigned i) { clock.set(late + std::min(i, 50'000u) * 1ms - (i % 2 == 0 ? 1h : 0h)); });
  EXPECT_EQ(breaker.snapshot().over_time.counts,
            (window_counts{.calls = threads * calls + 1, .failures = threads * calls / 10}));
  clock.set(late + 2min);
  EXPECT_EQ(breaker.snapshot().over_time.counts, window_counts{});
  for (int i = 0; i < 100; ++i) run(breaker, i < 25 ? outcome::failure : outcome::success);
  EXPECT_EQ(breaker.snapshot().over_time.failure_rate, 0.25);
}

TEST(regression_fd1, NoStateIsStuckAfterASteppedClock) {
  for (const duration step : {duration{-1s}, duration{-1h}, duration{1h}}) {
    SCOPED_TRACE(step.count());
    manual_clock clock;
    breaker_type breaker{last_minute(), {}, clock};
    const auto open = [&] {
      for (int i = 0; i < 100; ++i) run(breaker, outcome::failure);
      ASSERT_EQ(breaker.snapshot().state, breaker_state::open);
    };
    const auto jump = [&](duration by) { clock.set(clock.now() + by); };
    const duration back = std::max(duration{0}, -step), ahead = std::max(duration{0}, step);

    open();
    jump(step);  // while open
    EXPECT_EQ(until_closed(breaker, clock), back + std::max(duration{0}, 10s - ahead))
        << "not a moment later than it was to be";

    open();
    clock.advance(10s);
    auto probe = breaker.try_acquire();
    ASSERT_TRUE(probe);
    jump(step);  // while a probe is under way: it returns, or its lease ends first
    probe->release(outcome::success);
    EXPECT_LE(until_closed(breaker, clock), 10s);

    open();
    clock.advance(10s);
    auto lost = breaker.try_acquire();
    ASSERT_TRUE(lost);
    auto other = breaker.try_acquire();
    ASSERT_TRUE(other);
    other->release(outcome::failure);  // open again; the other probe never returns
    jump(step);
    EXPECT_LE(until_closed(breaker, clock), back + 10s);
    jump(-step);
    EXPECT_TRUE(run(breaker, outcome::success)) << "closed is closed, whatever the time";

    jump(step);
    open();
    jump(-step);  // opened at a time that is undone: at the latest when it comes again
    EXPECT_LE(until_closed(breaker, clock), ahead + 10s);
  }
}

TEST(regression_fd1, NoStateIsStuckAfterHourStepsUnderLoad) {
  manual_clock clock;
  const time_point start = clock.now();
  circuit_breaker_config config = last_minute();
  config.over_time.trip.minimum_calls = 10;
  breaker_type breaker{config, {}, clock};
  std::atomic<std::uint64_t> asked{0}, admitted{0};
  run_crew_beside(
      3,
      [&](unsigned me) {
        random_stream random{me, "load"};
        for (int i = 0; i < 50'000; ++i) {
          ++asked;
          admitted += run(breaker, random.below(2) == 0 ? outcome::failure : outcome::success);
        }
      },
      1000, [&](unsigned i) { clock.set(start + i * 1ms + (i % 3) * 1h); });
  auto s = breaker.snapshot();
  EXPECT_EQ(s.admitted, admitted);
  EXPECT_EQ(s.admitted + s.rejected, asked);
  EXPECT_EQ(s.in_flight, 0u);
  EXPECT_GE(s.trips, 1u);
  clock.set(start + 4h);
  EXPECT_LE(until_closed(breaker, clock), 10s);
  breaker.set_state(breaker_state::closed);
  for (int i = 0; i < 10; ++i) run(breaker, outcome::failure);
  EXPECT_EQ(breaker.snapshot().trips, s.trips + 1) << "and still opens when it should";
}

// Whatever the clock does, an admission is one that a plain bucket would give, for which time never goes back.
TEST(regression_fd1, NoTokenIsMinted) {
  for (const std::uint64_t seed : seeds(10)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "steps"};
    manual_clock clock;
    bucket limiter{{.limit = {1, 1min}, .burst = 10}, {}, clock};
    duration worth = 10min;  // the plain bucket, in the time that its tokens take
    time_point newest = clock.now();
    for (int i = 0; i < 1000; ++i) {
      const std::uint64_t kind = random.below(20);
      if (kind == 0) clock.set(clock.now() - 1h);
      if (kind == 1) clock.set(clock.now() + 1h);
      if (kind == 2) clock.set(clock.now() - 1s);
      if (kind > 10) clock.advance(random.between(0s, 30s));
      if (clock.now() > newest) worth = std::min<duration>(10min, worth + (clock.now() - newest));
      newest = std::max(newest, clock.now());
      if (limiter.try_acquire()) {
        ASSERT_GE(worth, 1min) << i;
        worth -= 1min;
      }
    }
    clock.set(newest + 10min);
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(limiter.try_acquire()) << "nor is any lost for good";
    EXPECT_FALSE(limiter.try_acquire());
  }
}

TEST(regression_fd1, NoTokenIsMintedUnderLoad) {
  manual_clock clock;
  const time_point start = clock.now();
  bucket limiter{{.limit = {1, 1min}, .burst = 10}, {}, clock};
  std::atomic<int> admitted{0};
  const auto take = [&] { admitted += limiter.try_acquire() ? 1 : 0; };
  for (int i = 0; i < 11; ++i) take();
  EXPECT_EQ(admitted, 10);
  run_crew_beside(
      3,
      [&](unsigned) {
        for (int i = 0; i < 50'000; ++i) take();
      },
      1000, [&](unsigned i) { clock.set(start + (i % 2) * 1h); });
  clock.set(start + 1h);
  for (int i = 0; i < 11; ++i) take();
  EXPECT_EQ(admitted, 20) << "one bucket at the start, one an hour later, however often it was an hour later";
}

TEST(regression_fd1, NoWindowHoldsMoreThanItsLimitUnderLoad) {
  constexpr std::size_t limit = 50;
  manual_clock clock;
  const time_point start = clock.now();
  basic_window_limiter<manual_clock> limiter{{.limit = {limit, 10s}}, {}, clock};
  std::mutex mutex;
  std::vector<time_point> recorded;
  const auto take = [&] {
    auto permit = limiter.try_acquire();
    if (!permit) return;
    std::lock_guard lock{mutex};
    recorded.push_back(permit->recorded_at());
  };
  run_crew_beside(
      3,
      [&](unsigned) {
        for (int i = 0; i < 50'000; ++i) take();
      },
      1000, [&](unsigned i) { clock.set(start + i * 100ms + (i % 2) * 1h); });
  std::sort(recorded.begin(), recorded.end());
  ASSERT_GE(recorded.size(), limit);
  for (std::size_t i = limit; i < recorded.size(); ++i) ASSERT_GE(recorded[i] - recorded[i - limit], 10s) << i;
  clock.set(recorded.back() + 10s);
  recorded.clear();
  for (std::size_t i = 0; i < 2 * limit; ++i) take();
  EXPECT_EQ(recorded.size(), limit);
}

TEST(regression_fd1, AWaitEndsOnceAndInTimeWhateverTheClockDoes) {
  manual_clock clock;
  slots_type slots{{.limit = 1}, {}, clock};
  basic_wait_queue<slots_type, manual_clock> queue{slots, {.max_wait = 1s}, {}, clock};
  struct waiter : wait_operation<slots_type::permit> {
    int ended_times = 0;
  } op;
  op.complete = [](wait_node& node, wait_outcome) noexcept { ++static_cast<waiter&>(node).ended_times; };
  const time_point start = clock.now();
  auto held = slots.try_acquire();
  ASSERT_FALSE(queue.start(op));
  clock.set(start - 1h);
  queue.on_alarm();
  EXPECT_EQ(op.ended_times, 0);
  EXPECT_EQ(queue.next_event(), start + 1s);
  clock.set(start + 1h);
  queue.on_alarm();
  clock.set(start - 1h);
  queue.on_alarm();
  EXPECT_EQ(op.ended_times, 1);
  EXPECT_EQ(op.take().error(), errc::wait_timeout);
  EXPECT_EQ(queue.waits(wait_outcome::timed_out).max(), 1h) << "never less than nothing";
  held->release(outcome::success);
  EXPECT_TRUE(queue.try_acquire()) << "the slot is nobody's";
}

}  // namespace
}  // namespace weir
