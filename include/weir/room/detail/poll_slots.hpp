#pragma once
/// \file
/// Who has polled already: a bit a seat, so that a storm of polls is turned away before anything is looked at.

#include <weir/core/time.hpp>
#include <weir/room/rank_index.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace weir::inline v0::detail {

/// The time of each block of 4096 neighbours is cut into slots of half the time that they are asked to wait between polls:
/// a second poll in a slot is early. Who keeps to what it was told, jitter included, never is. Not thread-safe.
class poll_slots {
 public:
  static constexpr std::uint64_t block_size = rank_index::block_size;

  explicit poll_slots(std::uint64_t first = 0) noexcept : base_(first / block_size) {}

  /// Zero: welcome, and noted. Else how long the slot lasts still. `every()`: what those of the block are asked to wait at
  /// the least; called when a slot begins. Errors: std::bad_alloc when the first of a block polls.
  template <class Every>
  duration poll(std::uint64_t number, time_point now, Every&& every) {
    const std::uint64_t at = number / block_size;
    if (at < base_) return duration::zero();
    if (blocks_.size() <= at - base_) blocks_.resize(at - base_ + 1);
    auto& b = blocks_[at - base_];
    if (b == nullptr) b = std::make_unique<block>();
    if (now >= b->ends) {
      b->polled.fill(0);
      const duration slot = every() / 2;
      // Who was told a shorter time before is not to be caught by the longer one.
      b->ends = later(now, std::min(slot, std::max(b->slot, slot / 4)));
      b->slot = slot;
    }
    std::uint64_t& word = b->polled[number % block_size / 64];
    const std::uint64_t mine = std::uint64_t{1} << number % 64;
    if ((word & mine) != 0) return elapsed(now, b->ends);
    word |= mine;
    return duration::zero();
  }
  void forget_before(std::uint64_t number) noexcept {
    const std::uint64_t at = number / block_size;
    if (at <= base_) return;
    const auto whole = static_cast<std::ptrdiff_t>(std::min<std::uint64_t>(at - base_, blocks_.size()));
    blocks_.erase(blocks_.begin(), blocks_.begin() + whole);
    base_ = at;
  }
  [[nodiscard]] std::size_t bytes() const noexcept {
    return blocks_.size() * sizeof(void*) +
           static_cast<std::size_t>(std::count_if(blocks_.begin(), blocks_.end(), [](auto& b) { return b != nullptr; })) *
               sizeof(block);
  }

 private:
  struct block {
    std::array<std::uint64_t, block_size / 64> polled{};
    time_point ends = time_point::min();
    duration slot = duration::max();  // of the present one
  };
  std::vector<std::unique_ptr<block>> blocks_;  // nullptr: nobody has polled
  std::uint64_t base_;                          // of the first block, in blocks
};

}  // namespace weir::inline v0::detail
