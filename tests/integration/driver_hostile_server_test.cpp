// The load driver against servers that refuse, hang, break off or never end. Bounds on time are one-sided or wide: a busy
// machine may make anything later.

#include "driver_fixture.hpp"

#include <csignal>
#include <set>
#include <string>

namespace {

using namespace weir;
using namespace weir::load;
using namespace weir::testing_support;
using namespace std::chrono_literals;

TEST(DriverAtAHostileServer, ReconnectsWhenTheServerSaysClose) {
  scripted_server server{[](const server_request&) {
    server_reply r = answer(200);
    r.headers["Connection"] = "close";
    return r;
  }};
  const run_result r = run(server.url(), five);
  EXPECT_EQ(r.journeys.completed, 5u);
  EXPECT_EQ(server.connections(), 5u);
}

TEST(DriverAtAHostileServer, ReplacesAnIdleConnectionThatTheServerClosed) {
  scripted_server server{[](const server_request&) {
    server_reply r = answer(200);
    r.kind = kind::answer_and_close;
    return r;
  }};
  // 500 ms between journeys: time enough to see the hang-up.
  const run_result r = run(server.url(), "executor='constant-arrival-rate'\nrate=2\nduration='1500ms'\narrivals='uniform'");
  EXPECT_EQ(r.journeys.completed, 3u);
  EXPECT_EQ(count(r.steps[0], verdict::broken), 0u);
  EXPECT_EQ(server.connections(), 3u);
}

TEST(DriverAtAHostileServer, TimeOutsAreCensored) {
  scripted_server server{[](const server_request&) { return of_kind(kind::nothing); }};
  const run_result r =
      run(server.url(), five, "[[journey]]\nname='j'\nsteps=[{name='get', request='GET /', timeout='300ms'}]\n");
  const step_result& s = r.steps[0];
  EXPECT_EQ(count(s, verdict::timeout), 5u);
  EXPECT_EQ(s.censored, 5u);
  EXPECT_EQ(s.censored_at, 300ms);
  EXPECT_GE(s.all.min(), 300ms - 3ms);
  EXPECT_EQ(s.failures.at("timed out"), 5u);
  EXPECT_EQ(s.checks_failed, 5u);
  EXPECT_EQ(r.journeys.failed, 5u);
  EXPECT_EQ(server.requests().size(), 5u);
}

TEST(DriverAtAHostileServer, RejectedAfterAllRetries) {
  scripted_server server{[](const server_request&) { return answer(429); }};
  const run_result r = run(server.url(), five,
                           "[[journey]]\nname='j'\nretry={max_attempts=3, base='1ms', cap='2ms'}\nsteps=["
                           "{name='get', request='GET /'}, {name='never', request='GET /never'}]\n");
  EXPECT_EQ(count(r.steps[0], verdict::rejected), 5u);
  EXPECT_EQ(r.steps[0].attempts, 15u);
  EXPECT_EQ(r.steps[0].rejected.count(), 15u);
  EXPECT_EQ(r.journeys.failed, 5u);
  EXPECT_EQ(r.steps[1].reached, 0u) << "a failed step ends the journey";
}

TEST(DriverAtAHostileServer, GoesOnAfterAFailedStepIfTold) {
  scripted_server server{[](const server_request& q) { return answer(q.path == "/b" ? 200 : 500); }};
  const run_result r = run(server.url(), five,
                           "[[journey]]\nname='j'\non_step_failure='continue'\nsteps=["
                           "{name='a', request='GET /a', capture={x='/x'}}, {name='b', request='GET /b?x={x}'}]\n");
  EXPECT_EQ(count(r.steps[0], verdict::error), 5u);
  EXPECT_EQ(r.steps[0].statuses.at(500), 5u);
  EXPECT_EQ(r.steps[0].attempts, 5u) << "500 is not retried";
  EXPECT_EQ(r.steps[1].reached, 5u);
  EXPECT_EQ(r.journeys.failed, 5u);
}

TEST(DriverAtAHostileServer, FailedChecksAndMissingCapturesAreErrors) {
  scripted_server server{[](const server_request&) { return answer(200, R"({"paid":false})"); }};
  run_result r = run(server.url(), five,
                     "[[journey]]\nname='j'\nsteps=[{name='get', request='GET /', checks=["
                     "{name='paid', pointer='/paid', equals=true}]}]\n");
  EXPECT_EQ(count(r.steps[0], verdict::error), 5u);
  EXPECT_EQ(r.steps[0].checks_passed, 5u);
  EXPECT_EQ(r.steps[0].checks_failed, 5u);
  r = run(server.url(), five, "[[journey]]\nname='j'\nsteps=[{name='get', request='GET /', capture={id='/id'}}]\n");
  EXPECT_EQ(count(r.steps[0], verdict::error), 5u);
}

TEST(DriverAtAHostileServer, WhatItSaysAddsNoHeaderToTheNextRequest) {
  scripted_server server{[](const server_request&) { return answer(200, R"({"id":"1\r\nX-Admin: yes\r\n\r\n"})"); }};
  const run_result r = run(server.url(), "executor='shared-iterations'\niterations=1",
                           "[[journey]]\nname='j'\nsteps=[{name='a', request='GET /a', capture={id='/id'}},\n"
                           "{name='b', request='GET /b?{id}', headers={X-Id='{id}'}}]\n");
  EXPECT_EQ(r.journeys.completed, 1u);
  const auto asked = server.requests();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_EQ(asked[1].headers.at("x-id"), "1X-Admin: yes");
  EXPECT_FALSE(asked[1].headers.contains("x-admin"));
}

TEST(DriverAtAHostileServer, WhatIsNoAnswerIsBroken) {
  struct wrong {
    server_reply reply;
    std::set<std::string> names;
  };
  const wrong all[] = {
      {of_kind(kind::reset), {"connection reset"}},
      {of_kind(kind::hang_up), {"closed without an answer", "connection reset"}},
      {of_kind(kind::raw, "nonsense\r\n\r\n"), {"not an HTTP answer"}},
      {of_kind(kind::raw, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), {"closed within the answer"}},
      {of_kind(kind::raw, "HTTP/1.1 200 OK\r\nContent-Length: 17000000\r\n\r\n"), {"answer too large"}},
      {of_kind(kind::raw, "HTTP/1.1 200 OK\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n"), {"answer too large"}},
  };
  for (const wrong& w : all) {
    scripted_server server{[&w](const server_request&) { return w.reply; }};
    const run_result r = run(server.url(), five);
    SCOPED_TRACE(w.reply.body.substr(0, 40));
    EXPECT_EQ(count(r.steps[0], verdict::broken), 5u);
    EXPECT_EQ(r.journeys.failed, 5u);
    for (const auto& [name, n] : r.steps[0].failures) EXPECT_TRUE(w.names.contains(name)) << name;
    EXPECT_TRUE(r.generator.own_errors.empty());
  }
}

TEST(DriverAtAHostileServer, AnAnswerWithoutEndIsGivenUp) {
  struct flood {
    std::string begin, more;
    std::string failure;
  };
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string junk(10'000, 'x');
  const flood all[] = {
      {"HTTP/1.1 200 OK\r\n", "X: " + junk + "\r\n", "answer too large"},
      {chunked + "1;", junk, "answer too large"},
      {chunked + "0\r\n", "X: " + junk + "\r\n", "answer too large"},
      {"HTTP/1.1 200 OK\r\n\r\n", junk, "answer too large"},
      // So slow to read that the time-out comes first, though there is always more to read.
      {chunked, "1\r\nx\r\n1\r\nx\r\n", "timed out"},
  };
  for (const flood& f : all) {
    SCOPED_TRACE(f.begin + f.more.substr(0, 10));
    scripted_server server{[&f](const server_request&) {
      server_reply r = of_kind(kind::endless, f.begin);
      r.more = f.more;
      return r;
    }};
    const run_result r = run(server.url(), "executor='shared-iterations'\niterations=1",
                             "[[journey]]\nname='j'\nsteps=[{name='get', request='GET /', timeout='1s'}]\n");
    ASSERT_EQ(r.journeys.failed, 1u);
    EXPECT_EQ(r.steps[0].failures.begin()->first, f.failure);
    // Until the time-out it reads as fast as the machine can; what is too large it gives up long before.
    if (f.failure == "answer too large") {
      EXPECT_LT(r.bytes_received, 20'000'000u);
    }
    EXPECT_LT(r.total, 10s);
  }
}

TEST(DriverAtAHostileServer, NobodyListensIsTheServersFault) {
  std::string url;
  {
    url = scripted_server{[](const server_request&) { return answer(200); }}.url();
  }
  const run_result r = run(url, five);
  EXPECT_EQ(count(r.steps[0], verdict::broken), 5u);
  EXPECT_EQ(r.steps[0].failures.at("connection refused"), 5u);
  EXPECT_FALSE(r.generator.valid) << "refusals are quick: no threshold on latency would tell";
}

TEST(DriverAtAHostileServer, InterruptsWhatRunsWhenGracefulStopEnds) {
  scripted_server server{[](const server_request&) { return of_kind(kind::nothing); }};
  const run_result r =
      run(server.url(), five + "\ngraceful_stop='100ms'", "[[journey]]\nname='j'\nsteps=[{name='get', request='GET /'}]\n");
  EXPECT_EQ(r.journeys.interrupted, 5u);
  EXPECT_EQ(r.steps[0].all.count(), 0u);
  EXPECT_EQ(r.steps[0].reached, 5u);
  EXPECT_GE(r.total, 600ms);
  EXPECT_LT(r.total, 30s) << "not the 60 s of the time-out";
}

TEST(DriverAtAHostileServer, AServerThatLosesRequestsHasNotRecovered) {
  // From the peak on every second user waits for ever. Those who are served are served well.
  scripted_server server{[](const server_request& q) { return q.number % 2 == 0 ? answer(200) : of_kind(kind::nothing); }};
  const run_result r = run(server.url(),
                           "executor='ramping-arrival-rate'\nstart_rate=40\narrivals='uniform'\ngraceful_stop='500ms'\n"
                           "stages=[{duration='1s', target=40}, {duration='0s', target=8}, {duration='2s', target=8}]",
                           one_get, "slo={step='get', within='300ms'}", {.capacity_per_s = 10});
  EXPECT_GT(r.journeys.interrupted, 10u);
  EXPECT_GT(count(r.steps[0], verdict::timeout), 10u);
  EXPECT_GE(r.steps[0].all.quantile(0.9), 500ms);
  EXPECT_EQ(r.overload.recovered_after_s, std::nullopt);
}

TEST(DriverAtAHostileServer, ASignalWithinGracefulStopDoesNotTakeItAway) {
  scripted_server server{[](const server_request&) { return of_kind(kind::nothing); }};
  drive_options options;
  options.stop_on_signal = true;
  options.on_second = [](const progress& p) {
    if (p.elapsed < 2s) std::raise(SIGINT);
  };
  const run_result r = run(server.url(), five + "\ngraceful_stop='1500ms'",
                           "[[journey]]\nname='j'\nsteps=[{name='get', request='GET /', timeout='20s'}]\n", "", options);
  EXPECT_EQ(r.journeys.interrupted, 5u);
  EXPECT_LT(r.total, 15s) << "not the 20 s of the time-out";
  EXPECT_FALSE(r.generator.valid);
}

}  // namespace
