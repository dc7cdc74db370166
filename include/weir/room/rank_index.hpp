#pragma once
/// \file
/// Who of those that have ever lined up still waits, and how many of them are ahead of each: exact, without holes, in a bit
/// and a fraction a seat.
///
/// ```cpp
/// weir::rank_index line;
/// const std::uint64_t mine = line.join();             // 0, 1, 2, ...
/// std::uint64_t position = line.ahead(mine) + 1;      // those who have left are not counted
/// line.leave(mine);
/// ```
/// Order is by number, never by time. Not thread-safe: its room holds the lock. Nothing but `join` allocates.
///
/// Source: a bitmap with counts per block, as in succinct rank structures (Jacobson 1989). What is kept is who has *left*:
/// joining writes one counter and touches no bit.

#include <weir/room/detail/count_bits.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace weir::inline v0 {

/// Memory: 33 KB for every 262,144 numbers between the first that is remembered and the last, less than 1.01 bits each.
class rank_index {
 public:
  static constexpr std::uint64_t block_size = 4096;             ///< numbers that share a count
  static constexpr std::uint64_t chunk_size = 64 * block_size;  ///< numbers that are allocated together

  /// `first`: the number of the first who joins.
  explicit rank_index(std::uint64_t first = 0) noexcept
      : base_(first / chunk_size * chunk_size), first_(first), head_(first), tail_(first) {}

  /// The next number. Errors: std::bad_alloc, and nothing has changed. Complexity: O(1); every chunk_size-th allocates.
  std::uint64_t join() {
    if (tail_ - base_ >= chunks_.size() * chunk_size) grow();
    ++waiting_;
    return tail_++;
  }

  /// So many join. Errors: std::bad_alloc, and some have. Complexity: O(n / chunk_size).
  void join_many(std::uint64_t n) {
    while (n != 0) {
      if (tail_ - base_ >= chunks_.size() * chunk_size) grow();
      const std::uint64_t fit = std::min(n, base_ + chunks_.size() * chunk_size - tail_);
      waiting_ += fit;
      tail_ += fit;
      n -= fit;
    }
  }
  /// Everybody from `first` on leaves. Complexity: O((tail() - first) / 64).
  void leave_from(std::uint64_t first) noexcept {
    for (std::uint64_t number = std::max(first, first_), next = 0; number < tail_; number = next) {
      next = std::min((number / 64 + 1) * 64, tail_);
      const std::uint64_t below = next % 64 == 0 ? 0 : ~(bit(next) - 1);
      chunk& c = chunk_of(number);
      const std::uint64_t live = ~word_of(c, number) & ~(bit(number) - 1) & ~below;
      const auto n = static_cast<std::uint32_t>(std::popcount(live));
      word_of(c, number) |= live;
      c.left_in[block_of(number)] = static_cast<std::uint16_t>(c.left_in[block_of(number)] + n);
      left_[index_of(number)] += n;
      waiting_ -= n;
    }
    find_head();
  }

  /// Leaves its place, for whatever reason. false: did not wait. O(1) amortised.
  bool leave(std::uint64_t number) noexcept {
    if (!waits(number)) return false;
    mark(number);
    --waiting_;
    if (number == head_) find_head();
    return true;
  }
  /// Takes its old place again. false: it waits, was never given out, or is forgotten. O(1).
  bool come_back(std::uint64_t number) noexcept {
    if (number < first_ || number >= tail_ || waits(number)) return false;
    chunk& c = chunk_of(number);
    word_of(c, number) &= ~bit(number);
    --c.left_in[block_of(number)];
    --left_[index_of(number)];
    ++waiting_;
    if (number < head_) head_ = number;
    return true;
  }

  [[nodiscard]] bool waits(std::uint64_t number) const noexcept {
    return number >= first_ && number < tail_ && (word_of(chunk_of(number), number) & bit(number)) == 0;
  }
  /// How many who wait have a smaller number. Range of `number`: any; complexity: O(chunks), 40 for ten million, plus
  /// O(128).
  [[nodiscard]] std::uint64_t ahead(std::uint64_t number) const noexcept {
    if (number <= first_) return 0;
    if (number >= tail_) return waiting_;
    const std::size_t at = index_of(number);
    std::uint64_t left = 0;
    for (std::size_t i = 0; i < at; ++i) left += left_[i];
    const chunk& c = *chunks_[at];
    const std::size_t block = block_of(number);
    for (std::size_t b = 0; b < block; ++b) left += c.left_in[b];
    const std::uint64_t* words = c.words.data() + block * words_per_block;
    const std::size_t whole = number % block_size / 64;
    left += detail::count_bits(words, whole);
    left += static_cast<std::uint64_t>(std::popcount(words[whole] & (bit(number) - 1)));
    return number - base_ - left;
  }

