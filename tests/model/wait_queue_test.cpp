// The waiting queue in front of the limiters, under every schedule: nobody sleeps beside a free slot, each wait ends once,
// every permit comes back, the books are exact and the bit is clear in the end. A lost wake-up shows as a deadlock.
#include "world.hpp"

#include <weir/core/alarm.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace {

using namespace std::chrono_literals;
using weir::call;
using weir::errc;
using weir::outcome;
using weir::wait_outcome;

using slots = weir::basic_concurrency_limiter<model::clock>;
using tokens = weir::basic_rate_limiter<model::clock>;

/// What one thread has seen.
struct seen {
  std::uint64_t admitted = 0, rejected = 0, cancelled = 0;

  template <class Answer>
  void note(const Answer& answer) {
    ++(answer ? admitted : answer.error() == errc::cancelled ? cancelled : rejected);
  }
  seen operator+(const seen& o) const { return {admitted + o.admitted, rejected + o.rejected, cancelled + o.cancelled}; }
};

/// A policy with a queue in front of it.
template <class Policy>
struct line {
  using queue_type = weir::basic_wait_queue<Policy, model::clock>;
  using permit = typename Policy::permit;

  /// Something that waits, and what came of it.
  struct waiter : queue_type::operation {
    waiter() {
      this->complete = [](weir::wait_node& node, wait_outcome) noexcept { static_cast<waiter&>(node).done.set(); };
    }
    model::event done;  // set twice: a failure
  };

  template <class Config>
  line(model::run& run, Config policy, weir::wait_queue_config queue = {.capacity = 4, .max_wait = weir::duration::max()})
      : policy_{policy, {}, time_}, queue_{policy_, queue, {}, time_} {
    run.name(policy_, "policy");
    run.name(queue_, "queue");
  }

  /// As a thread that blocks.
  weir::result<permit> wait(waiter& w, const call& c = {}) {
    if (auto answer = queue_.start(w, c)) return std::move(*answer);
    w.done.wait();
    return w.take();
  }
  /// Waits, and goes in and out.
  void go_through(seen& mine, model::occupancy& inside, const call& c = {}) {
    waiter w;
    finish(wait(w, c), mine, inside, c.cost);
  }
  static void finish(weir::result<permit> answer, seen& mine, model::occupancy& inside, std::uint32_t cost = 1) {
    mine.note(answer);
    if (!answer) return;
    inside.enter(cost);
    inside.leave(cost);
    answer->release(outcome::success);
  }

  void expect_at_rest(const seen& all) {
    const auto q = queue_.snapshot();
    EXPECT_EQ(q.waiting, 0u);
    EXPECT_EQ(q.admitted(), all.admitted);
    EXPECT_EQ(q.rejected(), all.rejected);
    EXPECT_EQ(q.cancelled, all.cancelled);
    const auto p = policy_.snapshot();
    EXPECT_FALSE(p.waiting) << "the bit is cleared with the last waiter";
    if constexpr (requires { p.slots_in_use; }) {
      EXPECT_EQ(p.slots_in_use, 0u);
      EXPECT_EQ(p.calls_in_flight(), 0u);
    }
  }

  model::clock time_;
  Policy policy_;
  queue_type queue_;
};
using slot_line = line<slots>;
using token_line = line<tokens>;

// --- hand-off

TEST(model_wait_queue, a_release_reaches_who_is_getting_in_line) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen one;
    auto held = l.policy_.try_acquire();
    run.threads({[&] { l.go_through(one, inside); }, [&] { held->release(outcome::success); }});
    EXPECT_EQ(one.admitted, 1u);
    l.expect_at_rest(one);
  });
}

TEST(model_wait_queue, a_cancelled_permit_reaches_who_is_getting_in_line) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen one;
    auto held = l.policy_.try_acquire();
    run.threads({[&] { l.go_through(one, inside); }, [&] { held->cancel(); }});
    EXPECT_EQ(one.admitted, 1u);
    l.expect_at_rest(one);
  });
}

