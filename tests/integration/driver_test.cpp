// The load driver over real sockets: what it plans, sends, measures, and says of itself. Bounds on time are one-sided or
// wide: a busy machine may make anything later.

#include "driver_fixture.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace {

using namespace weir;
using namespace weir::load;
using namespace weir::testing_support;
using namespace std::chrono_literals;

TEST(Driver, SendsTheJourneysThatWerePlanned) {
  scripted_server server{[](const server_request& q) {
    return q.path == "/users" ? answer(201, R"({"id":"u/)" + std::to_string(q.number) + "\"}")
                              : answer(200, R"({"paid":true})");
  }};
  const run_result r = run(server.url(), fifty, R"(
[[journey]]
name = "j"
steps = [
  { name = "register", request = "POST /users", body = '{"n":"{vu}-{iteration}","u":"{uuid}"}', expect = [201], capture = { user = "/id" } },
  { name = "order", request = "POST /orders/{user}", body = '{"by":"{user}"}', headers = { X-User = "{user}", User-Agent = "mine" }, checks = [{ name = "paid", pointer = "/paid", equals = true }] } ]
)");
  EXPECT_EQ(r.journeys.intended, 50u);
  EXPECT_EQ(r.journeys.completed, 50u);
  ASSERT_EQ(r.steps.size(), 2u);
  EXPECT_EQ(r.steps[0].reached, 50u);
  EXPECT_EQ(count(r.steps[0], verdict::good), 50u);
  EXPECT_EQ(r.steps[0].statuses.at(201), 50u);
  EXPECT_EQ(r.steps[0].checks_passed, 50u) << "the status is a check";
  EXPECT_EQ(r.steps[1].reached, 50u);
  EXPECT_EQ(r.steps[1].checks_passed, 100u);
  EXPECT_EQ(r.arrivals, "uniform");
  EXPECT_EQ(r.journey_duration.count(), 50u);
  EXPECT_GT(r.bytes_sent, 5000u);
  EXPECT_GT(r.bytes_received, 3000u);
  EXPECT_EQ(request_success(r), 1);

  std::set<std::string> bodies;
  for (const server_request& q : server.requests()) {
    EXPECT_EQ("http://" + q.headers.at("host"), server.url());
    EXPECT_EQ(q.headers.at("content-type"), "application/json");
    EXPECT_EQ(q.headers.at("user-agent"), q.path == "/users" ? "weir" : "mine");
    if (q.path == "/users") {
      EXPECT_TRUE(bodies.insert(q.body).second) << q.body;
    } else {
      // A captured value must not change the path it is put into.
      EXPECT_TRUE(q.path.starts_with("/orders/u%2F")) << q.path;
      EXPECT_EQ(q.body, R"({"by":")" + q.headers.at("x-user") + "\"}");
    }
  }
  EXPECT_EQ(bodies.size(), 50u);
}

TEST(Driver, ReusesWarmConnections) {
  scripted_server server{[](const server_request&) { return answer(200); }};
  const run_result r = run(server.url(), fifty);
  EXPECT_EQ(r.journeys.completed, 50u);
  EXPECT_EQ(r.generator.connections_opened, server.connections());
  EXPECT_LE(server.connections(), 25u) << "one journey at a time needs one connection; a busy machine a few more";
}

TEST(Driver, SpreadsItsUsersOverSeveralTargets) {
  const auto script = [](const server_request&) { return answer(200); };
  scripted_server a{script};
  scripted_server b{script};
  const run_result r = run(a.url() + "," + b.url(), "executor='per-vu-iterations'\nvus=4\niterations=5");
  EXPECT_EQ(r.journeys.completed, 20u);
  EXPECT_EQ(a.requests().size(), 10u);
  EXPECT_EQ(b.requests().size(), 10u);
  for (const server_request& q : b.requests()) EXPECT_EQ("http://" + q.headers.at("host"), b.url());
}

