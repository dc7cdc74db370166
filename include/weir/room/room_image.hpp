#pragma once
/// \file
/// What a store gives back to a room that starts again.

#include <weir/core/time.hpp>
#include <weir/room/lottery.hpp>
#include <weir/room/rank_index.hpp>
#include <weir/room/room_effects.hpp>
#include <weir/room/seat.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace weir::inline v0 {

/// Times are on the room's own time line: the store has translated them.
struct room_image {
  /// The first place of rank_index::block_size, and a bit for each.
  using block = std::pair<std::uint64_t, std::array<std::uint64_t, rank_index::block_size / 64>>;

  struct lane {
    std::uint64_t reserved = 0;  ///< numbers below it may have been given out
    std::uint64_t tail = 0;      ///< numbers below it have been
    /// Places that are not in the line any more. Blocks that are not there: everybody waits; those before the first:
    /// nobody does.
    std::vector<block> gone{};
    /// Of these, what was reserved when the room began again, and has not been seen since: who has one may take its place.
    std::vector<block> unknown{};
    std::uint64_t head = 0;   ///< places before it are gone
    std::uint64_t drawn = 0;  ///< places below it were drawn by `seed`
  };
  struct session {
    std::uint8_t lane = 0;
    std::uint64_t place = 0;
    seat_state state{};  ///< offered or active
    std::uint64_t id = 0, bind = 0;
    time_point since{}, until{};
  };
  struct ending {
    std::uint8_t lane = 0;
    std::uint64_t place = 0;
    seat_state state{};
    std::optional<seat_id> moved_to{};
  };
  struct subject {
    std::uint64_t subject = 0;
    seat_id seat{};
    std::uint64_t bind = 0;
  };

  std::uint32_t epoch = 0;
  room_mode mode = room_mode::open;
  lottery_seed seed{};
  std::vector<lane> lanes{};
  std::vector<session> sessions{};
  std::vector<ending> endings{};  ///< the latest, oldest first
  std::vector<subject> subjects{};
  std::vector<time_point> entries{};  ///< of the last room_config::admit.per, oldest first
};

}  // namespace weir::inline v0
