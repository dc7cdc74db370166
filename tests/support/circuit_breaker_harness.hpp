#pragma once
/// \file
/// One circuit breaker on a manual clock, a log of its events, and the test's own count of arrivals, against which the
/// breaker's ledger is checked when the test ends.

#include <weir/policy/circuit_breaker.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weir::testing_support {

/// Writes every event as one line.
struct event_log {
  std::shared_ptr<std::vector<std::string>> lines = std::make_shared<std::vector<std::string>>();
  std::shared_ptr<std::vector<circuit_opened>> opened = std::make_shared<std::vector<circuit_opened>>();

  void on(const circuit_opened& e) {
    lines->push_back(std::string{"opened: "} + to_string(e.reason));
    opened->push_back(e);
  }
  void on(const circuit_half_opened&) { lines->push_back("half opened"); }
  void on(const circuit_closed& e) { lines->push_back(e.by_time_limit ? "closed: time_limit" : "closed"); }
  void on(const circuit_state_forced& e) {
    lines->push_back(std::string{"forced: "} + to_string(e.from) + " to " + to_string(e.to));
  }
  void on(const probe_lease_expired& e) { lines->push_back("expired: " + std::to_string(e.probes)); }
  void on(const circuit_would_open& e) { lines->push_back(std::string{"would open: "} + to_string(e.reason)); }
};

class circuit_breaker_harness : public testing::Test {
 public:
  using breaker_type = basic_circuit_breaker<manual_clock, event_log>;
  using permit = breaker_type::permit;

 protected:
  circuit_breaker_harness() {
    using namespace std::chrono_literals;
    // Four of the last ten; open for 10 s, every time; two probes.
    config.over_time.slicing.length = duration::zero();
    config.over_calls = {.size = 10, .trip = {.minimum_calls = 4, .failure_rate = 0.5, .slow_rate = 0.5}};
    config.open_for = {.initial = 10s, .multiplier = 1, .jitter = jitter_kind::none};
    config.probes.count = 2;
  }

  /// Builds the breaker from `config`.
  breaker_type& make() { return breaker.emplace(config, log, clock); }

  /// Asks, and counts that it did.
  result<permit> ask(const call& c = {}) {
    ++arrivals;
    return breaker->try_acquire(c);
  }
  /// One whole call; false: refused.
  bool run(outcome what, duration took = duration::zero()) {
    auto asked = ask();
    if (!asked) return false;
    asked->release({.result = what, .took = took});
    return true;
  }
  bool succeed() { return run(outcome::success); }
  bool fail() { return run(outcome::failure); }
  /// Opens a closed breaker of the default configuration here.
  void trip() {
    for (int i = 0; i < 4; ++i) fail();
    ASSERT_EQ(state(), breaker_state::open);
  }
  /// Goes on from open to half-open, with one probe handed out.
  permit first_probe(duration open_for = std::chrono::seconds{10}) {
    clock.advance(open_for);
    auto asked = ask();
    EXPECT_TRUE(asked.has_value());
    EXPECT_EQ(state(), breaker_state::half_open);
    return std::move(asked).value();
  }

  [[nodiscard]] circuit_breaker_snapshot look() const { return breaker->snapshot(); }
  [[nodiscard]] breaker_state state() const { return look().state; }
  /// The events so far, which are forgotten.
  std::vector<std::string> events() { return std::exchange(*log.lines, {}); }

  void TearDown() override {
    if (!breaker) return;
    const auto s = look();
    EXPECT_EQ(s.in_flight, 0u);
    EXPECT_EQ(s.admitted + s.rejected + s.cancelled, arrivals);
    EXPECT_EQ(s.admitted, s.success + s.failure + s.overload + s.ignored);
    EXPECT_EQ(breaker->swallowed(), 0u);
  }

  manual_clock clock;
  event_log log;
  circuit_breaker_config config;
  std::optional<breaker_type> breaker;
  std::uint64_t arrivals = 0;
};

}  // namespace weir::testing_support