TEST(Driver, CountsLatencyFromTheIntendedStart) {
  // One virtual user's worth of server: it stands still from 1 s to 2 s, then goes on.
  const auto begin = std::chrono::steady_clock::now();
  const auto stalled = [begin](const server_request& q) {
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(q.at - begin);
    server_reply r = answer(200);
    if (since > 1s && since < 2s) r.delay = 2000ms - since;
    return r;
  };
  scripted_server server{stalled};
  const run_result open = run(server.url(), "executor='constant-arrival-rate'\nrate=50\nduration='3s'\narrivals='uniform'");
  EXPECT_EQ(open.journeys.completed, 150u);
  EXPECT_GE(open.steps[0].all.quantile(0.99), 900ms);
  EXPECT_GE(open.steps[0].all.quantile(0.85), 400ms) << "a third of the users met the stall, half of them for 500 ms";
}

TEST(Driver, ItsOwnStallIsInTheLatencyAndInTheVerdict) {
  scripted_server server{[](const server_request&) { return answer(200); }};
  drive_options options;
  // Blocks the event loop for half a second: what a generator without processor time goes through.
  options.on_second = [](const progress& p) {
    if (p.elapsed < 1500ms) std::this_thread::sleep_for(500ms);
  };
  const run_result r = run(server.url(), "executor='constant-arrival-rate'\nrate=50\nduration='2s'\narrivals='uniform'",
                           one_get, "", options);
  EXPECT_EQ(r.journeys.intended, 100u) << "none is left out";
  // A quarter of the users came during the stall: they waited from then on, though their requests were sent late.
  EXPECT_GE(r.steps[0].all.quantile(0.9), 200ms) << "from the intended start, not from the sending";
  EXPECT_GE(r.generator.lateness.max(), 400ms);
  EXPECT_GE(r.generator.loop_lag.max(), 400ms);
  EXPECT_GE(r.generator.loop_lag.count(), 150u) << "a stall is many late probes, not one";
  EXPECT_FALSE(r.generator.valid);
}

TEST(Driver, AClosedLoopHidesTheStall) {
  const auto begin = std::chrono::steady_clock::now();
  scripted_server server{[begin](const server_request& q) {
    const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(q.at - begin);
    server_reply r = answer(200);
    if (since > 500ms && since < 1500ms) r.delay = 1500ms - since;
    return r;
  }};
  const run_result r = run(server.url(), "executor='constant-vus'\nvus=1\nduration='2s'", R"(
[[journey]]
name = "j"
steps = [{ name = "get", request = "GET /", pause = "1ms" }]
)");
  EXPECT_EQ(r.arrivals, "closed loop");
  EXPECT_EQ(r.journeys.dropped, 0u);
  EXPECT_GE(r.steps[0].all.max(), 500ms) << "seen once";
  EXPECT_GT(r.journeys.completed, 20u);
  EXPECT_LT(r.steps[0].all.quantile(0.5), 300ms);
}

TEST(Driver, DropsWhatFindsNoFreeUserAndSaysSo) {
  scripted_server server{[](const server_request&) {
    server_reply r = answer(200);
    r.delay = 3000ms;
    return r;
  }};
  const run_result r =
      run(server.url(), "executor='constant-arrival-rate'\nrate=20\nduration='1s'\narrivals='uniform'\nmax_vus=2");
  EXPECT_EQ(r.journeys.intended, 20u) << "the load does not depend on the server";
  EXPECT_EQ(r.journeys.started, 2u);
  EXPECT_EQ(r.journeys.dropped, 18u);
  EXPECT_EQ(r.journeys.completed, 2u);
  EXPECT_EQ(r.vus_peak, 2u);
  EXPECT_EQ(r.vus_max, 2u);
  EXPECT_FALSE(r.generator.valid);
  EXPECT_NEAR(intended_success(r), 0.1, 1e-9);
}

