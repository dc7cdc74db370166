#pragma once
/// \file
/// Who has been asked in, and who is inside: bounded by what the room lets in.

#include <weir/core/time.hpp>
#include <weir/room/detail/flat_tables.hpp>
#include <weir/room/detail/room_tally.hpp>
#include <weir/room/seat.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

/// A place in a lane as one number.
using seat_key = std::uint64_t;
inline constexpr unsigned lane_bits = 4;
[[nodiscard]] constexpr seat_key key_of(std::uint8_t lane, std::uint64_t place) noexcept {
  return place << lane_bits | lane;
}
[[nodiscard]] constexpr std::uint8_t lane_of(seat_key key) noexcept { return key & ((1U << lane_bits) - 1); }
[[nodiscard]] constexpr std::uint64_t place_of(seat_key key) noexcept { return key >> lane_bits; }

struct room_session {
  seat_state state = seat_state::offered;  // or active
  bool blocked = false;                    // has claimed, and must come back
  bool second = false;                     // offered again, at its old place
  entry_way way = entry_way::rate;         // by which it was offered
  std::uint64_t id = 0;                    // active
  std::uint64_t bind = 0;
  std::uint64_t record = 0;  // what has to be stored before anybody is told
  time_point since;          // in this state
  time_point expires;
  time_point ends = never;  // active: however often it is seen, until renewed
};

/// Not thread-safe. References last until the next insertion.
class session_table {
 public:
  /// Room for one more. Errors: std::bad_alloc, and nothing has changed.
  void reserve_one() {
    sessions_.reserve(sessions_.size() + 1);
    if (ends_.size() == ends_.capacity()) ends_.reserve(2 * ends_.size() + 64);
  }
  [[nodiscard]] room_session* find(seat_key key) noexcept {
    const auto found = sessions_.find(key);
    return found == sessions_.end() ? nullptr : &found->second;
  }
  [[nodiscard]] const room_session* find(seat_key key) const noexcept {
    const auto found = sessions_.find(key);
    return found == sessions_.end() ? nullptr : &found->second;
  }
  /// Precondition: reserve_one(); there is none.
  room_session& insert(seat_key key, const room_session& s) {
    ++(s.state == seat_state::active ? active_ : offered_);
    room_session& put = sessions_.insert_or_assign(key, s).first->second;
    push(key, s.expires);
    return put;
  }
  void erase(seat_key key) noexcept {
    const auto found = sessions_.find(key);
    if (found == sessions_.end()) return;
    --(found->second.state == seat_state::active ? active_ : offered_);
    sessions_.erase(found);
  }
  void activate(room_session& s) noexcept {
    --offered_;
    ++active_;
    s.state = seat_state::active;
  }
  /// Call before anything else, at most once, where an end can come closer. Precondition: reserve_one().
  void expires(seat_key key, room_session& s, time_point at) {
    const bool sooner = at < s.expires;
    s.expires = at;
    if (sooner) push(key, at);  // later: seen when the old time comes
  }

  /// One whose time has come: the same again until it is erased or extended.
  [[nodiscard]] std::optional<seat_key> due(time_point now) {
    while (!ends_.empty() && ends_.front().first <= now) {
      const seat_key key = ends_.front().second;
      const room_session* s = find(key);
      if (s != nullptr && s->expires <= now) return key;
      std::pop_heap(ends_.begin(), ends_.end(), std::greater<>{});
      ends_.pop_back();
      if (s != nullptr && s->expires != never) push(key, s->expires);
    }
    return std::nullopt;
  }
  [[nodiscard]] time_point next_due() const noexcept { return ends_.empty() ? never : ends_.front().first; }

  [[nodiscard]] std::uint32_t offered() const noexcept { return offered_; }
  [[nodiscard]] std::uint32_t active() const noexcept { return active_; }
  [[nodiscard]] auto begin() const noexcept { return sessions_.begin(); }
  [[nodiscard]] auto end() const noexcept { return sessions_.end(); }

 private:
  void push(seat_key key, time_point at) {
    if (ends_.size() > 2 * sessions_.size() + 64) compact();
    ends_.emplace_back(at, key);
    std::push_heap(ends_.begin(), ends_.end(), std::greater<>{});
  }
  /// Ends of those who have gone, and earlier ends of those who stay longer, are taken out.
  void compact() {
    ends_.clear();
    for (const auto& [key, s] : sessions_) ends_.emplace_back(s.expires, key);
    std::make_heap(ends_.begin(), ends_.end(), std::greater<>{});
  }

  flat_map<seat_key, room_session> sessions_;
  std::vector<std::pair<time_point, seat_key>> ends_;  // a heap, the earliest first; may be older than what it speaks of
  std::uint32_t offered_ = 0, active_ = 0;
};

}  // namespace weir::inline v0::detail
