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

/// The time of each block of 4096 neighbours is cut into slots, and a second poll in a slot is early. A slot ends before
/// half of the time is over that anybody in it was asked to wait: who keeps to what it was told is never early. Not
/// thread-safe.
class poll_slots {
 public:
  static constexpr std::uint64_t block_size = rank_index::block_size;

  explicit poll_slots(std::uint64_t first = 0) noexcept : base_(first / block_size) {}

  /// Zero: welcome, and noted; then say what it was `told`. Else how long the slot lasts still. Errors: std::bad_alloc when
  /// the first of a block polls.
  duration poll(std::uint64_t number, time_point now) {
    const std::uint64_t at = number / block_size;
    if (at < base_) return duration::zero();
    if (blocks_.size() <= at - base_) blocks_.resize(at - base_ + 1);
    auto& b = blocks_[at - base_];
    if (b == nullptr) b = std::make_unique<block>();
    if (now >= b->ends) {
      b->polled.fill(0);
      b->ends = never;
    }
    std::uint64_t& word = b->polled[number % block_size / 64];
    const std::uint64_t mine = std::uint64_t{1} << number % 64;
    if ((word & mine) != 0) return elapsed(now, b->ends);
    word |= mine;
    return duration::zero();
  }
  /// `number`, which has polled, is asked to come again after `hint`.
  void told(std::uint64_t number, duration hint, time_point now) noexcept {
    const std::uint64_t at = number / block_size;
    if (at < base_) return;
    block& b = *blocks_[at - base_];
    b.ends = std::min(b.ends, later(now, hint / 2));
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
  };
  std::vector<std::unique_ptr<block>> blocks_;  // nullptr: nobody has polled
  std::uint64_t base_;                          // of the first block, in blocks
};

}  // namespace weir::inline v0::detail
