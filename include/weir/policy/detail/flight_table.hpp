#pragma once
/// \file
/// The calls that a breaker keeps an eye on while they run: probes by their leases, or calls that may turn out slow.

#include <weir/core/time.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

/// Names one entry; the serial tells it from later users of the same slot. Default: nothing.
struct flight_ticket {
  std::uint32_t slot = 0;
  std::uint32_t serial = 0;  // 0: none

  explicit constexpr operator bool() const noexcept { return serial != 0; }
};

/// A fixed number of slots, and a list of those in use from the earliest start to the latest. Not thread-safe. Allocates on
/// construction only; every operation is O(1), insert O(number of later starts).
class flight_table {
 public:
  explicit flight_table(std::size_t capacity) : slots_(capacity + 1) { clear(); }

  [[nodiscard]] std::size_t capacity() const noexcept { return slots_.size() - 1; }
  /// Entries, marked ones included.
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint32_t marked() const noexcept { return marked_; }

  /// None if it is full.
  flight_ticket insert(time_point start) noexcept {
    std::uint32_t slot = free_;
    if (slot != list) {
      free_ = slots_[slot].next;
    } else if (used_ < slots_.size()) {
      slot = used_++;
    } else {
      return {};
    }
    if (++serial_ == 0) ++serial_;
    entry& e = slots_[slot];
    e.start = start;
    e.serial = serial_;
    e.marked = false;
    std::uint32_t before = slots_[list].previous;
    while (before != list && slots_[before].start > start) before = slots_[before].previous;
    e.previous = before;
    e.next = slots_[before].next;
    slots_[e.next].previous = slot;
    slots_[before].next = slot;
    ++size_;
    return {slot, serial_};
  }

  [[nodiscard]] bool contains(flight_ticket t) const noexcept {
    return t && t.slot < used_ && slots_[t.slot].serial == t.serial;
  }

  /// Precondition: contains(t).
  void erase(flight_ticket t) noexcept {
    entry& e = slots_[t.slot];
    if (e.marked) {
      --marked_;
    } else {
      unlink(e);
    }
    e.serial = 0;
    e.next = std::exchange(free_, t.slot);
    --size_;
  }

  /// Earliest start among the unmarked; `never` if there is none.
  [[nodiscard]] time_point oldest() const noexcept {
    const std::uint32_t first = slots_[list].next;
    return first == list ? never : slots_[first].start;
  }

  /// Takes the oldest unmarked entry out of that order; it stays in the table. Precondition: there is one.
  void mark_oldest() noexcept {
    entry& e = slots_[slots_[list].next];
    unlink(e);
    e.marked = true;
    ++marked_;
  }

  /// Precondition: there is an unmarked entry.
  void erase_oldest() noexcept {
    const std::uint32_t slot = slots_[list].next;
    erase({slot, slots_[slot].serial});
  }

  /// Complexity: O(1). Serials go on, so that an old ticket fits no new entry.
  void clear() noexcept {
    slots_[list] = {.start = {}, .serial = 0, .previous = list, .next = list, .marked = false};
    used_ = 1;
    free_ = list;
    size_ = marked_ = 0;
  }

  /// Takes over all entries of a smaller table. Precondition: this one is empty and its capacity not less.
  void adopt(const flight_table& other) noexcept {
    for (std::uint32_t i = 0; i < other.used_; ++i) slots_[i] = other.slots_[i];
    used_ = other.used_;
    free_ = other.free_;
    size_ = other.size_;
    marked_ = other.marked_;
    serial_ = other.serial_;
  }

 private:
  struct entry {
    time_point start;
    std::uint32_t serial = 0;
    std::uint32_t previous = 0, next = 0;
    bool marked = false;
  };

  void unlink(const entry& e) noexcept {
    slots_[e.previous].next = e.next;
    slots_[e.next].previous = e.previous;
  }

  static constexpr std::uint32_t list = 0;  // slot 0 is the head of the list

  std::vector<entry> slots_;
  std::uint32_t used_ = 1;  // slots from here on were never used since clear()
  std::uint32_t free_ = list;
  std::uint32_t size_ = 0, marked_ = 0;
  std::uint32_t serial_ = 0;
};

}  // namespace weir::inline v0::detail
