#include <weir/core/default_clock.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

/// Reads the clock until it has chosen its source: it calibrates itself while it is read. Bounded by real time.
std::string settled_source() {
  const weir::default_clock clock;
  const auto give_up = std::chrono::steady_clock::now() + 5s;
  const auto& implementation = weir::detail::tsc_clock::instance();
  while (std::string{implementation.source()} == "calibrating" && std::chrono::steady_clock::now() < give_up) {
    static_cast<void>(clock.now());
  }
  return implementation.source();
}

TEST(default_clock, chooses_the_counter_only_where_the_kernel_does) {
  std::string kernel;
  std::ifstream{"/sys/devices/system/clocksource/clocksource0/current_clocksource"} >> kernel;
  const std::string source = settled_source();
  if (kernel == "tsc" && WEIR_HAS_TSC) {
    // A counter that was found to disagree is given up; that is right behaviour, if rare.
    EXPECT_TRUE(source == "tsc" || source == "steady") << source;
  } else {
    EXPECT_EQ(source, "steady");
  }
  RecordProperty("source", source);
}

TEST(default_clock, agrees_with_steady_clock) {
  settled_source();
  const weir::default_clock clock;
  // Two milliseconds: twice what the clock itself tolerates before it falls back; exactness is measured elsewhere.
  constexpr auto bound = 2ms;
  const auto end = std::chrono::steady_clock::now() + 100ms;
  std::int64_t checked = 0;
  for (auto before = std::chrono::steady_clock::now(); before < end; before = std::chrono::steady_clock::now()) {
    const auto shown = clock.now();
    const auto after = std::chrono::steady_clock::now();
    ASSERT_GE(shown, before - bound);
    ASSERT_LE(shown, after + bound);
    ++checked;
  }
  EXPECT_GT(checked, 100);
}

TEST(default_clock, copies_show_the_same_time) {
  const weir::default_clock a;
  const weir::default_clock b = a;
  const auto first = a.now();
  const auto second = b.now();
  EXPECT_LE(first, second);
  EXPECT_LT(second - first, 1s);
}

TEST(default_clock, never_goes_back_within_a_thread_nor_noticeably_between_threads) {
  const weir::default_clock clock;
  std::atomic<std::int64_t> latest{0};
  std::atomic<int> went_back{0};
  std::atomic<std::int64_t> worst_between{0};
  const auto end = std::chrono::steady_clock::now() + 150ms;
  const auto read = [&] {
    auto previous = clock.now();
    while (previous < end) {
      const std::int64_t seen = latest.load(std::memory_order_acquire);
      const auto now = clock.now();
      if (now < previous) ++went_back;
      const std::int64_t behind = seen - now.time_since_epoch().count();
      if (behind > worst_between.load(std::memory_order_relaxed)) worst_between.store(behind);
      latest.store(now.time_since_epoch().count(), std::memory_order_release);
      previous = now;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(read);
  }
  EXPECT_EQ(went_back.load(), 0);
  EXPECT_LT(worst_between.load(), 1'000'000) << "ns between two threads";
}

TEST(default_clock, waiting_for_the_past_returns) {
  std::mutex mutex;
  std::condition_variable changed;
  std::unique_lock lock{mutex};
  const weir::default_clock clock;
  clock.wait_until(changed, lock, clock.now() - 1s);
  EXPECT_TRUE(lock.owns_lock());
}

}  // namespace
