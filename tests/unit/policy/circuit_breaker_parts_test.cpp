// The parts of the circuit breaker that have an interface of their own: the table of running calls, and the gate word.
#include <weir/policy/detail/flight_table.hpp>
#include <weir/policy/detail/gate_word.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

namespace weir::detail {
namespace {

using namespace std::chrono_literals;

time_point at(duration d) { return time_point{1h + d}; }

TEST(FlightTable, KeepsStartsInOrderWhateverOrderTheyComeIn) {
  flight_table table{4};
  const auto late = table.insert(at(3s));
  const auto early = table.insert(at(1s));
  table.insert(at(2s));
  EXPECT_EQ(table.oldest(), at(1s));
  table.erase(early);
  EXPECT_EQ(table.oldest(), at(2s));
  table.erase_oldest();
  EXPECT_EQ(table.oldest(), at(3s));
  table.erase(late);
  EXPECT_EQ(table.oldest(), never);
  EXPECT_EQ(table.size(), 0u);
}

TEST(FlightTable, GivesNoTicketWhenFullAndReusesSlotsUnderNewSerials) {
  flight_table table{2};
  const auto a = table.insert(at(0s));
  const auto b = table.insert(at(0s));
  EXPECT_FALSE(table.insert(at(0s)));
  table.erase(a);
  EXPECT_FALSE(table.contains(a));
  const auto c = table.insert(at(0s));
  EXPECT_EQ(c.slot, a.slot);
  EXPECT_FALSE(table.contains(a));
  EXPECT_TRUE(table.contains(b));
  EXPECT_TRUE(table.contains(c));
  table.clear();
  EXPECT_FALSE(table.contains(b));
  const auto d = table.insert(at(0s));
  EXPECT_TRUE(table.contains(d));
  EXPECT_FALSE(table.contains(b));
  EXPECT_FALSE(table.contains({}));
}

TEST(FlightTable, AgreesWithAMap) {
  for (unsigned seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random{seed};
    const std::size_t capacity = 1 + random() % 12;
    flight_table table{capacity};
    struct flight {
      flight_ticket ticket;
      time_point start;
      bool marked;
    };
    std::vector<flight> model;
    for (int i = 0; i < 500; ++i) {
      const auto kind = random() % 8;
      if (kind < 4) {
        const time_point start = at(duration{static_cast<int>(random() % 50)});
        const auto ticket = table.insert(start);
        ASSERT_EQ(static_cast<bool>(ticket), model.size() < capacity);
        if (ticket) model.push_back({ticket, start, false});
      } else if (kind < 6 && !model.empty()) {
        const auto which = static_cast<std::ptrdiff_t>(random() % model.size());
        table.erase(model[static_cast<std::size_t>(which)].ticket);
        model.erase(model.begin() + which);
      } else if (kind == 6 && table.oldest() != never) {
        // Which of several that started together is not promised: find the one that was marked.
        const time_point start = table.oldest();
        const auto same = std::count_if(model.begin(), model.end(), [&](auto& f) { return !f.marked && f.start == start; });
        if (same == 1) {
          table.mark_oldest();
          std::find_if(model.begin(), model.end(), [&](auto& f) { return !f.marked && f.start == start; })->marked = true;
        }
      } else if (random() % 20 == 0) {
        flight_table larger{capacity + random() % 3};
        larger.adopt(table);
        std::swap(table, larger);
        while (model.size() < table.capacity()) {
          const auto ticket = table.insert(at(0s));
          ASSERT_TRUE(ticket);
          model.push_back({ticket, at(0s), false});
        }
        ASSERT_FALSE(table.insert(at(0s)));
        for (auto& f : model) ASSERT_TRUE(table.contains(f.ticket));
        table.clear();
        model.clear();
        break;
      }
      time_point oldest = never;
      std::uint32_t marked = 0;
      for (const auto& f : model) {
        ASSERT_TRUE(table.contains(f.ticket));
        f.marked ? void(++marked) : void(oldest = std::min(oldest, f.start));
      }
      ASSERT_EQ(table.size(), model.size());
      ASSERT_EQ(table.marked(), marked);
      ASSERT_EQ(table.oldest(), oldest);
    }
  }
}

TEST(GateWord, SaysEitherAGenerationOrATime) {
  for (const std::uint64_t generation : {std::uint64_t{0}, std::uint64_t{1}, (std::uint64_t{1} << 63) - 1}) {
    const auto word = gate_word::admitting(generation);
    EXPECT_TRUE(word.admits());
    EXPECT_EQ(word.generation(), generation);
  }
  for (const time_point t : {time_point{}, at(0s), at(1ns), time_point{-5s}, time_point{24h * 365 * 100}}) {
    const auto word = gate_word::gated_until(t);
    EXPECT_FALSE(word.admits());
    EXPECT_EQ(word.until(), t);
  }
}

TEST(GateWord, TheEndsOfTimeStayEnds) {
  EXPECT_EQ(gate_word::gated_until(never).until(), never);
  EXPECT_EQ(gate_word::gated_until(never - 1ns).until(), never);
  EXPECT_LT(gate_word::ask().until(), time_point{-24h * 365 * 100});
}

}  // namespace
}  // namespace weir::detail
