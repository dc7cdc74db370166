#pragma once
// How many streams of a room are open, which is the one of its seat, and whom to wake when that changes.

#include <weir/core/detail/mutex.hpp>
#include <weir/room/seat.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <utility>

namespace weir::inline v0::detail {

/// Rung when a stream should look. Thread-safe.
class stream_bell {
 public:
  /// Once this has returned, what was there before is not called any more.
  void answer_by(std::function<void()> wake) {
    {
      const scoped_lock lock{mutex_};
      std::swap(wake_, wake);
    }
  }
  void ring() noexcept {
    const scoped_lock lock{mutex_};
    rung_ = true;
    if (wake_) wake_();
  }
  /// Since it was asked last.
  [[nodiscard]] bool was_rung() noexcept { return rung_.exchange(false); }

 private:
  mutex mutex_;  // never with another one of these
  std::function<void()> wake_ WEIR_GUARDED_BY(mutex_);
  std::atomic<bool> rung_{false};
};

/// Thread-safe; each O(log streams). Bells are rung without the lock.
class stream_places {
 public:
  /// The number of a new stream of `seat`, which replaces an older one; 0: there are `most`. Errors: std::bad_alloc.
  std::uint64_t open(seat_id seat, std::size_t most) {
    std::shared_ptr<stream_bell> older;
    std::uint64_t number = 0;
    {
      const scoped_lock lock{mutex_};
      const auto found = open_.find(key(seat));
      if (found == open_.end() && open_.size() >= most) return 0;
      place& mine = found != open_.end() ? found->second : open_[key(seat)];
      older = std::exchange(mine.bell, nullptr);
      number = mine.number = ++last_;
      any_.store(true, std::memory_order_relaxed);
    }
    if (older) older->ring();
    return number;
  }
  [[nodiscard]] bool is_open(seat_id seat, std::uint64_t number) const noexcept {
    const scoped_lock lock{mutex_};
    const auto found = open_.find(key(seat));
    return found != open_.end() && found->second.number == number;
  }
  void close(seat_id seat, std::uint64_t number) noexcept {
    const scoped_lock lock{mutex_};
    const auto found = open_.find(key(seat));
    if (found != open_.end() && found->second.number == number) open_.erase(found);
    any_.store(!open_.empty(), std::memory_order_relaxed);
  }
  /// false: this stream has been replaced.
  bool hang(seat_id seat, std::uint64_t number, std::shared_ptr<stream_bell> bell) noexcept {
    const scoped_lock lock{mutex_};
    const auto found = open_.find(key(seat));
    if (found == open_.end() || found->second.number != number) return false;
    std::swap(found->second.bell, bell);
    return true;
  }
  void ring(seat_id seat) noexcept {
    // Who opens a stream looks at its seat afterwards, under the room's lock, which whoever has changed it had before.
    if (!any_.load(std::memory_order_relaxed)) return;
    std::shared_ptr<stream_bell> bell;
    {
      const scoped_lock lock{mutex_};
      const auto found = open_.find(key(seat));
      if (found != open_.end()) bell = found->second.bell;
    }
    if (bell) bell->ring();
  }
  [[nodiscard]] std::size_t size() const noexcept {
    const scoped_lock lock{mutex_};
    return open_.size();
  }

 private:
  struct place {
    std::uint64_t number = 0;
    std::shared_ptr<stream_bell> bell{};
  };
  using seat_key = std::pair<std::uint8_t, std::uint64_t>;
  static seat_key key(seat_id s) noexcept { return {s.lane, s.number}; }

  mutable mutex mutex_;
  std::map<seat_key, place> open_ WEIR_GUARDED_BY(mutex_);
  std::uint64_t last_ WEIR_GUARDED_BY(mutex_) = 0;
  std::atomic<bool> any_{false};  // there are some
};

}  // namespace weir::inline v0::detail
