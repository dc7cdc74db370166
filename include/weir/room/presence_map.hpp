#pragma once
/// \file
/// Who of those that wait is still there: three bits a seat, whatever the number of polls.
///
/// Seats are judged block by block (4096 neighbours), at times that the room chooses: those far back are asked to poll less
/// often, so their blocks turn less often. Who has waited for a whole turn of its block without being heard of is absent;
/// it keeps its place for a while, and may take it again.
///
/// Not thread-safe: its room holds the lock. Nothing but `cover` allocates.

#include <weir/room/rank_index.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace weir::inline v0 {

class presence_map {
 public:
  static constexpr std::uint64_t block_size = rank_index::block_size;

  explicit presence_map(std::uint64_t first = 0) noexcept : base_(first / block_size * block_size) {}

  /// Makes room for all numbers below `tail`. Errors: std::bad_alloc, and nothing has changed. O(1) amortised.
  void cover(std::uint64_t tail) {
    while (base_ + blocks_.size() * block_size < tail) blocks_.push_back(std::make_unique<block>());
  }

  /// `number` has been heard of. Range: any; what is not covered, or forgotten, is ignored. O(1).
  void beat(std::uint64_t number) noexcept {
    if (block* b = find(number)) b->heard[word(number)] |= bit(number);
  }
  /// Whether `number` was found absent, and its place is still kept for it. If so, it is not absent any more. O(1).
  bool take_back(std::uint64_t number) noexcept {
    block* b = find(number);
    if (b == nullptr) return false;
    const std::uint64_t mine = bit(number);
    const bool kept = ((b->absent[word(number)] | b->absent_before[word(number)]) & mine) != 0;
    b->absent[word(number)] &= ~mine;
    b->absent_before[word(number)] &= ~mine;
    if (kept) b->heard[word(number)] |= mine;
    return kept;
  }

  /// Whether `number` was found absent, and its place is still kept for it. O(1).
  [[nodiscard]] bool is_absent(std::uint64_t number) const noexcept {
    const block* b = find(number);
    return b != nullptr && ((b->absent[word(number)] | b->absent_before[word(number)]) & bit(number)) != 0;
  }
  /// `number` counts as just found absent. Precondition: it is covered. O(1).
  void keep(std::uint64_t number) noexcept {
    if (block* b = find(number)) b->absent[word(number)] |= bit(number);
  }
  /// The same of all from `first` to before `last`. O((last - first) / 64).
  void keep(std::uint64_t first, std::uint64_t last) noexcept {
    for (std::uint64_t next = 0; first < last; first = next) {
      next = std::min((first / 64 + 1) * 64, last);
      const std::uint64_t below = next % 64 == 0 ? 0 : ~(bit(next) - 1);
      if (block* b = find(first)) b->absent[word(first)] |= ~(bit(first) - 1) & ~below;
    }
  }
  /// Whether a place in the block that `first` begins is kept for somebody absent. O(64 words).
  [[nodiscard]] bool keeps(std::uint64_t first) const noexcept {
    const block* b = find(first);
    if (b == nullptr) return false;
    std::uint64_t any = 0;
    for (std::size_t w = 0; w < words; ++w) any |= b->absent[w] | b->absent_before[w];
    return any != 0;
  }

  /// The turn of the block that `first` begins has come: calls `gone(number)` for each who waits in `line`, waited already
  /// at the last turn, and has not been heard of since. Places of those who were absent for longer than a turn are given
  /// up. `gone` may take the number out of `line`. Complexity: O(64 words + absent ones).
  template <class F>
  void turn(std::uint64_t first, const rank_index& line, F&& gone) {
    block* b = find(first);
    if (b == nullptr) return;
    for (std::size_t w = 0; w < words; ++w) {
      const std::uint64_t begins = first + w * 64;
      std::uint64_t silent = line.waiting_of_64(begins) & ~b->heard[w];
      if (b->judged_below < begins + 64) {  // who came after the last turn has not had a whole one
        silent = b->judged_below <= begins ? 0 : silent & (bit(b->judged_below) - 1);
      }
      b->heard[w] = 0;
      b->absent_before[w] = b->absent[w];
      b->absent[w] = silent;
      for (; silent != 0; silent &= silent - 1) gone(begins + static_cast<std::uint64_t>(std::countr_zero(silent)));
    }
    b->judged_below = std::min(line.tail(), first + block_size);
  }

  /// Frees the blocks all of whose numbers are smaller.
  void forget_before(std::uint64_t number) noexcept {
    if (number <= base_) return;
    const auto whole = static_cast<std::ptrdiff_t>(std::min<std::uint64_t>((number - base_) / block_size, blocks_.size()));
    blocks_.erase(blocks_.begin(), blocks_.begin() + whole);
    base_ += static_cast<std::uint64_t>(whole) * block_size;
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return blocks_.size() * sizeof(block); }

 private:
  static constexpr std::size_t words = block_size / 64;
  struct block {
    std::array<std::uint64_t, words> heard{};          // since the last turn
    std::array<std::uint64_t, words> absent{};         // found at the last turn
    std::array<std::uint64_t, words> absent_before{};  // at the one before
    std::uint64_t judged_below = 0;                    // who had come by the last turn
  };

  static std::uint64_t bit(std::uint64_t number) noexcept { return std::uint64_t{1} << number % 64; }
  static std::size_t word(std::uint64_t number) noexcept { return number % block_size / 64; }
  [[nodiscard]] block* find(std::uint64_t number) const noexcept {
    if (number < base_) return nullptr;
    const std::uint64_t at = (number - base_) / block_size;
    return at < blocks_.size() ? blocks_[at].get() : nullptr;
  }

  std::vector<std::unique_ptr<block>> blocks_;
  std::uint64_t base_;  // of the first block
};

}  // namespace weir::inline v0
