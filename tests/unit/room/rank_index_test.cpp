#include <weir/room/rank_index.hpp>

#include <support/seeds.hpp>

#include <weir/core/random.hpp>
#include <weir/room/presence_map.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <vector>

namespace {

using weir::rank_index;

/// The same with a set of numbers.
struct naive_index {
  std::set<std::uint64_t> waiting;
  std::uint64_t first = 0, tail = 0;

  std::uint64_t join() {
    waiting.insert(tail);
    return tail++;
  }
  bool come_back(std::uint64_t n) { return n >= first && n < tail && waiting.insert(n).second; }
  [[nodiscard]] std::uint64_t ahead(std::uint64_t n) const {
    return static_cast<std::uint64_t>(std::distance(waiting.begin(), waiting.lower_bound(n)));
  }
  [[nodiscard]] std::optional<std::uint64_t> at(std::uint64_t rank) const {
    if (rank >= waiting.size()) return std::nullopt;
    return *std::next(waiting.begin(), static_cast<std::ptrdiff_t>(rank));
  }
  [[nodiscard]] std::uint64_t head() const { return waiting.empty() ? tail : *waiting.begin(); }
};

TEST(RankIndex, CountsWhoIsAheadAndStillWaits) {
  rank_index line;
  EXPECT_EQ(line.front(), std::nullopt);
  for (std::uint64_t i = 0; i < 10; ++i) EXPECT_EQ(line.join(), i);
  EXPECT_EQ(line.ahead(7), 7u);
  EXPECT_TRUE(line.leave(3));
  EXPECT_TRUE(line.leave(0));
  EXPECT_FALSE(line.leave(3)) << "it does not wait";
  EXPECT_EQ(line.ahead(7), 5u);
  EXPECT_EQ(line.front(), 1u);
  EXPECT_EQ(line.size(), 8u);
  EXPECT_TRUE(line.come_back(0)) << "to its old place";
  EXPECT_EQ(line.front(), 0u);
  EXPECT_EQ(line.ahead(7), 6u);
  EXPECT_FALSE(line.come_back(10)) << "was never given out";
  EXPECT_FALSE(line.waits(10));
  EXPECT_EQ(line.ahead(1'000'000), 9u) << "as if it came last";
}

TEST(RankIndex, SkipsWhoHasLeftAcrossBlocksAndChunks) {
  rank_index line;
  constexpr std::uint64_t n = 3 * rank_index::chunk_size + 100;
  for (std::uint64_t i = 0; i < n; ++i) line.join();
  for (std::uint64_t i = 0; i < n - 1; ++i) ASSERT_TRUE(line.leave(i));
  EXPECT_EQ(line.front(), n - 1);
  EXPECT_EQ(line.ahead(n - 1), 0u);
  EXPECT_EQ(line.at(0), n - 1);
  EXPECT_TRUE(line.leave(n - 1));
  EXPECT_EQ(line.head(), line.tail());
  EXPECT_EQ(line.join(), n);
  EXPECT_EQ(line.front(), n);
}

TEST(RankIndex, FreesWhoIsForgotten) {
  rank_index line;
  constexpr std::uint64_t n = 2 * rank_index::chunk_size;
  for (std::uint64_t i = 0; i < n; ++i) line.join();
  const std::size_t full = line.bytes();
  EXPECT_LT(static_cast<double>(full) * 8 / n, 1.02) << "bits a seat";
  for (std::uint64_t i = 0; i < n - 5; ++i) line.leave(i);
  line.forget_before(n);
  EXPECT_EQ(line.bytes(), full / 2) << "five still wait";
  EXPECT_FALSE(line.come_back(n - 6));
  EXPECT_EQ(line.ahead(n - 1), 4u);
  for (std::uint64_t i = n - 5; i < n; ++i) line.leave(i);
  line.forget_before(n);
  EXPECT_EQ(line.bytes(), 0u);
  EXPECT_EQ(line.join(), n);
  EXPECT_EQ(line.front(), n);
}

TEST(RankIndex, BeginsWhereItIsTold) {
  rank_index line{rank_index::chunk_size + 70};
  const std::uint64_t first = line.join();
  EXPECT_EQ(first, rank_index::chunk_size + 70);
  EXPECT_EQ(line.join(), first + 1);
  EXPECT_EQ(line.ahead(first + 1), 1u);
  EXPECT_EQ(line.at(0), first);
  EXPECT_EQ(line.ahead(3), 0u);
  EXPECT_FALSE(line.come_back(first - 1));
  EXPECT_FALSE(line.waits(first - 1));
  EXPECT_EQ(line.front(), first);
}

TEST(RankIndex, ShowsSixtyFourAtATime) {
  rank_index line{130};
  EXPECT_EQ(line.waiting_of_64(128), 0u);
  for (int i = 0; i < 3; ++i) line.join();
  line.leave(131);
  EXPECT_EQ(line.waiting_of_64(128), 0b10100u) << "130 and 132; 128 and 129 were never given out, nor was 133";
  EXPECT_EQ(line.waiting_of_64(64), 0u);
  EXPECT_EQ(line.waiting_of_64(192), 0u);
  for (int i = 0; i < 100; ++i) line.join();
  EXPECT_EQ(line.waiting_of_64(192), ~(~std::uint64_t{0} << (233 - 192)));
}

TEST(RankIndex, many_at_once_are_as_one_by_one) {
  weir::random_stream random{3, "many"};
  for (int run = 0; run < 60; ++run) {
    const std::uint64_t first = random.below(600'000);
    weir::rank_index many{first}, single{first};
    weir::presence_map kept{first}, kept_single{first};
    for (int i = 0; i < 3; ++i) {
      const std::uint64_t n = random.below(i == 0 ? 300'000 : 3000);
      many.join_many(n);
      for (std::uint64_t j = 0; j < n; ++j) (void)single.join();
      for (int j = 0; j < 100; ++j) {
        const std::uint64_t number = first + random.below(single.tail() - first + 1);
        EXPECT_EQ(many.leave(number), single.leave(number));
      }
      const std::uint64_t from = single.tail() - random.below(single.tail() - first + 1);
      if (random.below(2) == 0) continue;
      many.leave_from(from);
      for (std::uint64_t number = from; number < single.tail(); ++number) (void)single.leave(number);
      kept.cover(single.tail());
      kept_single.cover(single.tail());
      kept.keep(from, single.tail());
      for (std::uint64_t number = from; number < single.tail(); ++number) kept_single.keep(number);
    }
    ASSERT_EQ(many.size(), single.size());
    ASSERT_EQ(many.tail(), single.tail());
    ASSERT_EQ(many.head(), single.head());
    for (int j = 0; j < 500; ++j) {
      const std::uint64_t number = first + random.below(single.tail() - first + 70);
      ASSERT_EQ(many.waits(number), single.waits(number)) << number;
      ASSERT_EQ(many.ahead(number), single.ahead(number)) << number;
      ASSERT_EQ(kept.is_absent(number), kept_single.is_absent(number)) << number;
    }
    EXPECT_EQ(many.join(), single.join());
  }
}

TEST(RankIndex, AgreesWithASetOfNumbers) {
  for (const std::uint64_t seed : weir::testing_support::seeds(6)) {
    SCOPED_TRACE(seed);
    weir::random_stream random{seed, "rank"};
    const auto below = [&](std::uint64_t n) { return n == 0 ? 0 : random() % n; };
    const std::uint64_t first = below(2) == 0 ? 0 : below(2 * rank_index::chunk_size);
    rank_index line{first};
    naive_index naive{.waiting = {}, .first = first, .tail = first};
    for (int step = 0; step < 400; ++step) {
      const std::uint64_t any = naive.first + below(naive.tail - naive.first + 2);
      switch (below(6)) {
        case 0:
        case 1:
          for (std::uint64_t k = 1 + below(below(10) == 0 ? 5000 : 70); k > 0; --k) ASSERT_EQ(line.join(), naive.join());
          break;
        case 2:
          for (std::uint64_t k = below(80); k > 0; --k) {
            ASSERT_EQ(line.leave(any + k), naive.waiting.erase(any + k) == 1);
          }
          break;
        case 3: {
          // As admissions do it: from the front.
          for (std::uint64_t k = below(below(8) == 0 ? 6000 : 50); k > 0 && line.front(); --k) {
            ASSERT_EQ(*line.front(), *naive.waiting.begin());
            naive.waiting.erase(naive.waiting.begin());
            ASSERT_TRUE(line.leave(*line.front()));
          }
          break;
        }
        case 4: ASSERT_EQ(line.come_back(any), naive.come_back(any)); break;
        default:
          if (below(10) != 0) break;
          line.forget_before(any);
          naive.first = std::max(naive.first, std::min({any, naive.head(), naive.tail}));
          break;
      }
      ASSERT_EQ(line.size(), naive.waiting.size());
      ASSERT_EQ(line.head(), naive.head());
      ASSERT_EQ(line.tail(), naive.tail);
      ASSERT_EQ(line.ahead(any), naive.ahead(any));
      ASSERT_EQ(line.waits(any), naive.waiting.contains(any));
      const std::uint64_t rank = below(naive.waiting.size() + 1);
      ASSERT_EQ(line.at(rank), naive.at(rank));
    }
  }
}

TEST(CountBits, TheSameWithAndWithoutTheInstruction) {
  weir::random_stream random{7, "bits"};
  std::vector<std::uint64_t> words(64);
  for (auto& w : words) w = random() & random();
  for (std::size_t n = 0; n <= words.size(); ++n) {
    EXPECT_EQ(weir::detail::count_bits(words.data(), n), weir::detail::count_bits_portably(words.data(), n));
  }
}

}  // namespace
