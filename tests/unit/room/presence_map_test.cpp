#include <weir/room/presence_map.hpp>

#include <support/seeds.hpp>

#include <weir/core/random.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <set>
#include <vector>

namespace {

using weir::presence_map;
using weir::rank_index;

constexpr std::uint64_t block = presence_map::block_size;

struct line_with_presence {
  rank_index line;
  presence_map presence;

  std::uint64_t join() {
    presence.cover(line.tail() + 1);
    return line.join();
  }
  std::vector<std::uint64_t> turn(std::uint64_t first) {
    std::vector<std::uint64_t> gone;
    presence.turn(first, line, [&](std::uint64_t n) {
      gone.push_back(n);
      line.leave(n);
    });
    return gone;
  }
};

TEST(PresenceMap, FindsWhoIsSilentForAWholeTurn) {
  line_with_presence r;
  for (int i = 0; i < 5; ++i) r.join();
  r.presence.beat(1);
  EXPECT_TRUE(r.turn(0).empty()) << "nobody has had a whole turn yet";
  const std::uint64_t late = r.join();
  r.presence.beat(1);
  r.presence.beat(3);
  r.line.leave(4);
  EXPECT_EQ(r.turn(0), (std::vector<std::uint64_t>{0, 2})) << "and neither who left, nor who has come since";
  r.presence.beat(1);
  EXPECT_EQ(r.turn(0), (std::vector<std::uint64_t>{3, late}));
}

TEST(PresenceMap, KeepsThePlaceOfWhoIsAbsentForAWhile) {
  line_with_presence r;
  r.join();
  r.turn(0);
  EXPECT_FALSE(r.presence.take_back(0)) << "is not absent";
  ASSERT_EQ(r.turn(0).size(), 1u);
  EXPECT_TRUE(r.presence.take_back(0));
  EXPECT_TRUE(r.line.come_back(0));
  EXPECT_FALSE(r.presence.take_back(0)) << "once";
  EXPECT_TRUE(r.turn(0).empty()) << "it was heard of when it came back";
  ASSERT_EQ(r.turn(0).size(), 1u);
  EXPECT_TRUE(r.turn(0).empty()) << "it does not wait any more";
  EXPECT_TRUE(r.presence.take_back(0)) << "a turn later";
  EXPECT_FALSE(r.presence.take_back(0)) << "once";
  r.line.come_back(0);
  r.turn(0);
  ASSERT_EQ(r.turn(0).size(), 1u);
  r.turn(0);
  r.turn(0);
  EXPECT_FALSE(r.presence.take_back(0)) << "two turns later the place is given up";
}

TEST(PresenceMap, IgnoresWhatItDoesNotCover) {
  presence_map presence{3 * block + 5};
  rank_index line{3 * block + 5};
  presence.cover(line.tail() + 1);
  line.join();
  presence.beat(0);
  presence.beat(100 * block);
  EXPECT_FALSE(presence.take_back(0));
  EXPECT_FALSE(presence.take_back(100 * block));
  int gone = 0;
  const auto count = [&](std::uint64_t) { ++gone; };
  presence.turn(0, line, count);
  presence.turn(100 * block, line, count);
  presence.turn(3 * block, line, count);
  presence.turn(3 * block, line, count);
  EXPECT_EQ(gone, 1) << "numbers before the first do not wait";
  presence.forget_before(4 * block);
  EXPECT_EQ(presence.bytes(), 0u);
}

TEST(PresenceMap, AgreesWithAMapOfTimes) {
  for (const std::uint64_t seed : weir::testing_support::seeds(20)) {
    SCOPED_TRACE(seed);
    weir::random_stream random{seed, "presence"};
    line_with_presence r;
    struct seat {
      int born = 0, heard = 0, gone = -1;  // in turns of its block
      bool waits = true;
    };
    std::map<std::uint64_t, seat> naive;
    std::map<std::uint64_t, int> turns;
    for (int step = 0; step < 600; ++step) {
      const std::uint64_t any = random.below(r.line.tail() + 2);
      const std::uint64_t of = any / block * block;
      switch (random.below(5)) {
        case 0:
          for (std::uint64_t k = random.below(random.below(9) == 0 ? 3000 : 9); k > 0; --k) {
            const std::uint64_t n = r.join();
            naive[n] = {.born = turns[n / block * block], .heard = -1};
          }
          break;
        case 1:
        case 2:
          for (std::uint64_t n = any; n < any + 40 && n < r.line.tail(); ++n) {
            r.presence.beat(n);
            naive[n].heard = turns[n / block * block];
          }
          break;
        case 3:
          if (r.line.leave(any)) naive[any].waits = false;
          break;
        default: {
          if (!naive.contains(any)) break;
          seat& s = naive[any];
          const bool kept = s.gone >= 0 && turns[of] - s.gone < 2;
          ASSERT_EQ(r.presence.take_back(any), kept);
          if (!kept) break;
          s.gone = -1;
          s.heard = turns[of];
          ASSERT_TRUE(r.line.come_back(any));
          s.waits = true;
          break;
        }
      }
      if (random.below(4) != 0) continue;
      std::set<std::uint64_t> expected;
      const int now = turns[of]++;
      for (auto at = naive.lower_bound(of); at != naive.end() && at->first < of + block; ++at) {
        seat& s = at->second;
        if (!s.waits || s.born >= now || s.heard == now) continue;
        expected.insert(at->first);
        s.waits = false;
        s.gone = turns[of];
      }
      const auto gone = r.turn(of);
      ASSERT_EQ(std::set<std::uint64_t>(gone.begin(), gone.end()), expected);
      ASSERT_TRUE(std::is_sorted(gone.begin(), gone.end()));
    }
  }
}

}  // namespace
