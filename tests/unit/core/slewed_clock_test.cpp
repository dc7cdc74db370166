// The clock behind default_clock, on a counter and a reference that the test moves.
#include <weir/core/detail/slewed_clock.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::duration;
using weir::time_point;

/// Three ticks per nanosecond, as far as the two go together.
struct fake {
  static constexpr const char* name = "fake";
  static std::uint64_t ticks() noexcept { return counter; }
  static std::int64_t ns() noexcept { return reference; }
  static bool trusted() noexcept { return trust; }

  static inline std::atomic<std::uint64_t> counter;
  static inline std::atomic<std::int64_t> reference;
  static inline bool trust;

  static void pass(duration d) {
    counter += 3 * static_cast<std::uint64_t>(d.count());
    reference += d.count();
  }
};

class slewed_clock : public testing::Test {
 protected:
  slewed_clock() {
    fake::counter = 1'000'000;
    fake::reference = duration{1h}.count();
    fake::trust = true;
  }

  /// Reads until the counter answers.
  void calibrate() {
    for (int i = 0; i < 3; ++i) {
      fake::pass(20ms);
      static_cast<void>(clock.now());
    }
    ASSERT_EQ(source(), "fake");
  }
  std::string source() const { return clock.source(); }
  duration error() { return clock.now() - time_point{duration{fake::reference}}; }

  weir::detail::slewed_clock<fake> clock;
};

TEST_F(slewed_clock, shows_the_reference_while_it_calibrates) {
  EXPECT_EQ(error(), 0ns);
  EXPECT_EQ(source(), "calibrating");
  fake::pass(19ms);
  EXPECT_EQ(error(), 0ns);
  EXPECT_EQ(source(), "calibrating");
  fake::pass(1ms);
  EXPECT_EQ(error(), 1us) << "the lead";
  EXPECT_EQ(source(), "fake");
}

TEST_F(slewed_clock, stays_with_the_reference_if_the_counter_is_not_trusted) {
  fake::trust = false;
  for (int i = 0; i < 5; ++i, fake::pass(1s)) EXPECT_EQ(error(), 0ns);
  EXPECT_EQ(source(), "steady");
}

TEST_F(slewed_clock, the_lead_is_gone_after_two_seconds) {
  calibrate();
  for (int i = 0; i < 30; ++i, fake::pass(100ms)) static_cast<void>(clock.now());
  EXPECT_LE(std::abs(error().count()), 2);
}

TEST_F(slewed_clock, an_error_is_slewed_away_and_never_stepped) {
  calibrate();
  for (int i = 0; i < 30; ++i, fake::pass(100ms)) static_cast<void>(clock.now());
  fake::reference += 300'000;
  auto last = clock.now();
  for (int i = 0; i < 25'000; ++i) {
    fake::pass(100us);
    const auto now = clock.now();
    ASSERT_GE(now, last);
    ASSERT_LE(now - last, 101us);
    last = now;
  }
  EXPECT_LE(std::abs(error().count()), 100);
}

// The reference is itself disciplined and changes its rate: the slope follows within seconds, however long the run was.
TEST_F(slewed_clock, follows_a_reference_that_changes_its_rate) {
  calibrate();
  for (int i = 0; i < 1000; ++i, fake::pass(1s)) static_cast<void>(clock.now());
  duration worst{};
  for (int i = 0; i < 100; ++i) {
    fake::pass(100ms);
    fake::reference += 10'000;  // 100 ppm
    const duration now = error();
    worst = std::max(worst, duration{std::abs(now.count())});
    if (i > 50) {
      ASSERT_LE(std::abs(now.count()), 100) << i;
    }
  }
  EXPECT_LE(worst, 120us);
  EXPECT_EQ(source(), "fake");
}

