// The model checker itself: it finds the textbook faults, and its reduction loses nothing.
#include "scheduler.hpp"

#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/mutex.hpp>
#include <weir/core/random.hpp>

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace {

using weir::detail::atomic;
using weir::detail::mutex;
using weir::detail::scoped_lock;

TEST(model_scheduler, a_lost_update_is_reached) {
  std::set<int> ends;
  const auto increment = [](atomic<int>& n) { n.store(n.load() + 1); };
  const auto all = model::explore([&](model::run& run) {
    atomic<int> n{0};
    run.threads({[&] { increment(n); }, [&] { increment(n); }});
    ends.insert(n.load());
  });
  EXPECT_EQ(ends, (std::set{1, 2}));
  EXPECT_EQ(all.schedules, 4u) << "of 6, two differ in the order of the loads only";
}

TEST(model_scheduler, a_locked_update_is_never_lost) {
  const auto all = model::explore([&](model::run& run) {
    mutex m;
    atomic<int> n{0};
    const auto increment = [&] {
      scoped_lock lock{m};
      n.store(n.load() + 1);
    };
    run.threads({increment, increment, increment});
    EXPECT_EQ(n.load(), 3);
  });
  EXPECT_EQ(all.schedules, 6u) << "the orders of three";
}

TEST(model_scheduler, threads_that_share_nothing_have_one_schedule) {
  const auto all = model::explore([&](model::run& run) {
    std::array<atomic<int>, 3> own;
    const auto work = [](atomic<int>& n) {
      for (int i = 0; i < 10; ++i) n.fetch_add(1);
    };
    run.threads({[&] { work(own[0]); }, [&] { work(own[1]); }, [&] { work(own[2]); }});
  });
  EXPECT_EQ(all.schedules, 1u);
}

TEST(model_scheduler, store_buffers_are_not_in_the_model) {
  std::set<std::pair<int, int>> ends;
  model::explore([&](model::run& run) {
    atomic<int> x{0}, y{0};
    int a = 0, b = 0;
    run.threads({[&] { x.store(1), a = y.load(); }, [&] { y.store(1), b = x.load(); }});
    ends.insert({a, b});
  });
  EXPECT_EQ(ends, (std::set<std::pair<int, int>>{{0, 1}, {1, 0}, {1, 1}})) << "never {0, 0}: sequential consistency";
}

TEST(model_scheduler, a_deadlock_ends_the_program_and_prints_how_to_repeat_it) {
  const auto deadlock = [] {
    model::explore([&](model::run& run) {
      mutex a, b;
      const auto both = [](mutex& first, mutex& second) {
        scoped_lock one{first};
        scoped_lock two{second};
      };
      run.threads({[&] { both(a, b); }, [&] { both(b, a); }});
    });
  };
  // It prints to stdout, which death tests do not see.
  EXPECT_EXIT(deadlock(), testing::ExitedWithCode(1), "");
}

TEST(model_scheduler, who_waits_for_ever_is_found) {
  const auto stuck = [] {
    model::explore([&](model::run& run) {
      atomic<bool> waits{false}, ready{false};
      model::event woken;
      run.threads({[&] {
                     if (ready.load()) return;  // ... and now the other one says that it is ready
                     waits.store(true);
                     woken.wait();
                   },
                   [&] {
                     ready.store(true);
                     if (waits.load()) woken.set();
                   }});
    });
  };
  EXPECT_EXIT(stuck(), testing::ExitedWithCode(1), "");
}

TEST(model_scheduler, a_livelock_is_found) {
  const auto spin = [] {
    model::explore(
        [&](model::run& run) {
          atomic<bool> never{false};
          run.threads({[&] {
            while (!never.load()) {
            }
          }});
        },
        {.max_steps = 50});
  };
  EXPECT_EXIT(spin(), testing::ExitedWithCode(1), "");
}

// --- random programs: the reduced exploration reaches the same ends as the run of literally all schedules

struct statement {
  enum kind { load, store, add, compare_exchange, locked_add, kinds } what;
  unsigned where;
  int value;
};
using program = std::vector<std::vector<statement>>;

program random_program(std::uint64_t seed) {
  weir::random_stream random{seed, "model"};
  const std::uint64_t threads = 2 + random.below(2);
  program all(threads);
  for (auto& thread : all) {
    const std::uint64_t length = 1 + random.below(threads == 2 ? 4 : 2);
    for (std::uint64_t i = 0; i < length; ++i) {
      thread.push_back({static_cast<statement::kind>(random.below(statement::kinds)),
                        static_cast<unsigned>(random.below(2)), static_cast<int>(random.below(3))});
    }
  }
  return all;
}

/// All that the threads read, and what is left.
std::string execute(model::run& run, const program& all) {
  std::array<atomic<int>, 2> places;
  std::array<mutex, 2> mutexes;
  std::array<std::string, 3> read;
  const auto body = [&](std::size_t t) {
    int last = 0;
    for (const statement& s : all[t]) {
      atomic<int>& at = places[s.where];
      switch (s.what) {
        case statement::load: last = at.load(); break;
        case statement::store: at.store(s.value); break;
        case statement::add: last = at.fetch_add(s.value); break;
        case statement::compare_exchange: last = at.compare_exchange_strong(last, s.value) ? 77 : last; break;
        default: {
          scoped_lock lock{mutexes[s.where]};
          last = places[1 - s.where].load();
          if (last == 1) at.store(s.value);
          break;
        }
      }
      read[t] += std::to_string(last) + " ";
    }
  };
  if (all.size() == 2) {
    run.threads({[&] { body(0); }, [&] { body(1); }});
  } else {
    run.threads({[&] { body(0); }, [&] { body(1); }, [&] { body(2); }});
  }
  return read[0] + "| " + read[1] + "| " + read[2] + "| " + std::to_string(places[0].load()) + " " +
         std::to_string(places[1].load());
}

TEST(model_scheduler, the_reduction_loses_no_outcome_of_random_programs) {
  std::uint64_t reduced = 0, redundant = 0, all = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SCOPED_TRACE(seed);
    const program p = random_program(seed);
    std::set<std::string> ends, all_ends;
    const auto few = model::explore([&](model::run& run) { ends.insert(execute(run, p)); }, {.quiet = true});
    const auto every =
        model::explore([&](model::run& run) { all_ends.insert(execute(run, p)); }, {.reduced = false, .quiet = true});
    ASSERT_EQ(ends, all_ends);
    EXPECT_LE(few.schedules, every.schedules);
    reduced += few.schedules;
    redundant += few.redundant;
    all += every.schedules;
  }
  std::printf("[ schedules] %llu (and %llu redundant) instead of %llu\n", static_cast<unsigned long long>(reduced),
              static_cast<unsigned long long>(redundant), static_cast<unsigned long long>(all));
}

}  // namespace
