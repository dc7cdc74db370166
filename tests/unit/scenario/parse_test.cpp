#include <scenario/parse.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace {

using namespace weir;
using namespace weir::scenario;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

// Lines matter: errors are looked for by their number.
const std::string whole = R"([scenario]
name = "all"
seed = 42
target = "http://127.0.0.1:8081"
warmup = "2s"
slo = { step = "order", within = "800ms" }
peak_end = "10s"

[[load]]
name = "users"
executor = "ramping-arrival-rate"
journey = "buy"
start_rate = 2.5
time_unit = "1m"
stages = [ { duration = "5s", target = 20 }, { duration = "0s", target = 7.5 }, { duration = "1m30s", target = 7.5 } ]
arrivals = "uniform"
max_vus = 2000
graceful_stop = "15s"

[[load]]
executor = "constant-vus"
journey = "look"
vus = 3
duration = "10s"

[[journey]]
name = "buy"
on_step_failure = "continue"
retry = { max_attempts = 3, base = "50ms", cap = "1s", jitter = "equal", on = [503], honour_retry_after = false }
steps = [
  { name = "register", request = "POST /api/users", headers = { X-Trace = "{uuid}" }, body = '{"n":"user {vu} {iteration}"}', capture = { user = "/id" }, expect = [200, 201] },
  { name = "order", request = "POST /api/orders/{user}", timeout = "1500ms", repeat = 5, pause = "1s", think = "250ms", pause_hint = "/wait", tags = { class = "write" }, checks = [
      { name = "there", pointer = "/id" }, { name = "paid", pointer = "/paid", equals = true }, { name = "n", pointer = "/n", equals = 3 },
      { name = "x", pointer = "/x", equals = 1.5 }, { name = "s", pointer = "/s", equals = "yes" }, { name = "says", contains = "ok" } ] } ]

[[journey]]
name = "look"
[[journey.steps]]
name = "list"
request = "GET /list?page=1"

[thresholds]
"http_req_duration{step:order}" = ["p(95)<800", "avg<200"]
"req_total{class:write,journey:buy}" = ["max<9"]
"journey_success" = ["rate>0.99"]

[policy]
chain = ["anything"]
[model]
service = [ { what = "ever" } ]
)";

