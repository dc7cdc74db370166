#pragma once
/// \file
/// Which subject (a user, a card, a device) has which seat.

#include <weir/room/detail/flat_tables.hpp>
#include <weir/room/seat.hpp>

#include <cstdint>
#include <optional>

namespace weir::inline v0::detail {

struct subject_seat {
  seat_id seat;
  std::uint64_t bind = 0;
};

/// Subjects are hashes, not 0. Not thread-safe. Memory: about 40 bytes for each that is remembered, and as many where seats
/// can move; those whose seats are gone are forgotten when as many have joined again.
class subject_index {
 public:
  struct place {
    std::uint64_t key = 0;                ///< where to `put` a new seat; 0: all are taken
    std::optional<subject_seat> taken{};  ///< the first seat that is still held
  };

  /// `moves`: seats can get another number.
  explicit subject_index(bool moves) noexcept : moves_(moves) {}

  /// `most`: seats for one subject. `lives(seat)`: it is still held. O(most).
  template <class Lives>
  [[nodiscard]] place find(std::uint64_t subject, std::uint32_t most, Lives&& lives) const {
    place p;
    for (std::uint32_t i = 0; i < most; ++i) {
      const std::uint64_t key = nth(subject, i);
      const auto found = seats_.find(key);
      if (found == seats_.end() || !lives(found->second.seat)) {
        if (p.key == 0) p.key = key;
      } else if (!p.taken) {
        p.taken = found->second;
      }
    }
    return p;
  }
  /// What is noted about this seat of the subject; nullptr: nothing.
  [[nodiscard]] subject_seat* noted(std::uint64_t subject, std::uint32_t most, seat_id seat) noexcept {
    for (std::uint32_t i = 0; i < most; ++i) {
      const auto found = seats_.find(nth(subject, i));
      if (found != seats_.end() && found->second.seat == seat) return &found->second;
    }
    return nullptr;
  }
  /// Room for one more.
  template <class Lives>
  void reserve_one(Lives&& lives) {
    if (seats_.size() >= next_sweep_) {
      absl::erase_if(seats_, [&](const auto& each) { return !lives(each.second.seat); });
      absl::erase_if(owners_, [&](const auto& each) { return !lives(seat_of(each.first)); });
      next_sweep_ = 2 * seats_.size() + 1024;
    }
    seats_.reserve(seats_.size() + 1);
    if (moves_) owners_.reserve(owners_.size() + 1);
  }
  /// Precondition: reserve_one(); `key` by `find`.
  void put(std::uint64_t key, std::uint64_t subject, const subject_seat& s) {
    seats_.insert_or_assign(key, s);
    own(s.seat, subject);
  }
  void own(seat_id seat, std::uint64_t subject) {
    if (moves_) owners_.insert_or_assign(number_of(seat), subject);
  }
  /// Whose seat this is; 0: nobody's, or seats do not move.
  [[nodiscard]] std::uint64_t owner_of(seat_id seat) const noexcept {
    const auto found = owners_.find(number_of(seat));
    return found == owners_.end() ? 0 : found->second;
  }
  [[nodiscard]] std::size_t size() const noexcept { return seats_.size(); }

 private:
  static std::uint64_t nth(std::uint64_t subject, std::uint32_t i) noexcept { return subject ^ (i * 0x9e3779b97f4a7c15U); }
  static std::uint64_t number_of(seat_id seat) noexcept { return seat.number << 8 | seat.lane; }
  static seat_id seat_of(std::uint64_t number) noexcept { return {static_cast<std::uint8_t>(number & 255), number >> 8}; }

  bool moves_;
  flat_map<std::uint64_t, subject_seat> seats_;
  flat_map<std::uint64_t, std::uint64_t> owners_;  // by seat; empty unless moves_
  std::size_t next_sweep_ = 1024;
};

}  // namespace weir::inline v0::detail
