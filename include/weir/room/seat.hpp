#pragma once
/// \file
/// What a user of a waiting room has, and is told: a seat, its state, its place.
///
/// ```
///  join ──► prequeued ──open──► waiting ──turn──► offered ──claim──► active ──► completed, expired, revoked
///                                │  ▲               └─ claim_window over ► lapsed (or back into the line)
///                                │  └─ rejoin ── abandoned ◄── not heard of
///                                └─ leave ► left
/// ```

#include <weir/core/time.hpp>
#include <weir/room/eta_estimator.hpp>

#include <cstdint>
#include <iterator>
#include <optional>

namespace weir::inline v0 {

/// Closed. Values are stored: they are stable.
enum class seat_state : std::uint8_t {
  prequeued = 0,  ///< came before the opening: its place is drawn then
  waiting = 1,    ///< in the line
  offered = 2,    ///< its turn: to be claimed before the offer ends
  active = 3,     ///< inside
  completed = 4,  ///< has ended its session itself
  left = 5,       ///< has given up its place
  abandoned = 6,  ///< was not heard of; its place is kept for a while
  lapsed = 7,     ///< did not claim its offer in time
  expired = 8,    ///< its session, or what is remembered of it, has come to its end
  revoked = 9,    ///< taken out by an operator
  rejected = 10,  ///< was never let in
};
[[nodiscard]] constexpr const char* to_string(seat_state s) noexcept {
  constexpr const char* names[] = {"prequeued", "waiting", "offered", "active",  "completed", "left",
                                   "abandoned", "lapsed",  "expired", "revoked", "rejected"};
  return static_cast<unsigned>(s) < std::size(names) ? names[static_cast<unsigned>(s)] : "unknown";
}
/// Nothing more will come of it.
[[nodiscard]] constexpr bool is_over(seat_state s) noexcept {
  return s >= seat_state::completed && s != seat_state::abandoned;
}

/// Why nobody is let in at the moment: the answer to "why am I waiting".
enum class hold_reason : std::uint8_t {
  none,      ///< others are first
  not_open,  ///< the room opens later
  paused,    ///< by its operator
  rate,      ///< so many per so long have been let in
  active,    ///< so many are inside
  gate,      ///< what lies behind the room cannot take more
  store,     ///< what is decided cannot be written down
};
[[nodiscard]] constexpr const char* to_string(hold_reason r) noexcept {
  constexpr const char* names[] = {"none", "not_open", "paused", "rate", "active", "gate", "store"};
  return static_cast<unsigned>(r) < std::size(names) ? names[static_cast<unsigned>(r)] : "unknown";
}

/// Which seat: a number in a lane. Numbers are given out in the order of joining and never twice.
struct seat_id {
  std::uint8_t lane = 0;
  std::uint64_t number = 0;

  friend bool operator==(const seat_id&, const seat_id&) = default;
};

/// What a user is told.
struct seat_view {
  seat_id seat{};
  seat_state state = seat_state::rejected;
  std::uint64_t position = 0;  ///< waiting: 1 is next; exact, who has left is not counted. Else 0
  std::uint64_t position_upper =
      0;  ///< the same by numbers alone, gaps included: what anybody can work out from the public status
  std::uint64_t total_waiting = 0;  ///< in all lanes
  std::optional<room_eta> eta{};    ///< nothing: not known
  duration poll_after{};            ///< ask again then; zero: no need
  time_point offer_expires = never;
  time_point session_expires = never;
  std::uint64_t session = 0;               ///< active: which one
  std::optional<seat_id> moved_to{};       ///< lapsed, and given a new place at the end of the line
  hold_reason reason = hold_reason::none;  ///< why nobody is let in at the moment
};

}  // namespace weir::inline v0
