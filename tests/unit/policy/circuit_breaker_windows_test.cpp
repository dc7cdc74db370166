// The windows that many threads record into without a lock, one thread at a time: they must hold what the plain windows of
// stats/ hold. What happens between threads is the business of tests/model and tests/race.
#include <weir/core/random.hpp>
#include <weir/policy/detail/breaker_windows.hpp>
#include <weir/stats/count_window.hpp>
#include <weir/stats/time_window.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "support/seeds.hpp"

namespace weir::detail {
namespace {

using namespace std::chrono_literals;

constexpr trip_thresholds lenient{.minimum_calls = 1, .failure_rate = 1, .slow_rate = 1};

window_sample any_sample(random_stream& random, double trouble) {
  if (random.uniform() >= trouble) return {};
  return {.failure = random.below(2) == 0, .slow = random.below(2) == 0, .overload = random.below(5) == 0};
}

TEST(TaggedPair, AddsToItsOwnEraOnly) {
  tagged_pair pair;
  pair.begin(6);
  EXPECT_TRUE(pair.none(6));
  EXPECT_FALSE(pair.none(8));
  EXPECT_TRUE(pair.add(6, 3, -2));  // below zero: what another thread has taken away too early
  EXPECT_EQ(pair.read().first, 3);
  EXPECT_EQ(pair.read().second, -2);
  EXPECT_FALSE(pair.none(6));
  EXPECT_FALSE(pair.add(8, 1, 1));
  EXPECT_TRUE(pair.add(6, -3, 2));
  EXPECT_TRUE(pair.none(6));
  pair.begin(8);
  EXPECT_FALSE(pair.add(6, 1, 1));
  EXPECT_TRUE(pair.none(8));
}

TEST(TaggedPair, HoldsTenMillionOfEach) {
  tagged_pair pair;
  pair.begin(2);
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(pair.add(2, 1'000'000, 1'000'000));
  EXPECT_EQ(pair.read().first, 10'000'000);
  EXPECT_EQ(pair.read().second, 10'000'000);
  EXPECT_TRUE(pair.add(2, -10'000'000, -10'000'000));
  EXPECT_TRUE(pair.none(2));
}

// Long runs of successes between troubled times, so that both the silent and the writing path are taken.
TEST(ConcurrentCountWindow, HoldsWhatThePlainWindowHolds) {
  std::uint64_t silent = 0, written = 0;
  for (const std::uint64_t seed : testing_support::seeds(300)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "concurrent_count_window"};
    auto size = static_cast<std::uint32_t>(1 + random.below(40));
    // Eras near the ends of the tags that they are kept in, indices near their end.
    const std::uint64_t eras[] = {2, 0xfffa, 0x1fff'fffa, 0x2fff'fff8, 0xffff'fffa};
    const std::uint32_t successes =
        random.below(3) == 0 ? (std::uint32_t{1} << 31) - static_cast<std::uint32_t>(random.below(50)) : 0;
    concurrent_count_window window{size, lenient, eras[random.below(5)], successes};
    std::optional<count_window> plain{size};
    for (std::uint32_t i = 0; successes != 0 && i < size; ++i) plain->record({});
    double trouble = 0;
    for (int i = 0; i < 400; ++i) {
      const double kind = random.uniform();
      if (kind < 0.03) trouble = random.below(3) == 0 ? 0.5 : 0;
      if (kind < 0.01) {
        window.clear();
        plain->clear();
      } else if (kind < 0.02) {
        size = static_cast<std::uint32_t>(1 + random.below(60));
        window.reshape(size, window.room_for(size));
        plain.emplace(size);
      }
      const window_sample s = any_sample(random, trouble);
      const window_counts before = plain->counts();
      plain->record(s);
      if (s.overload) {
        window.record_alone(s);
      } else if (const auto answer = window.record(window.begin(), s.failure, s.slow); answer.what == recorded::not_yet) {
        ASSERT_NE(successes, 0u) << "only a worn index is a reason";
        window.record_alone(s);
      } else {
        const window_counts n = plain->counts();
        const bool breached = n.calls > 0 && (n.failures == n.calls || n.slow == n.calls);
        // What is no news need not be told.
        ASSERT_TRUE((answer.what == recorded::suspect) == breached || (breached && n == before)) << i;
        (n.failures + n.slow + n.overload == 0 ? silent : written) += 1;
      }
      ASSERT_EQ(window.counts(), plain->counts()) << i;
    }
  }
  EXPECT_GT(silent, 1000u);
  EXPECT_GT(written, 1000u);
}

TEST(ConcurrentCountWindow, AResultThatBeganBeforeItWasEmptiedIsLeftOut) {
  concurrent_count_window window{4, lenient};
  const auto begun = window.begin();
  window.clear();
  EXPECT_EQ(window.record(begun, true, false).what, recorded::not_yet);
  EXPECT_EQ(window.counts(), window_counts{});
  const auto again = window.begin();
  window.reshape(5, window.room_for(5));
  EXPECT_EQ(window.record(again, true, false).what, recorded::not_yet);
  EXPECT_EQ(window.counts(), window_counts{});
}

TEST(ConcurrentCountWindow, AnIndexThatIsPutAsideHoldsNoCall) {
  concurrent_count_window window{3, lenient};
  const std::uint64_t first = window.begin() << 32;
  for (int i = 0; i < 3; ++i) window.record(window.begin(), i == 0, false);
  window.put_aside(first);  // the failure's
  EXPECT_EQ(window.counts(), (window_counts{.calls = 2}));
  window.put_aside((window.begin() - 2) << 32);  // of an era that is over
  EXPECT_EQ(window.counts(), (window_counts{.calls = 2}));
  // It is given to the next result but two, as any other.
  window.record(window.begin(), false, true);
  EXPECT_EQ(window.counts(), (window_counts{.calls = 3, .slow = 1}));
}

TEST(ConcurrentCountWindow, AnIndexThatIsPutAsideTooLateTakesNoResultAway) {
  for (std::uint32_t size = 1; size < 6; ++size) {
    concurrent_count_window window{size, lenient};
    const std::uint64_t first = window.begin() << 32;
    for (std::uint32_t i = 0; i <= size; ++i) window.record(window.begin(), true, false);
    window.put_aside(first);  // its place holds the newest result
    EXPECT_EQ(window.counts(), (window_counts{.calls = size, .failures = size}));
  }
  // Nor after the indices have begun anew.
  concurrent_count_window window{3, lenient, 2, std::uint32_t{1} << 31};
  const std::uint64_t claim = (window.begin() << 32) + (std::uint64_t{1} << 31) - 1;
  for (int i = 0; i < 3; ++i) window.record_alone({.failure = true});
  window.put_aside(claim);
  EXPECT_EQ(window.counts(), (window_counts{.calls = 3, .failures = 3}));
}

TEST(ConcurrentCountWindow, KeepsItsSlotsWhereTheyAreEnough) {
  concurrent_count_window window{100, lenient};
  EXPECT_EQ(window.room_for(100), nullptr);
  EXPECT_EQ(window.room_for(7), nullptr);
  const auto more = window.room_for(101);
  ASSERT_NE(more, nullptr);
  EXPECT_EQ(more->capacity, 200u);  // so that what is left behind stays less than what is in use
  EXPECT_EQ(concurrent_count_window(6'000'000, lenient).room_for(6'000'001)->capacity, 10'000'000u);
}

TEST(ConcurrentTimeWindow, HoldsWhatThePlainWindowHolds) {
  for (const std::uint64_t seed : testing_support::seeds(300)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "concurrent_time_window"};
    const auto slices = static_cast<std::uint32_t>(1 + random.below(8));
    const time_slicing slicing{.length = duration{static_cast<std::int64_t>(slices * (1 + random.below(50)))},
                               .slices = slices};
    time_point now{1h};
    concurrent_time_window window{slicing, lenient, now};
    time_window plain{slicing, now};
    const double trouble = random.uniform();
    for (int i = 0; i < 300; ++i) {
      const double kind = random.uniform();
      if (kind < 0.5) now += duration{static_cast<std::int64_t>(random.below(20))};
      if (kind < 0.05) now -= duration{static_cast<std::int64_t>(random.below(300))};
      if (kind > 0.99) {
        window.clear(now);
        plain.clear(now);
      }
      const window_sample s = any_sample(random, trouble);
      const auto answer = s.overload ? recorded::not_yet : window.record(window.begin(), s.failure, s.slow, now);
      const bool same_slice = now < plain.newest_until();
      plain.record(s, now);
      if (answer == recorded::not_yet) {
        ASSERT_TRUE(s.overload || !same_slice) << i;
        window.record_alone(s, now);
      } else {
        const window_counts n = plain.counts();
        ASSERT_EQ(answer == recorded::suspect, n.failures == n.calls || n.slow == n.calls) << i;
      }
      ASSERT_EQ(window.look(now), plain.counts_at(now)) << i;
      const time_point later = now + duration{static_cast<std::int64_t>(random.below(100))};
      ASSERT_EQ(window.look(later), plain.counts_at(later)) << i;
      if (random.below(10) == 0) {
        plain.advance(now);
        ASSERT_EQ(window.advance(now), plain.counts()) << i;
      }
    }
  }
}

// The word that gathers the newest slice has 16 bits for each count; a slice has as many calls as there are.
TEST(ConcurrentTimeWindow, AFullWordGoesOnInItsSlice) {
  concurrent_time_window window{
      {.length = 10s, .slices = 10}, {.minimum_calls = 1, .failure_rate = 0.5, .slow_rate = 0}, {}};
  std::uint64_t handed_over = 0;
  for (int i = 0; i < 200'000; ++i) {
    const bool failed = i % 3 == 0;
    switch (window.record(window.begin(), failed, !failed, {})) {
      case recorded::not_yet:
        window.record_alone({.failure = failed, .slow = !failed}, {});
        ++handed_over;
        break;
      case recorded::suspect: ASSERT_LT(i, 4) << "a third of the calls failed, not half"; break;
      default: break;
    }
  }
  EXPECT_EQ(handed_over, 3u);
  EXPECT_EQ(window.look({}), (window_counts{.calls = 200'000, .failures = 66'667, .slow = 133'333}));
}

TEST(ConcurrentTimeWindow, AResultThatBeganBeforeItWasEmptiedIsLeftOut) {
  concurrent_time_window window{{.length = 10s, .slices = 10}, lenient, {}};
  const auto begun = window.begin();
  window.clear({});
  EXPECT_EQ(window.record(begun, true, false, {}), recorded::not_yet);
  EXPECT_EQ(window.look({}), window_counts{});
}

// What is said without the lock about a row of failures: suspect from its limit on.
TEST(BreakerWindows, CountsFailuresInARowOfOneGeneration) {
  breaker_windows windows{{.over_time = {.slicing = {.length = {}}}, .consecutive_failures = 3}, {}};
  windows.clear(1, {});
  windows.give_to(1);
  const auto fail = [&](std::uint64_t generation) { return windows.record(generation, true, false, {}).what; };
  EXPECT_EQ(fail(1), 0u);
  EXPECT_EQ(fail(1), 0u);
  EXPECT_EQ(windows.record(1, false, false, {}).what, 0u);  // breaks it
  EXPECT_EQ(fail(1), 0u);
  EXPECT_EQ(fail(1), 0u);
  EXPECT_EQ(fail(1), unfinished::suspect);
  EXPECT_TRUE(windows.judge(0, {}));
  EXPECT_EQ(fail(2), unfinished::parts) << "not the owner";
  windows.give_to(std::nullopt);
  EXPECT_EQ(fail(1), unfinished::parts) << "withdrawn";
  windows.clear(2, {});
  windows.give_to(2);
  EXPECT_EQ(fail(2), 0u);
  EXPECT_FALSE(windows.judge(0, {}));
}

}  // namespace
}  // namespace weir::detail
