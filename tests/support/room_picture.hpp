#pragma once
// What a room_image says, whatever way it says it: so that two of them can be compared.

#include <weir/room/room_image.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace weir::testing_support {

struct room_picture {
  using seat = std::pair<std::uint8_t, std::uint64_t>;
  using places = std::map<std::uint64_t, std::array<std::uint64_t, 64>>;
  struct lane {
    std::uint64_t reserved, tail, drawn;
    places gone, unknown;
    bool operator==(const lane&) const = default;
  };
  using session = std::tuple<std::uint8_t, std::uint64_t, seat_state, std::uint64_t, std::uint64_t, time_point, time_point>;

  explicit room_picture(const room_image& im) : epoch(im.epoch), mode(im.mode), seed(im.seed), entries(im.entries) {
    for (const auto& l : im.lanes) {
      lanes.push_back({l.reserved, l.tail, l.drawn, places_of(l.gone, l.head), places_of(l.unknown, 0)});
    }
    for (const auto& s : im.sessions) sessions.emplace(s.lane, s.place, s.state, s.id, s.bind, s.since, s.until);
    std::map<seat, std::size_t> last;
    for (std::size_t i = 0; i < im.endings.size(); ++i) last[{im.endings[i].lane, im.endings[i].place}] = i;
    for (std::size_t i = 0; i < im.endings.size(); ++i) {
      const auto& e = im.endings[i];
      if (last[{e.lane, e.place}] == i)
        endings.emplace_back(e.lane, e.place, e.state, e.moved_to ? e.moved_to->number + 1 : 0);
    }
    for (const auto& s : im.subjects) subjects.emplace(s.subject, s.seat.lane, s.seat.number, s.bind);
  }

  static places places_of(const std::vector<room_image::block>& blocks, std::uint64_t below) {
    places all;
    for (std::uint64_t p = 0; p < below; ++p) all[p / 4096][p % 4096 / 64] |= std::uint64_t{1} << p % 64;
    for (const auto& [first, bits] : blocks) {
      auto& into = all[first / 4096];
      for (std::size_t w = 0; w < bits.size(); ++w) into[w] |= bits[w];
    }
    std::erase_if(all, [](const auto& b) { return std::ranges::all_of(b.second, [](auto w) { return w == 0; }); });
    return all;
  }

  std::uint32_t epoch;
  room_mode mode;
  lottery_seed seed;
  std::vector<lane> lanes;
  std::multiset<session> sessions;
  std::vector<std::tuple<std::uint8_t, std::uint64_t, seat_state, std::uint64_t>>
      endings;  // the last of each seat, in order
  std::multiset<std::tuple<std::uint64_t, std::uint8_t, std::uint64_t, std::uint64_t>> subjects;
  std::vector<time_point> entries;
};

inline void expect_same(const room_image& is, const room_image& should) {
  const room_picture a{is}, b{should};
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.mode, b.mode);
  EXPECT_EQ(a.seed, b.seed);
  ASSERT_EQ(a.lanes.size(), b.lanes.size());
  for (std::size_t i = 0; i < a.lanes.size(); ++i) {
    EXPECT_EQ(a.lanes[i].reserved, b.lanes[i].reserved);
    EXPECT_EQ(a.lanes[i].tail, b.lanes[i].tail);
    EXPECT_EQ(a.lanes[i].drawn, b.lanes[i].drawn);
    EXPECT_TRUE(a.lanes[i].unknown == b.lanes[i].unknown) << "other places are unknown";
    EXPECT_TRUE(a.lanes[i].gone == b.lanes[i].gone) << "other places are gone";
  }
  EXPECT_TRUE(a.sessions == b.sessions) << a.sessions.size() << " and " << b.sessions.size() << " sessions";
  EXPECT_TRUE(a.endings == b.endings) << a.endings.size() << " and " << b.endings.size() << " endings";
  EXPECT_TRUE(a.subjects == b.subjects) << a.subjects.size() << " and " << b.subjects.size() << " subjects";
  EXPECT_TRUE(a.entries == b.entries) << a.entries.size() << " and " << b.entries.size() << " entries";
}

}  // namespace weir::testing_support