TEST(Driver, RetriesWithBackoffAndHonoursRetryAfter) {
  std::atomic<int> n{0};
  scripted_server server{[&n](const server_request&) {
    server_reply r = answer(n++ == 0 ? 503 : 201);
    r.headers["Retry-After"] = "0.4";
    return r;
  }};
  const run_result r =
      run(server.url(), "executor='shared-iterations'\niterations=1",
          "[[journey]]\nname='j'\nretry={max_attempts=3, base='1ms'}\nsteps=[{name='get', request='GET /'}]\n");
  const step_result& s = r.steps[0];
  EXPECT_EQ(s.reached, 1u);
  EXPECT_EQ(s.attempts, 2u);
  EXPECT_EQ(count(s, verdict::good), 1u);
  EXPECT_EQ(s.rejected.count(), 1u);
  EXPECT_LT(s.rejected.max(), s.all.max());
  EXPECT_GE(s.all.max(), 400ms) << "the user waited, and that counts";
  const auto asked = server.requests();
  ASSERT_EQ(asked.size(), 2u);
  EXPECT_GE(asked[1].at - asked[0].at, 395ms);
}

/// One user who polls /status as `poll` says, then goes in with what it was given.
std::string fan(const std::string& poll, const std::string& more = "") {
  return "[[journey]]\nname='j'\n" + more +
         "\n[[journey.steps]]\nname='status'\nrequest='GET /status'\nexpect=[200]\ncapture={pass='/pass'}\n"
         "checks=[{name='has a name', pointer='/name'}]\npoll={until={pointer='/state', equals=['offered', 'active']}, " +
         poll + "}\n[[journey.steps]]\nname='enter'\nrequest='POST /enter'\nbody='{\"pass\":\"{pass}\"}'\n";
}
const std::string one_user = "executor='shared-iterations'\niterations=1";

TEST(Driver, PollsUntilTheAnswerSaysSo) {
  std::atomic<int> n{0};
  scripted_server server{[&n](const server_request& q) {
    if (q.path == "/enter") return answer(200);
    switch (n++) {
      case 0: return answer(200, R"({"state":"waiting","pollAfterMs":150})");
      case 1: return answer(200, R"({"state":"waiting","pollAfterMs":null})");
      default: return answer(200, R"({"state":"offered","name":1,"pass":"a\"b\n"})");
    }
  }};
  const run_result r = run(server.url(), one_user, fan("hint='/pollAfterMs', every='60ms'"));
  EXPECT_EQ(r.journeys.completed, 1u);
  const step_result& s = r.steps.at(0);
  EXPECT_EQ(s.reached, 3u) << "each poll is a call";
  EXPECT_EQ(count(s, verdict::good), 3u);
  EXPECT_EQ(s.checks_passed, 4u) << "three statuses, and the last answer's check";
  EXPECT_EQ(s.checks_failed, 0u);
  EXPECT_EQ(s.waits, 1u);
  ASSERT_EQ(s.waited.count(), 1u);
  EXPECT_GE(s.waited.min(), 210ms) << "from the first poll to the answer that ended it";
  EXPECT_EQ(s.polls_too_early, 0u);
  const auto asked = server.requests();
  ASSERT_EQ(asked.size(), 4u);
  EXPECT_GE(asked[1].at - asked[0].at, 150ms) << "the server's hint";
  EXPECT_GE(asked[2].at - asked[1].at, 60ms) << "without one, the scenario's interval";
  EXPECT_LE(3 * s.all.mean(), s.waited.max() - 150ms) << "latency counts from when a poll was due: pauses are not in it";
  EXPECT_EQ(asked[3].body, R"({"pass":"a\"b\u000a"})") << "what a server says stays one string";
}

