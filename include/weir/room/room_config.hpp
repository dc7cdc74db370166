#pragma once
/// \file
/// What a waiting room is told. Every option, its default and its reason: docs/waiting_room.md.

#include <weir/core/config.hpp>
#include <weir/core/time.hpp>
#include <weir/room/poll_hints.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0 {

/// How `room_config::admit` is kept.
enum class room_pace : std::uint8_t {
  smooth,  ///< one by one, evenly: {50, 10 s} is one every 200 ms
  batch,   ///< all of them at once, every `per`
  /// Never more than so many *entries* in any (t, t + per], whenever offers are claimed: the promise is about who is
  /// inside, not about who was asked.
  strict,
};

/// What becomes of an offer that nobody claims.
enum class after_lapse : std::uint8_t {
  end,            ///< the seat is lost
  requeue_front,  ///< once, its old place again; then it is lost
  requeue_back,   ///< a new place at the end of the line
};

/// In what order lanes are served.
enum class lane_order : std::uint8_t {
  strict,    ///< the first lane first; `min_share` keeps the others from starving
  weighted,  ///< in proportion to their weights
};

/// What a subject gets who joins again.
enum class duplicate_seat : std::uint8_t {
  same,    ///< the seat that it has
  move,    ///< the seat that it has, which from now on belongs to the new device only
  reject,  ///< nothing
};

enum class session_renewal : std::uint8_t {
  none,     ///< a session ends session_ttl after it began
  sliding,  ///< session_ttl after its last renewal, at most session_max after it began
};

struct room_lane_config {
  std::string name = "standard";  ///< 1 .. 64 characters
  double weight = 1;              ///< lane_order::weighted: > 0
  double min_share = 0;   ///< lane_order::strict: of all admissions, while somebody waits here; 0 .. 1, together <= 1
  std::uint32_t cap = 0;  ///< offered and active at a time; 0: no own bound
  bool bypass = false;    ///< not held up by `admit` nor by other lanes; counts, and max_active holds
};

/// At least one of `admit` and `max_active` is needed, unless an operator lets everybody in by hand.
struct room_config {
  std::string name = "room";           ///< 1 .. 255 bytes; part of every token
  std::uint64_t capacity = 1'000'000;  ///< who may wait, in all lanes; 1 .. 100'000'000
  std::optional<rate> admit{};         ///< so many per so long; at most 1'000'000 per second. Nothing: no limit
  room_pace pace = room_pace::smooth;  ///< how
  std::uint32_t max_active = 0;        ///< inside at a time, at every instant; 0: no limit
  bool manual = false;                 ///< nobody but by `advance`

  duration claim_window = std::chrono::seconds{30};  ///< >= 1 s
  after_lapse lapsed = after_lapse::end;
  duration session_ttl = std::chrono::minutes{10};  ///< >= 1 s
  duration session_idle = duration::max();          ///< not heard of for so long: over; >= 1 s; duration::max(): off
  duration session_max = std::chrono::hours{1};     ///< with renewal; >= session_ttl
  session_renewal renewal = session_renewal::none;
  /// More is offered than could be claimed, by the share of offers that lapse, at most this; 0 .. 0.9. What is claimed
  /// stays within the limits all the same.
  double overbook_at_most = 0.5;

  bool presence = true;                                ///< who does not poll has gone
  duration presence_least = std::chrono::seconds{60};  ///< or three times the time that it was asked to wait; >= 1 s

  std::vector<room_lane_config> lanes{1};  ///< 1 .. 16
  lane_order order = lane_order::strict;
  duplicate_seat duplicates = duplicate_seat::same;
  std::uint32_t seats_per_subject = 1;  ///< 1 .. 16

  poll_config polls{};
  duration eta_memory = std::chrono::seconds{60};  ///< >= 1 s: how fast the estimate follows
  std::optional<time_point> opens_at{};            ///< until then: prequeued, and then drawn by lot
  std::uint64_t seed = 0;                          ///< of jitter; no secrets depend on it
};

/// 은행 창구 방식: so many counters, the next one when a counter is free.
[[nodiscard]] inline room_config bank_teller(std::uint32_t max_active) {
  room_config c;
  c.max_active = max_active;
  return c;
}
/// 놀이공원 방식: so many let in every so long.
[[nodiscard]] inline room_config amusement_park(std::uint64_t n, duration per) {
  room_config c;
  c.admit = rate{n, per};
  c.pace = room_pace::batch;
  return c;
}

