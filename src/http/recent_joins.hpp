#pragma once
// Which seat an Idempotency-Key has got, for a while: a retry that did not hear the answer gets the same.

#include <weir/core/detail/mutex.hpp>
#include <weir/core/time.hpp>
#include <weir/room/room_effects.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace weir::inline v0::detail {

using join_key = std::array<std::uint8_t, 32>;

/// Thread-safe. At most `most` keys; each O(log most).
class recent_joins {
 public:
  static constexpr duration kept = std::chrono::seconds{60};

  struct remembered {
    std::uint64_t content = 0;          ///< hash of what was asked for
    std::optional<seat_holder> seat{};  ///< nothing: is being worked on
    std::string device{};               ///< the secret that was given out with it; empty: it had one
  };

  explicit recent_joins(std::size_t most) : most_(std::max<std::size_t>(most, 1)) {}

  /// What is known of the key; nothing: it is new, and now being worked on until `settle` or `forget`.
  std::optional<remembered> begin(const join_key& key, std::uint64_t content, time_point now) {
    const scoped_lock lock{mutex_};
    while (!order_.empty() && (order_.front().second <= now || joins_.size() >= most_ || order_.size() >= 2 * most_)) {
      const auto old = joins_.find(order_.front().first);
      if (old != joins_.end() && old->second.until == order_.front().second) joins_.erase(old);
      order_.pop_front();
    }
    const auto found = joins_.find(key);
    if (found != joins_.end()) return found->second.what;
    const time_point until = later(now, kept);
    order_.emplace_back(key, until);
    joins_.emplace(key, entry{{.content = content}, until});
    return std::nullopt;
  }
  /// `again`: by which it is known too from now on. Errors: std::bad_alloc, and only `key` may be settled.
  void settle(const join_key& key, const seat_holder& seat, const std::string& device, const join_key& again) {
    const scoped_lock lock{mutex_};
    const auto found = joins_.find(key);
    if (found == joins_.end()) return;
    found->second.what.device = device;
    found->second.what.seat = seat;
    if (again == key) return;
    entry other{{found->second.what.content, seat, {}}, found->second.until};
    order_.emplace_back(again, other.until);
    joins_.try_emplace(again, std::move(other));
  }
  /// It has come to nothing, and may be tried again.
  void forget(const join_key& key) noexcept {
    const scoped_lock lock{mutex_};
    joins_.erase(key);
  }

 private:
  struct entry {
    remembered what;
    time_point until;
  };

  const std::size_t most_;
  mutex mutex_;
  std::map<join_key, entry> joins_ WEIR_GUARDED_BY(mutex_);
  std::deque<std::pair<join_key, time_point>> order_ WEIR_GUARDED_BY(mutex_);  // may name what is forgotten
};

}  // namespace weir::inline v0::detail
