#include <weir/observe/spdlog_observer.hpp>
#include <weir/pipeline/fallback.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/circuit_breaker_events.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/policy/window_limiter.hpp>
#include <weir/pool/pool_effects.hpp>
#include <weir/queue/wait_queue_config.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <source_location>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/pool_driver.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

class SpdlogObserverTest : public ::testing::Test {
 protected:
  SpdlogObserverTest() { logger->set_pattern("%l %v"); }

  spdlog_observer_config config() {
    return {.logger = logger, .interval = 1s, .now = [clock = clock] { return clock.now(); }};
  }
  // What was logged since the last call.
  std::vector<std::string> lines() {
    std::istringstream in{text.str()};
    text.str({});
    std::vector<std::string> out;
    for (std::string line; std::getline(in, line);) out.push_back(line);
    return out;
  }

  manual_clock clock;
  std::ostringstream text;
  std::shared_ptr<spdlog::logger> logger =
      std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
  const weir::name db{"db"};
};

TEST_F(SpdlogObserverTest, EveryEventOfABreakerHasItsLine) {
  spdlog_observer log{config()};
  log.on(circuit_opened{.name = db,
                        .sequence = 1,
                        .at = clock.now(),
                        .reason = open_reason::failure_rate,
                        .failure_rate = 0.625,
                        .slow_rate = 0,
                        .open_for = 5s,
                        .openings = 2});
  log.on(circuit_half_opened{db, 2, clock.now()});
  log.on(circuit_closed{db, 3, clock.now(), false});
  log.on(circuit_closed{db, 4, clock.now(), true});
  log.on(circuit_state_forced{db, 5, clock.now(), breaker_state::closed, breaker_state::forced_open});
  log.on(circuit_would_open{db, 6, clock.now(), open_reason::slow_rate, 0, 0.5});
  log.on(probe_lease_expired{db, 7, clock.now(), 3});
  EXPECT_THAT(
      lines(),
      ElementsAre(
          "warning circuit 'db' opened for 5000 ms: failure_rate (failures 62.5 %, slow 0.0 %; opened 2 times in a row)",
          "info circuit 'db' is half-open: probing", "info circuit 'db' closed",
          "info circuit 'db' closed: its half-open time is over",
          "info circuit 'db' was set from closed to forced_open by an operator",
          "warning circuit 'db' would open, but is metrics_only: slow_rate (failures 0.0 %, slow 50.0 %)",
          "info circuit 'db': 3 probes did not come back in time"));
}

TEST_F(SpdlogObserverTest, RefusalsAreLoggedOnceASecondWithTheirNumber) {
  basic_concurrency_limiter<manual_clock, spdlog_observer> limiter{
      {.name = "pool", .limit = 1}, spdlog_observer{config()}, clock};
  auto held = limiter.try_acquire();
  for (int i = 0; i < 1000; ++i) static_cast<void>(limiter.try_acquire());
  EXPECT_THAT(lines(), ElementsAre("info 'pool' refused a call: all slots are taken (cost 1)"));
  clock.advance(1s);
  static_cast<void>(limiter.try_acquire());
  static_cast<void>(limiter.try_acquire());
  EXPECT_THAT(lines(),
              ElementsAre("info 'pool' refused a call: all slots are taken (cost 1) (999 more since the last line)"));
  clock.advance(1s);
  static_cast<void>(limiter.try_acquire());
  EXPECT_THAT(lines(),
              ElementsAre("info 'pool' refused a call: all slots are taken (cost 1) (1 more since the last line)"));
}

TEST_F(SpdlogObserverTest, EveryEventOfARateLimiterHasItsLine) {
  basic_rate_limiter<manual_clock, spdlog_observer> limiter{
      {.name = "search", .limit = {10, 1s}, .burst = 1}, spdlog_observer{config()}, clock};
  EXPECT_TRUE(limiter.try_acquire());
  EXPECT_FALSE(limiter.try_acquire());
  EXPECT_FALSE(limiter.reconfigure({.limit = {20, 1s}, .burst = 1}));
  limiter.drain();
  EXPECT_THAT(lines(), ElementsAre("info 'search' refused a call: the rate limit is reached (cost 1, retry after 100 ms)",
                                   "info 'search' changed its limit from 10 per 1000 ms to 20 per 1000 ms",
                                   "info 'search' was drained"));
}

