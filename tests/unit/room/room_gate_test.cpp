#include <weir/policy/circuit_breaker.hpp>
#include <weir/room/room_gate.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

namespace {

using namespace std::chrono_literals;

TEST(room_gate, gives_way_at_once_and_comes_back_slowly) {
  weir::aimd_gate gate;
  weir::time_point now{1h};
  EXPECT_EQ(gate.see(false, "slow", now).part, 1);
  EXPECT_EQ(gate.see(false, "slow", now).reason, "");
  now += 1s;
  EXPECT_EQ(gate.see(true, "slow", now).part, 0.7);
  EXPECT_EQ(gate.see(true, "slow", now + 999ms).part, 0.7) << "one step a second";
  EXPECT_EQ(gate.see(true, "slow", now - 1h).part, 0.7);
  EXPECT_EQ(gate.part(), 0.7);
  for (int i = 0; i < 20; ++i) (void)gate.see(true, "slow", now += 1s);
  EXPECT_EQ(gate.part(), 0.05) << "never closes: it could not see that it goes better";
  EXPECT_EQ(gate.see(false, "slow", now += 1s).reason, "slow") << "while it recovers";
  EXPECT_NEAR(gate.part(), 0.1, 1e-9);
  for (int i = 0; i < 20; ++i) (void)gate.see(false, "slow", now += 1s);
  EXPECT_EQ(gate.part(), 1);
}

TEST(room_gate, follows_a_breaker_and_lets_it_probe) {
  weir::manual_clock clock;
  weir::basic_circuit_breaker<weir::manual_clock> breaker{{.name = "payments"}, {}, clock};
  EXPECT_EQ(weir::gate_by_breaker(breaker).part, 1);
  breaker.set_state(weir::breaker_state::forced_open);
  EXPECT_EQ(weir::gate_by_breaker(breaker).part, 0);
  EXPECT_EQ(weir::gate_by_breaker(breaker).reason, "circuit_open");
  breaker.set_state(weir::breaker_state::open);
  EXPECT_EQ(weir::gate_by_breaker(breaker).part, 0);
  clock.advance(1h);
  EXPECT_EQ(weir::gate_by_breaker(breaker).part, 0.1) << "without callers it would stay open for ever";
  breaker.set_state(weir::breaker_state::half_open);
  EXPECT_EQ(weir::gate_by_breaker(breaker).part, 0.1);
}

TEST(room_gate, the_tightest_decides) {
  const auto gate = weir::tightest({{1, ""}, {0.2, "pool"}, {0.5, "breaker"}});
  EXPECT_EQ(gate.part, 0.2);
  EXPECT_EQ(gate.reason, "pool");
}

TEST(room_gate, wrong_configurations_are_named) {
  EXPECT_EQ(validate(weir::aimd_config{.least = 0})->field, "aimd_config.least");
  EXPECT_EQ(validate(weir::aimd_config{.shrink = 1})->field, "aimd_config.shrink");
  EXPECT_EQ(validate(weir::aimd_config{.grow = 0})->field, "aimd_config.grow");
  EXPECT_EQ(validate(weir::aimd_config{.every = 0s})->field, "aimd_config.every");
  EXPECT_THROW(weir::aimd_gate{weir::aimd_config{.least = 2}}, std::invalid_argument);
}

}  // namespace
