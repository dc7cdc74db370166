#include <weir/core/time.hpp>

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>

namespace {

using namespace std::chrono_literals;
using weir::duration;
using weir::time_point;

constexpr time_point epoch{};

TEST(time, later_adds) {
  EXPECT_EQ(weir::later(epoch + 5s, 3s), epoch + 8s);
  EXPECT_EQ(weir::later(epoch + 5s, -7s), epoch - 2s);
}

TEST(time, later_stops_at_the_ends_of_the_time_line) {
  EXPECT_EQ(weir::later(weir::never, 1ns), weir::never);
  EXPECT_EQ(weir::later(epoch + 1h, duration::max()), weir::never);
  EXPECT_EQ(weir::later(weir::never - 1ns, 1ns), weir::never);
  EXPECT_EQ(weir::later(time_point::min(), -1ns), time_point::min());
  EXPECT_EQ(weir::later(epoch - 1h, duration::min()), time_point::min());
  EXPECT_EQ(weir::later(time_point::min(), duration::max()), epoch - 1ns);  // in range: no clamping
}

TEST(time, elapsed_subtracts) {
  EXPECT_EQ(weir::elapsed(epoch + 5s, epoch + 8s), 3s);
  EXPECT_EQ(weir::elapsed(epoch + 8s, epoch + 5s), -3s);
}

TEST(time, elapsed_stops_at_the_ends_of_duration) {
  EXPECT_EQ(weir::elapsed(time_point::min(), weir::never), duration::max());
  EXPECT_EQ(weir::elapsed(weir::never, time_point::min()), duration::min());
  EXPECT_EQ(weir::elapsed(epoch - 1ns, weir::never), duration::max());
}

TEST(time, works_at_compile_time) {
  static_assert(weir::later(weir::never, 1s) == weir::never);
  static_assert(weir::elapsed(epoch, epoch + 1s) == 1s);
}

TEST(time, the_two_markers_are_no_ordinary_times) {
  EXPECT_EQ(weir::never, time_point::max());
  EXPECT_LT(weir::read_clock, epoch);
  EXPECT_NE(weir::read_clock, weir::never);
}

TEST(time, steady_clock_source_shows_steady_clock) {
  const auto before = std::chrono::steady_clock::now();
  const auto shown = weir::steady_clock_source{}.now();
  const auto after = std::chrono::steady_clock::now();
  EXPECT_LE(before, shown);
  EXPECT_LE(shown, after);
}

TEST(time, waiting_for_the_past_returns) {
  std::mutex mutex;
  std::condition_variable changed;
  std::unique_lock lock{mutex};
  const weir::steady_clock_source clock;
  clock.wait_until(changed, lock, clock.now() - 1s);
  clock.wait_until(changed, lock, time_point::min());  // must not overflow into the far future
  EXPECT_TRUE(lock.owns_lock());
}

}  // namespace