TEST_F(SpdlogObserverTest, EveryEventOfAWindowLimiterHasItsLine) {
  basic_window_limiter<manual_clock, spdlog_observer> limiter{
      {.name = "entrance", .limit = {1, 10s}}, spdlog_observer{config()}, clock};
  EXPECT_TRUE(limiter.try_acquire());
  EXPECT_FALSE(limiter.try_acquire());
  EXPECT_FALSE(limiter.reconfigure({.limit = {50, 10s}}));
  EXPECT_THAT(lines(),
              ElementsAre("info 'entrance' refused a call: the rate limit is reached (cost 1, retry after 10000 ms)",
                          "info 'entrance' changed its limit from 1 in any 10000 ms to 50 in any 10000 ms"));
}

TEST_F(SpdlogObserverTest, PoliciesAndReasonsAreHeldBackApart) {
  spdlog_observer log{config()};
  const weir::name other{"other"};
  log.on(concurrency_rejected{db, 1, errc::over_capacity, 1});
  log.on(concurrency_rejected{db, 2, errc::never_admissible, 9});
  log.on(concurrency_rejected{other, 1, errc::over_capacity, 1});
  log.on(wait_refused{db, 1, errc::over_capacity, 0s});
  EXPECT_THAT(lines(), SizeIs(4));
  log.on(concurrency_rejected{db, 3, errc::over_capacity, 1});
  log.on(concurrency_rejected{other, 2, errc::over_capacity, 1});
  EXPECT_THAT(lines(), IsEmpty());
}

TEST_F(SpdlogObserverTest, WaitsAndFallbacks) {
  logger->set_level(spdlog::level::debug);
  spdlog_observer log{config()};
  log.on(wait_refused{db, 1, errc::would_miss_deadline, 250ms});
  log.on(wait_ended{db, 2, wait_outcome::granted, 12ms});
  log.on(wait_ended{db, 3, wait_outcome::timed_out, 1500us});
  log.on(concurrency_limit_changed{db, 4, 10, 5});
  log.on(fallback_used{db, 1, fallback_cause::rejected, errc::circuit_open});
  log.on(fallback_used{db, 2, fallback_cause::threw, {}});
  EXPECT_THAT(
      lines(),
      ElementsAre("info queue 'db' turned a call away: the predicted wait exceeds the deadline (predicted wait 250 ms)",
                  "debug queue 'db': a wait was granted after 12.0 ms", "info queue 'db': a wait timed out after 1.5 ms",
                  "info 'db' changed its limit from 10 to 5",
                  "info fallback 'db' answered: the call was refused: the circuit breaker is open",
                  "info fallback 'db' answered: the call threw"));
}

TEST_F(SpdlogObserverTest, EveryEventOfAPoolHasItsLine) {
  logger->set_level(spdlog::level::debug);
  spdlog_observer log{config()};
  static_assert(observes<spdlog_observer, pool_event>);
  constexpr backoff steady{.initial = 100ms, .cap = 500ms, .jitter = jitter_kind::none};
  pool_driver pool{{.name = "orders",
                    .max_size = 2,
                    .min_size = 1,
                    .down_after = 1,
                    .probe = steady,
                    .purge_after = 1,
                    .leak_after = 30s}};
  const auto told = [&] {
    for (const pool_event& e : std::exchange(pool.events, {})) log.on(e);
    return lines();
  };
  pool.pass(7ms);
  pool.connect_ok();
  EXPECT_THAT(told(), ElementsAre("debug pool 'orders': connection 1 opened in 7ms"));

  pool_slot* const forgotten = pool.take(nullptr, "checkout");
  const auto site = std::source_location::current();
  forgotten->begin_use(pool.now, "checkout", site);
  pool.pass(30s);
  const std::string user = "'checkout', taken at " + std::string{site.file_name()} + ':' + std::to_string(site.line());
  EXPECT_THAT(told(), ElementsAre("warning pool 'orders': connection 1 may have leaked: in use for 30s: " + user));
  forgotten->touch(site);
  pool.pass(12s);
  pool.put(forgotten, give_back::broken);
  pool.connect_fails("connection refused");
  EXPECT_THAT(told(), ElementsAre("info pool 'orders': connection 1 came back after 42s: " + user + ", last seen at " +
                                      site.file_name() + ':' + std::to_string(site.line()),
                                  "warning pool 'orders': several connections broke, so all are replaced",
                                  "debug pool 'orders': connection 1 closed at the age of 42s: broken",
                                  "info pool 'orders' could not connect, after 0s: connection refused",
                                  "warning pool 'orders': the backend is down: connection refused"));

  pool.pass(500ms);
  pool.connect_fails("connection refused");
  EXPECT_THAT(told(), IsEmpty()) << "the second failure within a second";
  pool.pass(1s);
  pool.connect_ok();
  EXPECT_THAT(told(), ElementsAre("info pool 'orders': the backend answers again",
                                  "debug pool 'orders': connection 2 opened in 800ms"));

  pool_slot* const odd = pool.take();
  std::string_view{"bad cursor"}.copy(odd->note, sizeof odd->note - 1);
  pool.put(odd, give_back::discard);
  pool.run([&](pool_effects& fx) { pool.core->invalidate(pool.now, fx, "failover"); });
  EXPECT_THAT(told(),
              ::testing::AllOf(
                  ::testing::Contains("debug pool 'orders': connection 2 closed at the age of 0s: discarded, 'bad cursor'"),
                  ::testing::Contains("info pool 'orders': all connections are replaced by an operator, 'failover'")));
}