TEST(model_wait_queue, two_waiters_and_one_slot) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen one, two;
    auto held = l.policy_.try_acquire();
    run.threads(
        {[&] { l.go_through(one, inside); }, [&] { l.go_through(two, inside); }, [&] { held->release(outcome::success); }});
    EXPECT_EQ((one + two).admitted, 2u);
    l.expect_at_rest(one + two);
  });
}

TEST(model_wait_queue, two_waiters_and_two_slots) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 2}};
    model::occupancy inside{2};
    seen one, two;
    auto first = l.policy_.try_acquire(), second = l.policy_.try_acquire();
    run.threads({[&] { l.go_through(one, inside); }, [&] { l.go_through(two, inside); },
                 [&] { first->release(outcome::success); }, [&] { second->release(outcome::success); }});
    EXPECT_EQ((one + two).admitted, 2u);
    l.expect_at_rest(one + two);
  });
}

TEST(model_wait_queue, three_who_want_one_free_slot) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen one, two, three;
    run.threads(
        {[&] { l.go_through(one, inside); }, [&] { l.go_through(two, inside); }, [&] { l.go_through(three, inside); }});
    EXPECT_EQ((one + two + three).admitted, 3u);
    l.expect_at_rest(one + two + three);
  });
}

TEST(model_wait_queue, one_who_needs_both_slots) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 2}};
    model::occupancy inside{2};
    seen one;
    auto first = l.policy_.try_acquire(), second = l.policy_.try_acquire();
    run.threads({[&] { l.go_through(one, inside, {.cost = 2}); }, [&] { first->release(outcome::success); },
                 [&] { second->cancel(); }});
    EXPECT_EQ(one.admitted, 1u);
    l.expect_at_rest(one);
  });
}

// Newcomers that do not wait come and go; once somebody is in line, none of them gets in before him.
TEST(model_wait_queue, newcomers_beside_a_waiter) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen one, quick;
    auto held = l.policy_.try_acquire();
    run.threads({[&] { l.go_through(one, inside); },
                 [&] {
                   for (int i = 0; i < 2; ++i) slot_line::finish(l.queue_.try_acquire(), quick, inside);
                 },
                 [&] { held->release(outcome::success); }});
    EXPECT_EQ(one.admitted, 1u);
    l.expect_at_rest(one + quick);
  });
}

TEST(model_wait_queue, nobody_overtakes) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen first, second;
    auto held = l.policy_.try_acquire();
    slot_line::waiter waits;
    EXPECT_FALSE(l.queue_.start(waits));
    weir::detail::atomic<bool> served{false};
    run.threads({[&] {
                   waits.done.wait();
                   served.store(true);
                   slot_line::finish(waits.take(), first, inside);
                 },
                 [&] { held->release(outcome::success); },
                 [&] {
                   auto answer = l.queue_.try_acquire();
                   if (answer) {
                     EXPECT_TRUE(served.load());
                   }
                   slot_line::finish(std::move(answer), second, inside);
                 }});
    EXPECT_EQ(first.admitted, 1u);
    l.expect_at_rest(first + second);
  });
}

// --- places

TEST(model_wait_queue, a_full_queue_turns_away_but_forgets_nobody) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}, {.capacity = 1, .max_wait = 1h}};
    model::occupancy inside{1};
    seen one, two;
    auto held = l.policy_.try_acquire();
    run.threads(
        {[&] { l.go_through(one, inside); }, [&] { l.go_through(two, inside); }, [&] { held->release(outcome::success); }});
    EXPECT_GE((one + two).admitted, 1u);
    l.expect_at_rest(one + two);
  });
}

// --- time

TEST(model_wait_queue, a_hand_off_against_a_time_out) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen one;
    auto held = l.policy_.try_acquire();
    const auto deadline = l.time_.now() + 1s;
    run.threads({[&] { l.go_through(one, inside, {.deadline = deadline}); }, [&] { held->release(outcome::success); },
                 [&] {
                   l.time_.advance(1s);
                   l.queue_.on_alarm();
                 }});
    EXPECT_EQ(one.admitted + one.rejected, 1u);
    l.expect_at_rest(one);
  });
}

