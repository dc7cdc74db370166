#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::manual_clock;
using weir::manual_timer;

TEST(manual_clock, stands_still_until_moved) {
  manual_clock clock;
  const auto start = clock.now();
  EXPECT_EQ(clock.now(), start);
  clock.advance(3s);
  EXPECT_EQ(clock.now(), start + 3s);
}

TEST(manual_clock, starts_with_a_past) { EXPECT_EQ(manual_clock{}.now(), weir::time_point{1h}); }

TEST(manual_clock, copies_share_one_time_line_and_new_ones_do_not) {
  manual_clock clock;
  const manual_clock copy = clock;
  const manual_clock other;
  clock.advance(1s);
  EXPECT_EQ(copy.now(), clock.now());
  EXPECT_NE(other.now(), clock.now());
}

TEST(manual_clock, can_be_set_backwards) {
  manual_clock clock;
  const auto start = clock.now();
  clock.set(start - 30min);
  EXPECT_EQ(clock.now(), start - 30min);
}

TEST(manual_clock, waiting_for_the_past_returns_and_for_the_future_too) {
  manual_clock clock;
  std::mutex mutex;
  std::condition_variable changed;
  std::unique_lock lock{mutex};
  clock.wait_until(changed, lock, clock.now());
  clock.wait_until(changed, lock, weir::never);  // spuriously: the caller re-checks
  EXPECT_TRUE(lock.owns_lock());
}

TEST(manual_clock, a_thread_that_waits_by_it_sees_the_time_move) {
  manual_clock clock;
  const auto deadline = clock.now() + 1h;
  std::mutex mutex;
  std::condition_variable changed;
  std::jthread waiter{[&] {
    std::unique_lock lock{mutex};
    while (clock.now() < deadline) clock.wait_until(changed, lock, deadline);
  }};
  clock.advance(1h);
}

TEST(manual_timer, fires_at_its_own_instant) {
  manual_clock clock;
  const auto start = clock.now();
  std::vector<weir::duration> fired;
  manual_timer timer{clock, [&] { fired.push_back(clock.now() - start); }};
  timer.arm(start + 2s);
  EXPECT_EQ(timer.due(), start + 2s);
  clock.advance(1999ms);
  EXPECT_TRUE(fired.empty());
  clock.advance(10s);
  EXPECT_EQ(fired, std::vector<weir::duration>{2s});
  EXPECT_EQ(timer.due(), weir::never);
  EXPECT_EQ(clock.now(), start + 11999ms);
}

TEST(manual_timer, two_fire_in_order_of_time) {
  manual_clock clock;
  std::string order;
  manual_timer late{clock, [&] { order += "late "; }};
  manual_timer early{clock, [&] { order += "early "; }};
  late.arm(clock.now() + 2s);
  early.arm(clock.now() + 1s);
  clock.advance(5s);
  EXPECT_EQ(order, "early late ");
}

TEST(manual_timer, arming_again_replaces) {
  manual_clock clock;
  int fired = 0;
  manual_timer timer{clock, [&] { ++fired; }};
  timer.arm(clock.now() + 1s);
  timer.arm(clock.now() + 5s);
  clock.advance(2s);
  EXPECT_EQ(fired, 0);
  clock.advance(3s);
  EXPECT_EQ(fired, 1);
}

TEST(manual_timer, may_arm_itself_again_while_it_fires) {
  manual_clock clock;
  int fired = 0;
  manual_timer* self = nullptr;
  manual_timer timer{clock, [&] {
                       if (++fired < 4) self->arm(clock.now() + 1s);
                     }};
  self = &timer;
  timer.arm(clock.now() + 1s);
  clock.advance(10s);
  EXPECT_EQ(fired, 4);
}

TEST(manual_timer, in_the_past_fires_without_moving_time_back) {
  manual_clock clock;
  const auto start = clock.now();
  weir::time_point seen{};
  manual_timer timer{clock, [&] { seen = clock.now(); }};
  timer.arm(start - 10s);
  clock.advance(0ns);
  EXPECT_EQ(seen, start);
}

TEST(manual_timer, that_advances_further_itself_is_not_undone) {
  manual_clock clock;
  const auto start = clock.now();
  manual_timer timer{clock, [&] { clock.advance(1min); }};
  timer.arm(start + 1s);
  clock.advance(2s);
  EXPECT_EQ(clock.now(), start + 61s);
}

TEST(manual_timer, disarmed_or_destroyed_does_not_fire) {
  manual_clock clock;
  int fired = 0;
  manual_timer timer{clock, [&] { ++fired; }};
  timer.arm(clock.now() + 1s);
  timer.disarm();
  {
    manual_timer short_lived{clock, [&] { ++fired; }};
    short_lived.arm(clock.now() + 1s);
  }
  clock.advance(5s);
  EXPECT_EQ(fired, 0);
}

}  // namespace
