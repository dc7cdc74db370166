#pragma once
/// \file
/// Priorities that age. Not thread-safe.

#include <weir/queue/detail/lane.hpp>
#include <weir/queue/discipline.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

namespace weir::inline v0::detail {

/// Next is the least (enqueued + priority * aging); among equals the more important. So the order of two who wait never
/// changes, and whoever has come more than priority * aging later stays behind. O(1): one look at each lane.
class priority_lanes {
 public:
  void set_aging(duration aging) noexcept { aging_ = aging; }

  void push(wait_node& node) noexcept {
    lanes_[level(node)].push_back(node);
    occupied_ |= 1u << level(node);
  }
  void erase(wait_node& node) noexcept {
    lane& of = lanes_[level(node)];
    of.erase(node);
    if (of.empty()) occupied_ &= ~(1u << level(node));
  }

  /// nullptr: nobody waits.
  [[nodiscard]] wait_node* pick() const noexcept {
    wait_node* chosen = nullptr;
    time_point least = never;
    for (std::uint32_t rest = occupied_; rest != 0; rest &= rest - 1) {
      const auto i = static_cast<std::uint32_t>(std::countr_zero(rest));
      wait_node* oldest = lanes_[i].front();
      const time_point key = later(oldest->enqueued, aging_ * i);
      if (chosen != nullptr && key >= least) continue;
      chosen = oldest;
      least = key;
    }
    return chosen;
  }

  /// The cost of those who go before a newcomer of this priority, whatever comes after it.
  [[nodiscard]] std::uint64_t ahead_of(std::uint8_t priority) const noexcept {
    std::uint64_t cost = 0;
    for (std::uint32_t i = 0; i <= level(priority); ++i) cost += lanes_[i].cost();
    return cost;
  }

 private:
  static std::uint32_t level(std::uint32_t priority) noexcept {
    return std::min(priority, queue_discipline::priorities - 1);
  }
  static std::uint32_t level(const wait_node& node) noexcept { return level(std::uint32_t{node.priority}); }

  std::array<lane, queue_discipline::priorities> lanes_;
  std::uint32_t occupied_ = 0;  // a bit for each lane
  duration aging_{};
};

}  // namespace weir::inline v0::detail
