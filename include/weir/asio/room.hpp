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
#include <weir/core/error.hpp>
#include <weir/core/time.hpp>
#include <weir/queue/wait_node.hpp>
#include <weir/room/room_effects.hpp>
#include <weir/room/waiting_room.hpp>

#include <boost/asio/async_result.hpp>
#include <boost/asio/basic_waitable_timer.hpp>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

namespace weir::inline v0 {

/// A place inside of a room. Gives it back when it goes. Movable; used by one thread at a time.
template <class Room>
class room_entry {
 public:
  room_entry(Room& room, const seat_view& view, std::uint64_t bind) noexcept : room_(&room), view_(view), bind_(bind) {}
  room_entry(room_entry&& other) noexcept
      : room_(std::exchange(other.room_, nullptr)), view_(other.view_), bind_(other.bind_) {}
  room_entry& operator=(room_entry&& other) noexcept {
    if (this != &other) {
      complete();
      room_ = std::exchange(other.room_, nullptr);
      view_ = other.view_;
      bind_ = other.bind_;
    }
    return *this;
  }
  ~room_entry() { complete(); }

  [[nodiscard]] const seat_view& view() const noexcept { return view_; }
  /// The session is over. Again: nothing. Out of memory: std::terminate.
  void complete() noexcept {
    if (room_ != nullptr) (void)std::exchange(room_, nullptr)->complete({view_.seat, 0, bind_}, view_.session);
  }
  /// As complete: what has entered cannot be undone.
  void cancel() noexcept { complete(); }
  /// The session stays, and is ended by its token or its time.
  void keep() noexcept { room_ = nullptr; }

 private:
  Room* room_;
  seat_view view_;
  std::uint64_t bind_;
};

/// How room_refusal reads as an error of weir.
[[nodiscard]] constexpr errc to_errc(room_refusal why) noexcept {
  switch (why) {
    case room_refusal::full: return errc::room_full;
    case room_refusal::duplicate:
    case room_refusal::bound_elsewhere: return errc::quota;
    case room_refusal::store: return errc::backend_down;
    case room_refusal::over: return errc::shed;
    case room_refusal::early: return errc::rate_limited;
    default: return errc::closed;
  }
}

template <class Room, class Executor>
class room_driver;

/// Who wants to wait for a turn, and for how long.
struct room_wait {
  room_join who{};
  std::optional<seat_holder> seat{};  ///< one that it has already; stays when the wait is given up
  time_point deadline = never;
};

namespace detail {

template <class Room>
class turn_operation;

/// Whose wait may end by its deadline or by cancellation, while its turn may come on another thread.
template <class Room>
struct turn_control {
  std::mutex mutex;
  turn_operation<Room>* operation = nullptr;  // guarded by mutex; nullptr: has ended
  bool in_line = false;                       // guarded by mutex; until then it is nobody else's
  std::optional<wait_outcome> given_up;       // guarded by mutex; before it was in line, or when its turn had come
};

template <class Room>
struct turn_deadlines {
  using map = std::multimap<time_point, std::shared_ptr<turn_control<Room>>>;

  std::mutex mutex;
  map pending;  // guarded by mutex

  [[nodiscard]] time_point next() {
    std::lock_guard lock{mutex};
    return pending.empty() ? never : pending.begin()->first;
  }
  void add(time_point t, std::shared_ptr<turn_control<Room>> control) {
    std::lock_guard lock{mutex};
    pending.emplace(t, std::move(control));
  }
  void remove(time_point t, const turn_control<Room>* control) noexcept {
    std::lock_guard lock{mutex};
    const auto [first, last] = pending.equal_range(t);
    const auto found = std::find_if(first, last, [&](const auto& each) { return each.second.get() == control; });
    if (found != last) pending.erase(found);
  }
  [[nodiscard]] std::shared_ptr<turn_control<Room>> take_late(time_point now) {
    std::lock_guard lock{mutex};
    if (pending.empty() || pending.begin()->first > now) return nullptr;
    auto late = std::move(pending.begin()->second);
    pending.erase(pending.begin());
    return late;
  }
};

/// One wait for a turn. Joins first, unless it has a seat; then it is in line, until its turn comes or it is given up.
template <class Room>
class turn_operation : public wait_node {
 public:
  using answer = result<room_entry<Room>>;

  turn_operation() : control_(std::make_shared<turn_control<Room>>()) { control_->operation = this; }
  turn_operation(const turn_operation&) = delete;
  turn_operation& operator=(const turn_operation&) = delete;
  ~turn_operation() { refund(); }

  [[nodiscard]] answer take() noexcept {
    if (entry_) return answer{boost::system::in_place_value, std::move(*entry_)};
    return answer{boost::system::in_place_error, rejection{why_, room_->name(), retry_after_, {}}};
  }

 protected:
  void keep(room_entry<Room>&& entry) noexcept { entry_.emplace(std::move(entry)); }
  void refund() noexcept { entry_.reset(); }

 private:
  template <class, class>
  friend class weir::v0::room_driver;

  struct request : room_request {
    turn_operation* operation = nullptr;
  };