TEST_F(SpdlogObserverTest, ACauseOfSeveralLinesIsOneLine) {
  spdlog_observer log{config()};
  auto cause = std::make_shared<connect_failure>();
  cause->text = "connection to server failed:\n\tFATAL: too many clients\n";
  log.on(pool_event{.name = db, .kind = pool_event_kind::backend_down, .cause = std::move(cause)});
  EXPECT_THAT(lines(),
              ElementsAre("warning pool 'db': the backend is down: connection to server failed:  FATAL: too many clients"));
}

TEST_F(SpdlogObserverTest, EventsOfAPoolMayLackTheirEvidence) {
  spdlog_observer log{config()};
  log.on(pool_event{.name = db, .kind = pool_event_kind::backend_down});
  log.on(pool_event{.name = db, .kind = pool_event_kind::suspected_leak, .connection = 3, .took = 1s});
  EXPECT_THAT(lines(), ElementsAre("warning pool 'db': the backend is down: no memory for the cause",
                                   "warning pool 'db': connection 3 may have leaked: in use for 1s: untagged"));
}

TEST_F(SpdlogObserverTest, BelowTheLevelNothingIsWrittenOrCounted) {
  logger->set_level(spdlog::level::warn);
  spdlog_observer log{config()};
  for (int i = 0; i < 5; ++i) log.on(concurrency_rejected{db, 1, errc::over_capacity, 1});
  EXPECT_THAT(lines(), IsEmpty());
  logger->set_level(spdlog::level::info);
  log.on(concurrency_rejected{db, 6, errc::over_capacity, 1});
  EXPECT_THAT(lines(), ElementsAre("info 'db' refused a call: all slots are taken (cost 1)"));
}

TEST_F(SpdlogObserverTest, AnIntervalOfZeroLogsEverything) {
  auto all = config();
  all.interval = 0s;
  spdlog_observer log{all};
  for (int i = 0; i < 3; ++i) log.on(wait_refused{db, 1, errc::queue_full, 0s});
  EXPECT_THAT(lines(), SizeIs(3));
}

TEST_F(SpdlogObserverTest, CopiesHoldBackTogether) {
  spdlog_observer log{config()};
  spdlog_observer copy = log;
  log.on(wait_refused{db, 1, errc::queue_full, 0s});
  copy.on(wait_refused{db, 2, errc::queue_full, 0s});
  EXPECT_THAT(lines(), SizeIs(1));
}

TEST_F(SpdlogObserverTest, AWrongIntervalIsNamed) {
  auto wrong = config();
  wrong.interval = -1s;
  try {
    spdlog_observer log{wrong};
    FAIL();
  } catch (const std::invalid_argument& e) {
    EXPECT_THAT(e.what(), StartsWith("spdlog_observer_config.interval"));
  }
}

TEST_F(SpdlogObserverTest, ObservesWhatItDeclares) {
  static_assert(observes<spdlog_observer, circuit_opened>);
  static_assert(observes<spdlog_observer, concurrency_rejected>);
  static_assert(observes<spdlog_observer, wait_ended>);
  basic_fallback<spdlog_observer> stale{{.name = "stale"}, spdlog_observer{config()}};
  concurrency_limiter limiter{{.limit = 1}};
  auto held = limiter.try_acquire();
  EXPECT_EQ(stale.run(limiter, [] { return 1; }, 2), 2);
  EXPECT_THAT(lines(), ElementsAre("info fallback 'stale' answered: the call was refused: all slots are taken"));
}

}  // namespace
}  // namespace weir
