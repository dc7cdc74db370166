#pragma once
/// \file
/// The last N results, recorded by many threads without a lock. What stats/count_window does for one thread.
///
/// A recorder takes the next index with one fetch_add, and writes its slot and the counts only if they change: most results
/// are successes that replace successes. A window that is full of successes stays the same when another one enters, so
/// that a healthy service writes nothing at all.
///
/// Everything belongs to an *era*, which ends when the window is emptied or reshaped; it stands beside the index, in the
/// counts and in each slot. So emptying is one store, and no recorder that was overtaken by it can damage the next era.

#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/int128.hpp>
#include <weir/policy/detail/tagged_pair.hpp>
#include <weir/policy/detail/trip_filter.hpp>
#include <weir/stats/window_counts.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

namespace weir::inline v0::detail {

/// `begin`, `record` and `counts`: any thread; the counts may be off by as many results as are being recorded. The others,
/// called *exclusive*: one thread at a time. Slots, 4 bytes each, are allocated by `room` only and freed by the destructor
/// only, so that a recorder that was overtaken still has where to look.
class concurrent_count_window {
 public:
  /// Slots for a window that grows. Made outside of the lock.
  struct room {
    std::uint32_t capacity = 0;
    std::unique_ptr<atomic<std::uint32_t>[]> slots;
    std::unique_ptr<room> outgrown;  // still known to recorders that were overtaken
  };

  /// Size 0: off. For tests: the first era, even, and the number of successes that it begins with.
  concurrent_count_window(std::uint32_t size, const trip_thresholds& t, std::uint64_t era = 2, std::uint32_t successes = 0)
      : filter_(t), room_(make_room(size, era)) {
    reshape(size, nullptr);
    begin_era(era, successes);
  }

  // --- any thread

  /// To be called before it is decided that the result belongs here; `record` finds out whether the era is still the same.
  [[nodiscard]] std::uint64_t begin() const noexcept { return era_.load(acquire); }

  struct answer {
    recorded what;
    std::uint64_t claim;  ///< misplaced: what `put_aside` needs
  };

  [[gnu::always_inline]] answer record(std::uint64_t era, bool failure, bool slow) noexcept {
    if (!failure && !slow && full_in_.load(acquire) == era && trouble_.none(era) && aside_.none(era)) [[likely]] {
      return {recorded::quietly, 0};
    }
    return record_change(era, (failure ? kind_failure : 0) | (slow ? kind_slow : 0));
  }

  [[nodiscard]] window_counts counts() const noexcept {
    // Counts before the index, so that there are not more failures than calls.
    const auto [failures, slow] = trouble_.read();
    const auto [overload, void_] = aside_.read();
    const std::int64_t calls = std::max<std::int64_t>(0, filled() - overload - void_);
    const auto among = [calls](std::int64_t n) {
      return static_cast<std::uint64_t>(std::clamp<std::int64_t>(n, 0, calls));
    };
    return {.calls = static_cast<std::uint64_t>(calls),
            .failures = among(failures),
            .slow = among(slow),
            .overload = static_cast<std::uint64_t>(std::max(0, overload))};
  }

  // --- exclusive

  /// Records any result, overloads included.
  void record_alone(window_sample s) noexcept {
    if (size_.load(relaxed) == 0) return;
    if (index_of(head_.load(relaxed)) >= worn) rewind();
    const std::uint64_t claim = head_.fetch_add(1, seq_cst);
    const std::uint32_t kind = (s.failure ? kind_failure : 0) | (s.slow ? kind_slow : 0);
    put_at(claim, s.overload ? kind_overload : kind);
  }

  /// The index that a misplaced result took holds no result. Nothing, if a later result has taken its place.
  void put_aside(std::uint64_t claim) noexcept {
    const std::uint64_t head = head_.load(relaxed);
    if (era_of(head) != era_of(claim)) return;
    // Modulo 2^32: after a rewind the claim lies ahead, and its place was taken long ago.
    if (index_of(head) - index_of(claim) - 1 < size_.load(relaxed)) put_at(claim, kind_void);
  }

  /// Forgets everything. Complexity: O(1); O(size) every 2^27th time.
  void clear() noexcept {
    const std::uint64_t next = next_era();
    // Slots that were not written for so long would be taken for newer ones.
    if (next % (std::uint32_t{1} << 28) == 0) wipe(next);
    begin_era(next, 0);
  }