/// `whole` with `from` replaced by `to`.
std::string changed(const std::string& from, const std::string& to) {
  std::string text = whole;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

std::string errors_of(const std::string& text) {
  std::string all;
  for (const diagnostic& d : parse(text, "f.toml").errors) all += d.text() + "\n";
  return all;
}

TEST(Parse, ReadsEveryKey) {
  const parsed p = parse(whole, "f.toml");
  for (const diagnostic& d : p.errors) ADD_FAILURE() << d.text();
  const definition& d = p.definition;
  EXPECT_EQ(d.name, "all");
  EXPECT_EQ(d.seed, 42u);
  EXPECT_EQ(d.target, "http://127.0.0.1:8081");
  EXPECT_EQ(d.warmup, 2s);
  ASSERT_TRUE(d.slo);
  EXPECT_EQ(d.slo->step, "order");
  EXPECT_EQ(d.slo->within, 800ms);
  EXPECT_EQ(d.peak_end, 10s);
  EXPECT_EQ(d.length(), 95s);

  ASSERT_EQ(d.loads.size(), 2u);
  const scenario::load& users = d.loads[0];
  EXPECT_EQ(users.name, "users");
  EXPECT_EQ(users.executor, executor::ramping_arrival_rate);
  EXPECT_EQ(users.journey, "buy");
  EXPECT_DOUBLE_EQ(users.start_rate, 2.5);
  EXPECT_EQ(users.time_unit, 1min);
  ASSERT_EQ(users.stages.size(), 3u);
  EXPECT_EQ(users.stages[2].length, 90s);
  EXPECT_DOUBLE_EQ(users.stages[1].target, 7.5);
  EXPECT_EQ(users.arrivals, arrivals::uniform);
  EXPECT_EQ(users.max_vus, 2000u);
  EXPECT_EQ(users.graceful_stop, 15s);
  EXPECT_EQ(d.loads[1].name, "look") << "the journey's name, by default";
  EXPECT_EQ(d.loads[1].executor, executor::constant_vus);
  EXPECT_EQ(d.loads[1].vus, 3u);
  EXPECT_EQ(d.loads[1].length, 10s);
  EXPECT_EQ(d.loads[1].graceful_stop, 30s) << "k6's default";

  ASSERT_EQ(d.journeys.size(), 2u);
  const journey& buy = d.journeys[0];
  EXPECT_FALSE(buy.abort_on_failure);
  EXPECT_EQ(buy.retry.max_attempts, 3u);
  EXPECT_EQ(buy.retry.wait.initial, 50ms);
  EXPECT_EQ(buy.retry.wait.cap, 1s);
  EXPECT_EQ(buy.retry.wait.jitter, jitter_kind::equal);
  EXPECT_THAT(buy.retry.on, ElementsAre(503u));
  EXPECT_FALSE(buy.retry.honour_retry_after);
  ASSERT_EQ(buy.steps.size(), 2u);
  const step& registration = buy.steps[0];
  EXPECT_EQ(registration.method, "POST");
  EXPECT_EQ(registration.path, "/api/users");
  EXPECT_EQ(registration.headers.at("X-Trace"), "{uuid}");
  EXPECT_EQ(registration.body, R"({"n":"user {vu} {iteration}"})");
  EXPECT_EQ(registration.capture.at("user"), "/id");
  EXPECT_TRUE(registration.expects(201));
  EXPECT_FALSE(registration.expects(204));
  EXPECT_EQ(registration.timeout, 60s) << "k6's default";
  const step& order = buy.steps[1];
  EXPECT_EQ(order.timeout, 1500ms);
  EXPECT_EQ(order.repeat, 5u);
  EXPECT_EQ(order.pause, 1s);
  EXPECT_EQ(order.think, 250ms);
  EXPECT_EQ(order.pause_hint, "/wait");
  EXPECT_EQ(order.tags.at("class"), "write");
  EXPECT_TRUE(order.expects(302));
  EXPECT_FALSE(order.expects(404));
  ASSERT_EQ(order.checks.size(), 6u);
  EXPECT_THAT(order.checks[0].match->equals, testing::IsEmpty());
  EXPECT_THAT(order.checks[1].match->equals, ElementsAre(true));
  EXPECT_THAT(order.checks[2].match->equals, ElementsAre(std::int64_t{3}));
  EXPECT_THAT(order.checks[3].match->equals, ElementsAre(1.5));
  EXPECT_THAT(order.checks[4].match->equals, ElementsAre(std::string{"yes"}));
  EXPECT_FALSE(order.checks[5].match);
  EXPECT_EQ(order.checks[5].contains, "ok");
  EXPECT_TRUE(d.journeys[1].abort_on_failure) << "survivors only is not the default";
  EXPECT_EQ(d.journeys[1].steps[0].path, "/list?page=1");

  ASSERT_EQ(d.thresholds.size(), 4u);
}

TEST(Parse, ReadsTheOtherExecutors) {
  const auto with = [](const std::string& load) {
    const parsed p = parse("[scenario]\nname='x'\n[[load]]\njourney='j'\n" + load +
                               "\n[[journey]]\nname='j'\nsteps=[{name='s',request='GET /'}]\n",
                           "f");
    for (const diagnostic& d : p.errors) ADD_FAILURE() << d.text();
    return p.definition.loads.at(0);
  };
  scenario::load l = with("executor='constant-arrival-rate'\nrate=12.5\nduration='1m'");
  EXPECT_EQ(l.executor, executor::constant_arrival_rate);
  EXPECT_DOUBLE_EQ(l.rate, 12.5);
  EXPECT_EQ(l.arrivals, arrivals::poisson) << "even spacing is not the default";
  l = with("executor='ramping-vus'\nvus=2\nstages=[{duration='5s',target=10}]");
  EXPECT_EQ(l.executor, executor::ramping_vus);
  EXPECT_EQ(l.vus, 2u);
  l = with("executor='ramping-vus'\nstages=[{duration='5s',target=10}]");
  EXPECT_EQ(l.vus, 0u);
  l = with("executor='shared-iterations'\nvus=2\niterations=10");
  EXPECT_EQ(l.executor, executor::shared_iterations);
  EXPECT_EQ(l.iterations, 10u);
  EXPECT_EQ(length_of(l), 10min);
  l = with("executor='per-vu-iterations'\niterations=10\nmax_duration='3s'");
  EXPECT_EQ(l.executor, executor::per_vu_iterations);
  EXPECT_EQ(length_of(l), 3s);
}

/// A step that polls as `poll` says, in line 7.
parsed polling(const std::string& poll) {
  return parse("[scenario]\nname='x'\n[[load]]\nexecutor='constant-vus'\njourney='j'\nduration='1s'\n" +
                   ("[[journey]]\nname='j'\nsteps=[{name='s', request='GET /', " + poll + "}]\n"),
               "f");
}

TEST(Parse, ReadsPolls) {
  parsed p = polling(
      "poll={until={pointer='/state', equals=['offered', 'active', 3]}, give_up={pointer='/gone'}, hint='/pollAfterMs', "
      "every='1500ms', max_polls=10, max_wait='40s'}");
  for (const diagnostic& d : p.errors) ADD_FAILURE() << d.text();
  const scenario::poll& all = p.definition.journeys.at(0).steps.at(0).poll.value();
  EXPECT_EQ(all.until.pointer, "/state");
  EXPECT_THAT(all.until.equals, ElementsAre(std::string{"offered"}, std::string{"active"}, std::int64_t{3}));
  ASSERT_TRUE(all.give_up);
  EXPECT_EQ(all.give_up->pointer, "/gone");
  EXPECT_TRUE(all.give_up->equals.empty()) << "it only has to be there";
  EXPECT_EQ(all.hint, "/pollAfterMs");
  EXPECT_EQ(all.every, 1500ms);
  EXPECT_EQ(all.max_polls, 10u);
  EXPECT_EQ(all.max_wait, 40s);

  p = polling("poll={until={pointer='/pass'}}");
  EXPECT_TRUE(p.ok());
  const scenario::poll& least = p.definition.journeys.at(0).steps.at(0).poll.value();
  EXPECT_FALSE(least.give_up);
  EXPECT_EQ(least.every, 1s);
  EXPECT_EQ(least.max_polls, 0u) << "any number";
  EXPECT_EQ(least.max_wait, 10min);
}

TEST(Parse, SaysWhatIsWrongWithAPoll) {
  const auto errors = [](const std::string& poll) {
    std::string all;
    for (const diagnostic& d : polling(poll).errors) all += d.text() + "\n";
    return all;
  };
  EXPECT_EQ(errors("poll={}"), "f:9: poll has no 'until'\n");
  EXPECT_EQ(errors("poll={until={}}"), "f:9: until has no 'pointer'\n");
  EXPECT_EQ(errors("poll={until={pointer='state'}}"),
            "f:9: 'state' is not a JSON pointer; the form is \"/id\" or \"/items/0/id\"\n");
  EXPECT_EQ(errors("poll={until={pointer='/a'}, give_up={pointer='/b', equals=[]}}"),
            "f:9: 'equals' in give_up must not be empty\n");
  EXPECT_EQ(errors("poll={until={pointer='/a', contains='x'}}"),
            "f:9: unknown key 'contains' in until; known: pointer, equals\n");
  EXPECT_THAT(errors("poll={until={pointer='/a'}, hint='ms'}"), HasSubstr("f:9: 'ms' is not a JSON pointer"));
  EXPECT_EQ(errors("poll={until={pointer='/a'}, max_polls=0}"),
            "f:9: 'max_polls' in poll must be a whole number from 1 to 1000000, is 0\n");
  EXPECT_EQ(errors("poll={until={pointer='/a'}, every='0s'}"), "f:9: 'every' in poll must be from 1ms to 24h, is 0s\n");
  EXPECT_EQ(errors("poll={until={pointer='/a'}, max_wiat='1s'}"),
            "f:9: unknown key 'max_wiat' in poll; did you mean 'max_wait'?\n");
  EXPECT_THAT(errors("poll={until={pointer='/a'}}, repeat=2"),
              HasSubstr("f:9: 'repeat' has no meaning in a step with 'poll'"));
  EXPECT_EQ(errors("poll=3"),
            "f:9: 'poll' in a step must be a table like { until = { pointer = \"/state\", equals = \"done\" } }\n");
  EXPECT_EQ(errors("poll={until='/a'}"),
            "f:9: 'until' in poll must be a table like { pointer = \"/state\", equals = \"done\" }\n");
  EXPECT_THAT(errors("poll={until={pointer='/a', equals=nan}}"),
              HasSubstr("f:9: 'equals' in until must be a string, a number"));
  EXPECT_THAT(errors("poll={until={pointer='/a~2'}}"), HasSubstr("f:9: '/a~2' is not a JSON pointer"));
  EXPECT_EQ(errors("poll={until={pointer='/a~1b~0'}}"), "");
}

struct mistake {
  const char* from;
  const char* to;
  const char* says;

  friend void PrintTo(const mistake& m, std::ostream* out) { *out << m.says; }
};

class ParseMistake : public testing::TestWithParam<mistake> {};

TEST_P(ParseMistake, IsSaidWithItsLine) {
  EXPECT_THAT(errors_of(changed(GetParam().from, GetParam().to)), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Scenario, ParseMistake,
    testing::Values(
        mistake{"name = \"all\"", "name = 3", "f.toml:2: 'name' in [scenario] must be a string"},
        mistake{"name = \"all\"", "", "f.toml:1: [scenario] has no 'name'"},
        mistake{"seed = 42", "seed = -1", "f.toml:3: 'seed' in [scenario] must be a whole number from 0 to"},
        mistake{"seed = 42", "sead = 42", "f.toml:3: unknown key 'sead' in [scenario]; did you mean 'seed'?"},
        mistake{"seed = 42", "wholly_other = 42",
                "f.toml:3: unknown key 'wholly_other' in [scenario]; known: name, seed, "},
        mistake{"http://127", "https://127", "f.toml:4: 'https://127.0.0.1:8081': https is not supported"},
        mistake{"warmup = \"2s\"", "warmup = 2", "f.toml:5: 'warmup' in [scenario] must be a duration like"},
        mistake{"warmup = \"2s\"", "warmup = \"2 sec\"", "f.toml:5: 'warmup' in [scenario] must be a duration like"},
        mistake{"warmup = \"2s\"", "warmup = \"25h\"", "f.toml:5: 'warmup' in [scenario] must be from 0s to 24h, is 25h"},
        mistake{"warmup = \"2s\"", "warmup = \"2m\"",
                "f.toml:5: 'warmup' must be shorter than the load, which lasts 1m35s"},
        mistake{"step = \"order\"", "step = \"ordre\"", "f.toml:6: there is no step 'ordre'; did you mean 'order'?"},
        mistake{", within = \"800ms\"", "", "f.toml:6: slo has no 'within'"},
        mistake{"slo = {", "slo = 1 #",
                "f.toml:6: 'slo' in [scenario] must be a table like { step = \"order\", within = \"800ms\" }"},
        mistake{"warmup = \"2s\"", "warmup = \"-2s\"",
                "must be a duration like \"15s\", \"800ms\" or \"1m30s\", from 0s to 24h\n"},
        mistake{"peak_end = \"10s\"", "peak_end = \"10m\"", "f.toml:7: 'peak_end' must lie within the load"}));

INSTANTIATE_TEST_SUITE_P(
    Load, ParseMistake,
    testing::Values(
        mistake{"executor = \"ramping-arrival-rate\"", "exectuor = \"ramping-arrival-rate\"",
                "f.toml:9: [[load]] has no 'executor'"},
        mistake{"executor = \"ramping-arrival-rate\"", "exectuor = \"ramping-arrival-rate\"",
                "f.toml:11: unknown key 'exectuor' in [[load]]; did you mean 'executor'?\n"},
        mistake{"\"ramping-arrival-rate\"", "\"ramping-arrival\"",
                "f.toml:11: unknown executor 'ramping-arrival'; known: constant-arrival-rate, "},
        mistake{"\"ramping-arrival-rate\"", "\"rampingArrivalRate\"",
                "f.toml:11: unknown executor 'rampingArrivalRate'; did you mean 'ramping-arrival-rate'?"},
        mistake{"\"ramping-arrival-rate\"", "\"ramping-arival-rate\"",
                "f.toml:11: unknown executor 'ramping-arival-rate'; did you mean 'ramping-arrival-rate'?"},
        mistake{"journey = \"buy\"", "journey = \"by\"", "f.toml:9: there is no journey 'by'; did you mean 'buy'?"},
        mistake{"journey = \"buy\"", "", "f.toml:9: [[load]] has no 'journey'"},
        mistake{"name = \"users\"", "name = \"look\"", "f.toml:20: there is a load 'look' already"},
        mistake{"start_rate = 2.5", "start_rate = -1",
                "f.toml:13: 'start_rate' in [[load]] must be from 0 to 1000000, is -1"},
        mistake{"start_rate = 2.5", "start_rate = nan", "f.toml:13: 'start_rate' in [[load]] must be from 0"},
        mistake{"start_rate = 2.5", "start_rate = \"2\"",
                "f.toml:13: 'start_rate' in [[load]] must be a number from 0 to 1000000"},
        mistake{"start_rate = 2.5", "rate = 2.5", "f.toml:13: 'rate' is not used by executor ramping-arrival-rate"},
        mistake{"start_rate = 2.5", "vus = 2", "f.toml:13: 'vus' is not used by executor ramping-arrival-rate"},
        mistake{"time_unit = \"1m\"", "time_unit = \"0s\"",
                "f.toml:14: 'time_unit' in [[load]] must be from 1ms to 24h, is 0s"},
        mistake{"stages = [", "stages = 1 # [", "f.toml:15: 'stages' in [[load]] must be an array of tables like [ {"},
        mistake{"stages = [", "stages = [ 7, ", "f.toml:15: 'stages' in [[load]] must be an array of tables"},
        mistake{"stages = [", "stages = [] # [", "f.toml:15: the stages in [[load]] last no time"},
        mistake{"stages = [", "#", "f.toml:9: [[load]] has no 'stages'"},
        mistake{"{ duration = \"5s\", target = 20 }", "{ duration = \"5s\" }", "f.toml:15: a stage has no 'target'"},
        mistake{"{ duration = \"5s\", target = 20 }", "{ target = 20 }", "f.toml:15: a stage has no 'duration'"},
        mistake{"{ duration = \"5s\", target = 20 }", "{ duration = \"5s\", tarjet = 20 }",
                "f.toml:15: a stage has no 'target'"},
        mistake{"{ duration = \"5s\", target = 20 }", "{ duration = \"5s\", target = 20, x = 1 }",
                "f.toml:15: unknown key 'x' in a stage; known: duration, target"},
        mistake{"arrivals = \"uniform\"", "arrivals = \"poison\"",
                "f.toml:16: unknown arrivals 'poison'; did you mean 'poisson'?"},
        mistake{"max_vus = 2000", "max_vus = 0",
                "f.toml:17: 'max_vus' in [[load]] must be a whole number from 1 to 100000, is 0"},
        mistake{"max_vus = 2000", "max_vus = 1.5", "f.toml:17: 'max_vus' in [[load]] must be a whole number"},
        mistake{"graceful_stop = \"15s\"", "gracefulStop = \"15s\"",
                "f.toml:18: unknown key 'gracefulStop' in [[load]]; did you mean 'graceful_stop'?"},
        mistake{"vus = 3", "vus = 0", "f.toml:23: 'vus' in [[load]] must be a whole number from 1"},
        mistake{"vus = 3", "max_vus = 3", "f.toml:23: 'max_vus' is not used by executor constant-vus"},
        mistake{"duration = \"10s\"\n", "\n", "f.toml:20: [[load]] has no 'duration'"}));

INSTANTIATE_TEST_SUITE_P(
    Journey, ParseMistake,
    testing::Values(
        mistake{"on_step_failure = \"continue\"", "on_step_failure = \"ignore\"",
                "f.toml:28: unknown on_step_failure 'ignore'; known: abort, continue"},
        mistake{"name = \"look\"\n[[j", "name = \"buy\"\n[[j", "f.toml:36: there is a journey 'buy' already"},
        mistake{"max_attempts = 3", "max_attempts = 0",
                "f.toml:29: 'max_attempts' in retry must be a whole number from 1 to 100, is 0"},
        mistake{"jitter = \"equal\"", "jitter = \"some\"", "f.toml:29: unknown jitter 'some'; known: none, full, equal"},
        mistake{"cap = \"1s\"", "cap = \"1ms\"", "f.toml:29: 'cap' in retry must not be less than 'base'"},
        mistake{"on = [503]", "on = [42]", "f.toml:29: 'on' in retry must be an array of HTTP statuses from 100 to 599"},
        mistake{"on = [503]", "on = []", "f.toml:29: 'on' in retry must be an array of at least one HTTP status"},
        mistake{"on = [503]", "on = 503", "f.toml:29: 'on' in retry must be an array of HTTP statuses"},
        mistake{"honour_retry_after = false", "honour_retry_after = 1",
                "f.toml:29: 'honour_retry_after' in retry must be true or false"},
        mistake{"honour_retry_after", "honor_retry_after",
                "f.toml:29: unknown key 'honor_retry_after' in retry; did you mean 'honour_retry_after'?"},
        mistake{"name = \"register\", ", "", "f.toml:31: a step has no 'name'"},
        mistake{"name = \"register\"", "name = \"order\"", "f.toml:32: there is a step 'order' already"},
        mistake{"request = \"POST /api/users\", ", "", "f.toml:31: a step has no 'request'"},
        mistake{"POST /api/users", "POTS /api/users",
                "f.toml:31: unknown method 'POTS' (the form is \"POST /path\"); did you mean 'POST'?"},
        mistake{"POST /api/users", "post /api/users",
                "f.toml:31: unknown method 'post' (the form is \"POST /path\"); did you mean 'POST'?"},
        mistake{"POST /api/users", "/api/users", "f.toml:31: unknown method '/api/users'"},
        mistake{"POST /api/users", "POST api/users", "f.toml:31: the path 'api/users' must begin with '/'"},
        mistake{"POST /api/users", "POST /api/users HTTP/1.1",
                "f.toml:31: the path '/api/users HTTP/1.1' must begin with '/' and hold no spaces"},
        mistake{"X-Trace = \"{uuid}\"", "Content-Length = \"1\"",
                "f.toml:31: header 'Content-Length' is set by the driver itself"},
        mistake{"X-Trace = \"{uuid}\"", "X-Trace = \"a\\r\\nb\"", "f.toml:31: header 'X-Trace' is not a legal HTTP header"},
        mistake{"X-Trace = \"{uuid}\"", "\"X Trace\" = \"a\"", "f.toml:31: header 'X Trace' is not a legal HTTP header"},
        mistake{"X-Trace = \"{uuid}\"", "X-Trace = 1", "f.toml:31: 'headers.X-Trace' in a step must be a string"},
        mistake{"user = \"/id\"", "user = \"id\"", "f.toml:31: 'id' is not a JSON pointer"},
        mistake{"user = \"/id\"", "vu = \"/id\"", "f.toml:31: 'vu' cannot be captured"},
        mistake{"user = \"/id\"", "\"a b\" = \"/id\"", "f.toml:31: 'a b' cannot be captured"},
        mistake{"expect = [200, 201]", "expect = [\"201\"]",
                "f.toml:31: 'expect' in a step must be an array of HTTP statuses"},
        mistake{"{vu} {iteration}", "{vu} {iteraton}",
                "f.toml:31: placeholder {iteraton} is not captured by an earlier step; did you mean 'iteration'?"},
        mistake{"/api/orders/{user}", "/api/orders/{usr}",
                "f.toml:32: placeholder {usr} is not captured by an earlier step; did you mean 'user'?"},
        mistake{"/api/users", "/api/users/{user}", "f.toml:31: placeholder {user} is not captured by an earlier step"},
        mistake{"timeout = \"1500ms\"", "timeout = \"0s\"",
                "f.toml:32: 'timeout' in a step must be from 1ms to 24h, is 0s"},
        mistake{"repeat = 5", "repeat = 0", "f.toml:32: 'repeat' in a step must be a whole number from 1"},
        mistake{"pause = \"1s\"", "pause = \"-1s\"", "f.toml:32: 'pause' in a step must be a duration"},
        mistake{"pause_hint = \"/wait\"", "pause_hint = \"wait\"", "f.toml:32: 'wait' is not a JSON pointer"},
        mistake{"tags = { class", "tags = { step", "f.toml:32: tag 'step' is set by the driver itself"},
        mistake{"{ name = \"there\", pointer = \"/id\" }", "{ name = \"there\" }",
                "f.toml:33: a check has either 'pointer'"},
        mistake{"{ name = \"there\", pointer = \"/id\" }", "{ pointer = \"/id\" }", "f.toml:33: a check has no 'name'"},
        mistake{"equals = true", "equals = {}",
                "f.toml:33: 'equals' in a check must be a string, a number, true or false, or an array of these"},
        mistake{"equals = true", "equals = [1, []]", "f.toml:33: 'equals' in a check must be a string, a number"},
        mistake{"equals = true", "equals = []", "f.toml:33: 'equals' in a check must not be empty"},
        mistake{"contains = \"ok\"", "contains = \"ok\", equals = 1", "f.toml:34: 'equals' in a check needs 'pointer'"},
        mistake{"[[journey.steps]]\nname = \"list\"\nrequest = \"GET /list?page=1\"", "steps = []",
                "f.toml:38: journey 'look' has no steps"}));

INSTANTIATE_TEST_SUITE_P(
    Thresholds, ParseMistake,
    testing::Values(mistake{"\"journey_success\"", "\"jurney_success\"",
                            "f.toml:45: unknown metric 'jurney_success'; did you mean 'journey_success'?"},
                    mistake{"[\"rate>0.99\"]", "[\"p(95)>0.99\"]",
                            "f.toml:45: 'p(95)>0.99': metric 'journey_success' has rate"},
                    mistake{"[\"rate>0.99\"]", "\"rate>0.99\"",
                            "f.toml:45: 'journey_success' in [thresholds] must be an array of strings"},
                    mistake{"[\"rate>0.99\"]", "[]", "f.toml:45: 'journey_success' in [thresholds] is empty"},
                    mistake{"\"journey_success\" = [\"rate>0.99\"]", "polls_too_early = [\"count<9\"]",
                            "f.toml:45: metric 'polls_too_early' is of steps with 'poll', and there is none"},
                    mistake{"[\"rate>0.99\"]", "[0.99]", "f.toml:45: a threshold must be a string"},
                    mistake{"{step:order}", "{step:oder}", "f.toml:43: there is no step 'oder'; did you mean 'order'?"},
                    mistake{"journey:buy", "journey:sell", "f.toml:44: there is no journey 'sell'"},
                    mistake{"class:write", "class:read", "f.toml:44: no step has the tag class:read"}));

INSTANTIATE_TEST_SUITE_P(
    File, ParseMistake,
    testing::Values(mistake{"name = \"all\"", "name = ''", "f.toml:2: 'name' in [scenario] must not be empty"},
                    mistake{"name = \"users\"", "name = ''", "f.toml:10: 'name' in [[load]] must not be empty"},
                    mistake{"[policy]", "[polic]", "f.toml:47: unknown key 'polic' in the file; did you mean 'policy'?"},
                    mistake{"seed = 42", "seed = ", "f.toml:3: "}, mistake{"seed = 42", "name = \"again\"", "f.toml:3: "},
                    mistake{"[[load]]", "[[load]", "f.toml:9: "},
                    mistake{"steps = [\n  {", "steps = [\n  {\n", "; a table in braces stands on one line"}));

TEST(Parse, SaysEverythingThatIsWrongInTheOrderOfTheLines) {
  const parsed p = parse(
      "[scenario]\nnaem = 'x'\n[[load]]\nexecutor = 'nothing'\njourney = 'j'\n[[journey]]\nname = 'j'\nsteps = 3\n", "f");
  std::vector<std::string> lines;
  for (const diagnostic& d : p.errors) lines.push_back(d.text().substr(0, 4));
  EXPECT_THAT(lines, ElementsAre("f:1:", "f:2:", "f:4:", "f:8:", "f:8:"));
}

TEST(Parse, RefusesALoadThatIsNone) {
  const auto errors = [](const std::string& load) {
    std::string all;
    for (const diagnostic& d : parse("[scenario]\nname='x'\nslo={step='a', within='1s'}\n" + load +
                                         "\n[[journey]]\nname='j'\nsteps=[{name='a', request='GET /'}]\n",
                                     "f")
                                   .errors) {
      all += d.text() + "\n";
    }
    return all;
  };
  const std::string open = "[[load]]\njourney='j'\nexecutor='constant-arrival-rate'\nduration='1s'\n";
  EXPECT_EQ(errors(open + "rate=0"), "f:8: 'rate' in [[load]] must be more than 0: there would be no load\n");
  EXPECT_EQ(errors(open + "rate=0.001"), "");
  const std::string none = "f:6: the stages in [[load]] have no target above 0: there would be no load\n";
  const std::string ramp = "[[load]]\njourney='j'\nstages=[{duration='1s', target=0}]\nexecutor='ramping-";
  EXPECT_EQ(errors(ramp + "arrival-rate'"), none);
  EXPECT_EQ(errors(ramp + "vus'"), none);
  EXPECT_EQ(errors(ramp + "arrival-rate'\nstart_rate=1"), "") << "down to nothing";
  EXPECT_EQ(errors(ramp + "vus'\nvus=1"), "");
  EXPECT_EQ(errors("[load]\njourney='j'"), "f:4: 'load' in the file must be an array of tables like [[load]]\n");
}

TEST(Parse, SaysTheCauseAndNotWhatFollowsFromIt) {
  std::string all;
  for (const diagnostic& d : parse("[scenario]\nname='x'\nslo={step='a', within='1s'}\n[[load]]\njourney='j'\n"
                                   "executor='ramping-vus'\nstages={duration='1s', target=1}\n[[journey]]\nname='j'\n",
                                   "f")
                                 .errors) {
    all += d.text() + "\n";
  }
  EXPECT_EQ(all,
            "f:7: 'stages' in [[load]] must be an array of tables like [ { duration = \"5s\", target = 20 } ]\n"
            "f:8: [[journey]] has no 'steps'\n");
}

TEST(Parse, NeedsAllParts) {
  const parsed p = parse("", "empty.toml");
  ASSERT_EQ(p.errors.size(), 3u);
  EXPECT_THAT(p.errors[0].text(), HasSubstr("the file has no 'scenario'"));
  EXPECT_THAT(p.errors[1].text(), HasSubstr("the file has no 'load'"));
  EXPECT_THAT(p.errors[2].text(), HasSubstr("the file has no 'journey'"));
}

TEST(Parse, SurvivesWhatIsNoTextAtAll) {
  std::string bytes;
  for (int i = 0; i < 4096; ++i) bytes += static_cast<char>(i * 131 % 256);
  EXPECT_FALSE(parse(bytes, "noise").ok());
  EXPECT_FALSE(parse(std::string(2'000'000, ' '), "long").ok());
  EXPECT_FALSE(parse(std::string_view{"\0\0", 2}, "zeros").ok());
}

TEST(Parse, KeysWithoutEndAreRefusedBeforeTheyFillTheStack) {
  std::string parts = "a";
  for (int i = 0; i < 400'000; ++i) parts += ".a";
  for (const std::string& text : {"# 'a.b\n" + parts + " = 1\n", "x = 1\n[" + parts + "]\n", "\n[[" + parts + "]]\n",
                                  "x = \"\\\"\"\nb = [{ " + parts + " = 1 }]\n", "x = '''\n''''', " + parts + " = 1"}) {
    const parsed p = parse(text, "deep.toml");
    ASSERT_EQ(p.errors.size(), 1u);
    EXPECT_EQ(p.errors[0].text(), "deep.toml:2: a key of more than 32 parts");
  }
  // Quotes hide nothing.
  std::string quoted = "\"#\"";
  for (int i = 0; i < 100'000; ++i) quoted += ".'='";
  EXPECT_EQ(parse(quoted + " = 1", "deep.toml").errors.at(0).message, "a key of more than 32 parts");
  // Text is no key, however many dots it has.
  std::string dots(1000, '.');
  const std::string said =
      "body = '''\n" + dots + "'''''\n#" + dots + "\nx = \"\\\"" + dots + "\"\ny = \"\"\"\\\"\"\"\\\"" + dots + "\"\"\"\n";
  for (const diagnostic& d : parse("[model]\n" + said, "f").errors) EXPECT_THAT(d.message, HasSubstr("the file has no"));
}

TEST(ParseFile, SaysThatItCannotBeRead) {
  const parsed p = parse_file("/nonexistent/scenario.toml");
  ASSERT_EQ(p.errors.size(), 1u);
  EXPECT_EQ(p.errors[0].text(), "/nonexistent/scenario.toml: cannot be read: No such file or directory");
  EXPECT_EQ(parse_file("/").errors.at(0).text(), "/: cannot be read: Is a directory");
}

}  // namespace
