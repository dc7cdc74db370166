// The waiting queue under threads. Every call ends, every permit comes back, and the books agree with the test's own.
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include <weir/core/random.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <semaphore>
#include <stop_token>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::call;
using weir::concurrency_limiter;
using weir::errc;
using weir::outcome;
using weir::wait_node;
using weir::wait_outcome;

constexpr int threads = 4;
constexpr int rounds = 2'000;

struct tally {
  std::atomic<std::uint64_t> arrivals{0}, admitted{0}, rejected{0}, cancelled{0};

  void note(const auto& answer) {
    if (answer) {
      ++admitted;
    } else {
      ++(answer.error() == errc::cancelled ? cancelled : rejected);
    }
  }
};

/// Slots in use as the test sees them, from outside of the limiter.
class occupancy {
 public:
  explicit occupancy(std::uint32_t limit) : limit_(limit) {}
  void enter(std::uint32_t cost) { EXPECT_LE(held_.fetch_add(cost) + cost, limit_); }
  void leave(std::uint32_t cost) { held_.fetch_sub(cost); }

 private:
  std::atomic<std::int64_t> held_{0};
  std::int64_t limit_;
};

template <class Queue>
void expect_balanced(const Queue& queue, const concurrency_limiter& slots, const tally& count) {
  const auto s = queue.snapshot();
  EXPECT_EQ(s.waiting, 0u);
  EXPECT_EQ(s.arrivals(), count.arrivals);
  EXPECT_EQ(s.admitted(), count.admitted);
  EXPECT_EQ(s.rejected(), count.rejected);
  EXPECT_EQ(s.cancelled, count.cancelled);
  EXPECT_EQ(slots.snapshot().slots_in_use, 0u);
  EXPECT_EQ(slots.snapshot().calls_in_flight(), 0u);
  EXPECT_FALSE(slots.snapshot().waiting) << "the bit is cleared with the last waiter";
}

TEST(wait_queue_race, blocked_threads_with_deadlines_and_stops) {
  concurrency_limiter slots{{.limit = 2}};
  weir::wait_queue queue{slots, {.capacity = 3, .max_wait = 1h}};
  occupancy inside{2};
  tally count;
  std::atomic<int> running{threads};
  std::vector<std::stop_source> stops(threads);
  {
    std::vector<std::jthread> all;
    for (std::uint64_t t = 0; t < threads; ++t) {
      all.emplace_back([&, t] {
        weir::random_stream random{t, "race"};
        for (int i = 0; i < rounds; ++i) {
          call c{.cost = 1 + static_cast<std::uint32_t>(random.below(2)),
                 .tenant = static_cast<std::uint32_t>(t),
                 .priority = static_cast<std::uint8_t>(t)};
          if (random.below(3) == 0) c.deadline = queue.now() + std::chrono::microseconds{random.below(60)};
          ++count.arrivals;
          auto answer = random.below(8) == 0 ? queue.try_acquire(c) : queue.acquire(c, stops[t].get_token());
          count.note(answer);
          if (!answer) continue;
          inside.enter(c.cost);
          if (random.below(2) == 0) std::this_thread::yield();
          inside.leave(c.cost);
          random.below(3) == 0 ? answer->cancel() : answer->release(outcome::success);
        }
        --running;
      });
    }
    all.emplace_back([&] {
      weir::random_stream random{99, "race"};
      while (running > 0) {
        // A stop that comes too early is spent: each thread is stopped once, somewhere.
        if (random.below(50) == 0) stops[random.below(threads)].request_stop();
        if (random.below(10) == 0) {
          const weir::queue_discipline order{.order = static_cast<weir::queue_order>(random.below(5)),
                                             .codel = {.on = random.below(2) == 0, .target = 20us, .interval = 100us},
                                             .tenants = {{.tenant = 1}, {.tenant = 2, .weight = 3}}};
          EXPECT_FALSE(queue.reconfigure({.capacity = 3, .max_wait = 1h, .discipline = order}));
        }
        EXPECT_LE(queue.snapshot().waiting, 3u);
        std::this_thread::sleep_for(20us);
      }
    });
  }
  expect_balanced(queue, slots, count);
}

/// Operations without a thread, completed wherever the wait ends.
struct operation : weir::wait_operation<concurrency_limiter::permit> {
  operation() {
    complete = [](wait_node& node, wait_outcome) noexcept {
      auto& self = static_cast<operation&>(node);
      EXPECT_EQ(self.completions.fetch_add(1), 0);
      self.count->note(self.answer.emplace(self.take()));
      if (*self.answer) {
        self.inside->enter(1);
        self.inside->leave(1);
        self.answer->value().release(outcome::success);  // from inside: grants the next
      }
      self.done.release();
    };
  }
  tally* count = nullptr;
  occupancy* inside = nullptr;
  std::atomic<int> completions{0};
  std::optional<weir::result<concurrency_limiter::permit>> answer;
  std::binary_semaphore done{0};
};