TEST(Driver, APollThatCameTooEarlyIsWaitedForAndNoFailure) {
  std::atomic<int> n{0};
  scripted_server server{[&n](const server_request& q) {
    if (q.path == "/enter") return answer(200);
    server_reply r = answer(200, R"({"state":"active","name":1,"pass":1})");
    const int at = n++;
    if (at < 2) r = answer(429, at == 0 ? R"({"state":"active"})" : R"({"pollAfterMs":40})");
    if (at < 2) r.headers["Retry-After"] = at == 0 ? "0.2" : "3600";
    return r;
  }};
  const run_result r = run(server.url(), one_user,
                           fan("hint='/pollAfterMs', every='1h'", "retry={max_attempts=9}") +
                               "[thresholds]\npolls_too_early=['count==2']\n"
                               "'wait_duration{step:status}'=['min>=240', 'max<60000']\n"
                               "'http_req_failed{step:status}'=['rate==0']\nchecks=['rate==1']\n");
  EXPECT_EQ(r.journeys.completed, 1u);
  const step_result& s = r.steps.at(0);
  EXPECT_EQ(s.polls_too_early, 2u) << "whatever else an answer says that came too early";
  EXPECT_EQ(s.attempts, 3u);
  EXPECT_EQ(s.reached, 3u) << "not retries of one call";
  EXPECT_EQ(s.rejected.count(), 0u);
  EXPECT_EQ(count(s, verdict::good), 3u);
  const auto asked = server.requests();
  EXPECT_GE(asked.at(1).at - asked[0].at, 200ms) << "Retry-After";
  EXPECT_GE(asked.at(2).at - asked[1].at, 40ms) << "the hint is finer";
  for (const threshold_result& t : r.thresholds) EXPECT_TRUE(t.passed) << t.metric << t.expression << t.observed;
}

TEST(Driver, AWaitThatDoesNotEndWellFailsTheStep) {
  const auto waits = [](const std::string& poll, const std::string& state, const std::string& more = "") {
    scripted_server server{[&state](const server_request&) { return answer(200, R"({"state":")" + state + "\"}"); }};
    run_result r = run(server.url(), one_user, fan(poll, more));
    EXPECT_EQ(r.journeys.failed, 1u) << poll;
    EXPECT_EQ(r.steps[0].waits, 1u);
    EXPECT_TRUE(r.steps[0].waited.empty());
    return r;
  };
  EXPECT_EQ(waits("every='1h', give_up={pointer='/state', equals='expired'}", "expired").steps[0].reached, 1u);
  EXPECT_EQ(waits("every='1ms', max_polls=4", "waiting").steps[0].reached, 4u);
  const run_result patient = waits("every='200ms', max_wait='500ms'", "waiting");
  EXPECT_LE(patient.steps[0].reached, 3u);
  EXPECT_GE(patient.total, 500ms) << "the user stays that long";
  EXPECT_EQ(patient.steps[1].reached, 0u);
  EXPECT_EQ(waits("every='1ms', max_polls=2", "waiting", "on_step_failure='continue'").steps[1].reached, 1u)
      << "a client that goes on whatever the answer was";
  const run_result incomplete = waits("every='1h'", "active");
  EXPECT_EQ(count(incomplete.steps[0], verdict::error), 1u) << "nothing to capture, and a check that does not hold";
}

TEST(Driver, APollThatFailsIsRetriedAsTheJourneySays) {
  std::atomic<int> n{0};
  scripted_server server{[&n](const server_request& q) {
    const int at = n++;
    if (q.path == "/enter" || at == 3) return answer(200, R"({"state":"active","name":1,"pass":1})");
    return at == 0 ? answer(200, R"({"state":"waiting"})") : answer(503);
  }};
  const std::string polls = "every='1ms'";
  run_result r = run(server.url(), one_user, fan(polls, "retry={max_attempts=3, base='1ms'}"));
  EXPECT_EQ(r.journeys.completed, 1u);
  EXPECT_EQ(r.steps[0].reached, 2u);
  EXPECT_EQ(r.steps[0].attempts, 4u);
  n = 0;
  r = run(server.url(), one_user, fan(polls));
  EXPECT_EQ(r.journeys.failed, 1u);
  EXPECT_EQ(count(r.steps[0], verdict::rejected), 1u);
}

TEST(Driver, NoRetryOutlastsThePatienceOfWhoWaits) {
  scripted_server server{[](const server_request&) {
    server_reply r = answer(503);
    r.headers["Retry-After"] = "3600";
    return r;
  }};
  const run_result r = run(server.url(), one_user, fan("max_wait='5s'", "retry={max_attempts=3, base='1ms'}"));
  EXPECT_EQ(r.journeys.failed, 1u) << "not interrupted at the end of the run";
  EXPECT_EQ(r.steps[0].attempts, 1u);
  EXPECT_EQ(count(r.steps[0], verdict::rejected), 1u);
}