TEST(model_wait_queue, who_is_behind_one_that_times_out_is_served) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 2}};
    model::occupancy inside{2};
    seen one, two;
    auto held = l.policy_.try_acquire();
    const auto deadline = l.time_.now() + 1s;
    // The first one needs more than there is, and keeps the second one from what there is.
    run.threads({[&] { l.go_through(one, inside, {.deadline = deadline, .cost = 2}); }, [&] { l.go_through(two, inside); },
                 [&] {
                   l.time_.advance(1s);
                   l.queue_.on_alarm();
                 }});
    EXPECT_EQ(two.admitted, 1u);
    EXPECT_EQ(one.rejected, 1u);
    held->release(outcome::success);
    l.expect_at_rest(one + two);
  });
}

struct model_alarm {
  void arm(weir::time_point t) noexcept { at.store(t.time_since_epoch().count()); }
  void disarm() noexcept { arm(weir::never); }
  [[nodiscard]] weir::time_point due() const noexcept { return weir::time_point{weir::duration{at.load()}}; }
  weir::detail::atomic<std::int64_t> at{weir::never.time_since_epoch().count()};
};

/// After the run: time passes, and nothing happens but by the alarm.
template <class Line>
void ring_until_it_is_silent(Line& l, model_alarm& alarm) {
  for (int rings = 0; alarm.due() != weir::never; ++rings) {
    ASSERT_LT(rings, 10);
    l.time_.set(std::max(l.time_.now(), alarm.due()));
    alarm.disarm();
    l.queue_.on_alarm();
  }
}

// The alarm is set outside of the lock, by several threads; in the end it must not ring too late.
void the_alarm_is_right(model::run& run, bool newcomer_or_cancellation) {
  slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
  model_alarm alarm;
  l.queue_.use_alarm(weir::alarm_ref{alarm});
  auto held = l.policy_.try_acquire();
  const auto now = l.time_.now();
  slot_line::waiter first, second;
  EXPECT_FALSE(l.queue_.start(first, {.deadline = now + 1s}));
  run.threads(
      {[&] { static_cast<void>(l.queue_.start(second, {.deadline = now + (newcomer_or_cancellation ? 500ms : 2s)})); },
       [&] {
         if (!newcomer_or_cancellation) static_cast<void>(l.queue_.cancel(first));
       },
       [&] {
         l.time_.advance(newcomer_or_cancellation ? 600ms : 1s);
         l.queue_.on_alarm();
       }});
  EXPECT_LE(alarm.due(), l.queue_.next_event());
  // Whatever is left ends by the alarm alone.
  ring_until_it_is_silent(l, alarm);
  EXPECT_EQ(l.queue_.snapshot().waiting, 0u);
  held->release(outcome::success);
  EXPECT_FALSE(l.policy_.snapshot().waiting);
}

TEST(model_wait_queue, the_alarm_is_set_for_a_newcomer) {
  model::explore([](model::run& run) { the_alarm_is_right(run, true); }, {.max_schedules = 300000});
}

TEST(model_wait_queue, the_alarm_is_set_for_who_is_left) {
  model::explore([](model::run& run) { the_alarm_is_right(run, false); }, {.max_schedules = 300000});
}

// --- giving up

TEST(model_wait_queue, a_hand_off_against_a_cancellation) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen one;
    auto held = l.policy_.try_acquire();
    slot_line::waiter w;
    EXPECT_FALSE(l.queue_.start(w));
    bool gave_up = false;
    run.threads({[&] {
                   w.done.wait();
                   slot_line::finish(w.take(), one, inside);
                 },
                 [&] { held->release(outcome::success); }, [&] { gave_up = l.queue_.cancel(w); }});
    EXPECT_EQ(gave_up ? one.cancelled : one.admitted, 1u);
    l.expect_at_rest(one);
  });
}

