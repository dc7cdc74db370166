// The demo's gateway from outside: what it passes on and what not, its bounds, services that misbehave, clients that do.

#include "ticketing_process.hpp"

#include <support/scripted_server.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>

namespace weir_tests {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using weir::testing_support::reply_kind;
using weir::testing_support::scripted_server;
using weir::testing_support::server_reply;
using weir::testing_support::server_request;

std::string address_of(const scripted_server& s) { return s.url().substr(std::string("http://").size()); }

class gateway : public server_process {
 public:
  gateway(const std::string& backend, std::vector<std::string> more = {})
      : server_process(with(backend, std::move(more)), false, GATEWAY_PROGRAM) {}

 private:
  static std::vector<std::string> with(const std::string& backend, std::vector<std::string> more) {
    more.insert(more.begin(), {"--backend", backend});
    return more;
  }
};

server_reply says(std::string body, unsigned status = 200) {
  server_reply r;
  r.status = status;
  r.body = std::move(body);
  return r;
}
server_reply of_kind(reply_kind k, std::string body = {}) {
  server_reply r;
  r.kind = k;
  r.body = std::move(body);
  return r;
}

TEST(Gateway, PassesOnWhatIsOfTheMessageAndNotOfTheConnection) {
  scripted_server service{[](const server_request&) {
    server_reply r = says("<p>none</p>", 404);
    r.headers = {{"Content-Type", "text/html"}, {"X-Answer", "a"},       {"Connection", "keep-alive, X-Inner"},
                 {"X-Inner", "secret"},         {"Keep-Alive", "max=9"}, {"Server", "scripted"}};
    return r;
  }};
  gateway g{address_of(service)};
  client c{g.port()};
  c.send(
      "PUT /a/b?c=%20d HTTP/1.1\r\nHost: shop.example\r\nConnection: X-Drop , x-also\r\nX-Drop: 1\r\nX-Also: 2\r\n"
      "X-Keep: 3\r\nX-Keep: 4\r\nAuthorization: Bearer t\r\nTE: trailers\r\nUpgrade: h2c\r\nKeep-Alive: 5\r\n"
      "X-Forwarded-For: 203.0.113.9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-Late: 1\r\n"
      "Authorization: Bearer forged\r\n\r\n");
  const answer a = c.receive();
  EXPECT_EQ(a.status, 404u);
  EXPECT_EQ(a.body, "<p>none</p>");
  EXPECT_THAT(a.head, HasSubstr("Content-Type: text/html"));
  EXPECT_THAT(a.head, Not(HasSubstr("application/json"))) << "one type only";
  EXPECT_THAT(a.head, HasSubstr("X-Answer: a"));
  EXPECT_THAT(a.head, HasSubstr("Server: scripted"));
  EXPECT_THAT(a.head, HasSubstr("Via: 1.1 ticketing_gateway"));
  EXPECT_THAT(a.head, Not(HasSubstr("X-Inner")));
  EXPECT_THAT(a.head, Not(HasSubstr("Keep-Alive")));

  const auto asked = service.requests();
  ASSERT_EQ(asked.size(), 1u);
  const server_request& q = asked[0];
  EXPECT_EQ(q.method, "PUT");
  EXPECT_EQ(q.path, "/a/b?c=%20d");
  EXPECT_EQ(q.body, "abcde") << "whole, whatever its pieces were";
  EXPECT_EQ(q.headers.at("content-length"), "5");
  EXPECT_EQ(q.headers.at("host"), "shop.example");
  EXPECT_EQ(q.headers.at("x-keep"), "3, 4");
  EXPECT_EQ(q.headers.at("authorization"), "Bearer t");
  EXPECT_EQ(q.headers.at("via"), "1.1 ticketing_gateway");
  EXPECT_EQ(q.headers.at("x-forwarded-for"), "203.0.113.9, 127.0.0.1") << "the last is the one that the gateway has seen";
  for (const char* dropped :
       {"connection", "x-drop", "x-also", "te", "upgrade", "keep-alive", "transfer-encoding", "x-late"}) {
    EXPECT_FALSE(q.headers.contains(dropped)) << dropped;
  }
}

TEST(Gateway, KeepsConnectionsOnBothSides) {
  scripted_server service{[](const server_request&) { return says("whole"); }};
  gateway g{address_of(service)};
  client c{g.port()};
  for (int i = 0; i < 5; ++i) EXPECT_EQ(c.get("/").body, "whole");
  c.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
  c.send("GET /last HTTP/1.1\r\nHost: t\r\n\r\n");
  std::string head, rest;
  EXPECT_EQ(service.connections(), 1u);
  // An answer without its body would shift the next one: the client reads 5 bytes of it as the body.
  const answer a = c.receive();
  EXPECT_EQ(a.status, 200u);
  EXPECT_THAT(a.head, HasSubstr("Content-Length: 5"));
  EXPECT_EQ(a.body, "HTTP/") << "no body came with the answer to HEAD";
}

TEST(Gateway, LetsInNoMoreThanItsBound) {
  scripted_server service{[](const server_request& q) {
    server_reply r = says("{}");
    if (q.path == "/slow") r.delay = 1500ms;
    return r;
  }};
  gateway g{address_of(service), {"--max-in-flight", "2"}};
  client a{g.port()}, b{g.port()}, c{g.port()};
  a.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
  b.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
  while (service.requests().size() < 2) std::this_thread::sleep_for(5ms);
  const answer refused = c.get("/quick");
  EXPECT_EQ(refused.status, 503u);
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: 1"));
  EXPECT_EQ(refused.error(), "too many requests under way");
  EXPECT_EQ(a.receive().status, 200u);
  EXPECT_EQ(b.receive().status, 200u);
  EXPECT_EQ(c.get("/quick").status, 200u);
  EXPECT_EQ(service.connections(), 2u) << "as many connections as may be under way, and kept";

  a.send("GET /slow HTTP/1.1\r\nHost: t\r\n\r\n");
  while (service.requests().size() < 4) std::this_thread::sleep_for(5ms);
  g.signal(SIGTERM);
  EXPECT_EQ(a.receive().status, 200u) << "what runs is finished";
  EXPECT_EQ(g.wait(), 0);
  const auto counters = g.final_counters();
  const auto& behind = counters.at("service").as_object();
  EXPECT_EQ(behind.at("inFlight").to_number<int>(), 0);
  EXPECT_EQ(behind.at("inFlightPeak").to_number<int>(), 2);
  EXPECT_EQ(behind.at("answers").at("503").to_number<int>(), 1);
  EXPECT_EQ(behind.at("answers").at("200").to_number<int>(), 4);
  EXPECT_EQ(behind.at("connections").at("opened").to_number<int>(), 2);
  EXPECT_EQ(counters.at("clients").at("accepted").to_number<int>(), 3);
}

TEST(Gateway, SaysSoWhenTheServiceDoesNotAnswerProperly) {
  scripted_server service{[](const server_request& q) {
    if (q.path == "/nothing") return of_kind(reply_kind::nothing);
    if (q.path == "/hang-up") return of_kind(reply_kind::hang_up);
    if (q.path == "/reset") return of_kind(reply_kind::reset);
    if (q.path == "/noise") return of_kind(reply_kind::raw, "220 smtp.example ready\r\n");
    if (q.path == "/early") return of_kind(reply_kind::raw, "HTTP/1.1 103 Early Hints\r\n\r\n");
    if (q.path == "/half") return of_kind(reply_kind::raw, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
    if (q.path == "/no-events") {
      server_reply r = says("whole", 404);
      r.headers = {{"Content-Type", "text/event-stream"}};
      return r;
    }
    if (q.path == "/hints") {
      return of_kind(reply_kind::raw,
                     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
                     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole");
    }
    if (q.path == "/chunks") {
      return of_kind(reply_kind::raw,
                     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n3\r\nole\r\n0\r\n\r\n");
    }
    if (q.path == "/until-closed") return of_kind(reply_kind::raw, "HTTP/1.1 200 OK\r\n\r\nwhole");
    if (q.path == "/large") return says(std::string(2'000'000, 'x'));
    return says("{}");
  }};
  gateway g{address_of(service), {"--timeout", "300ms", "--max-in-flight", "1"}};
  client c{g.port()};
  EXPECT_EQ(c.get("/").status, 200u);
  const answer late = c.get("/nothing");
  EXPECT_EQ(late.status, 504u);
  EXPECT_EQ(late.error(), "the service did not answer in time");
  for (const char* path : {"/hang-up", "/reset", "/noise", "/early", "/half", "/large"}) {
    const answer a = c.get(path);
    EXPECT_EQ(a.status, 502u) << path;
    EXPECT_THAT(a.error(), HasSubstr("the service: ")) << path;
    EXPECT_EQ(c.get("/").status, 200u) << "after " << path;
  }
  EXPECT_EQ(std::ranges::count(service.requests(), "/half", &server_request::path), 1) << "an answer had begun";
  const answer no_events = c.get("/no-events");
  EXPECT_EQ(no_events.status, 404u) << "only 200 streams";
  EXPECT_EQ(no_events.body, "whole");
  for (const char* path : {"/hints", "/chunks", "/until-closed"}) {
    const answer a = c.get(path);
    EXPECT_EQ(a.status, 200u) << path << a.body;
    EXPECT_EQ(a.body, "whole") << path;
    EXPECT_THAT(a.head, HasSubstr("Content-Length: 5")) << path;
    EXPECT_THAT(a.head, Not(HasSubstr("Link"))) << path;
  }

  gateway nowhere{"127.0.0.1:1"};
  const answer a = client{nowhere.port()}.get("/");
  EXPECT_EQ(a.status, 502u);
  EXPECT_EQ(a.error(), "the service: connection refused");
}

TEST(Gateway, AClientThatLeavesGivesItsPlaceBack) {
  scripted_server service{
      [](const server_request& q) { return q.path == "/never" ? of_kind(reply_kind::nothing) : says("{}"); }};
  gateway g{address_of(service), {"--timeout", "60s", "--max-in-flight", "1"}};
  client other{g.port()};
  {
    client c{g.port()};
    c.send("GET /never HTTP/1.1\r\nHost: t\r\n\r\n");
    while (service.requests().empty()) std::this_thread::sleep_for(5ms);
    EXPECT_EQ(other.get("/").status, 503u);
  }
  unsigned status = 503;
  for (int i = 0; i < 500 && status == 503; ++i) {
    std::this_thread::sleep_for(10ms);
    status = other.get("/").status;
  }
  EXPECT_EQ(status, 200u) << "long before the service's time was up";
  g.signal(SIGTERM);
  EXPECT_EQ(g.wait(), 0);
  EXPECT_EQ(g.final_counters().at("service").at("noAnswers").at("cancelled").to_number<int>(), 1);
}

TEST(Gateway, AsksOnceMoreWhenTheEndOfItsConnectionCrossedTheQuestion) {
  scripted_server service{[](const server_request& q) {
    const bool ends = q.path == "/never" || q.method == "POST" || (q.connection == 0 && q.number > 0);
    return ends ? of_kind(reply_kind::hang_up) : says("{}");
  }};
  gateway g{address_of(service)};
  client c{g.port()};
  EXPECT_EQ(c.get("/").status, 200u);
  EXPECT_EQ(c.get("/again").status, 200u) << "on another connection";
  EXPECT_EQ(service.requests().size(), 3u);
  EXPECT_EQ(c.ask("/", "{}").status, 502u);
  EXPECT_EQ(service.requests().size(), 4u) << "what may have been done is not done again";
  EXPECT_EQ(c.get("/never").status, 502u);
  EXPECT_EQ(service.requests().size(), 5u) << "a new connection: nothing crossed";
}

TEST(Gateway, PassesEventsOnAsTheyComeAndNoFasterThanTheyAreRead) {
  server_reply events = of_kind(reply_kind::endless,
                                "HTTP/1.1 200 OK\r\ncontent-type: Text/Event-Stream; charset=utf-8\r\n"
                                "Server: scripted\r\n\r\ndata: first\n\n");
  events.more = std::string(65'000, 'x') + "\n\n";
  scripted_server service{[&](const server_request& q) { return q.path == "/events" ? events : says("{}"); }};
  gateway g{
      address_of(service),
      {"--max-in-flight", "1", "--max-streams", "1", "--request-timeout", "300ms", "--timeout", "5s", "--drain", "60s"}};
  client reader{g.port()}, other{g.port()};
  reader.send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n");
  const std::string head = reader.until("\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(head, HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(head, HasSubstr("Server: scripted\r\nVia: 1.1 ticketing_gateway\r\n"));
  EXPECT_EQ(reader.until("\n\n"), "data: first\n\n");
  for (int i = 0; i < 30; ++i) ASSERT_EQ(reader.until("\n\n").size(), 65'002u) << "more than any whole answer may have";

  EXPECT_EQ(other.get("/quick").status, 200u) << "a stream is not among those under way";
  const answer refused = client{g.port()}.get("/events");
  EXPECT_EQ(refused.status, 503u);
  EXPECT_EQ(refused.error(), "too many streams under way");
  EXPECT_THAT(refused.head, HasSubstr("Retry-After: 5"));

  // Nobody reads any more: what cannot be written is not read either, and after a while the stream is over.
  std::string again;
  std::optional<client> next;
  for (int i = 0; i < 500 && !again.starts_with("HTTP/1.1 200"); ++i) {
    std::this_thread::sleep_for(20ms);
    next.emplace(g.port());
    next->send("GET /events HTTP/1.1\r\nHost: t\r\n\r\n");
    again = next->until("\r\n\r\n");
  }
  EXPECT_THAT(again, HasSubstr("HTTP/1.1 200 OK"));
  g.signal(SIGTERM);
  EXPECT_EQ(g.wait(10s), 0) << "a stream is not waited for";
  const auto behind = g.final_counters().at("service");
  EXPECT_EQ(behind.at("streams").to_number<int>(), 0);
  EXPECT_EQ(behind.at("streamsPeak").to_number<int>(), 1);
  EXPECT_EQ(behind.at("connections").at("open").to_number<int>(), 0) << "those of streams are closed";
}

TEST(Gateway, AnswersAHeadOfEventsWithoutThem) {
  scripted_server service{[](const server_request&) {
    return of_kind(reply_kind::raw, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
  }};
  gateway g{address_of(service)};
  client c{g.port()};
  c.send("HEAD / HTTP/1.1\r\nHost: t\r\n\r\n");
  EXPECT_THAT(c.until("\r\n\r\n"), HasSubstr("text/event-stream"));
  EXPECT_TRUE(c.closed()) << "nothing came behind it";
}

TEST(Gateway, TreatsHostileClientsAsTheServerDoes) {
  scripted_server service{[](const server_request&) { return says("{}"); }};
  gateway g{address_of(service), {"--request-timeout", "300ms"}};
  const auto status_of = [&g](const std::string& text) {
    client c{g.port()};
    c.send(text);
    return c.receive().status;
  };
  EXPECT_EQ(status_of("SSH-2.0-OpenSSH\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("CONNECT db.internal:5432 HTTP/1.1\r\nHost: t\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET http://elsewhere.example/ HTTP/1.1\r\nHost: t\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: t\r\nX: " + std::string(9000, 'x') + "\r\n\r\n"), 431u);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999\r\n\r\n"), 413u);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 9\r\n\r\nhalf"), 408u);
  EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
            400u)
      << "two lengths: the one that would be believed behind is not known";
  const std::string chunked = "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n";
  for (const char* coding : {"gzip", "xchunked", "chunked, identity", "gzip, chunked"}) {
    const std::string header = std::string("Transfer-Encoding: ") + coding + "\r\n\r\n0\r\n\r\n";
    EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: t\r\n" + header), 400u) << "where its end is, is not known: " << coding;
  }
  EXPECT_EQ(status_of(chunked + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n"), 400u);
  EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400u) << "for whom?";
  EXPECT_EQ(status_of(chunked + "\r\n1;a=" + std::string(40'000, 'x')), 431u) << "the head of a chunk has an end";
  EXPECT_EQ(status_of(chunked + "\r\n0\r\nX: " + std::string(40'000, 'x')), 431u) << "what follows the body, too";
  EXPECT_TRUE(service.requests().empty());
}

TEST(Gateway, ListensToWhoWasRefusedForAWhileOnly) {
  gateway g{"127.0.0.1:1", {"--request-timeout", "300ms"}};
  client c{g.port()};
  c.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 99999999\r\n\r\n");
  EXPECT_EQ(c.receive().status, 413u);
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  const std::string more(65'536, 'x');
  bool taken = true;
  while (taken && std::chrono::steady_clock::now() < give_up) taken = c.send(more);
  EXPECT_FALSE(taken) << "also if it never pauses";
}

TEST(Gateway, SaysWhatIsWrongWithItsOptions) {
  for (const std::string backend :
       {"nowhere", ":80", "[]:80", "localhost:", "localhost:0", "localhost:65536", "localhost:8a"}) {
    gateway none{backend};
    EXPECT_EQ(none.wait(), 2) << backend;
    EXPECT_THAT(none.err(), HasSubstr("--backend: must be HOST:PORT, with a port from 1 to 65535, is '" + backend + "'"));
  }
  gateway zero{"127.0.0.1:1", {"--max-in-flight", "0"}};
  EXPECT_EQ(zero.wait(), 2);
}

TEST(Gateway, CarriesTheFlashSalesUsers) {
  server_process server{{"--room", "on", "--admit", "1000/1s", "--admit-style", "smooth"}};
  gateway g{"127.0.0.1:" + std::to_string(server.port())};
  client c{g.port()};
  const auto as = [&c](const std::string& bearer, const std::string& request, const std::string& body = {}) {
    c.send(request + " HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer " + bearer +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return c.receive();
  };
  const answer logged_in = c.ask("/api/auth/login", R"({"userId":"ann"})");
  ASSERT_EQ(logged_in.status, 200u) << logged_in.body;
  const std::string access = logged_in.json().at("accessToken").as_string().c_str();
  const answer queued = as(access, "POST /api/queue/enqueue", R"({"eventId":1})");
  ASSERT_EQ(queued.status, 201u) << queued.body;
  const std::string token = queued.json().at("token").as_string().c_str();
  answer entered;
  for (int i = 0; i < 500 && entered.status != 200; ++i) {
    std::this_thread::sleep_for(10ms);
    entered = as(token, "POST /api/queue/enter");
  }
  ASSERT_EQ(entered.status, 200u) << entered.body;
  EXPECT_FALSE(entered.json().at("pass").as_string().empty());
  EXPECT_EQ(as(token, "GET /api/queue/status").json().at("state").as_string(), "active");
  EXPECT_EQ(c.get("/api/events/1").json().at("event").to_number<int>(), 1);
  EXPECT_EQ(as("forged", "GET /api/queue/status").status, 401u);
}

}  // namespace
}  // namespace weir_tests