TEST(Driver, AHintIsTheServersTimeHoweverFastTheScenarioRuns) {
  std::atomic<int> n{0};
  scripted_server server{[&n](const server_request& q) {
    if (q.path == "/enter" || n++ > 0) return answer(200, R"({"state":"active","name":1,"pass":1})");
    return answer(200, R"({"state":"waiting","ms":200})");
  }};
  const run_result r = run(server.url(), one_user, fan("hint='/ms', max_wait='1m'"), "", {.time_scale = 10});
  EXPECT_EQ(r.journeys.completed, 1u);
  const auto asked = server.requests();
  EXPECT_GE(asked.at(1).at - asked[0].at, 200ms);
  EXPECT_GE(r.steps[0].waited.min(), 2s) << "in the scenario's time";
}

TEST(Driver, PausesAsTheAnswerAsks) {
  scripted_server server{[](const server_request&) { return answer(200, R"({"ms":150})"); }};
  const run_result r = run(server.url(), one_user,
                           "[[journey]]\nname='j'\nsteps=[{name='a', request='GET /', pause='100ms', pause_hint='/ms'},\n"
                           "{name='b', request='GET /', pause_hint='/none'}, {name='c', request='GET /'}]\n",
                           "", {.time_scale = 2});
  EXPECT_EQ(r.journeys.completed, 1u);
  const auto asked = server.requests();
  EXPECT_GE(asked.at(1).at - asked[0].at, 200ms) << "the server's 150, and the scenario's 100 on its own clock";
  EXPECT_GE(r.journey_duration.min(), 400ms) << "in the scenario's time";
}

TEST(Driver, AWaitIsCutByTheEndOfTheRun) {
  scripted_server server{[](const server_request&) { return answer(200, R"({"state":"waiting"})"); }};
  const run_result r = run(server.url(), five + "\ngraceful_stop='0s'", fan("every='1h', max_wait='24h'"));
  EXPECT_EQ(r.journeys.interrupted, 5u);
  EXPECT_EQ(r.steps[0].waits, 5u);
  EXPECT_LT(r.total, 30s);
}

TEST(Driver, WantOfDescriptorsIsItsOwn) {
  scripted_server server{[](const server_request&) {
    server_reply r = answer(200);
    r.delay = 500ms;
    return r;
  }};
  const auto starved = [&] {
    // The driver raises the soft limit, so the hard one goes down: in a process of its own. Room for what the driver itself
    // needs and a few connections, above what this process was started with.
    const auto free = static_cast<rlim_t>(open("/dev/null", O_RDONLY));
    const rlimit few{free + 12, free + 12};
    if (setrlimit(RLIMIT_NOFILE, &few) != 0) std::_Exit(3);
    const run_result r =
        run(server.url(), "executor='constant-arrival-rate'\nrate=100\nduration='300ms'\narrivals='uniform'");
    const bool said = r.generator.own_errors.contains("no free file descriptor") && !r.generator.valid;
    const bool not_blamed = count(r.steps[0], verdict::broken) == 0 && r.journeys.interrupted > 0;
    std::_Exit(said && not_blamed && !testing::Test::HasFailure() ? 0 : 1);
  };
  EXPECT_EXIT(starved(), testing::ExitedWithCode(0), "");
}

TEST(Driver, ARunThatIsStoppedIsAsLongAsItWas) {
  scripted_server server{[](const server_request&) { return answer(200); }};
  drive_options options{.capacity_per_s = 5};
  options.stop_on_signal = true;
  options.on_second = [](const progress&) { std::raise(SIGINT); };
  const run_result r = run(server.url(), "executor='constant-arrival-rate'\nrate=20\nduration='1h'\narrivals='uniform'",
                           one_get, "slo={step='get', within='4s'}\npeak_end='30m'", options);
  EXPECT_GE(r.length, 1s);
  EXPECT_LT(r.length, 1min);
  EXPECT_LT(r.seconds.size(), 60u);
  EXPECT_EQ(r.overload.recovered_after_s, std::nullopt) << "the end of the peak was never reached";
}