TEST(model_wait_queue, who_is_behind_one_that_gives_up_is_served) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen first, second;
    auto held = l.policy_.try_acquire();
    slot_line::waiter w;
    EXPECT_FALSE(l.queue_.start(w));
    run.threads({[&] {
                   w.done.wait();
                   slot_line::finish(w.take(), first, inside);
                 },
                 [&] { held->release(outcome::success); }, [&] { l.queue_.cancel(w); },
                 [&] { l.go_through(second, inside); }});
    EXPECT_EQ(first.cancelled + first.admitted, 1u);
    EXPECT_EQ(second.admitted, 1u);
    l.expect_at_rest(first + second);
  });
}

// The first one needs more than there is, and keeps the second one from what there is, until it leaves.
void leaves_room(bool withdraw) {
  model::explore([withdraw](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 2}};
    model::occupancy inside{2};
    seen first, second;
    auto held = l.policy_.try_acquire();
    slot_line::waiter w;
    EXPECT_FALSE(l.queue_.start(w, {.cost = 2}));
    run.threads({[&] { EXPECT_TRUE(withdraw ? l.queue_.withdraw(w) : l.queue_.cancel(w)); },
                 [&] { l.go_through(second, inside); }});
    EXPECT_EQ(second.admitted, 1u);
    ++first.cancelled;
    held->release(outcome::success);
    l.expect_at_rest(first + second);
  });
}
TEST(model_wait_queue, who_is_behind_a_large_one_that_gives_up_is_served) { leaves_room(false); }
TEST(model_wait_queue, who_is_behind_a_large_one_that_is_withdrawn_is_served) { leaves_room(true); }

// `withdraw` gives the operation back without completing it; a grant that was faster must be used, or handed on.
TEST(model_wait_queue, a_hand_off_against_a_withdrawal) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen first, second;
    auto held = l.policy_.try_acquire();
    slot_line::waiter w;
    EXPECT_FALSE(l.queue_.start(w));
    run.threads({[&] { held->release(outcome::success); },
                 [&] {
                   if (l.queue_.withdraw(w)) {
                     ++first.cancelled;
                     EXPECT_FALSE(w.done.is_set());
                   } else {
                     w.done.wait();
                     slot_line::finish(w.take(), first, inside);
                   }
                 },
                 [&] { l.go_through(second, inside); }});
    EXPECT_EQ(first.cancelled + first.admitted, 1u);
    EXPECT_EQ(second.admitted, 1u);
    l.expect_at_rest(first + second);
  });
}

// The grant has been made, but its owner does not want it any more: destroying the operation refunds it.
TEST(model_wait_queue, a_grant_that_nobody_takes_goes_to_the_next) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen second;
    auto held = l.policy_.try_acquire();
    std::optional<slot_line::waiter> w{std::in_place};
    EXPECT_FALSE(l.queue_.start(*w));
    run.threads({[&] {
                   w->done.wait();
                   w.reset();
                 },
                 [&] { held->release(outcome::success); }, [&] { l.go_through(second, inside); }});
    EXPECT_EQ(second.admitted, 1u);
    l.expect_at_rest(second + seen{.admitted = 1});
  });
}

// --- the end

TEST(model_wait_queue, closing_against_a_hand_off_and_a_newcomer) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{1};
    seen one, two;
    auto held = l.policy_.try_acquire();
    slot_line::waiter w;
    EXPECT_FALSE(l.queue_.start(w));
    run.threads({[&] {
                   w.done.wait();
                   slot_line::finish(w.take(), one, inside);
                 },
                 [&] { l.go_through(two, inside); }, [&] { held->release(outcome::success); }, [&] { l.queue_.close(); }});
    l.expect_at_rest(one + two);
    EXPECT_TRUE(l.queue_.snapshot().is_closed);
    EXPECT_TRUE(l.policy_.try_acquire()) << "the slot is free, and the policy refuses nobody";
  });
}

// --- limits that change

TEST(model_wait_queue, more_slots_reach_who_waits) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 1}};
    model::occupancy inside{2};
    seen one;
    auto held = l.policy_.try_acquire();
    run.threads({[&] { l.go_through(one, inside); }, [&] { EXPECT_FALSE(l.policy_.reconfigure({.limit = 2})); }});
    EXPECT_EQ(one.admitted, 1u);
    held->release(outcome::success);
    l.expect_at_rest(one);
  });
}