// A service that nobody calls at night reads no clock. A bend that went on would grow into an error of its own.
TEST_F(slewed_clock, a_bend_ends_although_nobody_reads_the_clock) {
  static_cast<void>(clock.now());
  fake::pass(20ms);
  fake::reference += 200;  // the two were not read at the same instant: the slope is off by 10 ppm
  static_cast<void>(clock.now());
  fake::reference -= 200;
  fake::pass(1s);
  EXPECT_NEAR(static_cast<double>(error().count()), 11'000, 500) << "bent from here on";
  fake::pass(10min);
  EXPECT_LE(std::abs(error().count()), 150'000) << "what the slope is off, 0.2 ppm";
  EXPECT_EQ(source(), "fake");
}

// The counter ran on while the reference stood: suspend.
TEST_F(slewed_clock, gives_up_a_counter_that_leapt_and_holds_still_for_two_seconds_at_most) {
  calibrate();
  fake::pass(500ms);
  const auto before = clock.now();
  fake::counter += 3 * static_cast<std::uint64_t>(duration{8h}.count());
  const auto held = clock.now();
  EXPECT_EQ(source(), "steady");
  EXPECT_GE(held, before);
  EXPECT_LE(held - before, 2s);
  auto last = held;
  for (int i = 0; i < 30; ++i) {
    fake::pass(100ms);
    const auto now = clock.now();
    ASSERT_GE(now, last);
    last = now;
  }
  EXPECT_EQ(error(), 0ns);
}

// Live migration to a processor whose counter is a tenth faster: wrong by a tenth of the time until the next correction.
TEST_F(slewed_clock, gives_up_a_counter_that_changed_its_frequency_within_a_second_of_readings) {
  calibrate();
  for (int i = 0; i < 5; ++i, fake::pass(500ms)) static_cast<void>(clock.now());
  auto last = clock.now();
  duration worst{};
  int until_found = 0;
  for (int ms = 0; ms < 3000; ++ms) {
    fake::counter += 3'300'000;
    fake::reference += 1'000'000;
    const auto now = clock.now();
    ASSERT_GE(now, last);
    last = now;
    worst = std::max(worst, error());
    if (until_found == 0 && source() == "steady") until_found = ms;
  }
  EXPECT_LE(until_found, 1000);
  EXPECT_GT(until_found, 0);
  EXPECT_LE(worst, 100ms);
  EXPECT_EQ(error(), 0ns);
}

// A virtual machine that was paused: both clocks went on, nobody read them.
TEST_F(slewed_clock, a_pause_that_both_clocks_have_seen_is_none) {
  calibrate();
  for (int i = 0; i < 5; ++i, fake::pass(500ms)) static_cast<void>(clock.now());
  fake::pass(7min);
  EXPECT_LE(std::abs(error().count()), 1000);
  EXPECT_EQ(source(), "fake");
}

TEST_F(slewed_clock, gives_up_a_counter_that_was_set_back) {
  calibrate();
  for (int i = 0; i < 5; ++i, fake::pass(500ms)) static_cast<void>(clock.now());
  const auto before = clock.now();
  fake::counter = 5;
  EXPECT_GE(clock.now(), before);
  EXPECT_EQ(source(), "steady");
  fake::pass(2ms);
  EXPECT_EQ(error(), 0ns);
}

TEST_F(slewed_clock, steps_forward_if_the_counter_stood) {
  calibrate();
  fake::pass(1s);
  const auto before = clock.now();
  fake::reference += duration{1h}.count();
  fake::pass(1100ms);
  EXPECT_GE(clock.now(), before + 1h);
  EXPECT_EQ(error(), 0ns);
  EXPECT_EQ(source(), "steady");
}

/// Both by one number, which threads move.
struct coupled {
  static constexpr const char* name = "coupled";
  static std::uint64_t ticks() noexcept { return 3 * static_cast<std::uint64_t>(time.load()); }
  static std::int64_t ns() noexcept { return time; }
  static bool trusted() noexcept { return true; }

  static inline std::atomic<std::int64_t> time{duration{1h}.count()};
};

// Corrections one after the other, under readers.
TEST(slewed_clock_race, never_goes_back_while_it_is_corrected) {
  constexpr int corrections = 3'000;
  weir::detail::slewed_clock<coupled> clock;
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> back = 0, readings = 0;
  {
    std::vector<std::jthread> readers;
    for (int i = 0; i < 2; ++i) {
      readers.emplace_back([&] {
        auto last = clock.now();
        while (!done) {
          const auto now = clock.now();
          back += now < last;
          last = now;
          ++readings;
        }
      });
    }
    while (readings < 1000) std::this_thread::yield();
    for (int i = 0; i < corrections; ++i) {
      coupled::time += duration{1001ms}.count();
      // As long as a correction takes: time that leaps while both clocks are read looks like two that disagree.
      for (int k = 0; k < 300; ++k) static_cast<void>(clock.now());
    }
    done = true;
  }
  EXPECT_EQ(back, 0u) << "of " << readings;
  EXPECT_STREQ(clock.source(), "coupled");
}

thread_local std::function<void()> before_store;

/// Before each store of the thread that corrects, another thread reads the clock.
template <class T>
struct watched : std::atomic<T> {
  using std::atomic<T>::atomic;
  void store(T value, std::memory_order order) {
    if (before_store) before_store();
    std::atomic<T>::store(value, order);
  }
};

// A line is replaced by several stores. Who reads between two of them waits for the last: half of the new line and half of
// the old one are a second off.
TEST(slewed_clock_interleaving, nobody_is_shown_half_of_a_line) {
  coupled::time = duration{1h}.count();
  weir::detail::slewed_clock<coupled, watched> clock;
  for (int i = 0; i < 3; ++i, coupled::time += 20'000'000) static_cast<void>(clock.now());
  std::atomic<int> asked = 0, answered = 0;
  std::atomic<bool> back = false;
  std::jthread reader{[&](const std::stop_token& stop) {
    auto last = clock.now();
    while (!stop.stop_requested()) {
      if (asked == answered) {
        std::this_thread::yield();
        continue;
      }
      const auto now = clock.now();
      if (now < last) back = true;
      last = now;
      answered = asked.load();
    }
  }};
  const auto read_elsewhere = [&] {
    ++asked;
    // Bounded: where it is right to wait, the answer comes only after the store.
    for (int i = 0; i < 300 && answered < asked; ++i) std::this_thread::sleep_for(10us);
  };
  constexpr int stores_of_one = 7;
  for (int chosen = 0; chosen < stores_of_one; ++chosen) {
    coupled::time += duration{900ms}.count();
    read_elsewhere();
    coupled::time += duration{200ms}.count();
    int stores = 0;
    before_store = [&] {
      // At one of them: a reader that has begun to wait sees nothing of the later ones.
      if (stores++ == chosen) read_elsewhere();
    };
    static_cast<void>(clock.now());
    before_store = nullptr;
    EXPECT_EQ(stores, stores_of_one);
    while (answered < asked) std::this_thread::yield();
    EXPECT_FALSE(back) << "before store " << chosen;
  }
  EXPECT_STREQ(clock.source(), "coupled");
}

}  // namespace
