#pragma once
/// \file
/// Where a room writes down what it decides, so that a crash loses no seat and admits nobody twice.
///
/// A room without one keeps everything in memory: it begins empty, with a new epoch, and old tokens are refused.
/// `sqlite_room_store` is one.

#include <weir/core/time.hpp>
#include <weir/room/room_config.hpp>
#include <weir/room/room_effects.hpp>
#include <weir/room/room_image.hpp>

#include <cstdint>
#include <string_view>
#include <vector>

namespace weir::inline v0 {

/// Used by one room. `write` comes from any thread, but never twice at a time.
class room_store {
 public:
  /// Who wants to know. Called from any thread, never from within `write`; never after `stop` has returned.
  class listener {
   public:
    /// All records of writes up to the one with this `upto` are safe.
    virtual void stored(std::uint64_t upto) noexcept = 0;
    /// Nothing can be written at the moment. What was given is kept, and tried again.
    virtual void store_fails(std::string_view why) noexcept = 0;

   protected:
    ~listener() = default;
  };

  virtual ~room_store() = default;

  /// Everything that is known of this room, and a seed for its opening that is the same whenever it is asked for; a room
  /// that is not known gets a new epoch. Times are translated to this process's time line, `now` being the present. Blocks.
  /// Errors: std::runtime_error with the store's words, and what it speaks of.
  virtual room_image load(const room_config& config, time_point now) = 0;
  /// Before the first `write`.
  virtual void start(listener& to) = 0;
  /// Does not block. Batches are written in the order of the calls, each wholly or not at all; several may be written as
  /// one. Errors: std::bad_alloc, and nothing was taken.
  virtual void write(std::vector<room_record> records, std::uint64_t upto) = 0;
  /// What was given is written, if that is possible; then nobody is told of anything any more. Blocks.
  virtual void stop() noexcept = 0;
};

}  // namespace weir::inline v0
