#include <weir/stats/count_window.hpp>

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace weir {
namespace {

TEST(CountWindow, CountsEachKindAndOverloadApart) {
  count_window window{10};
  window.record({});
  window.record({.failure = true});
  window.record({.slow = true});
  window.record({.failure = true, .slow = true});
  window.record({.failure = true, .slow = true, .overload = true});
  EXPECT_EQ(window.counts(), (window_counts{.calls = 4, .failures = 2, .slow = 2, .overload = 1}));
}

TEST(CountWindow, ForgetsTheOldestFirst) {
  count_window window{3};
  window.record({.failure = true});
  window.record({.slow = true});
  window.record({});
  EXPECT_EQ(window.counts(), (window_counts{.calls = 3, .failures = 1, .slow = 1}));
  window.record({.overload = true});
  EXPECT_EQ(window.counts(), (window_counts{.calls = 2, .failures = 0, .slow = 1, .overload = 1}));
  window.record({});
  EXPECT_EQ(window.counts(), (window_counts{.calls = 2, .failures = 0, .slow = 0, .overload = 1}));
}

TEST(CountWindow, OfOneAndOfNone) {
  for (const std::size_t size : {std::size_t{1}, std::size_t{0}}) {
    count_window window{size};
    EXPECT_EQ(window.size(), 1u);
    window.record({.failure = true});
    EXPECT_EQ(window.counts().failures, 1u);
    window.record({});
    EXPECT_EQ(window.counts(), (window_counts{.calls = 1}));
  }
}

TEST(CountWindow, ForgetsEverythingOnClear) {
  count_window window{4};
  for (int i = 0; i < 6; ++i) window.record({.failure = true});
  window.clear();
  EXPECT_EQ(window.counts(), window_counts{});
  // What lay in the ring before must not be subtracted from what comes now.
  for (int i = 0; i < 5; ++i) window.record({});
  EXPECT_EQ(window.counts(), (window_counts{.calls = 4}));
}

TEST(CountWindow, AgreesWithAListOfTheLastResults) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random{seed};
    const std::size_t size = 1 + random() % 40;
    count_window window{size};
    std::deque<window_sample> last;
    for (int i = 0; i < 400; ++i) {
      if (random() % 100 == 0) {
        window.clear();
        last.clear();
      }
      const window_sample s{.failure = random() % 3 == 0, .slow = random() % 4 == 0, .overload = random() % 5 == 0};
      window.record(s);
      last.push_back(s);
      if (last.size() > size) last.pop_front();
      window_counts expected;
      for (const auto& each : last) expected.add(each);
      ASSERT_EQ(window.counts(), expected) << "after result " << i;
    }
  }
}

}  // namespace
}  // namespace weir
