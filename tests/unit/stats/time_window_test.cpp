#include <weir/stats/time_window.hpp>

#include <gtest/gtest.h>

#include <random>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;

time_point at(duration since_start) { return time_point{1h + since_start}; }

TEST(TimeWindow, ForgetsASliceWhenTheWindowHasPassed) {
  time_window window{{.length = 10s, .slices = 10}, at(0s)};
  window.record({.failure = true}, at(0ms));
  window.record({}, at(999ms));
  window.record({.slow = true}, at(1s));
  EXPECT_EQ(window.counts_at(at(9999ms)), (window_counts{.calls = 3, .failures = 1, .slow = 1}));
  EXPECT_EQ(window.counts_at(at(10s)), (window_counts{.calls = 1, .failures = 0, .slow = 1}));
  EXPECT_EQ(window.counts_at(at(11s)), window_counts{});
  window.advance(at(10s));
  EXPECT_EQ(window.counts(), (window_counts{.calls = 1, .slow = 1}));
}

TEST(TimeWindow, SlicesBeginAtItsStartUnlessAligned) {
  // Started 300 ms into a second: unaligned slices end at .3, aligned ones on the second.
  time_window own{{.length = 2s, .slices = 2}, at(300ms)};
  time_window aligned{{.length = 2s, .slices = 2, .aligned = true}, at(300ms)};
  own.record({}, at(1100ms));
  aligned.record({}, at(1100ms));
  EXPECT_EQ(own.counts_at(at(2200ms)).calls, 1u);  // slice [0.3, 1.3), gone at 2.3
  EXPECT_EQ(own.counts_at(at(2300ms)).calls, 0u);
  EXPECT_EQ(aligned.counts_at(at(2999ms)).calls, 1u);  // slice [1, 2), gone at 3
  EXPECT_EQ(aligned.counts_at(at(3000ms)).calls, 0u);
}

TEST(TimeWindow, AnOlderNowCountsIntoTheNewestSlice) {
  time_window window{{.length = 10s, .slices = 10}, at(0s)};
  window.record({}, at(5s));
  for (int i = 0; i < 100; ++i) window.record({.failure = true}, at(-3600s));
  EXPECT_EQ(window.counts(), (window_counts{.calls = 101, .failures = 100}));
  EXPECT_EQ(window.counts_at(at(-1s)).calls, 101u);
  // They leave with the slice that they were counted into, no earlier and no later.
  EXPECT_EQ(window.counts_at(at(14999ms)).calls, 101u);
  EXPECT_EQ(window.counts_at(at(15s)).calls, 0u);
}

// Resilience4j's ring lost one slice per call for ever after the clock had gone back once (F-D1).
TEST(TimeWindow, F_D1_OneStepBackDoesNotDegradeTheWindow) {
  time_window window{{.length = 60s, .slices = 60}, at(0s)};
  window.record({}, at(100s));
  window.record({}, at(99s));
  std::uint64_t recorded = 0;
  for (duration t = 100s; t < 160s; t += 10ms, ++recorded) window.record({}, at(t));
  EXPECT_EQ(window.counts().calls, recorded + 2);
  window.advance(at(160s));
  EXPECT_EQ(window.counts().calls, recorded - 100);
}

TEST(TimeWindow, APauseOfAnyLengthEmptiesIt) {
  for (const duration pause : {duration{10s}, duration{1h}, duration{24h * 365 * 100}}) {
    time_window window{{.length = 10s, .slices = 10}, at(0s)};
    for (int i = 0; i < 50; ++i) window.record({.failure = true}, at(i * 100ms));
    window.record({}, at(pause + 10s));
    EXPECT_EQ(window.counts(), (window_counts{.calls = 1}));
    EXPECT_EQ(window.counts_at(at(pause + 18s)).calls, 1u);
    EXPECT_EQ(window.counts_at(at(pause + 20s)).calls, 0u);
  }
}

TEST(TimeWindow, SurvivesTheEndsOfTime) {
  time_window window{{.length = 10s, .slices = 10}, at(0s)};
  window.record({}, time_point::max());
  window.record({}, time_point::max());
  EXPECT_EQ(window.counts().calls, 2u);
  window.record({.failure = true}, time_point{time_point::min() + 1ns});
  EXPECT_EQ(window.counts(), (window_counts{.calls = 3, .failures = 1}));
  window.clear(time_point{time_point::min() + 1ns});
  EXPECT_EQ(window.counts(), window_counts{});
  window.record({}, at(0s));
  EXPECT_EQ(window.counts().calls, 1u);
}

TEST(TimeWindow, WithOneSliceItTumbles) {
  time_window window{{.length = 1s, .slices = 1}, at(0s)};
  window.record({}, at(0s));
  window.record({}, at(999ms));
  EXPECT_EQ(window.counts().calls, 2u);
  window.record({}, at(1s));
  EXPECT_EQ(window.counts().calls, 1u);
}

TEST(TimeWindow, AgreesWithAListOfAllResults) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random{seed};
    const auto slices = static_cast<std::uint32_t>(1 + random() % 20);
    const duration slice{static_cast<duration::rep>(1 + random() % 1'000'000)};
    const bool aligned = random() % 2 == 0;
    const time_point start = at(duration{static_cast<duration::rep>(random() % 5'000'000)});
    time_window window{{.length = slice * slices, .slices = slices, .aligned = aligned}, start};
    const auto slice_of = [&](time_point t) {
      const auto since = aligned ? t.time_since_epoch() : t - start;
      return since.count() / slice.count() - (since.count() % slice.count() < 0 ? 1 : 0);
    };
    std::vector<std::pair<std::int64_t, window_sample>> all;
    std::int64_t newest = slice_of(start);
    time_point now = start;
    for (int i = 0; i < 500; ++i) {
      // Mostly small steps forward; sometimes back, sometimes far ahead.
      const auto kind = random() % 20;
      const auto step = duration{static_cast<duration::rep>(random() % static_cast<std::uint64_t>(slice.count() * 2))};
      if (kind < 3) {
        now -= step;
      } else {
        now += kind == 19 ? step * 1000 : step;
      }
      newest = std::max(newest, slice_of(now));
      const window_sample s{.failure = random() % 3 == 0, .slow = random() % 4 == 0, .overload = random() % 5 == 0};
      window.record(s, now);
      all.emplace_back(newest, s);
      const auto expected = [&](std::int64_t current) {
        window_counts counts;
        for (const auto& [index, sample] : all) {
          if (index > current - static_cast<std::int64_t>(slices)) counts.add(sample);
        }
        return counts;
      };
      ASSERT_EQ(window.counts(), expected(newest)) << "result " << i;
      const time_point ahead = now + step * 3;
      ASSERT_EQ(window.counts_at(ahead), expected(std::max(newest, slice_of(ahead)))) << "looking ahead at result " << i;
    }
  }
}

}  // namespace
}  // namespace weir
