#pragma once
/// \file
/// `queue_timer`: lets an Asio executor drive the time of a `wait_queue`. One timer for all its waiters.
///
/// ```cpp
/// boost::asio::io_context context{1};
/// weir::wait_queue queue{limiter, {.max_wait = 500ms}};
/// weir::queue_timer timer{queue, context.get_executor()};   // after the queue, so that it goes first
/// ```
/// While somebody waits, the context has work; when nobody does, it can run out.

#include <weir/core/alarm.hpp>
#include <weir/core/time.hpp>

#include <boost/asio/basic_waitable_timer.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <utility>

namespace weir::inline v0 {

/// Models `alarm`. Attaches itself to the queue for its life; must be destroyed before the queue and the executor's
/// context, and not from inside of an operation's `complete`. Thread-safe, also with several threads running the context.
/// Precise to what Asio's timers are. Arming costs a system call where the timer becomes the context's earliest (≈ 0.7 µs).
template <class Queue, class Executor>
class queue_timer {
 public:
  queue_timer(Queue& queue, const Executor& executor) : queue_(queue), shared_(std::make_shared<shared>(queue, executor)) {
    queue_.use_alarm(alarm_ref{*this});
  }
  queue_timer(const queue_timer&) = delete;
  queue_timer& operator=(const queue_timer&) = delete;
  ~queue_timer() {
    queue_.use_alarm(alarm_ref{});
    std::scoped_lock lock{shared_->ringing, shared_->mutex};
    shared_->queue = nullptr;
    shared_->timer.cancel();
  }

  void arm(time_point t) noexcept {
    // Relative, because the queue's clock need not be the timer's; one that is early rings, and is armed for the rest.
    const duration rest = std::clamp<duration>(elapsed(queue_.now(), t), duration::zero(), std::chrono::hours{24});
    std::lock_guard lock{shared_->mutex};
    shared_->timer.expires_after(rest);
    shared_->timer.async_wait([shared = shared_](const boost::system::error_code& error) {
      if (!error) shared->ring();
    });
  }
  void disarm() noexcept {
    std::lock_guard lock{shared_->mutex};
    shared_->timer.cancel();
  }

 private:
  using timer_type = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                       boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

  /// Kept by the pending wait, which may be delivered after the queue_timer has gone.
  struct shared {
    shared(Queue& q, const Executor& executor) : queue(&q), timer(executor) {}

    void ring() noexcept {
      std::lock_guard lock{ringing};
      if (queue != nullptr) queue->on_alarm();
    }

    std::mutex ringing;  // so that the destructor waits for a running on_alarm
    Queue* queue;        // guarded by ringing
    std::mutex mutex;    // Asio's timers are not thread-safe
    timer_type timer;    // guarded by mutex
  };

  Queue& queue_;
  std::shared_ptr<shared> shared_;
};

}  // namespace weir::inline v0
