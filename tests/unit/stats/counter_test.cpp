#include <weir/stats/counter.hpp>

#include <gtest/gtest.h>

#include <barrier>
#include <cstdint>
#include <set>
#include <thread>
#include <vector>

namespace {

using weir::counter_set;
using weir::detail::thread_slots;

TEST(counter_set, starts_at_zero_and_keeps_counters_apart) {
  counter_set<3> counters;
  counters.add(0);
  counters.add(2, 40);
  counters.add(2, 2);
  EXPECT_EQ(counters.read(0), 1u);
  EXPECT_EQ(counters.read(1), 0u);
  EXPECT_EQ(counters.read(2), 42u);
}

TEST(counter_set, memory_is_what_the_header_says) {
  EXPECT_EQ(sizeof(counter_set<1>), 2112u);
  EXPECT_EQ(sizeof(counter_set<8>), 2112u);
  EXPECT_EQ(sizeof(counter_set<16>), 4224u);
}

TEST(counter_set, a_thread_keeps_its_slot) {
  const unsigned mine = thread_slots::mine();
  EXPECT_LT(mine, thread_slots::exclusive);
  EXPECT_EQ(thread_slots::mine(), mine);
}

// All alive at once: 32 slots have one owner each, everyone else shares the last one, and nothing is lost there either.
TEST(counter_set, more_threads_than_slots_lose_nothing) {
  constexpr unsigned threads = 48;
  constexpr std::uint64_t each = 300'000;
  counter_set<1> counters;
  std::vector<unsigned> slots(threads);
  std::barrier all_have_asked{threads};
  {
    std::vector<std::jthread> running;
    for (unsigned t = 0; t < threads; ++t) {
      running.emplace_back([&, t] {
        slots[t] = thread_slots::mine();
        all_have_asked.arrive_and_wait();
        for (std::uint64_t i = 0; i < each; ++i) counters.add(0);
      });
    }
  }
  EXPECT_EQ(counters.read(0), threads * each);
  std::set<unsigned> owned;
  unsigned sharing = 0;
  for (const unsigned slot : slots) {
    if (slot == thread_slots::shared) {
      ++sharing;
    } else {
      EXPECT_TRUE(owned.insert(slot).second) << "slot " << slot << " has two owners";
    }
  }
  // The main thread may own one.
  EXPECT_GE(sharing, threads - thread_slots::exclusive);
  EXPECT_LE(sharing, threads - thread_slots::exclusive + 1);
}

// If slots did not come back, the 33rd thread of a process and all later ones would share.
TEST(counter_set, slots_come_back_when_threads_end) {
  counter_set<1> counters;
  for (int generation = 0; generation < 200; ++generation) {
    unsigned slot = thread_slots::shared;
    std::jthread{[&] {
      slot = thread_slots::mine();
      counters.add(0, 3);
    }}.join();
    ASSERT_LT(slot, thread_slots::exclusive) << "thread " << generation;
  }
  EXPECT_EQ(counters.read(0), 600u) << "the next owner of a slot continues from its sum";
}

// Thread-local objects that were made before the thread's first addition are destroyed after its slot went back.
TEST(counter_set, counting_while_a_thread_ends_is_legal) {
  static counter_set<1> counters;
  struct counts_at_exit {
    ~counts_at_exit() {
      EXPECT_EQ(thread_slots::mine(), thread_slots::shared);
      counters.add(0);
    }
  };
  std::jthread{[] {
    static thread_local counts_at_exit last;
    static_cast<void>(last);
    counters.add(0);
  }}.join();
  EXPECT_EQ(counters.read(0), 2u);
}

}  // namespace
