// Traces recorded from resilience4j's CircuitBreakerStateMachine, replayed by the same breaker that everybody uses, under
// resilience4j_preset: every decision, state, count and rate must be equal. Not copied are two defects: resilience4j counts
// results of an earlier state (scenarios are replayed up to the first of those), and fires timers of an earlier state (such
// scenarios are skipped).
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/resilience4j_preset.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <sstream>
#include <string>

#include "support/oracle.hpp"

namespace weir {
namespace {

namespace json = boost::json;
using breaker_type = basic_circuit_breaker<manual_clock>;
using std::chrono::milliseconds;

resilience4j_settings settings_of(const json::object& c) {
  const auto number = [&c](const char* key) { return c.at(key).to_number<std::int64_t>(); };
  resilience4j_settings s;
  s.time_based = c.at("slidingWindowType").as_string() == "TIME_BASED";
  s.sliding_window_size = static_cast<std::uint32_t>(number("slidingWindowSize"));
  s.minimum_number_of_calls = static_cast<std::uint32_t>(number("minimumNumberOfCalls"));
  s.failure_rate_threshold = c.at("failureRateThreshold").to_number<double>();
  s.slow_call_rate_threshold = c.at("slowCallRateThreshold").to_number<double>();
  s.slow_call_duration_threshold = milliseconds{number("slowCallDurationThresholdMs")};
  s.permitted_number_of_calls_in_half_open_state =
      static_cast<std::uint32_t>(number("permittedNumberOfCallsInHalfOpenState"));
  s.wait_duration_in_open_state = milliseconds{number("waitDurationInOpenStateMs")};
  s.max_wait_duration_in_half_open_state = milliseconds{number("maxWaitDurationInHalfOpenStateMs")};
  s.transition_to_closed_after_wait = c.at("transitionToStateAfterWaitDuration").as_string() == "CLOSED";
  if (const json::value* b = c.if_contains("openBackoff")) {
    s.open_multiplier = b->at("multiplier").to_number<double>();
    s.max_wait_duration_in_open_state = milliseconds{b->at("maxMs").to_number<std::int64_t>()};
  }
  return s;
}

char letter(breaker_state s) { return "COHFDM"[static_cast<int>(s)]; }

/// State and numbers as the trace writes them, rates as 32-bit floats.
struct observation {
  char state;
  float failure_rate, slow_rate;
  std::uint64_t buffered, failed, slow, successful, not_permitted;

  friend bool operator==(const observation&, const observation&) = default;
  friend std::ostream& operator<<(std::ostream& out, const observation& o) {
    return out << '[' << o.state << ' ' << o.failure_rate << ' ' << o.slow_rate << ' ' << o.buffered << ' ' << o.failed
               << ' ' << o.slow << ' ' << o.successful << ' ' << o.not_permitted << ']';
  }
};

observation expected_of(const json::array& s) {
  const auto count = [&s](std::size_t i) { return s[i].to_number<std::uint64_t>(); };
  return {s[0].as_string()[0],
          static_cast<float>(s[1].to_number<double>()),
          static_cast<float>(s[2].to_number<double>()),
          count(3),
          count(4),
          count(5),
          count(6),
          count(7)};
}

/// One scenario against one breaker.
class replay {
 public:
  explicit replay(const json::object& scenario)
      : scenario_(scenario),
        measures_itself_(scenario.at("dur").as_string() == "clock"),
        time_based_(scenario.at("config").at("slidingWindowType").as_string() == "TIME_BASED") {
    clock_.set(time_point{milliseconds{scenario.at("t0").to_number<std::int64_t>()}});
    breaker_.emplace(resilience4j_preset(settings_of(scenario.at("config").as_object())), null_observer{}, clock_);
  }

  /// Number of operations, all of which agreed; stops at the first that does not, or that reports a stale result.
  std::size_t run() {
    std::size_t done = 0;
    check(scenario_.at("init").as_array(), "at the start");
    for (const json::value& op : scenario_.at("ops").as_array()) {
      if (testing::Test::HasFailure() || op.as_object().contains("v")) break;
      step(op.as_object());
      check(op.at("s").as_array(), "after operation " + std::to_string(done) + ": " + json::serialize(op));
      ++done;
    }
    return done;
  }

 private:
  using permit = breaker_type::permit;