TEST(Driver, JourneysThatCouldNotBeBegunAreDroppedNotForgotten) {
  scripted_server server{[](const server_request&) { return answer(200); }};
  drive_options options;
  options.on_second = [](const progress& p) {
    if (p.elapsed < 1500ms) std::this_thread::sleep_for(1500ms);
  };
  const run_result r = run(server.url(),
                           "executor='constant-arrival-rate'\nrate=1000\nduration='2s'\narrivals='uniform'\n"
                           "graceful_stop='0s'\nmax_vus=5000",
                           one_get, "", options);
  EXPECT_EQ(r.journeys.intended, 2000u) << "the load does not depend on the driver either";
  EXPECT_FALSE(r.generator.valid);
}

TEST(Driver, InterruptsPauses) {
  scripted_server server{[](const server_request&) { return answer(200); }};
  const run_result r = run(server.url(), five + "\ngraceful_stop='0s'",
                           "[[journey]]\nname='j'\nsteps=[{name='get', request='GET /', repeat=2, pause='1h'}]\n");
  EXPECT_EQ(r.journeys.interrupted, r.journeys.started);
  EXPECT_LT(r.total, 30s);
}

TEST(Driver, PausesAreNotLatency) {
  scripted_server server{[](const server_request&) { return answer(200); }};
  const run_result r = run(server.url(), five,
                           "[[journey]]\nname='j'\nsteps=[{name='a', request='GET /', pause='1s'}, "
                           "{name='b', request='GET /', think='1ms'}]\n");
  EXPECT_EQ(r.journeys.completed, 5u);
  EXPECT_GE(r.journey_duration.min(), 1s);
  EXPECT_LT(r.steps[1].all.quantile(0.5), 900ms);
}

TEST(Driver, JudgesTheStepUnderTheSlo) {
  scripted_server server{[](const server_request& q) {
    server_reply r = answer(200);
    if (q.number % 2 == 0) r.delay = 600ms;
    return r;
  }};
  const run_result r = run(server.url(), "executor='constant-arrival-rate'\nrate=4\nduration='1s'\narrivals='uniform'",
                           one_get, "slo={step='get', within='500ms'}\nwarmup='400ms'\n");
  EXPECT_EQ(r.journeys.intended, 3u) << "the one at 250 ms was warming up";
  EXPECT_EQ(count(r.steps[0], verdict::slow) + count(r.steps[0], verdict::good), 3u);
  EXPECT_GE(count(r.steps[0], verdict::slow), 1u);
  std::uint64_t in_series = 0;
  for (const second_result& s : r.seconds) in_series += s.admitted.count();
  EXPECT_EQ(in_series, 4u) << "the series has all four";
  EXPECT_EQ(r.slo, 500ms);
}

TEST(Driver, RunsTheClosedLoopExecutors) {
  scripted_server server{[](const server_request&) { return answer(200); }};
  EXPECT_EQ(run(server.url(), "executor='shared-iterations'\nvus=3\niterations=10").journeys.completed, 10u);
  EXPECT_LT(run(server.url(), "executor='shared-iterations'\nvus=3\niterations=10").length, 1min)
      << "not its bound of 10 min";
  EXPECT_EQ(run(server.url(), "executor='per-vu-iterations'\nvus=3\niterations=4").journeys.completed, 12u);

  const std::string paused = "[[journey]]\nname='j'\nsteps=[{name='a', request='GET /', repeat=2, pause='20ms'}]\n";
  run_result r = run(server.url(), "executor='constant-vus'\nvus=3\nduration='500ms'", paused);
  EXPECT_EQ(r.vus_peak, 3u);
  EXPECT_GT(r.journeys.completed, 3u);
  EXPECT_EQ(r.journeys.dropped, 0u);
  r = run(server.url(), "executor='ramping-vus'\nstages=[{duration='600ms', target=6}, {duration='300ms', target=0}]",
          paused);
  EXPECT_GE(r.vus_peak, 3u);
  EXPECT_LE(r.vus_peak, 6u);
  EXPECT_GT(r.journeys.completed, 6u);
}