  void set(const trip_thresholds& t) noexcept { filter_.set(t); }

  /// Slots for `size` results, or none where those that are there will do.
  [[nodiscard]] std::unique_ptr<room> room_for(std::uint32_t size) const {
    if (size <= room_->capacity) return nullptr;
    // At least double: what is outgrown is never more than what is in use.
    return make_room(std::max(size, std::min(2 * room_->capacity, most)), next_era());
  }

  /// Another size, and nothing in it. `more`: from room_for.
  void reshape(std::uint32_t size, std::unique_ptr<room> more) noexcept {
    const std::uint64_t next = next_era();
    era_.store(next - 1, seq_cst);  // odd: changing
    head_.store((next - 1) << 32, seq_cst);
    trouble_.begin(next - 1);
    aside_.begin(next - 1);
    if (more != nullptr) {
      more->outgrown = std::exchange(room_, nullptr);
      room_ = std::move(more);
    }
    size_.store(size, release);
    reciprocal_.store(size == 0 ? 0 : ~std::uint64_t{0} / size + 1, release);
    slots_.store(room_->slots.get(), release);
    begin_era(next, 0);
  }

 private:
  // A slot: {era / 2 : 29 | kind : 3}. One of an earlier era counts like a success: not at all.
  static constexpr std::uint32_t kind_failure = 1, kind_slow = 2, kind_overload = 4, kind_void = 5, kind_mask = 7;
  static constexpr unsigned kind_bits = 3;
  static constexpr std::uint32_t most = 10'000'000;
  // Indices from here on have to be rewound, long before they reach the era. All who come meanwhile wait for it.
  static constexpr std::uint32_t worn = std::uint32_t{1} << 31;

  struct shape {
    std::uint32_t size;
    std::uint64_t reciprocal;
    atomic<std::uint32_t>* slots;

    /// That of `index` modulo size (Lemire, Kaser, Kurz, "Faster remainder by direct computation", 2019).
    [[nodiscard]] atomic<std::uint32_t>& slot(std::uint32_t index) const noexcept {
      const std::uint64_t fraction = reciprocal * index;  // modulo 2^64
      return slots[static_cast<std::uint32_t>((uint128{fraction} * size) >> 64)];
    }
  };
  [[nodiscard]] shape load_shape() const noexcept {
    return {size_.load(acquire), reciprocal_.load(acquire), slots_.load(acquire)};
  }

