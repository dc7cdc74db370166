#pragma once
/// \file
/// What who waits for a turn in process asks for, and gets: a place inside of a room. Included by asio/room.hpp.

#include <weir/core/error.hpp>
#include <weir/core/time.hpp>
#include <weir/room/room_core.hpp>

#include <cstdint>
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

/// Who wants to wait for a turn, and for how long.
struct room_wait {
  room_join who{};
  std::optional<seat_holder> seat{};  ///< one that it has already; stays when the wait is given up
  time_point deadline = never;
};

}  // namespace weir::inline v0