TEST(Driver, ScalesRatesAndPlansTheSameWithTheSameSeed) {
  scripted_server server{[](const server_request&) { return answer(200); }};
  const auto planned = [&](const std::string& seed) {
    return run(server.url(), "executor='ramping-arrival-rate'\nstages=[{duration='1s', target=100}]", one_get, seed,
               {.rate_factor = 2, .label = "a"});
  };
  const run_result a = planned("");
  const run_result b = planned("");
  EXPECT_EQ(a.rate_factor, 2);
  EXPECT_EQ(a.label, "a");
  EXPECT_EQ(a.arrivals, "poisson");
  EXPECT_EQ(a.journeys.intended, b.journeys.intended);
  EXPECT_NEAR(static_cast<double>(a.journeys.intended), 100, 50) << "integral 50, doubled";
}

TEST(Driver, RunsAScenarioFasterAndReportsInItsTime) {
  scripted_server server{
      [](const server_request& request) { return request.path == "/never" ? of_kind(kind::nothing) : answer(200); }};
  const auto began = std::chrono::steady_clock::now();
  const run_result r = run(server.url(), "executor='constant-arrival-rate'\nrate=5\nduration='4s'\narrivals='uniform'",
                           "[[journey]]\nname='j'\n[[journey.steps]]\nname='get'\nrequest='GET /'\npause='2s'\n"
                           "[[journey.steps]]\nname='never'\nrequest='GET /never'\ntimeout='1s'\n",
                           "", {.time_scale = 8, .capacity_per_s = 16});
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_EQ(r.time_scale, 8);
  EXPECT_EQ(r.overload.capacity_per_s, 2) << "in a second of the scenario";
  EXPECT_EQ(r.journeys.intended, 20u);
  EXPECT_EQ(r.length, 4s);
  EXPECT_GE(r.total, 7s - 50ms) << "the last one begins at 4 s, pauses for 2, and waits for 1";
  EXPECT_LT(took, r.total) << "its own time passes faster";
  const step_result& never = r.steps.at(1);
  EXPECT_EQ(never.failures.at("timed out"), 20u);
  EXPECT_GE(never.request.min(), 1s);
}

TEST(Driver, ReportsProgressEachSecond) {
  scripted_server server{[](const server_request&) { return answer(200); }};
  std::vector<progress> seen;
  drive_options options;
  options.on_second = [&](const progress& p) { seen.push_back(p); };
  run(server.url(), "executor='constant-arrival-rate'\nrate=20\nduration='2500ms'\narrivals='uniform'", one_get, "",
      options);
  ASSERT_GE(seen.size(), 2u);
  EXPECT_GE(seen[0].elapsed, 1s);
  EXPECT_GT(seen[0].completed, 0u);
  EXPECT_EQ(seen[0].vus_max, 1000u);
}

TEST(Driver, SummarisesOverloadAndThresholds) {
  std::atomic<int> n{0};
  scripted_server server{[&n](const server_request&) { return answer(n++ % 2 == 0 ? 200 : 503); }};
  const run_result r = run(server.url(),
                           "executor='ramping-arrival-rate'\nstart_rate=40\narrivals='uniform'\n"
                           "stages=[{duration='2s', target=40}, {duration='0s', target=2}, {duration='1s', target=2}]",
                           one_get + "[thresholds]\nhttp_req_failed=['rate<0.9', 'rate<0.1']\n",
                           "slo={step='get', within='4s'}", {.capacity_per_s = 10});
  EXPECT_EQ(r.overload.overloaded_seconds.size(), 2u);
  EXPECT_EQ(r.overload.peak_end_s, 2);
  EXPECT_GT(r.overload.goodput_per_s, 5);
  ASSERT_EQ(r.thresholds.size(), 2u);
  EXPECT_TRUE(r.thresholds[0].passed);
  EXPECT_FALSE(r.thresholds[1].passed);
}

TEST(Driver, RefusesATargetThatIsNone) {
  scenario::definition d;
  d.target = "ftp://x";
  EXPECT_THROW((void)drive(d), std::invalid_argument);
  d.target = "http://127.0.0.1:1";
  EXPECT_THROW((void)drive(d, {.rate_factor = 0}), std::invalid_argument);
  EXPECT_THROW((void)drive(d, {.time_scale = 0}), std::invalid_argument);
}

}  // namespace
