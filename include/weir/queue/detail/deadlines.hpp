#pragma once
/// \file
/// Whose time is up next. Not thread-safe.

#include <weir/core/time.hpp>
#include <weir/queue/wait_node.hpp>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

/// The deadlines of those who wait.
///
/// Most lines are entered with ascending deadlines, since all are as patient as the config says: those lie in a ring, in
/// order, entered and left in O(1). The others lie in a binary heap by deadline, whose elements know their place. Memory:
/// 16 to 24 bytes for each who may wait, allocated at once.
class deadlines {
 public:
  deadlines() noexcept = default;
  explicit deadlines(std::uint32_t capacity) : ring_(std::bit_ceil(capacity)), mask_(std::bit_ceil(capacity) - 1) {
    heap_.reserve(capacity);
  }

  /// How many fit.
  [[nodiscard]] std::size_t room() const noexcept { return heap_.capacity(); }
  [[nodiscard]] bool empty() const noexcept { return first_ == end_ && heap_.empty(); }

  /// The first deadline; `never` if there is none.
  [[nodiscard]] time_point next() const noexcept {
    const time_point ascending = first_ != end_ ? ring_[first_ & mask_]->deadline : never;
    return heap_.empty() ? ascending : std::min(ascending, heap_.front()->deadline);
  }
  /// Whose it is. Precondition: not empty.
  [[nodiscard]] wait_node& front() const noexcept {
    if (heap_.empty()) return *ring_[first_ & mask_];
    wait_node* first = first_ != end_ ? ring_[first_ & mask_] : nullptr;
    return first != nullptr && first->deadline <= heap_.front()->deadline ? *first : *heap_.front();
  }

  /// Precondition: it has a deadline, and there is room.
  void push(wait_node& node) noexcept {
    // Who has left from the middle of the ring has left a hole in it: it may be full before all have come.
    if (first_ == end_ || (end_ - first_ <= mask_ && ring_[(end_ - 1) & mask_]->deadline <= node.deadline)) {
      ring_[end_ & mask_] = &node;
      node.heap_pos = (end_++ & mask_) | in_ring;
      return;
    }
    push_to_heap(node);
  }

  /// Precondition: `node` is in here.
  void erase(wait_node& node) noexcept {
    const std::uint32_t place = std::exchange(node.heap_pos, wait_node::no_heap_pos);
    (place & in_ring) != 0 ? leave_ring(place & ~in_ring) : leave_heap(node, place);
  }

  /// Takes over all that is in `other`. Precondition: this is empty and has room.
  void take_over(deadlines& other) noexcept {
    while (!other.empty()) {
      wait_node& node = other.front();
      other.erase(node);
      push(node);
    }
  }

 private:
  static constexpr std::uint32_t in_ring = std::uint32_t{1} << 31;

  /// Both ends of the ring stay occupied, unless it is empty.
  void leave_ring(std::uint32_t place) noexcept {
    ring_[place] = nullptr;
    if (place == (first_ & mask_)) {
      do ++first_;
      while (first_ != end_ && ring_[first_ & mask_] == nullptr);
    } else {
      while (ring_[(end_ - 1) & mask_] == nullptr) --end_;
    }
  }

  [[gnu::noinline]] void push_to_heap(wait_node& node) noexcept {
    assert(heap_.size() < heap_.capacity());
    heap_.push_back(&node);
    sift_up(static_cast<std::uint32_t>(heap_.size() - 1));
  }
  [[gnu::noinline]] void leave_heap(wait_node& node, std::uint32_t place) noexcept {
    wait_node* last = heap_.back();
    heap_.pop_back();
    if (last == &node) return;
    put(last, place);
    sift_down(sift_up(place));
  }

  void put(wait_node* node, std::uint32_t place) noexcept {
    heap_[place] = node;
    node->heap_pos = place;
  }

  std::uint32_t sift_up(std::uint32_t place) noexcept {
    wait_node* node = heap_[place];
    while (place > 0) {
      const std::uint32_t parent = (place - 1) / 2;
      if (heap_[parent]->deadline <= node->deadline) break;
      put(heap_[parent], place);
      place = parent;
    }
    put(node, place);
    return place;
  }

  void sift_down(std::uint32_t place) noexcept {
    wait_node* node = heap_[place];
    const auto size = static_cast<std::uint32_t>(heap_.size());
    for (std::uint32_t child = 2 * place + 1; child < size; child = 2 * place + 1) {
      if (child + 1 < size && heap_[child + 1]->deadline < heap_[child]->deadline) ++child;
      if (node->deadline <= heap_[child]->deadline) break;
      put(heap_[child], place);
      place = child;
    }
    put(node, place);
  }

  std::vector<wait_node*> ring_;
  std::vector<wait_node*> heap_;
  std::uint32_t mask_ = 0;
  std::uint32_t first_ = 0, end_ = 0;  // of the ring, ever counting up
};

}  // namespace weir::inline v0::detail