  void step(const json::object& op) {
    const std::string what{op.at("o").as_string()};
    if (what == "adv") return clock_.advance(milliseconds{op.at("d").to_number<std::int64_t>()});
    if (what == "acq") {
      auto asked = breaker_->try_acquire();
      EXPECT_EQ(asked.has_value(), op.at("r").to_number<int>() == 1) << json::serialize(op);
      if (asked) calls_.emplace(op.at("i").to_number<int>(), std::move(*asked));
      return;
    }
    if (what == "ok" || what == "err" || what == "rel") return finish(op, what);
    static const std::map<std::string, breaker_state> states{{"closed", breaker_state::closed},
                                                             {"reset", breaker_state::closed},
                                                             {"open", breaker_state::open},
                                                             {"half_open", breaker_state::half_open},
                                                             {"forced_open", breaker_state::forced_open},
                                                             {"disabled", breaker_state::disabled},
                                                             {"metrics_only", breaker_state::metrics_only}};
    EXPECT_EQ(breaker_->set_state(states.at(what)), !op.contains("x")) << json::serialize(op);
  }

  void finish(const json::object& op, const std::string& what) {
    const auto call = calls_.find(op.at("i").to_number<int>());
    ASSERT_NE(call, calls_.end());
    if (what == "rel") {
      call->second.cancel();
    } else {
      const std::string kind = what == "ok" ? "n" : std::string{op.at("k").as_string()};
      completion c{.result = kind == "r" ? outcome::failure : kind == "i" ? outcome::ignored : outcome::success};
      // Where the trace measured by its clock, the breaker's own measurement must do.
      if (!measures_itself_) c.took = std::chrono::microseconds{op.at("u").to_number<std::int64_t>()};
      call->second.release(c);
    }
    calls_.erase(call);
  }

  void check(const json::array& expected, const std::string& where) {
    EXPECT_EQ(observe(), expected_of(expected)) << where;
  }

  observation observe() {
    const auto s = breaker_->snapshot();
    // Their count of refusals begins anew with each state but open.
    if (s.generation != generation_ && s.state != breaker_state::open) refused_before_ = last_refused_;
    generation_ = s.generation;
    last_refused_ = s.rejected;
    const bool probing = s.state == breaker_state::half_open || s.probes.counts.calls > 0;
    const window_view& view = probing ? s.probes : time_based_ ? s.over_time : s.over_calls;
    const window_counts& n = view.counts;
    const auto percent = [&n](const std::optional<double>& rate, std::uint64_t part) {
      return rate ? static_cast<float>(part) * 100.0f / static_cast<float>(n.calls) : -1.0f;
    };
    return {letter(s.state),
            percent(view.failure_rate, n.failures),
            percent(view.slow_rate, n.slow),
            n.calls,
            n.failures,
            n.slow,
            n.calls - n.failures,
            s.rejected - refused_before_};
  }

  const json::object& scenario_;
  bool measures_itself_, time_based_;
  manual_clock clock_;
  std::optional<breaker_type> breaker_;
  std::map<int, permit> calls_;  // before the breaker in destruction
  std::uint64_t generation_ = 1, refused_before_ = 0, last_refused_ = 0;
};

void replay_file(const char* stem) {
  testing_support::oracle traces{stem};
  std::size_t operations = 0, cut = 0;
  for (const json::value& each : traces.scenarios()) {
    const json::object& scenario = each.as_object();
    if (scenario.at("staleTimers").to_number<int>() != 0) {
      traces.count_skipped();
      continue;
    }
    cut += scenario.at("staleCompletions").to_number<int>() != 0;
    SCOPED_TRACE("scenario " + std::to_string(scenario.at("id").to_number<int>()));
    operations += replay{scenario}.run();
    traces.count_replayed();
    if (testing::Test::HasFailure()) break;
  }
  EXPECT_GT(traces.replayed(), 0u);
  traces.report(std::to_string(operations) + " operations; cut short at a stale result: " + std::to_string(cut));
}

TEST(differential_circuit_breaker, CountWindowDecidesAsResilience4j) { replay_file("circuitbreaker_count"); }
TEST(differential_circuit_breaker, TimeWindowDecidesAsResilience4j) { replay_file("circuitbreaker_time"); }

}  // namespace
}  // namespace weir