  /// The first who waits.
  [[nodiscard]] std::optional<std::uint64_t> front() const noexcept {
    return waiting_ == 0 ? std::nullopt : std::optional{head_};
  }
  /// The one with so many ahead of it. O(chunks + 128).
  [[nodiscard]] std::optional<std::uint64_t> at(std::uint64_t rank) const noexcept {
    if (rank >= waiting_) return std::nullopt;
    std::size_t i = 0;
    for (;; ++i) {
      const std::uint64_t here = chunk_size - left_[i];
      if (rank < here) break;
      rank -= here;
    }
    const chunk& c = *chunks_[i];
    std::size_t block = 0;
    for (; rank >= block_size - c.left_in[block]; ++block) rank -= block_size - c.left_in[block];
    std::size_t word = block * words_per_block;
    for (;; ++word) {
      const auto here = static_cast<std::uint64_t>(std::popcount(~c.words[word]));
      if (rank < here) break;
      rank -= here;
    }
    std::uint64_t live = ~c.words[word];
    for (; rank > 0; --rank) live &= live - 1;
    return base_ + i * chunk_size + word * 64 + static_cast<std::uint64_t>(std::countr_zero(live));
  }

  /// Who of the 64 numbers from `first` on waits, a bit each. Precondition: `first` is a multiple of 64.
  [[nodiscard]] std::uint64_t waiting_of_64(std::uint64_t first) const noexcept {
    if (waiting_ == 0 || first >= tail_ || first < base_) return 0;
    const std::uint64_t live = ~word_of(chunk_of(first), first);
    return tail_ - first >= 64 ? live : live & (bit(tail_) - 1);
  }

  /// How many wait.
  [[nodiscard]] std::uint64_t size() const noexcept { return waiting_; }
  /// The number that the next one gets.
  [[nodiscard]] std::uint64_t tail() const noexcept { return tail_; }
  /// All who wait have this number or a larger one; tail(): nobody does.
  [[nodiscard]] std::uint64_t head() const noexcept { return head_; }

  /// Nobody with a smaller number comes back: their memory is freed as far as nobody of them waits.
  void forget_before(std::uint64_t number) noexcept {
    first_ = std::max(first_, std::min({number, head_, tail_}));
    const auto whole = static_cast<std::ptrdiff_t>(std::min<std::uint64_t>((first_ - base_) / chunk_size, chunks_.size()));
    chunks_.erase(chunks_.begin(), chunks_.begin() + whole);
    left_.erase(left_.begin(), left_.begin() + whole);
    base_ += static_cast<std::uint64_t>(whole) * chunk_size;
    if (chunks_.empty()) base_ = first_ / chunk_size * chunk_size;
  }

  /// Of the chunks.
  [[nodiscard]] std::size_t bytes() const noexcept { return chunks_.size() * sizeof(chunk); }

 private:
  static constexpr std::size_t words_per_block = block_size / 64;
  struct chunk {
    std::array<std::uint64_t, chunk_size / 64> words{};  // a bit is set: has left, or was never given out
    std::array<std::uint16_t, 64> left_in{};             // of each block
  };

  static std::uint64_t bit(std::uint64_t number) noexcept { return std::uint64_t{1} << number % 64; }
  static std::size_t block_of(std::uint64_t number) noexcept { return number % chunk_size / block_size; }
  std::size_t index_of(std::uint64_t number) const noexcept { return (number - base_) / chunk_size; }
  chunk& chunk_of(std::uint64_t number) const noexcept { return *chunks_[index_of(number)]; }
  static std::uint64_t& word_of(chunk& c, std::uint64_t number) noexcept { return c.words[number % chunk_size / 64]; }

  void grow() {
    auto made = std::make_unique<chunk>();
    chunks_.reserve(chunks_.size() + 1);
    left_.push_back(0);
    chunks_.push_back(std::move(made));
    if (chunks_.size() > 1) return;
    for (std::uint64_t unborn = base_; unborn < tail_; ++unborn) mark(unborn);
  }
  void mark(std::uint64_t number) noexcept {
    chunk& c = chunk_of(number);
    word_of(c, number) |= bit(number);
    ++c.left_in[block_of(number)];
    ++left_[index_of(number)];
  }

  /// From the head on, whole words, blocks and chunks at a time.
  void find_head() noexcept {
    while (head_ < tail_) {
      chunk& c = chunk_of(head_);
      if (head_ % chunk_size == 0 && left_[index_of(head_)] == chunk_size) {
        head_ += chunk_size;
      } else if (head_ % block_size == 0 && c.left_in[block_of(head_)] == block_size) {
        head_ += block_size;
      } else {
        const std::uint64_t live = ~word_of(c, head_) & ~(bit(head_) - 1);
        if (live != 0) {
          head_ = head_ / 64 * 64 + static_cast<std::uint64_t>(std::countr_zero(live));
          break;
        }
        head_ = head_ / 64 * 64 + 64;
      }
    }
    head_ = std::min(head_, tail_);
  }

  std::vector<std::unique_ptr<chunk>> chunks_;
  std::vector<std::uint32_t> left_;  // of each chunk, side by side: all before a number are added up
  std::uint64_t base_;               // of the first chunk
  std::uint64_t first_;              // who is before is forgotten
  std::uint64_t head_, tail_;
  std::uint64_t waiting_ = 0;
};

}  // namespace weir::inline v0
