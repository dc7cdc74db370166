#pragma once
/// \file
/// One room in a file of SQLite's: what its records mean there, and how it is read again. Not thread-safe.

#include "sqlite_file.hpp"

#include <weir/room/room_effects.hpp>
#include <weir/room/room_image.hpp>
#include <weir/room/sqlite_room_store.hpp>

#include <chrono>
#include <cstdint>
#include <list>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

struct room_batch {
  std::vector<room_record> records;
  std::uint64_t upto = 0;
};

class room_file {
 public:
  using wall_time = std::chrono::system_clock::time_point;

  /// Opens it, and makes it one of ours if it is new. Errors of all functions: std::runtime_error.
  room_file(const std::string& path, room_sync sync);

  /// The room as it is known, now belonging to this object. `boot`: within one, time points can be compared.
  room_image load(const room_config& config, const std::string& boot, time_point now, wall_time wall);
  /// All or nothing. Precondition: load().
  void store(const std::list<room_batch>& batches, wall_time wall);
  void wait_for_locks(std::chrono::milliseconds most) noexcept { file_.wait_for_locks(most); }

 private:
  using block = std::array<std::uint64_t, rank_index::block_size / 64>;
  struct lane_row {
    std::uint64_t reserved = 0, tail = 0, drawn = 0;
  };
  using block_key = std::pair<std::uint8_t, std::uint64_t>;  // lane, first place / block_size

  void make_ours();
  /// false: not known.
  bool find(const room_config& config, room_image& into);
  void create(const room_config& config, room_image& into);
  /// Times of another boot become times of this one.
  void translate(time_point now, wall_time wall);
  /// Of what was reserved nobody knows how much was given out: it is not in line, and each may come back.
  void leave_unknown(const room_image& image);
  void read_lanes(const room_config& config, room_image& into);
  void read_blocks(std::uint8_t lane, room_image::lane& into);
  void read_seats(room_image& into);
  void read_entries(time_point now, room_image& into);

  /// What one transaction changes is kept here until its end, and forgotten if it fails.
  lane_row& lane(std::uint8_t i);
  block& block_of(std::uint8_t lane, std::uint64_t place);
  block& unknown_of(std::uint8_t lane, std::uint64_t place);
  void set_gone(std::uint8_t lane, std::uint64_t place, bool gone);
  void apply(const room_record& r);
  void add_ending(const room_record& r);
  void add_entry(time_point at);
  void draw(std::uint8_t lane, std::uint64_t n);
  void write_blocks();
  void write_change();
  void forget_change() noexcept;
  void prune();
  [[nodiscard]] bool reserves(const std::list<room_batch>& batches) const;

  sqlite_file file_;
  room_sync sync_;
  std::int64_t room_ = 0;   // its row
  std::int64_t load_ = 0;   // how often it has been loaded
  std::int64_t owner_ = 0;  // of what this object may write
  lottery_seed seed_{};
  std::string boot_;
  time_point seen_{};  // the latest that is known to have been, when the wall showed what is stored with it
  time_point began_{};
  std::chrono::steady_clock::time_point began_really_{};
  std::uint64_t most_entries_ = 0;  // 0: nobody asks for them
  duration per_{};
  std::map<std::uint8_t, std::uint64_t> reserved_;  // and stored

  std::map<std::uint8_t, lane_row> lanes_;
  std::map<block_key, block> blocks_, unknown_;
  std::uint64_t next_ending_ = 0, next_entry_ = 0;  // 0: not asked yet
  time_point last_entry_{};
};

}  // namespace weir::inline v0::detail
