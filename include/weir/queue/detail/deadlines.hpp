#pragma once
/// \file
/// Whose time is up next. Not thread-safe.

#include <weir/core/time.hpp>
#include <weir/queue/wait_node.hpp>

#include <algorithm>
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
/// 16 bytes for each who may wait, allocated at once.
class deadlines {
 public:
  deadlines() noexcept = default;
  explicit deadlines(std::uint32_t capacity) : ring_(capacity) { heap_.reserve(capacity); }

  /// How many fit.
  [[nodiscard]] std::size_t room() const noexcept { return ring_.size(); }
  [[nodiscard]] bool empty() const noexcept { return span_ == 0 && heap_.empty(); }

  /// The first deadline; `never` if there is none.
  [[nodiscard]] time_point next() const noexcept {
    const time_point in_ring = span_ != 0 ? ring_[first_]->deadline : never;
    return heap_.empty() ? in_ring : std::min(in_ring, heap_.front()->deadline);
  }
  /// Whose it is. Precondition: not empty.
  [[nodiscard]] wait_node& front() const noexcept {
    if (heap_.empty()) return *ring_[first_];
    return span_ != 0 && ring_[first_]->deadline <= heap_.front()->deadline ? *ring_[first_] : *heap_.front();
  }

  /// Precondition: it has a deadline, and there is room.
  void push(wait_node& node) noexcept {
    // Who left from the middle of the ring has left a hole in it: it may be full before all have come.
    if (span_ == 0 || (span_ < ring_.size() && ring_[at(span_ - 1)]->deadline <= node.deadline)) {
      const std::uint32_t place = at(span_++);
      ring_[place] = &node;
      node.heap_pos = place | in_ring;
      return;
    }
    assert(heap_.size() < heap_.capacity());
    heap_.push_back(&node);
    sift_up(static_cast<std::uint32_t>(heap_.size() - 1));
  }

  /// Precondition: `node` is in here.
  void erase(wait_node& node) noexcept {
    const std::uint32_t place = std::exchange(node.heap_pos, wait_node::no_heap_pos);
    if ((place & in_ring) != 0) return leave_ring(place & ~in_ring);
    wait_node* last = heap_.back();
    heap_.pop_back();
    if (last == &node) return;
    put(last, place);
    sift_down(sift_up(place));
  }

  /// Takes over all that is in `other`, which is empty and smaller than this afterwards. Precondition: this is empty and
  /// has room.
  void take_over(deadlines& other) noexcept {
    while (!other.empty()) {
      wait_node& node = other.front();
      other.erase(node);
      push(node);
    }
  }

 private:
  static constexpr std::uint32_t in_ring = std::uint32_t{1} << 31;

  // Both ends of the ring are occupied, if it is not empty.

  [[nodiscard]] std::uint32_t at(std::uint32_t offset) const noexcept {
    const auto size = static_cast<std::uint32_t>(ring_.size());
    const std::uint32_t place = first_ + offset;
    return place < size ? place : place - size;
  }

  void leave_ring(std::uint32_t place) noexcept {
    ring_[place] = nullptr;
    if (place == first_) {
      do {
        first_ = at(1);
      } while (--span_ != 0 && ring_[first_] == nullptr);
    } else {
      while (ring_[at(span_ - 1)] == nullptr) --span_;
    }
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
  std::uint32_t first_ = 0;  // of the ring
  std::uint32_t span_ = 0;   // of the ring, holes included
};

}  // namespace weir::inline v0::detail