  static constexpr std::uint64_t era_of(std::uint64_t head) noexcept { return head >> 32; }
  static constexpr std::uint32_t index_of(std::uint64_t head) noexcept { return static_cast<std::uint32_t>(head); }
  static constexpr bool changing(std::uint64_t era) noexcept { return (era & 1) != 0; }
  [[nodiscard]] std::uint64_t next_era() const noexcept { return ((era_.load(relaxed) | 1) + 1) & 0xffff'ffff; }

  static constexpr std::uint32_t slot_of(std::uint64_t era, std::uint32_t kind) noexcept {
    return static_cast<std::uint32_t>(era >> 1) << kind_bits | kind;
  }
  static constexpr std::int32_t failed(std::uint32_t kind) noexcept {
    return kind < kind_overload && (kind & kind_failure);
  }
  static constexpr std::int32_t slow(std::uint32_t kind) noexcept {
    return kind < kind_overload && (kind & kind_slow) ? 1 : 0;
  }

  static std::unique_ptr<room> make_room(std::uint32_t capacity, std::uint64_t era) {
    auto made = std::make_unique<room>();
    made->capacity = capacity;
    made->slots = std::make_unique<atomic<std::uint32_t>[]>(capacity);
    for (std::uint32_t i = 0; i < capacity; ++i) made->slots[i].store(slot_of(era - 2, 0), relaxed);
    return made;
  }

  void wipe(std::uint64_t era) noexcept {
    for (std::uint32_t i = 0; i < room_->capacity; ++i) room_->slots[i].store(slot_of(era - 2, 0), relaxed);
  }

  void begin_era(std::uint64_t era, std::uint32_t successes) noexcept {
    trouble_.begin(era);
    aside_.begin(era);
    head_.store(era << 32 | successes, seq_cst);
    era_.store(era, release);
  }

  /// Smaller indices for the same places.
  void rewind() noexcept {
    const std::uint32_t size = size_.load(relaxed), index = index_of(head_.load(relaxed));
    head_.fetch_sub(index / size * size - size, seq_cst);
  }

  [[gnu::noinline]] answer record_change(std::uint64_t era, std::uint32_t kind) noexcept {
    // One transfer of the line between processors, not one to read and another to write.
    __builtin_prefetch(&head_, 1);
    // Acquire: who sees a part of a new shape also sees that its own era is over.
    const shape in = load_shape();
    const std::uint64_t likely = head_.load(acquire);
    if (era_of(likely) != era || changing(era) || index_of(likely) >= worn) return {recorded::not_yet, 0};
    // Where it will most likely be: read before the fetch_add, behind which every load has to wait.
    atomic<std::uint32_t>* slot = &in.slot(index_of(likely));
    std::uint32_t seen = slot->load(relaxed);
    const std::uint64_t claim = head_.fetch_add(1, seq_cst);
    if (claim != likely) {
      if (era_of(claim) != era) return {recorded::misplaced, claim};
      slot = &in.slot(index_of(claim));
      seen = slot->load(relaxed);
    }
    const bool changed = put(*slot, seen, era, kind);
    if (index_of(claim) >= in.size) {
      if (full_in_.load(relaxed) != era) full_in_.store(era, release);
      // In a full window, a result that replaces one of its kind is no news.
      if (!changed) return {recorded::quietly, 0};
    }
    return {suspicious() ? recorded::suspect : recorded::quietly, 0};
  }

  /// Writes a slot of `era`; whether that changed a count. Of several that meet in it, each takes away what it finds: in
  /// the end the counts are those of the slots.
  bool put(atomic<std::uint32_t>& slot, std::uint32_t seen, std::uint64_t era, std::uint32_t kind) noexcept {
    const std::uint32_t wanted = slot_of(era, kind);
    std::uint32_t was = 0;
    do {
      const std::uint32_t ahead = (seen >> kind_bits) - (wanted >> kind_bits);
      if (ahead << kind_bits != 0 && (ahead << kind_bits) >> 31 == 0) return false;  // of a later era: ours is over
      was = ahead << kind_bits == 0 ? seen & kind_mask : 0;
      if (was == kind) return false;
    } while (!slot.compare_exchange_weak(seen, wanted, relaxed, relaxed));
    const std::int32_t failures = failed(kind) - failed(was), slower = slow(kind) - slow(was);
    if (failures != 0 || slower != 0) trouble_.add(era, failures, slower);
    const std::int32_t overload = (kind == kind_overload) - (was == kind_overload);
    const std::int32_t none = (kind == kind_void) - (was == kind_void);
    if (overload != 0 || none != 0) aside_.add(era, overload, none);
    return true;
  }

  /// Precondition: this is the claim's era, and exclusive.
  void put_at(std::uint64_t claim, std::uint32_t kind) noexcept {
    atomic<std::uint32_t>& slot = load_shape().slot(index_of(claim));
    put(slot, slot.load(relaxed), era_of(claim), kind);
  }

  [[nodiscard]] std::int64_t filled() const noexcept {
    return std::min(index_of(head_.load(seq_cst)), size_.load(relaxed));
  }

  /// After a change of one's own. Each recorder looks at all counts after its last change (sequentially consistent): the
  /// last of several sees everything, so no threshold is crossed unseen.
  [[nodiscard]] bool suspicious() const noexcept {
    const auto [failures, slow] = trouble_.read();
    if (failures <= 0 && slow <= 0) return false;
    const auto [overload, none] = aside_.read();
    return filter_.suspects(filled() - overload - none, failures, slow);
  }

  // Read by every recorder, written when the shape changes.
  alignas(cache_line) atomic<std::uint64_t> era_{0};
  atomic<std::uint64_t> full_in_{1};  // the era in which the window was last seen to be full; odd: in none
  atomic<std::uint32_t> size_{0};
  atomic<std::uint64_t> reciprocal_{0};
  atomic<atomic<std::uint32_t>*> slots_{nullptr};
  trip_filter filter_;
  std::unique_ptr<room> room_;

  // Written by recorders until the window is full of successes.
  alignas(cache_line) atomic<std::uint64_t> head_{0};  // {era : 32 | index : 32}
  // Written when a failure comes or goes, read by everybody.
  alignas(cache_line) tagged_pair trouble_;  // failures, slow
  tagged_pair aside_;                        // overloads, voids
};

}  // namespace weir::inline v0::detail
