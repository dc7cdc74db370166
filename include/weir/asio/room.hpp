#pragma once
/// \file
/// `room_driver`: lets an Asio executor drive the time of a `waiting_room`, and lets coroutines wait for their turn in it,
/// in the same line as everybody who polls.
///
/// ```cpp
/// weir::waiting_room<weir::hmac_signer> room{weir::bank_teller(100), keys};
/// weir::room_driver driver{room, context.get_executor()};   // after the room, so that it goes first
/// auto entry = co_await weir::async_wait_turn(driver, {.subject = user}, deadline, boost::asio::use_awaitable);
/// if (!entry) co_return too_busy(entry.error());
/// use(entry->view());   // inside; leaves when `entry` goes
/// ```

#include <weir/asio/async_acquire.hpp>
#include <weir/asio/detail/acquire_operation.hpp>
#include <weir/asio/detail/turn_operation.hpp>
#include <weir/asio/room_entry.hpp>
#include <weir/core/time.hpp>
#include <weir/room/waiting_room.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/basic_waitable_timer.hpp>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

namespace weir::inline v0 {

/// Calls `pass` of the room at least every `tick` and whenever it has something to do. Must be destroyed before the room
/// and the executor's context, and after all waits. Thread-safe, also with several threads running the context. While it
/// lives the context has work.
template <class Room, class Executor>
class room_driver {
 public:
  using answer = result<room_entry<Room>>;
  using operation = detail::turn_operation<Room>;

  room_driver(Room& room, const Executor& executor, duration tick = std::chrono::milliseconds{100})
      : room_(room), shared_(std::make_shared<shared>(room, executor, tick)) {
    room_.wake_by([shared = shared_.get()](time_point t) { shared->wake_at(t); });
    shared_->plan();
  }
  room_driver(const room_driver&) = delete;
  room_driver& operator=(const room_driver&) = delete;
  ~room_driver() {
    room_.wake_by({});
    std::scoped_lock lock{shared_->ringing, shared_->mutex};
    assert(shared_->deadlines.pending.empty() && "somebody still waits");
    shared_->stopped = true;
    shared_->timer.cancel();
  }

  [[nodiscard]] Room& room() noexcept { return room_; }

  // What a wait in it needs.

  [[nodiscard]] std::optional<answer> wait(operation& op, const room_wait& wanted) {
    // While it waits it may end on another thread, and `wanted`, and the driver, go with it.
    const time_point deadline = wanted.deadline;
    const std::shared_ptr<shared> stays = shared_;
    auto ended = op.begin(room_, stays->deadlines, wanted);
    if (!ended && deadline != never) stays->wake_at(deadline);
    return ended;
  }
  bool cancel(operation& op) noexcept { return operation::give_up(*op.control_, wait_outcome::cancelled); }
  [[nodiscard]] bool withdraw(operation& op) noexcept { return op.stop(); }

 private:
  using timer_type = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                       boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

  /// Kept by the pending wait of the timer, which may be delivered after the driver has gone.
  struct shared : std::enable_shared_from_this<shared> {
    shared(Room& r, const Executor& executor, duration t) : room(r), tick(t), timer(executor) {}

    /// When to look next, by the room and by those who wait.
    void plan() {
      const time_point next = std::min({room.next_event(), deadlines.next(), later(room.now(), tick)});
      wake_at(next);
    }
    void wake_at(time_point t) {
      std::lock_guard lock{mutex};
      if (t < armed) arm(t);
    }
    void arm(time_point t) {  // under mutex
      if (stopped) return;
      armed = t;
      // Relative, because the room's clock need not be the timer's.
      timer.expires_after(std::clamp<duration>(elapsed(room.now(), t), duration::zero(), tick));
      timer.async_wait([self = this->shared_from_this()](const boost::system::error_code& error) {
        if (!error) self->ring();
      });
    }
    void ring() {
      std::lock_guard one{ringing};
      if (stopped) return;
      {
        std::lock_guard lock{mutex};
        armed = time_point::max();  // whoever wants to be woken from here on is heard
      }
      try {
        room.pass();
      } catch (const std::bad_alloc&) {  // what it has decided stands; the next tick goes on
      }
      while (auto late = deadlines.take_late(room.now())) operation::give_up(*late, wait_outcome::timed_out);
      plan();
    }

    Room& room;
    const duration tick;
    std::mutex ringing;    // so that the destructor waits for a running ring
    bool stopped = false;  // guarded by both
    std::mutex mutex;
    timer_type timer;                      // guarded by mutex
    time_point armed = time_point::max();  // guarded by mutex
    detail::turn_deadlines<Room> deadlines;
  };

  Room& room_;
  std::shared_ptr<shared> shared_;
};

/// Joins, waits for its turn, and takes it. Completion signature: `void(weir::result<weir::room_entry<Room>>)`, on the
/// handler's associated executor, never inline. Errors (as values): room_full, closed (takes nobody any more), quota (the
/// subject has a seat), backend_down (the store), shed (revoked), wait_timeout, cancelled.
///
/// Cancellation, from the handler's slot or by a `wait_handle`, and deadlines end the wait, and the seat unless it was
/// there before; a turn that came first wins, and is given back. The driver must outlive the wait. Thread-safe. Out of
/// memory while it joins: std::terminate.
template <class Room, class Executor, class Token>
auto async_wait_turn(room_driver<Room, Executor>& driver, const room_join& who, time_point deadline, Token&& token) {
  return async_wait_turn(driver, room_wait{.who = who, .deadline = deadline}, std::forward<Token>(token));
}
/// The same for a seat that there is.
template <class Room, class Executor, class Token>
auto async_wait_turn(room_driver<Room, Executor>& driver, const seat_holder& seat, time_point deadline, Token&& token) {
  return async_wait_turn(driver, room_wait{.seat = seat, .deadline = deadline}, std::forward<Token>(token));
}
template <class Room, class Executor, class Token>
auto async_wait_turn(room_driver<Room, Executor>& driver, const room_wait& wanted, Token&& token) {
  return boost::asio::async_initiate<Token, void(result<room_entry<Room>>)>(
      detail::acquire_initiation<false>{}, token, &driver, wanted, std::shared_ptr<detail::cancellable_wait>{});
}

}  // namespace weir::inline v0
