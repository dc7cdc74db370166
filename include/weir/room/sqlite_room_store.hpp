#pragma once
/// \file
/// Rooms that survive their process: SQLite remembers what they have decided. Link weir::room.
///
/// ```cpp
/// weir::sqlite_room_store store{{.file = "/var/lib/tickets/rooms.db"}};
/// weir::waiting_room<weir::hmac_signer> room{config, keys, &store};     // as it was, whenever that ended
/// ```
/// What each mode promises of records of which `stored` was told, and so of answers that wait for it:
///
/// - kill -9, a crash of the process: nothing is lost, in both.
/// - Power loss, a crash of the kernel, with room_sync::process: the file stays whole, and numbers are never given out
///   twice; the latest offers, entries and endings may be lost, as a rule those of some seconds. Such seats wait again, at
///   their places.
/// - The same with room_sync::power: nothing is lost, if the disk keeps what it says it has written.
///
/// Times are those of CLOCK_MONOTONIC and count on while the machine has not started anew. If it has, offers and sessions
/// have as much time left as the wall clock says, and never more than they had; entries of the last room_config::admit.per
/// count as made at the load, so that a strict limit is kept for certain.
///
/// One file holds any number of rooms, each with a store object of its own. A room belongs to whoever has loaded it last:
/// an older store of the same room can't write any more. Lanes are known by their position in room_config::lanes.

#include <weir/room/room_store.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace weir::inline v0 {

enum class room_sync : std::uint8_t {
  process,  ///< write-ahead log, synchronous = NORMAL: a commit costs some tens of microseconds
  power,    ///< and synchronous = FULL: a commit waits for the disk
};

struct sqlite_room_store_config {
  std::string file;  ///< created where there is none, in a directory that exists; beside it `-wal` and `-shm`
  room_sync sync = room_sync::process;
  /// Records; >= 1. While more wait to be written, the room is told that the store fails. They are kept all the same.
  std::size_t most_waiting = 1'000'000;

  std::string boot_id{};  ///< for tests; empty: /proc/sys/kernel/random/boot_id
  /// For tests; nothing: std::chrono::system_clock.
  std::function<std::chrono::system_clock::time_point()> wall_clock{};
};

/// The store of one room. Everything that has been given while a transaction was being written is the next one. What can't
/// be written (a lock of somebody else's, a full disk, a file that can't be written) is tried again after 100 ms, doubling
/// to 1 s. Memory: what waits to be written.
///
/// Thread-safety: as room_store says; `write` takes a short lock. The listener is called from a thread of the store's own.
class sqlite_room_store final : public room_store {
 public:
  /// Touches no file yet. Errors: std::invalid_argument naming the field.
  explicit sqlite_room_store(sqlite_room_store_config config);
  /// As `stop`.
  ~sqlite_room_store() override;
  sqlite_room_store(const sqlite_room_store&) = delete;
  sqlite_room_store& operator=(const sqlite_room_store&) = delete;

  /// A room that is not known is created, with a random seed. Blocks, at most a second for somebody else's lock. Errors:
  /// std::runtime_error also for a file that is not a store of rooms, or of another version.
  /// Complexity: O(blocks of places + sessions + endings + subjects that are kept).
  room_image load(const room_config& config, time_point now) override;
  /// Precondition: load(). Errors: std::system_error if there can be no thread.
  void start(listener& to) override;
  void write(std::vector<room_record> records, std::uint64_t upto) override;
  /// Writes what is left at once: if that fails, it is lost, as in a crash. Blocks, at most a second for a lock. Again:
  /// nothing.
  void stop() noexcept override;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace weir::inline v0
