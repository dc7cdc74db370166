// queue_timer: one Asio timer for all waiters of a queue, armed from any thread.
#include <weir/asio/queue_timer.hpp>

#include <weir/core/alarm.hpp>
#include <weir/core/default_clock.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;

/// What a queue is to its timer.
struct fake_queue {
  void use_alarm(weir::alarm_ref a) noexcept { alarm = a; }
  void on_alarm() noexcept { ++rung; }
  weir::time_point now() const noexcept { return clock.now(); }

  weir::default_clock clock;
  weir::alarm_ref alarm;
  std::atomic<int> rung{0};
};

class queue_timer : public ::testing::Test {
 protected:
  boost::asio::io_context context{1};
  fake_queue queue;
};

TEST_F(queue_timer, attaches_for_its_life) {
  {
    weir::queue_timer timer{queue, context.get_executor()};
    EXPECT_TRUE(queue.alarm);
    static_assert(weir::alarm<decltype(timer)>);
  }
  EXPECT_FALSE(queue.alarm);
}

TEST_F(queue_timer, rings_once_when_it_is_time) {
  weir::queue_timer timer{queue, context.get_executor()};
  const auto due = queue.now() + 3ms;
  timer.arm(due);
  context.run();
  EXPECT_EQ(queue.rung, 1);
  EXPECT_GE(queue.now(), due - 100us);
}

TEST_F(queue_timer, arming_replaces_and_the_past_rings_at_once) {
  weir::queue_timer timer{queue, context.get_executor()};
  timer.arm(queue.now() + 1h);
  timer.arm(weir::never);
  timer.arm(queue.now() - 1h);
  context.run_for(2s);
  EXPECT_EQ(queue.rung, 1);
  EXPECT_TRUE(context.stopped()) << "nothing is pending";
}

TEST_F(queue_timer, disarmed_it_neither_rings_nor_keeps_the_context) {
  weir::queue_timer timer{queue, context.get_executor()};
  timer.arm(queue.now() + 1h);
  timer.disarm();
  context.run_for(2s);
  EXPECT_TRUE(context.stopped());
  EXPECT_EQ(queue.rung, 0);
}

TEST_F(queue_timer, destroyed_with_a_ring_under_way_it_does_not_touch_the_queue) {
  {
    weir::queue_timer timer{queue, context.get_executor()};
    timer.arm(queue.now());
    std::this_thread::sleep_for(1ms);
  }
  context.run();
  EXPECT_EQ(queue.rung, 0);
}

TEST_F(queue_timer, destroyed_when_its_ring_can_no_longer_be_cancelled_it_does_not_touch_the_queue) {
  std::optional<weir::queue_timer<fake_queue, boost::asio::io_context::executor_type>> timer;
  timer.emplace(queue, context.get_executor());
  // Both are due when the context first looks: what the first does, the second, already on its way, must survive.
  boost::asio::steady_timer first{context, 0ms};
  first.async_wait([&](const boost::system::error_code&) { timer.reset(); });
  timer->arm(queue.now() + 1ms);
  std::this_thread::sleep_for(5ms);
  context.run();
  EXPECT_FALSE(timer);
  EXPECT_EQ(queue.rung, 0);
}

TEST_F(queue_timer, armed_and_rung_by_many_threads) {
  std::optional<weir::queue_timer<fake_queue, boost::asio::io_context::executor_type>> timer;
  timer.emplace(queue, context.get_executor());
  auto work = boost::asio::make_work_guard(context);
  {
    std::vector<std::jthread> running;
    for (int i = 0; i < 2; ++i) running.emplace_back([&] { context.run(); });
    {
      std::vector<std::jthread> arming;
      for (int t = 0; t < 3; ++t) {
        arming.emplace_back([&] {
          for (int i = 0; i < 300; ++i) {
            i % 7 == 0 ? timer->disarm() : timer->arm(queue.now() + std::chrono::microseconds{i % 50});
          }
        });
      }
    }
    const int before = queue.rung;
    timer->arm(queue.now() + 1ms);
    while (queue.rung == before) std::this_thread::yield();
    timer->arm(queue.now());
    timer.reset();
    const int after = queue.rung;
    work.reset();
    running.clear();
    EXPECT_EQ(queue.rung, after) << "rung after its destruction";
  }
}

}  // namespace
