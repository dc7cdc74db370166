// The concurrency limiter under every schedule: strict at each instant, no refusal without a reason, exact books.
#include "world.hpp"

#include <weir/policy/concurrency_limiter.hpp>

#include <gtest/gtest.h>

#include <cstdint>

namespace {

using weir::errc;
using weir::outcome;
using limiter = weir::basic_concurrency_limiter<model::clock>;

/// What one thread has seen; compared with the limiter's books at the end.
struct seen {
  std::uint64_t admitted = 0, refused = 0, cancelled = 0;

  seen operator+(const seen& o) const { return {admitted + o.admitted, refused + o.refused, cancelled + o.cancelled}; }
};

void expect_books(const limiter& slots, const seen& all) {
  const auto s = slots.snapshot();
  EXPECT_EQ(s.slots_in_use, 0u);
  EXPECT_EQ(s.calls_in_flight(), 0u);
  EXPECT_EQ(s.admitted, all.admitted);
  EXPECT_EQ(s.rejected(), all.refused);
  EXPECT_EQ(s.cancelled, all.cancelled);
  EXPECT_FALSE(s.waiting);
}

/// One call of `cost`: in and out again. True: it was admitted.
bool one_call(limiter& slots, model::occupancy& inside, seen& mine, std::uint32_t cost = 1, bool cancel = false) {
  auto permit = slots.try_acquire({.cost = cost});
  if (!permit) {
    ++mine.refused;
    return false;
  }
  inside.enter(cost);
  inside.leave(cost);
  if (cancel) {
    ++mine.cancelled;
    permit->cancel();
  } else {
    ++mine.admitted;
    permit->release(outcome::success);
  }
  return true;
}

TEST(model_concurrency_limiter, two_threads_two_calls_each_limit_1) {
  model::explore([](model::run& run) {
    limiter slots{{.limit = 1}};
    run.name(slots, "limiter");
    model::occupancy inside{1};
    seen a, b;
    run.threads({[&] { one_call(slots, inside, a), one_call(slots, inside, a, 1, true); },
                 [&] { one_call(slots, inside, b), one_call(slots, inside, b); }});
    expect_books(slots, a + b);
    EXPECT_GE((a + b).admitted + (a + b).cancelled, 2u) << "of two that want the last slot, one gets it";
  });
}

TEST(model_concurrency_limiter, three_threads_limit_1) {
  model::explore([](model::run& run) {
    limiter slots{{.limit = 1}};
    run.name(slots, "limiter");
    model::occupancy inside{1};
    seen a, b, c;
    run.threads({[&] { one_call(slots, inside, a); }, [&] { one_call(slots, inside, b, 1, true); },
                 [&] { one_call(slots, inside, c); }});
    expect_books(slots, a + b + c);
    EXPECT_GE((a + b + c).admitted + (a + b + c).cancelled, 1u);
  });
}

TEST(model_concurrency_limiter, three_threads_limit_2) {
  model::explore([](model::run& run) {
    limiter slots{{.limit = 2}};
    run.name(slots, "limiter");
    model::occupancy inside{2};
    seen a, b, c;
    run.threads({[&] { one_call(slots, inside, a); }, [&] { one_call(slots, inside, b, 1, true); },
                 [&] { one_call(slots, inside, c); }});
    expect_books(slots, a + b + c);
    EXPECT_GE((a + b + c).admitted + (a + b + c).cancelled, 2u);
  });
}

// Two calls that always fit, beside one that is too large while they are inside: an admission by adding first and undoing
// what was too much would refuse a small one for the large one's sake.
TEST(model_concurrency_limiter, who_fits_at_every_instant_is_never_refused) {
  model::explore([](model::run& run) {
    limiter slots{{.limit = 3}};
    run.name(slots, "limiter");
    model::occupancy inside{3};
    seen a, b, large;
    auto kept = slots.try_acquire();
    run.threads({[&] { EXPECT_TRUE(one_call(slots, inside, a)); }, [&] { EXPECT_TRUE(one_call(slots, inside, b)); },
                 [&] { EXPECT_FALSE(one_call(slots, inside, large, 3)); }});
    kept->release(outcome::success);
    expect_books(slots, a + b + large + seen{.admitted = 1});
  });
}

TEST(model_concurrency_limiter, weighted_calls_stay_below_the_limit) {
  model::explore([](model::run& run) {
    limiter slots{{.limit = 3}};
    run.name(slots, "limiter");
    model::occupancy inside{3};
    seen a, b, c;
    run.threads({[&] { one_call(slots, inside, a, 2); }, [&] { one_call(slots, inside, b, 2, true); },
                 [&] { one_call(slots, inside, c, 1); }});
    expect_books(slots, a + b + c);
    EXPECT_EQ(c.refused, a.admitted + b.cancelled == 2 ? 0u : c.refused);
  });
}

// The limit goes from 2 to 1 while calls want in: who asks after the change gets in only if nobody is inside.
TEST(model_concurrency_limiter, a_shrinking_limit_binds_whoever_comes_after_it) {
  model::explore([](model::run& run) {
    limiter slots{{.limit = 2}};
    run.name(slots, "limiter");
    weir::detail::atomic<int> held{0};
    weir::detail::atomic<bool> shrunk{false};
    seen a, b;
    const auto call = [&](seen& mine) {
      const int at_most = shrunk.load() ? 1 : 2;
      auto permit = slots.try_acquire();
      if (!permit) return void(++mine.refused);
      EXPECT_LE(held.fetch_add(1) + 1, at_most);
      held.fetch_sub(1);
      ++mine.admitted;
      permit->release(outcome::success);
    };
    run.threads({[&] { call(a); }, [&] { call(b); },
                 [&] {
                   EXPECT_FALSE(slots.reconfigure({.limit = 1}));
                   shrunk.store(true);
                 }});
    expect_books(slots, a + b);
    EXPECT_EQ(slots.snapshot().limit, 1u);
    EXPECT_GE((a + b).admitted, 1u);
  });
}

TEST(model_concurrency_limiter, a_growing_limit_lets_in_what_fits) {
  model::explore([](model::run& run) {
    limiter slots{{.limit = 1}};
    run.name(slots, "limiter");
    model::occupancy inside{2};
    seen a, b, c;
    run.threads({[&] { one_call(slots, inside, a, 1); },
                 [&] {
                   EXPECT_FALSE(slots.reconfigure({.limit = 2}));
                   EXPECT_TRUE(one_call(slots, inside, b, 1)) << "only one other call can be inside";
                 }});
    expect_books(slots, a + b + c);
  });
}

TEST(model_concurrency_limiter, two_reconfigurations_and_a_call) {
  model::explore([](model::run& run) {
    limiter slots{{.limit = 2}};
    run.name(slots, "limiter");
    model::occupancy inside{3};
    seen a;
    run.threads({[&] { one_call(slots, inside, a, 2); }, [&] { EXPECT_FALSE(slots.reconfigure({.limit = 1})); },
                 [&] { EXPECT_FALSE(slots.reconfigure({.limit = 3})); }});
    const auto s = slots.snapshot();
    EXPECT_TRUE(s.limit == 1 || s.limit == 3);
    EXPECT_EQ(s.slots_in_use, 0u);
    EXPECT_EQ(s.admitted + s.never_admissible, 1u);
    EXPECT_EQ(s.over_capacity, 0u);
  });
}

// A reader in the middle of things: endings are read before beginnings.
TEST(model_concurrency_limiter, a_snapshot_never_shows_an_end_without_its_beginning) {
  model::explore([](model::run& run) {
    limiter slots{{.limit = 2}};
    run.name(slots, "limiter");
    model::occupancy inside{2};
    seen a, b;
    run.threads({[&] { one_call(slots, inside, a); }, [&] { one_call(slots, inside, b, 1, true); },
                 [&] {
                   const auto s = slots.snapshot();
                   EXPECT_LE(s.success, s.admitted);
                   EXPECT_LE(s.admitted, 2u) << "negative";
                   EXPECT_LE(s.calls_in_flight(), 2u);
                   EXPECT_LE(s.slots_in_use, 2u);
                 }});
    expect_books(slots, a + b);
  });
}

// An end is counted before its slot is free: who has the slot, and might destroy the limiter next, finds all books closed.
TEST(model_concurrency_limiter, who_gets_a_slot_sees_how_it_was_left) {
  model::explore([](model::run& run) {
    limiter slots{{.limit = 1}};
    run.name(slots, "limiter");
    auto held = slots.try_acquire();
    run.threads({[&] { held->release(outcome::failure); },
                 [&] {
                   auto mine = slots.try_acquire();
                   if (!mine) return;
                   EXPECT_EQ(slots.snapshot().failure, 1u);
                   EXPECT_EQ(slots.snapshot().calls_in_flight(), 1u);
                   mine->release(outcome::success);
                 }});
  });
}

}  // namespace