  std::optional<answer> begin(Room& room, turn_deadlines<Room>& deadlines, const room_wait& wanted) noexcept {
    room_ = &room;
    deadlines_ = &deadlines;
    where = state::waiting;
    request_.operation = this;
    deadline = wanted.deadline;
    auto control = control_;
    if (deadline != never) deadlines.add(deadline, control);
    if (wanted.seat) {
      who_ = *wanted.seat;
      return line_up(std::move(control));
    }
    who_ = {{}, wanted.who.subject, wanted.who.bind};
    joined_ = true;
    request_.complete = [](room_request& r) noexcept { static_cast<request&>(r).operation->has_joined(); };
    if (!room.join(request_, wanted.who)) return std::nullopt;
    if (auto ended = after_join()) return ended;
    return line_up(std::move(control));
  }
  /// Nothing: is to line up.
  std::optional<answer> after_join() {
    const room_answer& a = request_.answer;
    who_.seat = a.view.seat;
    if (a.again) joined_ = false;  // the seat was there before, and stays; whose it is will be asked
    if (a.why == room_refusal::none && (a.again || a.view.state != seat_state::active)) return std::nullopt;
    return end_now();
  }
  std::optional<answer> line_up(std::shared_ptr<turn_control<Room>> control) {
    request_.complete = [](room_request& r) noexcept { static_cast<request&>(r).operation->completed(); };
    if (auto how = enter_line(*control)) return given_up(*how);
    if (room_->wait_turn(request_, who_)) return end_now();
    // From here on this may be gone at any time; its control is not.
    turn_operation* still = nullptr;
    {
      std::lock_guard lock{control->mutex};
      if (!control->given_up || control->operation == nullptr) return std::nullopt;
      still = control->operation;
      if (!still->room_->withdraw(still->request_, still->who_)) return std::nullopt;
      control->operation = nullptr;
    }
    return still->given_up(*control->given_up);
  }
  /// Or how it was given up before.
  static std::optional<wait_outcome> enter_line(turn_control<Room>& control) noexcept {
    std::lock_guard lock{control.mutex};
    if (control.given_up) control.operation = nullptr;
    control.in_line = true;
    return control.given_up;
  }
  /// The request is done, and nobody else knows of this.
  std::optional<answer> end_now() {
    forget();
    see_answer();
    where = state::ended;
    if (why_ == errc{}) return take();
    return answer{boost::system::in_place_error, rejection{why_, room_->name(), retry_after_, {}}};
  }
  std::optional<answer> given_up(wait_outcome how) {
    deadlines_->remove(deadline, control_.get());
    if (joined_) (void)room_->leave(who_);
    why_ = to_errc(how);
    where = state::ended;
    return answer{boost::system::in_place_error, rejection{why_, room_->name(), {}, {}}};
  }

  void see_answer() noexcept {
    const room_answer& a = request_.answer;
    retry_after_ = a.retry_after;
    if (a.why == room_refusal::none && a.view.state == seat_state::active) {
      entry_.emplace(*room_, a.view, who_.bind);
      return;
    }
    why_ = weir::to_errc(a.why);
    // It had come in, and nobody is told because of the store: nobody else has its token.
    if (joined_ && a.view.state == seat_state::active) room_entry<Room>{*room_, a.view, who_.bind}.complete();
  }
  /// Nobody gives it up any more.
  void forget() noexcept {
    {
      std::lock_guard lock{control_->mutex};
      control_->operation = nullptr;
    }
    if (deadline != never) deadlines_->remove(deadline, control_.get());
  }
  /// A join that waited for its store.
  void has_joined() noexcept {
    auto ended = after_join();
    if (!ended) ended = line_up(control_);
    if (ended) finish(ended->has_value() ? wait_outcome::granted : wait_outcome::closed, std::move(*ended));
  }
  void completed() noexcept {
    forget();
    see_answer();
    tell(entry_ ? wait_outcome::granted : wait_outcome::closed);
  }
  void finish(wait_outcome how, answer&& a) noexcept {
    if (a) entry_.emplace(std::move(*a));
    tell(how);
  }
  void tell(wait_outcome how) noexcept {
    ended = how;
    where = state::ended;
    ready_list out;
    out.push_back(*this);
    complete_all(out);
  }

  /// Of the one that `control` speaks of, if it still waits. true: it is told, by `how`.
  static bool give_up(turn_control<Room>& control, wait_outcome how) noexcept {
    turn_operation* op = nullptr;
    {
      std::lock_guard lock{control.mutex};
      op = control.operation;
      if (op == nullptr) return false;
      if (!control.in_line || !op->room_->withdraw(op->request_, op->who_)) {
        control.given_up = how;
        return false;
      }
      control.operation = nullptr;
    }
    (void)op->given_up(how);
    op->tell(how);
    return true;
  }
  /// Without telling it.
  bool stop() noexcept {
    {
      std::lock_guard lock{control_->mutex};
      if (control_->operation == nullptr || !room_->withdraw(request_, who_)) return false;
      control_->operation = nullptr;
    }
    (void)given_up(wait_outcome::cancelled);
    return true;
  }

  Room* room_ = nullptr;
  turn_deadlines<Room>* deadlines_ = nullptr;
  std::shared_ptr<turn_control<Room>> control_;
  request request_;
  seat_holder who_;
  bool joined_ = false;
  errc why_{};
  duration retry_after_{};
  std::optional<room_entry<Room>> entry_;
};

}  // namespace detail

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
    auto ended = op.begin(room_, shared_->deadlines, wanted);
    if (!ended && wanted.deadline != never) shared_->wake_at(wanted.deadline);
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