// One who needs two slots is told that there will never be two, and who is behind him gets the one.
TEST(model_wait_queue, fewer_slots_shed_whom_they_can_never_serve) {
  model::explore([](model::run& run) {
    slot_line l{run, weir::concurrency_limiter_config{.limit = 2}};
    model::occupancy inside{2};
    seen one, two;
    auto held = l.policy_.try_acquire();
    run.threads({[&] { l.go_through(one, inside, {.cost = 2}); }, [&] { l.go_through(two, inside); },
                 [&] { EXPECT_FALSE(l.policy_.reconfigure({.limit = 1})); }, [&] { held->release(outcome::success); }});
    EXPECT_EQ(one.admitted + one.rejected, 1u);
    EXPECT_EQ(two.admitted, 1u);
    l.expect_at_rest(one + two);
  });
}

// --- tokens

constexpr weir::rate slow{1, 1h};

TEST(model_wait_queue, a_refunded_token_reaches_who_is_getting_in_line) {
  model::explore([](model::run& run) {
    token_line l{run, weir::rate_limiter_config{.limit = slow, .burst = 1}};
    model::occupancy inside{1};
    seen one;
    auto held = l.policy_.try_acquire();
    run.threads({[&] { l.go_through(one, inside); }, [&] { held->cancel(); }});
    EXPECT_EQ(one.admitted, 1u);
    l.expect_at_rest(one);
  });
}

TEST(model_wait_queue, two_refunds_and_two_waiters) {
  model::explore([](model::run& run) {
    token_line l{run, weir::rate_limiter_config{.limit = slow, .burst = 2}};
    model::occupancy inside{2};
    seen one, two;
    auto first = l.policy_.try_acquire(), second = l.policy_.try_acquire();
    run.threads({[&] { l.go_through(one, inside); }, [&] { l.go_through(two, inside); },
                 [&] {
                   first->cancel();
                   second->cancel();
                 }});
    EXPECT_EQ((one + two).admitted, 2u);
    l.expect_at_rest(one + two);
  });
}

// Tokens that a reconfiguration brings, beside a refund that then goes nowhere.
TEST(model_wait_queue, tokens_of_another_configuration_reach_who_waits) {
  model::explore([](model::run& run) {
    token_line l{run, weir::rate_limiter_config{.limit = slow, .burst = 1}};
    model::occupancy inside{1};
    seen one;
    auto held = l.policy_.try_acquire();
    run.threads({[&] { l.go_through(one, inside); }, [&] { held->cancel(); },
                 [&] { EXPECT_FALSE(l.policy_.reconfigure({.limit = slow, .burst = 1}, weir::inherit::reset)); }});
    EXPECT_EQ(one.admitted, 1u);
    l.expect_at_rest(one);
  });
}

TEST(model_wait_queue, tokens_that_time_brings_reach_who_waits) {
  model::explore([](model::run& run) {
    token_line l{run, weir::rate_limiter_config{.limit = slow, .burst = 1}};
    model_alarm alarm;
    l.queue_.use_alarm(weir::alarm_ref{alarm});
    EXPECT_TRUE(l.policy_.try_acquire());
    const auto now = l.time_.now();
    token_line::waiter first, second;
    std::optional<weir::result<tokens::permit>> one, two;
    one = l.queue_.start(first);
    run.threads({[&] { two = l.queue_.start(second); },
                 [&] {
                   l.time_.set(now + 1h);
                   l.queue_.on_alarm();
                 }});
    EXPECT_LE((one && *one) + (two && *two) + first.done.is_set() + second.done.is_set(), 1);
    ring_until_it_is_silent(l, alarm);
    EXPECT_EQ((one && *one) + (two && *two) + first.done.is_set() + second.done.is_set(), 2);
    EXPECT_EQ(l.time_.now(), now + 2h) << "and no alarm later than due";
    EXPECT_FALSE(l.policy_.snapshot().waiting);
  });
}

}  // namespace