TEST(wait_queue_race, cancelling_against_granting_against_the_alarm) {
  concurrency_limiter slots{{.limit = 1}};
  weir::wait_queue queue{slots, {.capacity = 64, .max_wait = 1h, .predict = false}};
  occupancy inside{1};
  tally count;
  std::atomic<int> running{threads};
  std::atomic<std::uint64_t> cancels{0};
  {
    std::vector<std::jthread> all;
    for (std::uint64_t t = 0; t < threads; ++t) {
      all.emplace_back([&, t] {
        weir::random_stream random{t, "cancel"};
        for (int i = 0; i < rounds; ++i) {
          std::deque<operation> ops(1 + random.below(4));
          std::deque<operation*> waiting;
          for (auto& op : ops) {
            op.count = &count;
            op.inside = &inside;
            call c;
            if (random.below(3) == 0) c.deadline = queue.now() + std::chrono::microseconds{random.below(100)};
            ++count.arrivals;
            if (auto answer = queue.start(op, c)) {
              count.note(*answer);
              if (*answer) {
                inside.enter(1);
                if (random.below(2) == 0) std::this_thread::yield();
                inside.leave(1);
                answer->value().cancel();
              }
            } else {
              waiting.push_back(&op);
            }
          }
          for (auto* op : waiting) {
            if (random.below(2) == 0 && queue.cancel(*op)) ++cancels;
          }
          for (auto* op : waiting) op->done.acquire();
        }
        --running;
      });
    }
    all.emplace_back([&] {
      while (running > 0) {
        queue.on_alarm();
        std::this_thread::yield();
      }
    });
  }
  EXPECT_EQ(cancels, count.cancelled);
  expect_balanced(queue, slots, count);
}

TEST(wait_queue_race, closing_and_reconfiguring_while_others_wait) {
  for (int round = 0; round < 30; ++round) {
    concurrency_limiter slots{{.limit = 2}};
    weir::wait_queue queue{slots, {.capacity = 4, .max_wait = 1h}};
    tally count;
    {
      std::vector<std::jthread> all;
      for (std::uint64_t t = 0; t < threads; ++t) {
        all.emplace_back([&] {
          for (bool open = true; open;) {
            ++count.arrivals;
            auto answer = queue.acquire();
            count.note(answer);
            open = answer || answer.error() != errc::closed;
          }
        });
      }
      for (std::uint32_t i = 0; i < 20; ++i) {
        EXPECT_FALSE(queue.reconfigure({.capacity = 1 + i, .max_wait = 1h}));
        EXPECT_FALSE(slots.reconfigure({.limit = 1 + i % 3}));
        std::this_thread::yield();
      }
      queue.close();
    }
    expect_balanced(queue, slots, count);
  }
}

TEST(wait_queue_race, threads_pass_the_driving_of_tokens_on) {
  weir::rate_limiter tokens{{.limit = {20'000, 1s}, .burst = 1}};
  weir::wait_queue queue{tokens, {.capacity = 64, .max_wait = 1h, .predict = false}};
  std::atomic<std::uint64_t> admitted{0}, timed_out{0};
  {
    std::vector<std::jthread> all;
    for (std::uint64_t t = 0; t < threads; ++t) {
      all.emplace_back([&, t] {
        weir::random_stream random{t, "tokens"};
        for (int i = 0; i < 300; ++i) {
          call c;
          if (random.below(4) == 0) c.deadline = queue.now() + std::chrono::microseconds{random.below(300)};
          auto answer = queue.acquire(c);  // a lost token, or a driver that left without telling, hangs here
          ++(answer ? admitted : timed_out);
        }
      });
    }
  }
  EXPECT_EQ(admitted + timed_out, threads * 300u);
  EXPECT_GE(admitted, threads * 150u);
  EXPECT_EQ(tokens.snapshot().admitted, admitted);
  EXPECT_FALSE(tokens.snapshot().waiting);
}

/// Counts how often it is armed, and rings from a thread of its own.
class thread_alarm {
 public:
  template <class Queue>
  explicit thread_alarm(Queue& queue)
      : thread_([this, &queue](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            bool due = false;
            {
              std::lock_guard lock{mutex_};
              if (at_ <= queue.now()) {
                at_ = weir::never;
                due = true;
              }
            }
            if (due) queue.on_alarm();
            std::this_thread::yield();
          }
        }) {}
  void arm(weir::time_point t) noexcept {
    std::lock_guard lock{mutex_};
    at_ = t;
  }
  void disarm() noexcept { arm(weir::never); }
  weir::time_point at() {
    std::lock_guard lock{mutex_};
    return at_;
  }

 private:
  std::mutex mutex_;
  weir::time_point at_ = weir::never;
  std::jthread thread_;
};

TEST(wait_queue_race, the_alarm_is_never_left_set_too_late) {
  concurrency_limiter slots{{.limit = 1}};
  weir::wait_queue queue{slots, {.capacity = 64, .max_wait = 1h, .predict = false}};
  thread_alarm alarm{queue};
  queue.use_alarm(weir::alarm_ref{alarm});
  auto held = queue.try_acquire();
  tally count;
  {
    std::vector<std::jthread> all;
    for (std::uint64_t t = 0; t < threads; ++t) {
      all.emplace_back([&, t] {
        weir::random_stream random{t, "alarm"};
        for (int i = 0; i < 500; ++i) {
          operation op;  // nobody releases: only the alarm can end this wait
          op.count = &count;
          const auto patience = std::chrono::microseconds{1 + random.below(300)};
          if (queue.start(op, {.deadline = queue.now() + patience})) continue;
          op.done.acquire();
        }
      });
    }
  }
  EXPECT_EQ(queue.snapshot().waiting, 0u);
  EXPECT_EQ(queue.snapshot().wait_timeout, count.rejected);
  EXPECT_EQ(alarm.at(), weir::never);
  queue.use_alarm(weir::alarm_ref{});
}

}  // namespace
