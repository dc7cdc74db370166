// Counters and histograms under threads: exact at the end, never an effect without its cause in between.
#include <weir/stats/counter.hpp>
#include <weir/stats/histogram.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

// Calls begin on one thread and end on another, as permits do that travel.
TEST(counter_race, in_flight_is_never_negative) {
  constexpr std::size_t admitted = 0, completed = 1;
  constexpr int pairs = 2;
  constexpr std::uint64_t calls = 60'000;
  weir::counter_set<2> counters;
  std::atomic<int> running = pairs;
  std::uint64_t readings = 0, negative = 0, backwards = 0;
  {
    std::vector<std::jthread> threads;
    std::vector<std::atomic<std::uint64_t>> begun(pairs);
    for (int p = 0; p < pairs; ++p) {
      threads.emplace_back([&, p] {
        for (std::uint64_t i = 1; i <= calls; ++i) {
          counters.add(admitted);
          begun[static_cast<std::size_t>(p)].store(i, std::memory_order_release);
        }
      });
      threads.emplace_back([&, p] {
        for (std::uint64_t ended = 0; ended < calls; ++ended) {
          while (begun[static_cast<std::size_t>(p)].load(std::memory_order_acquire) <= ended) std::this_thread::yield();
          counters.add(completed);
        }
        --running;
      });
    }
    std::uint64_t last = 0;
    do {
      const std::uint64_t c = counters.read(completed);
      const std::uint64_t a = counters.read(admitted);
      negative += a < c;
      backwards += c < last;
      last = c;
      ++readings;
    } while (running > 0);
  }
  EXPECT_EQ(negative, 0u) << "of " << readings;
  EXPECT_EQ(backwards, 0u);
  EXPECT_EQ(counters.read(admitted), pairs * calls);
  EXPECT_EQ(counters.read(completed), pairs * calls);
}

// Slots pass from thread to thread while others read: the next owner continues from the last one's sum.
TEST(counter_race, short_threads_hand_their_slots_on) {
  weir::counter_set<1> counters;
  std::atomic<bool> done = false;
  std::uint64_t backwards = 0;
  std::jthread reader{[&] {
    for (std::uint64_t last = 0; !done;) {
      const std::uint64_t now = counters.read(0);
      backwards += now < last;
      last = now;
    }
  }};
  for (int round = 0; round < 150; ++round) {
    std::jthread a{[&] { counters.add(0, 2); }}, b{[&] { counters.add(0, 3); }};
  }
  done = true;
  reader.join();
  EXPECT_EQ(backwards, 0u);
  EXPECT_EQ(counters.read(0), 150u * 5);
}

TEST(recording_histogram_race, snapshots_are_well_formed_and_the_last_is_exact) {
  constexpr int writers = 3;
  constexpr int each = 20'000;
  weir::recording_histogram recording;
  weir::histogram expected;
  for (int t = 0; t < writers; ++t) {
    for (int i = 0; i < each; ++i) expected.record(std::chrono::microseconds{(i + 1) * (t + 1)});
  }
  std::atomic<int> running = writers;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < writers; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < each; ++i) recording.record(std::chrono::microseconds{(i + 1) * (t + 1)});
        --running;
      });
    }
    std::uint64_t last = 0;
    do {
      const weir::histogram h = recording.snapshot();
      ASSERT_GE(h.count(), last);
      last = h.count();
      if (h.empty()) continue;
      const auto buckets = h.buckets();
      ASSERT_GE(h.min(), buckets.front().low);
      ASSERT_LT(h.min(), buckets.front().high);
      ASSERT_GE(h.max(), buckets.back().low);
      ASSERT_LT(h.max(), buckets.back().high);
      ASSERT_GE(h.sum(), h.min());
      ASSERT_LE(h.quantile(0.5), h.max());
    } while (running > 0);
  }
  EXPECT_EQ(recording.snapshot(), expected);
}

}  // namespace
