#include <load/overload.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace {

using namespace weir;
using namespace weir::load;
using namespace std::chrono_literals;

struct second {
  std::uint64_t intended, good = 0;
  std::uint64_t rejected = 0;
  duration latency = 100ms;
};

run_result run_of(const std::vector<second>& seconds, duration slo = 800ms) {
  run_result r;
  r.slo = slo;
  r.length = 1s * seconds.size();
  for (const second& s : seconds) {
    second_result out;
    out.intended = s.intended;
    out.by_end[static_cast<std::size_t>(s.latency <= slo ? verdict::good : verdict::slow)] = s.good;
    out.by_end[static_cast<std::size_t>(verdict::rejected)] = s.rejected;
    out.admitted.record(s.latency, s.good);
    r.seconds.push_back(out);
  }
  return r;
}

std::vector<second> repeated(std::size_t n, second s) { return std::vector<second>(n, s); }

std::vector<second> operator+(std::vector<second> a, const std::vector<second>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(Overload, WithoutACapacityThereIsNone) {
  const overload_summary o = summarise_overload(run_of(repeated(10, {100, 1})), 0, std::nullopt);
  EXPECT_TRUE(o.overloaded_seconds.empty());
  EXPECT_EQ(o.recovered_after_s, std::nullopt);
}

TEST(Overload, SecondsAtTheCapacityAreNotOverloaded) {
  const overload_summary o = summarise_overload(run_of({{14, 14}, {15, 14}, {13, 13}}), 14, std::nullopt);
  EXPECT_EQ(o.overloaded_seconds, (std::vector<std::uint32_t>{1}));
  EXPECT_DOUBLE_EQ(o.goodput_per_s, 14);
  EXPECT_DOUBLE_EQ(o.worst_5s_goodput_per_s, 14) << "an overload shorter than the window is one window";
}

TEST(Overload, GoodputIsTheMeanAndTheWorstWindow) {
  auto seconds = repeated(5, {50, 14}) + repeated(5, {50, 10});
  seconds.push_back({50, 20});
  const overload_summary o = summarise_overload(run_of(seconds), 14, std::nullopt);
  EXPECT_EQ(o.overloaded_seconds.size(), 11u);
  EXPECT_NEAR(o.goodput_per_s, 140.0 / 11, 1e-12);
  EXPECT_DOUBLE_EQ(o.worst_5s_goodput_per_s, 10);
}

TEST(Overload, WindowsDoNotReachOverQuietSeconds) {
  // 4 bad seconds, a quiet one, 4 bad ones: no five in a row.
  const auto seconds = repeated(4, {50, 2}) + repeated(1, {1, 1}) + repeated(5, {50, 14});
  const overload_summary o = summarise_overload(run_of(seconds), 14, std::nullopt);
  EXPECT_EQ(o.overloaded_seconds.size(), 9u);
  EXPECT_DOUBLE_EQ(o.worst_5s_goodput_per_s, 14);
}

TEST(Overload, SlowAnswersAreNoGoodput) {
  const overload_summary o = summarise_overload(run_of(repeated(6, {50, 14, 0, 3s})), 14, std::nullopt);
  EXPECT_DOUBLE_EQ(o.goodput_per_s, 0);
  EXPECT_DOUBLE_EQ(o.worst_5s_goodput_per_s, 0);
}

TEST(Overload, RecoveryAtOnce) {
  const auto seconds = repeated(10, {50, 14, 36}) + repeated(10, {7, 7});
  const overload_summary o = summarise_overload(run_of(seconds), 14, std::nullopt);
  EXPECT_EQ(o.peak_end_s, 10);
  EXPECT_EQ(o.recovered_after_s, 0);
}

TEST(Overload, RecoveryAfterTheQueueHasDrained) {
  const auto seconds = repeated(10, {50, 14}) + repeated(4, {7, 14, 0, 5s}) + repeated(8, {7, 7});
  const overload_summary o = summarise_overload(run_of(seconds), 14, std::nullopt);
  EXPECT_EQ(o.peak_end_s, 10);
  EXPECT_EQ(o.recovered_after_s, 4);
}

TEST(Overload, ManyRejectionsAreNoRecovery) {
  const auto seconds = repeated(10, {50, 14, 36}) + repeated(3, {7, 3, 4}) + repeated(8, {7, 7});
  EXPECT_EQ(summarise_overload(run_of(seconds), 14, std::nullopt).recovered_after_s, 3);
}

TEST(Overload, OneStrayRejectionIsForgiven) {
  auto seconds = repeated(10, {50, 14, 36}) + repeated(15, {7, 7});
  seconds[17].rejected = 1;
  EXPECT_EQ(summarise_overload(run_of(seconds), 14, std::nullopt).recovered_after_s, 0);
  seconds[23].rejected = 1;  // two in 15 s at 7/s are more than 1 %: only behind the first it is one
  EXPECT_EQ(summarise_overload(run_of(seconds), 14, std::nullopt).recovered_after_s, 8);
}

TEST(Overload, TimeOutsAreNotServedEither) {
  auto seconds = repeated(5, {50, 14}) + repeated(10, {7, 7});
  run_result r = run_of(seconds);
  r.seconds[8].by_end[static_cast<std::size_t>(verdict::timeout)] = 5;
  EXPECT_EQ(summarise_overload(r, 14, std::nullopt).recovered_after_s, 4);
}

TEST(Overload, SilenceWithWaitingUsersIsNoRecovery) {
  auto seconds = repeated(5, {50, 14}) + repeated(5, {7, 0}) + repeated(5, {7, 7});
  run_result r = run_of(seconds);
  for (std::size_t i = 5; i < 10; ++i) r.seconds[i].in_flight = 10;
  EXPECT_EQ(summarise_overload(r, 14, std::nullopt).recovered_after_s, 3)
      << "the first window of 3 s in which something ended";
  for (std::size_t i = 5; i < 10; ++i) r.seconds[i].in_flight = 0;
  EXPECT_EQ(summarise_overload(r, 14, std::nullopt).recovered_after_s, 0) << "nobody waits: a quiet time is no outage";
}

TEST(Overload, NotWithinTheRun) {
  const auto seconds = repeated(10, {50, 14}) + repeated(5, {7, 14, 0, 5s});
  run_result r = run_of(seconds);
  EXPECT_EQ(summarise_overload(r, 14, std::nullopt).recovered_after_s, std::nullopt);
  // What the drain after the load shows is no recovery: nobody came any more.
  r = run_of(seconds + repeated(5, {0, 3}));
  r.length = 15s;
  EXPECT_EQ(summarise_overload(r, 14, std::nullopt).recovered_after_s, std::nullopt);
  // An overload to the very end.
  EXPECT_EQ(summarise_overload(run_of(repeated(10, {50, 14})), 14, std::nullopt).recovered_after_s, std::nullopt);
}

TEST(Overload, WhatWasNotReachedShowsNoRecovery) {
  // Stopped within the peak: the load was to go on for 30 s.
  run_result r = run_of(repeated(5, {50, 14, 36}));
  r.length = 30s;
  EXPECT_EQ(summarise_overload(r, 14, 15s).recovered_after_s, std::nullopt);
  EXPECT_EQ(summarise_overload(r, 14, 5s).recovered_after_s, std::nullopt);
  // Nothing but rejections behind it: there is no second from which on it is fine.
  r = run_of(repeated(5, {50, 14, 36}) + repeated(2, {7, 0, 7}));
  r.length = 30s;
  EXPECT_EQ(summarise_overload(r, 14, 5s).recovered_after_s, std::nullopt);
}

TEST(Overload, AGivenEndOfThePeakOutranksChance) {
  auto seconds = repeated(10, {50, 14, 36}) + repeated(10, {7, 7});
  seconds[15].intended = 15;  // seven expected, fifteen came: chance, not the peak
  const run_result r = run_of(seconds);
  EXPECT_EQ(summarise_overload(r, 14, std::nullopt).peak_end_s, 16);
  const overload_summary o = summarise_overload(r, 14, 9500ms);
  EXPECT_EQ(o.peak_end_s, 10) << "the second in which it lies belongs to the peak";
  EXPECT_EQ(o.overloaded_seconds.size(), 10u);
  EXPECT_EQ(o.recovered_after_s, 0);
}

}  // namespace
