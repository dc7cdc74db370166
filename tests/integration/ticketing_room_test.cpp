// The queues of the demo server from outside: the second and third report's URLs, with the tables that they had and with
// waiting rooms.

#include "ticketing_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <ctime>
#include <functional>
#include <optional>

namespace weir_tests {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

/// `headers`: whole lines.
answer send(client& c, const std::string& method, const std::string& target, const std::string& headers = {},
            const std::string& body = {}) {
  c.send(method + " " + target + " HTTP/1.1\r\nHost: t\r\n" + headers + "Content-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body);
  return c.receive();
}
std::string bearer(const std::string& token) { return "Authorization: Bearer " + token + "\r\n"; }
std::string text(const answer& a, const char* field) {
  const auto body = a.json();
  const auto* found = body.if_contains(field);
  return found == nullptr ? "(not there)" : std::string(found->as_string().c_str());
}
std::int64_t number(const answer& a, const char* field) {
  const auto body = a.json();
  const auto* found = body.if_contains(field);
  return found == nullptr ? -1 : found->to_number<std::int64_t>();
}
std::int64_t of_queue(client& c, const char* queue, const char* field) {
  return c.get("/counters").json().at("queues").at(queue).at(field).to_number<std::int64_t>();
}
/// Asks as it is told to until `enough`, for half a minute.
answer poll(client& c, const std::string& target, const std::string& token,
            const std::function<bool(const answer&)>& enough) {
  const auto give_up = std::chrono::steady_clock::now() + 30s;
  for (;;) {
    answer a = send(c, "GET", target, bearer(token));
    if (enough(a) || std::chrono::steady_clock::now() > give_up) return a;
    std::this_thread::sleep_for(std::chrono::milliseconds{std::clamp<std::int64_t>(number(a, "pollAfterMs"), 20, 1'000)});
  }
}
/// Until its state is `wanted`.
answer poll_until(client& c, const std::string& target, const std::string& token, const char* wanted) {
  return poll(c, target, token, [&](const answer& a) { return a.status == 200 && text(a, "state") == wanted; });
}

TEST(TicketingRoom, TheDatesAreForWhoHasItsTurn) {
  server_process server{
      {"--room", "on", "--admit", "1/1s", "--admit-style", "smooth", "--protection", "on", "--cost", "4"}};
  client c{server.port()};
  EXPECT_EQ(c.get("/concert/451/date").status, 401u);
  EXPECT_EQ(send(c, "GET", "/concert/451/date", bearer("nonsense")).status, 401u);

  const auto began = std::chrono::steady_clock::now();
  const answer first = send(c, "POST", "/user/1/queue/token/issue");
  EXPECT_EQ(first.status, 201u) << first.body;
  EXPECT_EQ(text(first, "state"), "active") << "nobody was there before";
  const answer last = [&] {
    for (const char* user : {"2", "3"}) (void)send(c, "POST", std::string("/user/") + user + "/queue/token/issue");
    return send(c, "POST", "/user/4/queue/token/issue");
  }();
  EXPECT_EQ(text(last, "state"), "waiting");
  EXPECT_EQ(number(last, "position"), 3);
  EXPECT_GT(number(last, "pollAfterMs"), 0);
  const std::string token = text(last, "token");
  EXPECT_EQ(text(send(c, "POST", "/user/4/queue/token/issue"), "token"), token) << "the same seat for the same user";

  const answer early = send(c, "GET", "/user/4/queue/token", bearer(token));
  if (std::chrono::steady_clock::now() < began + std::chrono::milliseconds{number(last, "pollAfterMs")}) {
    EXPECT_EQ(early.status, 429u) << early.body;
    EXPECT_THAT(early.head, HasSubstr("Retry-After: "));
  }
  const answer not_yet = send(c, "GET", "/concert/451/date", bearer(token));
  EXPECT_EQ(not_yet.status, 403u);
  EXPECT_EQ(text(not_yet, "error"), "not_yet");
  EXPECT_GT(number(not_yet, "pollAfterMs"), 0);

  const std::string of_third = text(send(c, "POST", "/user/3/queue/token/issue"), "token");
  EXPECT_EQ(send(c, "DELETE", "/rooms/concert/ticket", bearer(of_third)).status, 204u) << "the same seats";
  const answer over = send(c, "GET", "/concert/451/date", bearer(of_third));
  EXPECT_EQ(over.status, 410u) << over.body;
  EXPECT_EQ(text(over, "state"), "left");

  EXPECT_EQ(send(c, "GET", "/concert/451/date", bearer(text(first, "token"))).status, 200u);
  const answer turn = poll_until(c, "/user/4/queue/token", token, "offered");
  EXPECT_EQ(text(turn, "state"), "offered") << turn.body;
  const answer dates = poll(c, "/concert/451/date", token, [](const answer& a) { return a.status == 200; });
  EXPECT_EQ(dates.json().at("dates").as_array().size(), 3u) << "the first question takes the turn";
  EXPECT_EQ(send(c, "GET", "/concert/451/date", bearer(token)).status, 200u) << "and it is inside from then on";
  EXPECT_EQ(of_queue(c, "concert", "entered"), 2);
  EXPECT_EQ(of_queue(c, "concert", "joined"), 4);
}

TEST(TicketingRoom, ATableActivatesWhoeverIsNext) {
  server_process server{{"--room", "off", "--admit", "2/1s", "--cost", "4", "--issue-time", "1ms"}};
  const auto began = std::chrono::steady_clock::now();
  client c{server.port()};
  std::vector<std::string> tokens;
  const answer earliest = send(c, "POST", "/user/1/queue/token/issue");
  if (std::chrono::steady_clock::now() < began + 1s) {
    EXPECT_EQ(text(earliest, "state"), "waiting") << "for the next round, whatever the last one left";
    EXPECT_EQ(number(earliest, "position"), 1);
  }
  for (int user = 1; user <= 5; ++user) {
    const answer a = send(c, "POST", "/user/" + std::to_string(user) + "/queue/token/issue");
    ASSERT_EQ(a.status, 201u) << a.body;
    tokens.push_back(text(a, "token"));
  }
  EXPECT_EQ(send(c, "GET", "/concert/451/date", bearer(tokens.back())).status, 403u);
  EXPECT_EQ(send(c, "GET", "/user/5/queue/token", bearer("99")).status, 401u);
  EXPECT_EQ(text(poll_until(c, "/user/5/queue/token", tokens.back(), "active"), "state"), "active");
  for (const auto& token : tokens) EXPECT_EQ(send(c, "GET", "/concert/451/date", bearer(token)).status, 200u);
  EXPECT_EQ(c.get("/concert/451/date").status, 200u) << "there was nothing that demanded a token";
  EXPECT_EQ(of_queue(c, "concert", "issued"), 5);
}

class TicketingFlash : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Room, TicketingFlash, testing::Values("off", "on"),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_P(TicketingFlash, CarriesAUserFromLoginToDetail) {
  const bool room = GetParam() == std::string("on");
  server_process server{{"--room", GetParam(), "--admit", "1/1s", "--cost", "4", "--backend-rate", "500"}};
  client c{server.port()};
  const auto enqueue = [&c](const std::string& user) {
    const answer in = send(c, "POST", "/api/auth/login", {}, R"({"userId":")" + user + R"("})");
    return send(c, "POST", "/api/queue/enqueue", bearer(text(in, "accessToken")), R"({"eventId":7})");
  };
  EXPECT_EQ(send(c, "POST", "/api/queue/enqueue", {}, R"({"eventId":7})").status, 401u) << "log in first";
  const std::string endless = bearer("user-" + std::string(65, 'x'));
  EXPECT_EQ(send(c, "POST", "/api/queue/enqueue", endless, R"({"eventId":7})").status, 401u) << "nobody is called so";
  (void)enqueue("first");
  const answer queued = enqueue("second");
  ASSERT_EQ(queued.status, 201u) << queued.body;
  const std::string token = text(queued, "token");
  EXPECT_EQ(text(queued, "state"), "waiting");
  EXPECT_EQ(send(c, "POST", "/api/queue/enter", bearer(token)).status, 202u) << "not yet";

  answer entered;
  const auto give_up = std::chrono::steady_clock::now() + 30s;
  for (; entered.status != 200 && std::chrono::steady_clock::now() < give_up; std::this_thread::sleep_for(50ms)) {
    entered = send(c, "POST", "/api/queue/enter", bearer(token));
    ASSERT_TRUE(entered.status == 200 || entered.status == 202) << entered.body;
  }
  EXPECT_FALSE(text(entered, "pass").empty());
  EXPECT_EQ(send(c, "GET", "/api/queue/status", bearer(token)).status, 200u);
  EXPECT_EQ(c.get("/api/events/7").status, 200u);
  EXPECT_EQ(c.get("/api/events/0").status, 404u);
  const std::int64_t visits = of_queue(c, "flashBackEnd", "visits");
  if (room) {
    EXPECT_EQ(visits, 1) << "who waits is no affair of the back end's";
  } else {
    EXPECT_GE(visits, 5) << "everything goes there";
  }
  server.signal(SIGTERM);
  EXPECT_EQ(server.wait(), 0);
}

TEST(TicketingRoom, SurvivesItsProcess) {
  scratch_directory directory;
  const std::vector<std::string> arguments{"--room", "on", "--admit",      "1/1min",
                                           "--cost", "4",  "--room-store", (directory / "rooms.db").string()};
  std::vector<std::string> tokens;
  {
    server_process server{arguments};
    client c{server.port()};
    for (const char* user : {"1", "2", "3"}) {
      const answer a = send(c, "POST", std::string("/user/") + user + "/queue/token/issue");
      ASSERT_EQ(a.status, 201u) << a.body;
      tokens.push_back(text(a, "token"));
    }
    EXPECT_EQ(send(c, "GET", "/concert/451/date", bearer(tokens[0])).status, 200u);
    server.signal(SIGKILL);
    server.wait();
  }
  server_process again{arguments};
  client c{again.port()};
  EXPECT_EQ(send(c, "GET", "/concert/451/date", bearer(tokens[0])).status, 200u) << "who was inside is";
  // A join that the file has not seen yet is known again by its token.
  EXPECT_EQ(number(send(c, "GET", "/user/2/queue/token", bearer(tokens[1])), "position"), 1);
  const answer third = send(c, "GET", "/user/3/queue/token", bearer(tokens[2]));
  EXPECT_EQ(third.status, 200u) << third.body;
  EXPECT_EQ(number(third, "position"), 2) << "who waited waits, where it was";
  again.signal(SIGTERM);
  EXPECT_EQ(again.wait(), 0);
}

TEST(TicketingRoom, OpensItsRoomsToPagesAndOperators) {
  server_process server{{"--room", "on", "--admit", "5/1s", "--cost", "4", "--operator-token", "a secret of theirs"}};
  client c{server.port()};
  const answer joined = send(c, "POST", "/rooms/concert/tickets");
  ASSERT_EQ(joined.status, 201u) << joined.body;
  std::string cookies = "Cookie: ";
  for (auto at = joined.head.find("Set-Cookie: "); at != std::string::npos; at = joined.head.find("Set-Cookie: ", at + 1)) {
    const std::string pair = joined.head.substr(at + 12, joined.head.find(';', at) - at - 12);
    if (!pair.starts_with("weir_seat")) cookies += pair + "; ";  // that one goes to the room only
  }
  EXPECT_EQ(send(c, "GET", "/concert/451/date", cookies + "\r\n").status, 200u) << "by its pass";
  EXPECT_EQ(send(c, "GET", "/concert/451/date", "Cookie: weir_pass_concert=x\r\n").status, 401u);

  EXPECT_EQ(send(c, "POST", "/rooms/concert/pause").status, 403u);
  EXPECT_EQ(send(c, "POST", "/rooms/concert/pause", bearer("a secret of other")).status, 403u);
  EXPECT_EQ(send(c, "POST", "/rooms/concert/pause", bearer("a secret of theirs")).status, 200u);
  EXPECT_EQ(send(c, "GET", "/rooms/concert/stats", "Cookie: a=b; weir_operator=a secret of theirs\r\n").status, 200u);
  EXPECT_EQ(text(c.get("/rooms/concert/status"), "state"), "paused");
  EXPECT_EQ(c.get("/rooms/nowhere/status").status, 404u);
  EXPECT_EQ(send(c, "POST", "/user/9/queue/token/issue").status, 201u) << "a room that pauses takes everybody";
}

std::string cookies_of(const answer& joined) {
  std::string cookies = "Cookie: ";
  for (auto at = joined.head.find("Set-Cookie: "); at != std::string::npos; at = joined.head.find("Set-Cookie: ", at + 1)) {
    cookies += joined.head.substr(at + 12, joined.head.find(';', at) - at - 12) + "; ";
  }
  return cookies + "\r\n";
}

class TicketingEvents : public testing::TestWithParam<const char*> {
 protected:
  explicit TicketingEvents(std::vector<std::string> more = {}) : c_(server_.port()) {
#ifdef GATEWAY_PROGRAM
    const std::vector<std::string> to{"--backend", "127.0.0.1:" + std::to_string(server_.port()), "--drain", "60s"};
    more.insert(more.end(), to.begin(), to.end());
    if (GetParam() == std::string("gateway")) gateway_.emplace(std::move(more), false, GATEWAY_PROGRAM);
#endif
    (void)send(c_, "POST", "/rooms/concert/tickets");  // comes in at once
    cookies_ = cookies_of(send(c_, "POST", "/rooms/concert/tickets"));
  }
  /// What the page of the second fan listens to.
  client listen() {
    client events{gateway_ ? gateway_->port() : server_.port()};
    events.send("GET /rooms/concert/ticket/stream HTTP/1.1\r\nHost: t\r\n" + cookies_ + "\r\n");
    return events;
  }
  std::int64_t streams() { return number(send(c_, "GET", "/rooms/concert/stats", bearer("sesame")), "streams"); }
  std::int64_t open_connections() {
    return c_.get("/counters").json().at("connections").at("open").to_number<std::int64_t>();
  }
  /// Until the room knows of so many, for less than the time after which it would write to somebody silent.
  bool comes_to(std::int64_t n) {
    for (int i = 0; i < 1000; ++i, std::this_thread::sleep_for(10ms)) {
      if (streams() == n) return true;
    }
    return false;
  }

  server_process server_{
      {"--room", "on", "--admit", "1/60s", "--cost", "4", "--operator-token", "sesame", "--drain", "60s"}};
  client c_;
  std::optional<server_process> gateway_;
  std::string cookies_;
};
#ifdef GATEWAY_PROGRAM
constexpr std::array<const char*, 2> ways{"server", "gateway"};
#else
constexpr std::array<const char*, 1> ways{"server"};
#endif
INSTANTIATE_TEST_SUITE_P(Through, TicketingEvents, testing::ValuesIn(ways),
                         [](const auto& tested) { return std::string(tested.param); });

TEST_P(TicketingEvents, ReachTheirFanAndEndWithIt) {
  client events = listen();
  const std::string head = events.until("\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, HasSubstr("Content-Type: text/event-stream\r\n"));
  EXPECT_EQ(events.until("\n\n"), "retry: 3000\n\n");
  const std::string first = events.until("\n\n");
  EXPECT_THAT(first, HasSubstr("event: view\ndata: {\"state\":\"waiting\",\"position\":1,"));
  EXPECT_THAT(first, HasSubstr("\"reason\":\"rate\""));
  EXPECT_EQ(streams(), 1);
  events.hang_up();
  EXPECT_TRUE(comes_to(0)) << "who left holds no stream";
  EXPECT_EQ(open_connections(), 1) << "but for the one that asks";

  // What becomes of a seat is told at once, not when the stream looks next; on a busy machine for one of several.
  auto quickest = std::chrono::steady_clock::duration::max();
  for (int i = 0; i < 5 && quickest > 500ms; ++i) {
    client again = listen();
    EXPECT_THAT(again.until("event: view"), HasSubstr("200 OK"));
    const auto left_at = std::chrono::steady_clock::now();
    EXPECT_EQ(send(c_, "DELETE", "/rooms/concert/ticket", cookies_).status, 204u);
    EXPECT_THAT(again.until("event: end"), HasSubstr("event: view\ndata: {\"state\":\"left\""));
    quickest = std::min(quickest, std::chrono::steady_clock::now() - left_at);
    EXPECT_THAT(again.until("\n\n"), HasSubstr("\"error\":\"over\""));
    EXPECT_TRUE(again.closed());
    cookies_ = cookies_of(send(c_, "POST", "/rooms/concert/tickets"));
  }
  EXPECT_LT(quickest, 500ms);
  EXPECT_TRUE(comes_to(0));
}

TEST_P(TicketingEvents, AreNotWaitedForAtTheEnd) {
  client events = listen();
  EXPECT_THAT(events.until("event: view"), HasSubstr("200 OK"));
  server_process& stopped = gateway_ ? *gateway_ : server_;
  stopped.signal(SIGTERM);
  EXPECT_EQ(stopped.wait(10s), 0) << "whatever the time for what runs is";
  if (gateway_) {
    EXPECT_TRUE(comes_to(0)) << "behind it, too";
  }
}

#ifdef GATEWAY_PROGRAM
class SilentEvents : public TicketingEvents {
 protected:
  SilentEvents() : TicketingEvents({"--stream-silence", "100ms"}) {}
};
INSTANTIATE_TEST_SUITE_P(Through, SilentEvents, testing::Values("gateway"));

TEST_P(SilentEvents, AreOverAtTheGateway) {
  client events = listen();
  EXPECT_THAT(events.until("event: view"), HasSubstr("200 OK"));
  EXPECT_EQ(events.until("event: view"), "") << "closed";
  EXPECT_TRUE(comes_to(0));
}
#endif

TEST(TicketingRoom, OpensWhenItWasTold) {
  server_process server{
      {"--room", "on", "--admit", "1/1s", "--cost", "4", "--opens-at", "1min", "--operator-token", "sesame"}};
  client c{server.port()};
  const answer joined = send(c, "POST", "/user/1/queue/token/issue");
  EXPECT_EQ(joined.status, 201u);
  EXPECT_EQ(text(joined, "state"), "prequeued") << joined.body;
  EXPECT_EQ(send(c, "GET", "/concert/451/date", bearer(text(joined, "token"))).status, 403u);
  const answer status = c.get("/rooms/flash/status");
  EXPECT_EQ(text(status, "state"), "prequeue") << status.body;
  EXPECT_EQ(text(status, "commitment").size(), 64u) << "of the draw";
  EXPECT_EQ(text(status, "opens_at").size(), 24u);
  EXPECT_EQ(send(c, "POST", "/rooms/concert/open", bearer("sesame")).status, 200u) << "or when an operator says so";
  const answer dates = poll(c, "/concert/451/date", text(joined, "token"), [](const answer& a) { return a.status == 200; });
  EXPECT_EQ(dates.status, 200u) << dates.body;

  // An hour from now, as a clock in Seoul shows it.
  const std::time_t opening = std::time(nullptr) + 3600, in_seoul = opening + 9 * 3600;
  std::array<char, 32> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%dT%H:%M:%S+09:00", std::gmtime(&in_seoul));
  server_process dated{{"--room", "on", "--cost", "4", "--opens-at", date.data()}};
  client e{dated.port()};
  const std::string told = text(e.get("/rooms/concert/status"), "opens_at");
  std::tm read{};
  ASSERT_NE(strptime(told.c_str(), "%Y-%m-%dT%H:%M:%S", &read), nullptr) << told;
  EXPECT_NEAR(static_cast<double>(timegm(&read)), static_cast<double>(opening), 1) << told;

  server_process late{{"--room", "on", "--cost", "4", "--opens-at", "2026-01-01T09:00+09:00"}};
  client d{late.port()};
  EXPECT_EQ(send(d, "POST", "/rooms/concert/pause").status, 403u) << "without a token of operators nobody is one";
  EXPECT_THAT(late.err(), HasSubstr("2026-01-01T09:00+09:00 has passed: the rooms open at once"));
  const answer at_once = send(d, "POST", "/user/1/queue/token/issue");
  EXPECT_EQ(poll(d, "/concert/451/date", text(at_once, "token"), [](const answer& a) { return a.status == 200; }).status,
            200u);
}

TEST(TicketingRoom, TheListIsServedByThePageOrWhole) {
  server_process paged{{"--protection", "on", "--cost", "4"}};
  client c{paged.port()};
  const answer second = c.get("/concerts/query?sort=id&page=2");
  EXPECT_EQ(second.json().at("concerts").as_array()[0].at("id").as_int64(), 11);
  EXPECT_EQ(number(c.get("/concerts/query"), "page"), 1);
  for (const char* page : {"0", "1001", "x", "-1"}) {
    EXPECT_EQ(c.get(std::string("/concerts/query?page=") + page).error(), "page must be 1 .. 1000") << page;
  }
  server_process whole{{"--cost", "4"}};
  client w{whole.port()};
  EXPECT_EQ(w.get("/concerts/query?page=2").json().at("concerts").as_array().size(), 10'000u);
}

TEST(TicketingRoomOptions, RefusesWhatCannotWork) {
  const auto said = [](std::vector<std::string> arguments) {
    server_process server{arguments};
    EXPECT_EQ(server.wait(), 2) << arguments.back();
    return server.err();
  };
  for (const char* admit : {"50", "0/1s", "5/1", "5/x", "/1s", "-1/1s", "5/0s", "1/2000min", "1/nans"}) {
    EXPECT_THAT(said({"--admit", admit}), HasSubstr("must be N/TIME, such as 50/10s")) << admit;
  }
  EXPECT_THAT(said({"--admit", "1001/1ms"}), HasSubstr("--admit: must be at most 1000000 per second, is '1001/1ms'"));
  EXPECT_THAT(said({"--claim-window", "10ms"}), HasSubstr("must be from 1s to 1440min"));
  EXPECT_THAT(said({"--admit-style", "wild"}), HasSubstr("strict"));
  for (const char* rate : {"nan", "-1", "1e7"}) {
    EXPECT_THAT(said({"--backend-rate", rate}), HasSubstr("--backend-rate: must be from 0 to 1000000")) << rate;
  }
  EXPECT_THAT(said({"--room", "on", "--polls", "nan"}), HasSubstr("--polls: must be from 1 to 1000000"));
  for (const char* time : {"-1ms", "61s", "1e300s"}) {
    EXPECT_THAT(said({"--issue-time", time}), HasSubstr("--issue-time: must be from 0ms to 1min")) << time;
  }
  for (const char* opening : {"2026-12-01", "2026-12-01T20:00", "2026-02-30T20:00Z", "2026-12-01T24:00Z",
                              "2026-12-01T20:60Z", "2026-12-01T20:00+9", "2026-12-01T20:00ZZ", "soon", "30", ""}) {
    EXPECT_THAT(said({"--room", "on", "--opens-at", opening}),
                HasSubstr(std::string("such as 2026-12-01T20:00+09:00, is '") + opening + "'"));
  }
  for (const char* opening : {"0s", "-3s", "1e9min", "2126-12-01T20:00Z"}) {
    EXPECT_THAT(said({"--room", "on", "--opens-at", opening}), HasSubstr("within a year")) << opening;
  }
  for (const char* unheard : {"--room-store", "--operator-token"}) {
    EXPECT_THAT(said({unheard, "x"}), HasSubstr(std::string(unheard) + " needs --room on"));
  }
  server_process unwritable{{"--room", "on", "--room-store", "/nowhere/rooms.db"}};
  EXPECT_EQ(unwritable.wait(), 1);
  EXPECT_THAT(unwritable.err(), HasSubstr("/nowhere/rooms.db.key"));
}

}  // namespace
}  // namespace weir_tests
