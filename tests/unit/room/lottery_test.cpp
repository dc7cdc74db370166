#include <weir/room/lottery_commitment.hpp>

#include <weir/core/random.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace {

using namespace weir;

lottery_seed seed_from(std::uint64_t number) {
  weir::random_stream random{number, "lottery"};
  lottery_seed seed;
  for (auto& byte : seed) byte = static_cast<std::uint8_t>(random() >> 56);
  return seed;
}
lottery_seed counting_seed() {
  lottery_seed seed;
  for (std::size_t i = 0; i < seed.size(); ++i) seed[i] = static_cast<std::uint8_t>(i);
  return seed;
}

TEST(Lottery, GivesEachPlaceToOne) {
  for (const std::uint64_t n : {1u, 2u, 3u, 4u, 5u, 16u, 17u, 63u, 64u, 65u, 1000u, 4096u, 4097u}) {
    SCOPED_TRACE(n);
    for (std::uint64_t s = 0; s < 3; ++s) {
      const lottery draw{seed_from(s), n};
      EXPECT_EQ(draw.size(), n);
      std::vector<bool> taken(n);
      for (std::uint64_t arrival = 0; arrival < n; ++arrival) {
        const std::uint64_t rank = draw.rank_of(arrival);
        ASSERT_LT(rank, n);
        ASSERT_FALSE(taken[rank]) << arrival;
        taken[rank] = true;
        ASSERT_EQ(draw.arrival_of(rank), arrival);
      }
    }
  }
}

TEST(Lottery, LeavesWhoComesLaterBehind) {
  const lottery draw{seed_from(1), 100};
  EXPECT_EQ(draw.rank_of(100), 100u);
  EXPECT_EQ(draw.rank_of(1'000'000), 1'000'000u);
  EXPECT_EQ(draw.arrival_of(100), 100u);
  const lottery nobody{seed_from(1), 0};
  EXPECT_EQ(nobody.rank_of(0), 0u);
  EXPECT_EQ(nobody.arrival_of(7), 7u);
}

// Computed by a program of its own in Python, which follows the description at the head of lottery.hpp.
TEST(Lottery, IsWhatIsDocumented) {
  struct vector {
    std::uint64_t n, arrival, rank;
  };
  const lottery_seed seed = counting_seed();
  const std::vector<vector> known{
      {1, 0, 0},
      {2, 0, 0},
      {2, 1, 1},
      {3, 0, 0},
      {3, 2, 1},
      {10, 0, 2},
      {10, 9, 0},
      {64, 5, 3},
      {65, 5, 47},
      {1000, 0, 579},
      {1000, 999, 885},
      {4097, 4096, 860},
      {1000000, 123456, 617583},
      {10000000, 9999999, 3504552},
      {1099511627776, 1, 860559890131},
      {4611686018427387904, 12345678901234567, 3354575979487223740},
  };
  for (const vector& v : known) {
    const lottery draw{seed, v.n};
    EXPECT_EQ(draw.rank_of(v.arrival), v.rank) << v.n << ' ' << v.arrival;
    EXPECT_EQ(draw.arrival_of(v.rank), v.arrival) << v.n << ' ' << v.arrival;
  }
}

/// Pearson's statistic for equally likely cells.
double chi_square(const std::vector<int>& counts) {
  double sum = 0;
  for (const int c : counts) sum += c;
  const double expected = sum / static_cast<double>(counts.size());
  double statistic = 0;
  for (const int c : counts) statistic += (c - expected) * (c - expected) / expected;
  return statistic;
}

TEST(Lottery, FavoursNobody) {
  constexpr std::uint64_t draws = 8000;
  for (const std::uint64_t n : {2u, 3u, 5u, 16u, 40u}) {
    SCOPED_TRACE(n);
    // Where somebody ends up, for the first and the last to arrive; and who of the two comes first, with their distance.
    std::vector<int> first(n), last(n), apart(n - 1);
    for (std::uint64_t s = 0; s < draws; ++s) {
      const lottery draw{seed_from(s), n};
      const std::uint64_t a = draw.rank_of(0);
      const std::uint64_t b = draw.rank_of(n - 1);
      ++first[a];
      ++last[b];
      ++apart[(b + n - a) % n - 1];
    }
    // Exceeded by chance once in 10,000 draws of seeds: the mean plus four standard deviations, and the long tail of few
    // cells.
    const auto limit = [](std::size_t cells) {
      const auto degrees = static_cast<double>(cells - 1);
      return degrees + 4 * std::sqrt(2 * degrees) + 10;
    };
    EXPECT_LT(chi_square(first), limit(first.size()));
    EXPECT_LT(chi_square(last), limit(last.size()));
    EXPECT_LT(chi_square(apart), limit(apart.size()));
  }
}

TEST(Lottery, ScattersNeighboursInABigCrowd) {
  // Ranks of the first 20,000 of a million, in 100 equal ranges; and the distances of neighbours.
  constexpr std::uint64_t n = 1'000'000;
  const lottery draw{seed_from(3), n};
  std::vector<int> range(100), distance(100);
  std::uint64_t before = draw.rank_of(0);
  for (std::uint64_t arrival = 1; arrival <= 20'000; ++arrival) {
    const std::uint64_t rank = draw.rank_of(arrival);
    ++range[rank * 100 / n];
    ++distance[(rank + n - before) % n * 100 / n];
    before = rank;
  }
  EXPECT_LT(chi_square(range), 99 + 4 * std::sqrt(198.0));
  EXPECT_LT(chi_square(distance), 99 + 4 * std::sqrt(198.0));
}

TEST(Lottery, EveryByteOfTheSeedCounts) {
  constexpr std::uint64_t n = 1000;
  const lottery draw{counting_seed(), n};
  for (std::size_t i = 0; i < 32; ++i) {
    SCOPED_TRACE(i);
    lottery_seed other = counting_seed();
    other[i] ^= 1;
    const lottery changed{other, n};
    int same = 0;
    for (std::uint64_t arrival = 0; arrival < n; ++arrival)
      same += draw.rank_of(arrival) == changed.rank_of(arrival) ? 1 : 0;
    EXPECT_LT(same, 10) << "of a thousand; by chance one stays where it was";
  }
}

TEST(LotteryCommitment, IsTheSha256OfTheSeed) {
  // printf '%064x' 0 | xxd -r -p | sha256sum, and of the bytes 0, 1, ..., 31.
  lottery_seed seed{};
  EXPECT_EQ(commitment_of(seed), "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
  for (std::size_t i = 0; i < seed.size(); ++i) seed[i] = static_cast<std::uint8_t>(i);
  EXPECT_EQ(commitment_of(seed), "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd");
}

TEST(LotteryCommitment, DrawsAnotherSeedEachTime) {
  const lottery_seed a = random_seed();
  const lottery_seed b = random_seed();
  EXPECT_NE(a, b);
  EXPECT_NE(commitment_of(a), commitment_of(b));
}

}  // namespace
