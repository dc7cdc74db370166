#pragma once
/// \file
/// One wait for a turn in a room: it joins, lines up, and ends by its turn, its deadline or a cancellation.

#include <weir/asio/room_entry.hpp>
#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/core/time.hpp>
#include <weir/queue/wait_node.hpp>
#include <weir/room/room_effects.hpp>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace weir::inline v0 {

template <class Room, class Executor>
class room_driver;

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
  // By address too: thousands may wait until the same instant.
  using key = std::pair<time_point, const turn_control<Room>*>;
  using map = std::map<key, std::shared_ptr<turn_control<Room>>>;

  std::mutex mutex;
  map pending;  // guarded by mutex

  [[nodiscard]] time_point next() {
    std::lock_guard lock{mutex};
    return pending.empty() ? never : pending.begin()->first.first;
  }
  void add(time_point t, std::shared_ptr<turn_control<Room>> control) {
    std::lock_guard lock{mutex};
    const key at{t, control.get()};
    pending.emplace(at, std::move(control));
  }
  void remove(time_point t, const turn_control<Room>* control) noexcept {
    std::lock_guard lock{mutex};
    pending.erase({t, control});
  }
  [[nodiscard]] std::shared_ptr<turn_control<Room>> take_late(time_point now) {
    std::lock_guard lock{mutex};
    if (pending.empty() || pending.begin()->first.first > now) return nullptr;
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
    return refusal();
  }

 protected:
  void keep(room_entry<Room>&& entry) noexcept { entry_.emplace(std::move(entry)); }
  /// Gives a turn that nobody took back: the wait then counts as cancelled.
  void refund() noexcept {
    if (!entry_) return;
    why_ = errc::cancelled;
    entry_.reset();
  }

 private:
  template <class, class>
  friend class weir::v0::room_driver;

  struct request : room_request {
    turn_operation* operation = nullptr;
  };

  std::optional<answer> begin(Room& room, turn_deadlines<Room>& deadlines, const room_wait& wanted) noexcept {
    room_ = &room;
    name_ = room.name();
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
    return take();
  }
  std::optional<answer> given_up(wait_outcome how) {
    deadlines_->remove(deadline, control_.get());
    if (joined_) (void)room_->leave(who_);
    why_ = to_errc(how);
    where = state::ended;
    return refusal();
  }
  [[nodiscard]] answer refusal() const noexcept {
    return answer{boost::system::in_place_error, rejection{why_, name_, retry_after_, {}}};
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
  weir::name name_;  // of the room, which a refusal on its way to its handler may outlive
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
}  // namespace weir::inline v0
