#pragma once
/// \file
/// A part of the line: those of one priority or tenant, in order of arrival. Not thread-safe.

#include <weir/queue/wait_node.hpp>

#include <cstdint>

namespace weir::inline v0::detail {

/// Linked through `wait_node::lane_previous` and `lane_next`; all O(1). Does not own.
class lane {
 public:
  [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }
  /// The oldest; nullptr if empty.
  [[nodiscard]] wait_node* front() const noexcept { return first_; }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] std::uint64_t cost() const noexcept { return cost_; }

  void push_back(wait_node& node) noexcept {
    node.lane_previous = last_;
    node.lane_next = nullptr;
    (last_ == nullptr ? first_ : last_->lane_next) = &node;
    last_ = &node;
    ++size_;
    cost_ += node.cost;
  }
  /// Precondition: it is in here.
  void erase(wait_node& node) noexcept {
    (node.lane_previous == nullptr ? first_ : node.lane_previous->lane_next) = node.lane_next;
    (node.lane_next == nullptr ? last_ : node.lane_next->lane_previous) = node.lane_previous;
    --size_;
    cost_ -= node.cost;
  }

 private:
  wait_node* first_ = nullptr;
  wait_node* last_ = nullptr;
  std::uint64_t cost_ = 0;
  std::uint32_t size_ = 0;
};

}  // namespace weir::inline v0::detail
