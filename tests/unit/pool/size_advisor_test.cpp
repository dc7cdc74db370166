#include <weir/core/random.hpp>
#include <weir/pool/size_advisor.hpp>

#include <gtest/gtest.h>

namespace weir {
namespace {

using namespace std::chrono_literals;

size_advisor after(int samples, double per_second, double (*hold)(double in_use), double spread = 0.1) {
  size_advisor advisor;
  random_stream random{1, "advice"};
  for (int i = 0; i < samples; ++i) {
    const double rate = per_second * (1 + spread * (2 * random.uniform() - 1));
    double n = 0;
    for (int k = 0; k < 30; ++k) n = rate * hold(n);  // Little: in use = rate x hold, and hold depends on in use
    const auto calls = static_cast<std::uint64_t>(rate);
    advisor.note({.arrivals = calls,
                  .returned = calls,
                  .held = duration{static_cast<duration::rep>(static_cast<double>(calls) * hold(n) * 1e9)},
                  .in_use_seconds = n,
                  .span = 1s});
  }
  return advisor;
}

TEST(SizeAdvisor, ErlangCAsInTheTables) {
  // Two servers, one erlang: one third waits. Ten servers, eight erlangs: 40.9 %.
  EXPECT_NEAR(erlang_c_beyond(2, 1, 1, 0), 1.0 / 3, 1e-12);
  EXPECT_NEAR(erlang_c_beyond(10, 8, 1, 0), 0.4092, 1e-4);
  EXPECT_EQ(erlang_c_beyond(4, 4, 1, 0), 1);
  EXPECT_EQ(erlang_c_beyond(4, 0, 1, 0), 0);
  EXPECT_NEAR(erlang_c_beyond(10, 8, 0.1, 0.05), 0.4092 * std::exp(-1.0), 1e-4);
  const std::uint32_t c = erlang_c_servers(8, 0.1, 0.02, 0.01, 100);
  EXPECT_LE(erlang_c_beyond(c, 8, 0.1, 0.02), 0.01);
  EXPECT_GT(erlang_c_beyond(c - 1, 8, 0.1, 0.02), 0.01);
  EXPECT_EQ(erlang_c_servers(8, 0.1, 0.02, 0.01, 8), 9u);
}

TEST(SizeAdvisor, SaysNothingAboutAPoolThatItHasHardlySeen) {
  const auto advice = after(10, 100, [](double) { return 0.02; }).advise(10, 20ms);
  EXPECT_EQ(advice.reason, advice_reason::unknown);
  EXPECT_EQ(advice.recommended, 0u);
  EXPECT_EQ(advice.evidence, "too little has been seen: 10 samples");
}

TEST(SizeAdvisor, GrowsAPoolThatIsTooSmall) {
  const auto advice = after(100, 900, [](double) { return 0.01; }).advise(10, 5ms);
  EXPECT_EQ(advice.reason, advice_reason::grow);
  EXPECT_NEAR(advice.offered, 9, 0.2);
  EXPECT_NEAR(static_cast<double>(advice.hold.count()), 1e7, 1e5);
  EXPECT_LE(erlang_c_beyond(advice.recommended, advice.offered, 0.01, 0.005), 0.01);
  EXPECT_GE(advice.high, advice.recommended);
  EXPECT_LE(advice.low, advice.recommended);
  EXPECT_GT(advice.waits_now, 0.3);
}

TEST(SizeAdvisor, ShrinksOneThatIsFarTooLarge) {
  const auto advice = after(100, 100, [](double) { return 0.01; }).advise(50, 20ms);
  EXPECT_EQ(advice.reason, advice_reason::shrink);
  EXPECT_LT(advice.recommended, 10u);
}

TEST(SizeAdvisor, DoesNotGrowWhenTheBackendIsTheBottleneck) {
  // 5 ms alone, 5 ms more for every connection in use: ten are in use because each of them is slow.
  const auto advice = after(200, 180, [](double n) { return 0.005 + 0.005 * n; }).advise(10, 20ms);
  EXPECT_EQ(advice.reason, advice_reason::saturated);
  EXPECT_EQ(advice.knee, 1u);
  EXPECT_NEAR(advice.hold_grows_by, 0.005, 0.0005);
  EXPECT_LE(advice.recommended, 10u);
  EXPECT_NE(advice.evidence.find("do not grow: hold time rises with concurrency"), std::string::npos);
}

TEST(SizeAdvisor, NoiseIsNoSlope) {
  size_advisor advisor;
  random_stream random{7, "noise"};
  for (int i = 0; i < 400; ++i) {
    advisor.note({.arrivals = 500,
                  .returned = 500,
                  .held = duration{static_cast<duration::rep>(5e9 * (1 + 0.2 * (random.uniform() - 0.5)))},
                  .in_use_seconds = 5 * (1 + 0.2 * (random.uniform() - 0.5)),
                  .span = 1s});
  }
  EXPECT_EQ(advisor.advise(10, 20ms).hold_grows_by, 0);
}

TEST(SizeAdvisor, SaysWhatElseIsWorthALook) {
  size_advisor advisor;
  size_advisor::sample usual{
      .arrivals = 100, .returned = 100, .held = 1s, .in_use_seconds = 1, .span = 1s, .opened = 0, .in_use = 3};
  advisor.note(
      {.arrivals = 10, .returned = 10, .held = 1s, .in_use_seconds = 1, .span = 1s, .opened = 10, .was_full = true});
  for (int i = 0; i < 120; ++i) advisor.note(usual);
  auto advice = advisor.advise(10, 20ms);
  EXPECT_FALSE(advice.never_full || advice.churns || advice.min_idle_is_too_low) << "every pool begins like that";
  usual.opened = 1;
  usual.waited_for_connect = 2;
  for (int i = 0; i < 1000; ++i) advisor.note(usual);
  advice = advisor.advise(10, 20ms);
  EXPECT_TRUE(advice.churns && advice.min_idle_is_too_low);
  EXPECT_NEAR(advice.opened_per_minute, 60, 0.5);
  EXPECT_NEAR(advice.waits_for_connect, 0.02, 0.001);
  EXPECT_FALSE(advice.never_full);
  usual.span = 24h;
  advisor.note(usual);
  advice = advisor.advise(10, 20ms);
  EXPECT_TRUE(advice.never_full);
  EXPECT_EQ(advice.most_in_use, 3u);
  EXPECT_NE(advice.evidence.find("; never full for a day: at most 3 of 10 were seen in use"), std::string::npos);
  usual.was_full = true;
  advisor.note(usual);
  EXPECT_FALSE(advisor.advise(10, 20ms).never_full);
}

TEST(SizeAdvisor, KnowsWhenThreadsCannotBlockEachOther) {
  EXPECT_EQ(deadlock_bound(4, 3), 9u);
  EXPECT_EQ(deadlock_bound(16, 1), 1u);
  EXPECT_EQ(deadlock_bound(0, 3) + deadlock_bound(3, 0), 0u);
}

TEST(SizeAdvisor, ForgetsYesterday) {
  size_advisor advisor;
  const auto feed = [&](int samples, std::uint64_t calls) {
    for (int i = 0; i < samples; ++i) {
      advisor.note({.arrivals = calls,
                    .returned = calls,
                    .held = calls * 10ms,
                    .in_use_seconds = 0.01 * static_cast<double>(calls),
                    .span = 1s});
    }
  };
  feed(2000, 900);
  feed(1200, 100);
  EXPECT_NEAR(advisor.advise(10, 20ms).arrivals_per_second, 100, 2);
}

}  // namespace
}  // namespace weir