namespace detail {

[[nodiscard]] inline std::optional<config_error> validate_lanes(const room_config& config) {
  const auto wrong = [](std::string field, std::string problem) {
    return config_error{"room_config." + std::move(field), std::move(problem)};
  };
  if (config.lanes.empty() || config.lanes.size() > 16) {
    return wrong("lanes", "must be 1 .. 16 lanes, are " + std::to_string(config.lanes.size()));
  }
  double promised = 0;
  for (std::size_t i = 0; i < config.lanes.size(); ++i) {
    const room_lane_config& lane = config.lanes[i];
    const std::string field = "lanes[" + std::to_string(i) + "]";
    if (lane.name.empty() || lane.name.size() > 64) return wrong(field + ".name", "must have 1 .. 64 characters");
    if (!(lane.weight > 0 && lane.weight <= 1e6)) return wrong(field + ".weight", "must be in (0, 1e6]" + is(lane.weight));
    if (!(lane.min_share >= 0 && lane.min_share <= 1)) {
      return wrong(field + ".min_share", "must be in [0, 1]" + is(lane.min_share));
    }
    promised += lane.min_share;
    for (std::size_t k = 0; k < i; ++k) {
      if (config.lanes[k].name == lane.name) return wrong(field + ".name", "\"" + lane.name + "\" is there twice");
    }
  }
  if (promised > 1) return wrong("lanes", "min_share of all lanes together must be <= 1" + is(promised));
  return std::nullopt;
}

}  // namespace detail

[[nodiscard]] inline std::optional<config_error> validate(const room_config& config) {
  using detail::is;
  const auto wrong = [](std::string_view field, std::string problem) {
    return config_error{"room_config." + std::string{field}, std::move(problem)};
  };
  if (config.name.empty() || config.name.size() > 255) return wrong("name", "must have 1 .. 255 bytes");
  if (config.capacity < 1 || config.capacity > 100'000'000) {
    return wrong("capacity", "must be in [1, 100000000]" + is(config.capacity));
  }
  if (config.admit) {
    if (config.admit->permits < 1) return wrong("admit.permits", "must be >= 1" + is(config.admit->permits));
    if (config.admit->per < std::chrono::milliseconds{1} || config.admit->per > std::chrono::hours{24}) {
      return wrong("admit.per", "must be 1 ms .. 24 h" + is(config.admit->per));
    }
    const double per_second =
        static_cast<double>(config.admit->permits) / std::chrono::duration<double>(config.admit->per).count();
    if (per_second > 1e6) return wrong("admit", "must be at most 1000000 per second" + is(per_second));
    if (config.pace == room_pace::strict && config.admit->permits > 1'000'000) {
      return wrong("admit.permits", "must be <= 1000000 with room_pace::strict" + is(config.admit->permits));
    }
  } else if (config.max_active == 0 && !config.manual) {
    return wrong("admit", "or max_active is needed, or manual: else nobody would have to wait");
  }
  if (config.pace > room_pace::strict) return wrong("pace", "must be smooth, batch or strict");
  if (config.lapsed > after_lapse::requeue_back) return wrong("lapsed", "must be end, requeue_front or requeue_back");
  if (config.order > lane_order::weighted) return wrong("order", "must be strict or weighted");
  if (config.duplicates > duplicate_seat::reject) return wrong("duplicates", "must be same, move or reject");
  if (config.renewal > session_renewal::sliding) return wrong("renewal", "must be none or sliding");
  const std::pair<std::string_view, duration> seconds[] = {{"claim_window", config.claim_window},
                                                           {"session_ttl", config.session_ttl},
                                                           {"session_idle", config.session_idle},
                                                           {"presence_least", config.presence_least},
                                                           {"eta_memory", config.eta_memory}};
  for (const auto& [field, value] : seconds) {
    if (value < std::chrono::seconds{1}) return wrong(field, "must be >= 1 s" + is(value));
  }
  if (config.session_max < config.session_ttl)
    return wrong("session_max", "must be >= session_ttl" + is(config.session_max));
  if (!(config.overbook_at_most >= 0 && config.overbook_at_most <= 0.9)) {
    return wrong("overbook_at_most", "must be in [0, 0.9]" + is(config.overbook_at_most));
  }
  if (config.seats_per_subject < 1 || config.seats_per_subject > 16) {
    return wrong("seats_per_subject", "must be in [1, 16]" + is(config.seats_per_subject));
  }
  if (auto e = validate(config.polls)) return e;
  return detail::validate_lanes(config);
}

namespace detail {

/// What nobody may change while a room runs: what its tokens, its store and its seats were made with.
[[nodiscard]] inline std::optional<config_error> validate_change(const room_config& from, const room_config& to) {
  const auto moves = [](const room_config& c) { return c.lapsed == after_lapse::requeue_back; };  // seats, to new numbers
  const std::pair<const char*, bool> stays[] = {{"name", from.name == to.name},
                                                {"lapsed", moves(from) == moves(to)},
                                                {"presence", from.presence == to.presence},
                                                {"lanes", from.lanes.size() == to.lanes.size()},
                                                {"duplicates", from.duplicates == to.duplicates},
                                                {"seats_per_subject", from.seats_per_subject == to.seats_per_subject},
                                                {"opens_at", from.opens_at == to.opens_at},
                                                {"seed", from.seed == to.seed}};
  for (const auto& [field, same] : stays) {
    if (!same) return config_error{"room_config." + std::string{field}, "remains that of the construction"};
  }
  for (std::size_t i = 0; i < from.lanes.size(); ++i) {
    if (from.lanes[i].name == to.lanes[i].name) continue;
    return config_error{"room_config.lanes[" + std::to_string(i) + "].name", "remains that of the construction"};
  }
  return std::nullopt;
}

}  // namespace detail

}  // namespace weir::inline v0
