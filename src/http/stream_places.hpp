#pragma once
// How many streams of a room are open, and which is the one of its seat.

#include <weir/core/detail/mutex.hpp>
#include <weir/room/seat.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>

namespace weir::inline v0::detail {

/// Thread-safe; each O(log most).
class stream_places {
 public:
  explicit stream_places(std::size_t most) noexcept : most_(most) {}

  /// The number of a new stream of `seat`, which replaces an older one; 0: there are too many. Errors: std::bad_alloc.
  std::uint64_t open(seat_id seat) {
    const scoped_lock lock{mutex_};
    const auto found = open_.find(key(seat));
    if (found == open_.end() && open_.size() >= most_) return 0;
    return (found != open_.end() ? found->second : open_[key(seat)]) = ++last_;
  }
  [[nodiscard]] bool is_open(seat_id seat, std::uint64_t number) const noexcept {
    const scoped_lock lock{mutex_};
    const auto found = open_.find(key(seat));
    return found != open_.end() && found->second == number;
  }
  void close(seat_id seat, std::uint64_t number) noexcept {
    const scoped_lock lock{mutex_};
    const auto found = open_.find(key(seat));
    if (found != open_.end() && found->second == number) open_.erase(found);
  }
  [[nodiscard]] std::size_t size() const noexcept {
    const scoped_lock lock{mutex_};
    return open_.size();
  }

 private:
  using seat_key = std::pair<std::uint8_t, std::uint64_t>;
  static seat_key key(seat_id s) noexcept { return {s.lane, s.number}; }

  const std::size_t most_;
  mutable mutex mutex_;
  std::map<seat_key, std::uint64_t> open_ WEIR_GUARDED_BY(mutex_);
  std::uint64_t last_ WEIR_GUARDED_BY(mutex_) = 0;
};

}  // namespace weir::inline v0::detail
