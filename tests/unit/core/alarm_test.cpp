#include <weir/core/alarm.hpp>

#include <gtest/gtest.h>

namespace {

using namespace std::chrono_literals;

struct recording_alarm {
  weir::time_point armed = weir::never;
  void arm(weir::time_point t) noexcept { armed = t; }
  void disarm() noexcept { armed = weir::never; }
};
struct alarm_that_may_throw {
  void arm(weir::time_point) {}
  void disarm() noexcept {}
};

TEST(alarm, the_concept_wants_noexcept) {
  static_assert(weir::alarm<recording_alarm>);
  static_assert(weir::alarm<weir::alarm_ref>);
  static_assert(!weir::alarm<alarm_that_may_throw>);
}

TEST(alarm_ref, passes_on) {
  recording_alarm alarm;
  weir::alarm_ref ref{alarm};
  EXPECT_TRUE(ref);
  ref.arm(weir::time_point{5s});
  EXPECT_EQ(alarm.armed, weir::time_point{5s});
  ref.disarm();
  EXPECT_EQ(alarm.armed, weir::never);
}

TEST(alarm_ref, a_copy_refers_to_the_same_alarm) {
  recording_alarm alarm;
  weir::alarm_ref ref{alarm};
  weir::alarm_ref copy{ref};
  copy.arm(weir::time_point{7s});
  EXPECT_EQ(alarm.armed, weir::time_point{7s});
}

TEST(alarm_ref, an_empty_one_does_nothing) {
  weir::alarm_ref none;
  EXPECT_FALSE(none);
  none.arm(weir::time_point{1s});
  none.disarm();
}

}  // namespace
