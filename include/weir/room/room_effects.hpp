#pragma once
/// \file
/// What goes into a `room_core` and what comes out of it: requests, records to be stored, events.

#include <weir/core/detail/intrusive_list.hpp>
#include <weir/core/time.hpp>
#include <weir/room/seat.hpp>

#include <cstdint>
#include <iterator>
#include <vector>

namespace weir::inline v0 {

/// What an operator has a room do.
enum class room_mode : std::uint8_t {
  prequeue = 0,     ///< not open yet: who comes is drawn at the opening
  open = 1,         ///< as configured
  paused = 2,       ///< lets nobody in, takes everybody into its lines
  draining = 3,     ///< takes nobody more, lets in who waits
  closed = 4,       ///< takes nobody more, lets nobody in
  passthrough = 5,  ///< lets everybody in at once, and counts
};
[[nodiscard]] constexpr const char* to_string(room_mode m) noexcept {
  constexpr const char* names[] = {"prequeue", "open", "paused", "draining", "closed", "passthrough"};
  return static_cast<unsigned>(m) < std::size(names) ? names[static_cast<unsigned>(m)] : "unknown";
}

/// A seat, and what its owner's token says beside.
struct seat_holder {
  seat_id seat;
  std::uint64_t subject = 0;  ///< hash; 0: none
  std::uint64_t bind = 0;     ///< hash of the device's secret; 0: none
};

/// Why a request did not get what it asked for.
enum class room_refusal : std::uint8_t {
  none,
  not_yet,          ///< waits still, or has been offered a turn and must come back for it: `retry_after`
  early,            ///< polls sooner than it was asked to; has not been looked at
  full,             ///< room_config::capacity wait
  closed,           ///< takes nobody any more, or not yet
  duplicate,        ///< this subject has a seat
  bound_elsewhere,  ///< belongs to another device
  over,             ///< the seat or session has ended: `view.state` says how
  unknown,          ///< no such seat
  store,            ///< cannot be written down at the moment
};
[[nodiscard]] constexpr const char* to_string(room_refusal r) noexcept {
  constexpr const char* names[] = {"none",      "not_yet",         "early", "full",    "closed",
                                   "duplicate", "bound_elsewhere", "over",  "unknown", "store"};
  return static_cast<unsigned>(r) < std::size(names) ? names[static_cast<unsigned>(r)] : "unknown";
}

struct room_answer {
  room_refusal why = room_refusal::none;
  seat_view view{};
  duration retry_after{};  ///< zero: not known
  bool again = false;      ///< join: the seat that the subject had already
};

/// One request that may have to wait until what it does is stored, or for its turn. Intrusive: lives where its caller
/// wants, until it has been completed.
struct room_request : detail::list_hook {
  room_answer answer;
  void (*complete)(room_request&) noexcept = nullptr;  ///< exactly once, without a lock, if the call said that it waits
  std::uint64_t record = 0;                            ///< what has to be stored before
};

/// What a store is to remember. Values are stored: they are stable.
struct room_record {
  enum class kind : std::uint8_t {
    numbers = 0,  ///< `lane`: numbers below `number` are given out from now on, and `other` had been
    gone = 1,     ///< `lane`, `number` has left the line: `state`
    back = 2,     ///< is in the line again
    offered = 3,  ///< until `until`; gone from the line
    entered = 4,  ///< session `other`, bound to `bind`, from `at` until `until`
    renewed = 5,  ///< until `until`
    ended = 6,    ///< offer or session: `state`; `other` - 1 is its new number, if it is not 0
    opened = 7,   ///< those below `number` are drawn by `seed`
    subject = 8,  ///< `other` has seat `number` in `lane`, bound to `bind`
    mode = 9,     ///< `other`
    /// Entries are asked for beyond what the room was loaded with: the last `number`, of the last `other` nanoseconds.
    limit = 10,
  };
  kind what{};
  std::uint8_t lane = 0;
  seat_state state{};
  std::uint64_t number = 0;
  std::uint64_t other = 0;
  std::uint64_t bind = 0;
  time_point at{}, until = never;
};

/// A seat has changed its state.
struct seat_changed {
  std::uint64_t sequence = 0;
  seat_id seat;
  seat_state from{}, to{};
  bool first = false;  ///< has just come: `from` means nothing
  time_point at{};
  duration waited{};  ///< offered, left, abandoned: since it joined, within that of its 64 neighbours
};

/// What has to be done outside of the lock.
struct room_effects {
  detail::intrusive_list<room_request> ready;  ///< to be completed
  bool records = false;                        ///< there are some: `room_core::take_records`
};

}  // namespace weir::inline v0
