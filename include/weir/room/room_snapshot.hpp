#pragma once
/// \file
/// What a room looks like at one instant.

#include <weir/room/room_core.hpp>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace weir::inline v0 {

struct room_snapshot {
  struct lane {
    std::string name;
    std::uint64_t waiting = 0, head = 0, tail = 0;
    std::uint32_t inside = 0;  ///< offered and active
    double rate_per_s = 0;     ///< of admissions, as it was lately
    duration oldest_wait{};    ///< within that of its 64 neighbours
    lane_totals totals{};
  };

  std::uint32_t epoch = 0;
  room_mode mode{};
  hold_reason held{};  ///< why nobody is let in at the moment; none: nobody waits, or all is well
  double gate = 1;     ///< part of what is configured that what lies behind can take
  std::string gate_reason{};
  std::string store_error{};  ///< empty: none
  std::uint64_t waiting = 0;
  std::uint32_t offered = 0, active = 0;
  double noshow = 0;                     ///< share of offers that lapse
  std::optional<room_eta> eta_at_end{};  ///< for who joined the first lane now
  std::vector<lane> lanes{};
  std::uint64_t unstored = 0;  ///< records on their way to the store
  std::size_t bytes = 0;       ///< of the lines
  room_totals totals{};
  std::array<std::uint64_t, 8> tokens_rejected{};  ///< by ticket_problem
  /// Seconds: reading the store at the start; from handing over records until they were stored; and until the store said
  /// that it fails, each time.
  std::array<bounded_counts<12>, 3> store_seconds{};
};

/// Errors: std::bad_alloc.
[[nodiscard]] inline room_snapshot take_snapshot(const room_core& core, time_point now) {
  room_snapshot s{.mode = core.mode(), .held = core.held_now(), .gate = core.gate()};
  s.waiting = core.waiting();
  s.offered = core.offered();
  s.active = core.active();
  s.noshow = core.noshow();
  s.unstored = core.unstored();
  s.totals = core.totals();
  for (std::uint8_t i = 0; i < core.lanes(); ++i) {
    const detail::room_lane& l = core.lane(i);
    room_snapshot::lane lane{.name = l.config().name};
    lane.waiting = l.waiting();
    lane.head = l.line().head();
    lane.tail = l.line().tail();
    lane.inside = l.inside;
    lane.rate_per_s = l.eta().rate_per_s(now);
    lane.totals = l.totals;
    if (const auto front = l.line().front()) lane.oldest_wait = l.arrivals().waited(*front, now);
    s.bytes += l.bytes();
    s.lanes.push_back(std::move(lane));
  }
  s.eta_at_end = core.lane(0).eta().estimate(core.waiting(), now);
  return s;
}

}  // namespace weir::inline v0
