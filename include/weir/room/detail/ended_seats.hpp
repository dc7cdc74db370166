#pragma once
/// \file
/// How seats have ended, for as long as somebody may ask.

#include <weir/room/detail/flat_tables.hpp>
#include <weir/room/detail/session_table.hpp>
#include <weir/room/seat.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>

namespace weir::inline v0::detail {

/// The latest `most` of them; who is older has just ended somehow. Not thread-safe.
class ended_seats {
 public:
  static constexpr std::size_t most = 65'536;

  struct ending {
    seat_state state{};
    std::optional<seat_id> moved_to{};
    std::uint64_t bind = 0;  // of its session, if it had one
    std::uint64_t session = 0;
  };

  /// Errors: std::bad_alloc, and nothing has changed.
  void add(seat_key key, const ending& e) {
    order_.push_back(key);
    ended_.insert_or_assign(key, e);
    if (order_.size() > most) {
      ended_.erase(order_.front());
      order_.pop_front();
    }
  }
  [[nodiscard]] const ending* find(seat_key key) const noexcept {
    const auto found = ended_.find(key);
    return found == ended_.end() ? nullptr : &found->second;
  }
  /// The same, where everybody has another place. Errors: std::bad_alloc.
  template <class F>
  [[nodiscard]] ended_seats moved(F&& to) const {
    ended_seats moved;
    for (const seat_key key : order_) {
      if (const ending* e = find(key)) moved.add(to(key), *e);
    }
    return moved;
  }

 private:
  flat_map<seat_key, ending> ended_;
  std::deque<seat_key> order_;
};

}  // namespace weir::inline v0::detail
