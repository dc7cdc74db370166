// Requests of those who make mistakes, or mean no good: the right answer, and nothing has changed.
#include "room_client.hpp"

#include <algorithm>
#include <array>
#include <new>

namespace weir::testing_http {
namespace {

const std::vector<std::pair<std::string, std::string>> needs_seat{
    {"GET", "ticket"}, {"POST", "ticket/claim"}, {"DELETE", "ticket"}};
const std::vector<std::pair<std::string, std::string>> needs_pass{{"POST", "session/renew"}, {"POST", "session/complete"}};
const std::vector<std::pair<std::string, std::string>> operators{
    {"GET", "/rooms/room"},  {"PUT", "/rooms/room"}, {"GET", "stats"},  {"POST", "open"},
    {"POST", "pause"},       {"POST", "resume"},     {"POST", "close"}, {"POST", "drain"},
    {"POST", "passthrough"}, {"POST", "advance"},    {"POST", "revoke"}};

struct room_hostile : room_http {
  /// One inside, one waiting.
  void SetUp() override {
    serve(bank_teller(1));
    inside.emplace(*handler);
    waits.emplace(*handler);
    pass = inside->join().text("pass");
    seat = waits->join().text("token");
    device = waits->cookies.at("weir_device");
    before = state();
  }
  void TearDown() override { EXPECT_EQ(state(), before) << "something has changed"; }

  client with(const std::string& token, const std::string& secret) {
    client c = browser();
    c.headers = {{"Authorization", "Bearer " + token}, {"X-Weir-Device", secret}};
    return c;
  }
  static std::string outcome(const answer& a) { return std::to_string(a.status()) + ' ' + a.error(); }

  std::optional<client> inside, waits;
  std::string pass, seat, device, before;
};

TEST_F(room_hostile, tokens_that_do_not_count) {
  const hmac_signer other_keys{2, std::string(32, 'o')}, same_number{1, std::string(32, 'x')};
  room_config other_config = bank_teller(1);
  const room_type stolen{other_config, same_number, nullptr, {}, clock},
      elsewhere{other_config, other_keys, nullptr, {}, clock};
  other_config.name = "other";
  const room_type other{other_config, keys, nullptr, {}, clock};
  const std::uint64_t bind = room_hash(device);
  const auto changed = [&](std::size_t at) {
    std::string t = seat;
    t[at] = t[at] == 'A' ? 'B' : 'A';
    return t;
  };
  const std::string old{make_token(keys, "room", {token_kind::seat, 0, room->epoch() - 1, 1, 0, 0, bind}).view()};
  struct row {
    std::string token, expected;
  };
  std::vector<row> rows{{"", "400 malformed"},
                        {"x", "400 malformed"},
                        {seat.substr(1), "400 malformed"},
                        {seat + 'A', "400 malformed"},
                        {seat.substr(0, 67) + '=', "400 malformed"},
                        {seat.substr(0, 34) + "\xff" + seat.substr(35), "400 malformed"},
                        {std::string(3000, 'A'), "400 malformed"},
                        {std::string(68, 'A'), "401 version"},
                        {std::string(elsewhere.ticket_for({0, 1}, 0, bind).view()), "401 unknown_key"},
                        {std::string(stolen.ticket_for({0, 1}, 0, bind).view()), "401 forged"},
                        {std::string(other.ticket_for({0, 1}, 0, bind).view()), "401 forged"},
                        {pass, "401 wrong_kind"},
                        {old, "410 epoch"}};
  for (std::size_t at = 8; at < seat.size(); at += 7) rows.push_back({changed(at), "401 forged"});
  for (const auto& [method, path] : needs_seat) {
    for (const row& r : rows) EXPECT_EQ(outcome(with(r.token, device).ask(method, path)), r.expected) << path << r.token;
    EXPECT_EQ(outcome(with(seat, std::string(16, 'x')).ask(method, path)), "409 bound_elsewhere") << path;
    client without = browser();
    EXPECT_EQ(outcome(without.ask(method, path)), "401 no_token") << path;
    EXPECT_EQ(without.ask(method, path).header("WWW-Authenticate"), "Bearer");
    without.cookies["weir_seat_room"] = seat;
    EXPECT_EQ(outcome(without.ask(method, path)), "409 bound_elsewhere") << path;
    without.cookies["weir_seat_room"] = "";
    EXPECT_EQ(outcome(without.ask(method, path)), "400 malformed") << path;
  }
  // A seat where the room has none of that number: signed, but by nobody who asked the room.
  const std::string beyond{room->ticket_for({0, 99}, 0, bind).view()}, lane{room->ticket_for({9, 0}, 0, bind).view()};
  for (const std::string& token : {beyond, lane}) {
    for (const auto& [method, path] : needs_seat) {
      EXPECT_EQ(outcome(with(token, device).ask(method, path)), "410 unknown_seat") << path;
    }
  }
}

TEST_F(room_hostile, passes_that_do_not_count) {
  const std::string in_device = inside->cookies.at("weir_device");
  std::string forged = pass;
  std::swap(forged[50], forged[60]);
  if (forged == pass) forged[50] = forged[50] == 'A' ? 'B' : 'A';
  for (const auto& [method, path] : needs_pass) {
    EXPECT_EQ(outcome(browser().ask(method, path)), "401 no_token");
    EXPECT_EQ(outcome(with(forged, in_device).ask(method, path)), "401 forged");
    EXPECT_EQ(outcome(with(seat, device).ask(method, path)), "401 wrong_kind");
    EXPECT_EQ(outcome(with(pass, device).ask(method, path)), "409 bound_elsewhere");
    EXPECT_EQ(outcome(with("", in_device).ask(method, path, R"({"pass": "x"})")), "400 malformed");
    EXPECT_EQ(outcome(with(pass, in_device).ask(method, path, R"({"pass": 1})")), "400 bad_body");
  }
  // Of a session that there never was, and of one that has been followed by another.
  seat_view view{.seat = {0, 0}, .state = seat_state::active, .session_expires = clock.now() + 1h, .session = 12345};
  const std::string invented{room->pass_for(view, room_hash(in_device)).view()};
  EXPECT_EQ(outcome(with(invented, in_device).post("session/renew")), "410 over");
  EXPECT_EQ(outcome(with(invented, in_device).post("session/complete")), "410 over");
}

TEST_F(room_hostile, bodies_that_are_no_join) {
  const std::string deep = std::string(9, '[') + std::string(9, ']');
  const std::pair<std::string, const char*> rows[] = {
      {"{", "JSON"},
      {R"({"subject": "kim")", "JSON"},
      {R"({"subject": "kim"} x)", "JSON"},
      {R"({"subject": "\ud800"})", "JSON"},
      {"{\"subject\": \"\xff\xfe\"}", "JSON"},
      {R"({'subject': 'kim'})", "JSON"},
      {"[]", "must be a JSON object"},
      {"\"kim\"", "must be a JSON object"},
      {"null", "must be a JSON object"},
      {R"({"a": )" + deep + "}", "nested"},
      {std::string(4000, '['), "nested"},
      {R"({"subject": 5})", "\"subject\" must be a string of 1 .. 256"},
      {R"({"subject": ""})", "\"subject\" must be"},
      {R"({"subject": {"a": 1}})", "\"subject\" must be"},
      {R"({"subject": ")" + std::string(257, 'k') + "\"}", "\"subject\" must be"},
      {R"({"lane": ["standard"]})", "\"lane\" must be a string of 1 .. 64"},
      {R"({"lane": "nobody's"})", "\"lane\" must be the name"}};
  for (const auto& [body, says] : rows) {
    const answer a = browser().join(body);
    EXPECT_EQ(outcome(a), "400 bad_body") << body;
    EXPECT_NE(a.text("message").find(says), std::string::npos) << a.text("message");
    EXPECT_FALSE(a.r.header("Set-Cookie").size()) << body;
  }
  EXPECT_EQ(outcome(browser().join(std::string(4097, ' '))), "413 body_too_large");
}

TEST_F(room_hostile, headers_that_contradict_each_other) {
  client c = *waits;
  c.headers = {{"Cookie", "weir_seat_room=" + std::string(68, 'B')}};
  EXPECT_EQ(outcome(c.get("ticket")), "400 malformed") << "two cookies: nobody can know which";
  c.headers = {{"Authorization", "Bearer " + seat}, {"Authorization", "Bearer x"}};
  EXPECT_EQ(outcome(c.get("ticket")), "400 malformed");
  c.headers = {{"X-Weir-Device", device}, {"X-Weir-Device", device + 'x'}};
  EXPECT_EQ(outcome(c.get("ticket")), "400 bad_device");
  for (const std::string& secret :
       {std::string(15, 'x'), std::string(129, 'x'), std::string(16, ' '), std::string(16, '\n')}) {
    c.headers = {{"X-Weir-Device", secret}};
    EXPECT_EQ(outcome(c.get("ticket")), "400 bad_device");
    EXPECT_EQ(outcome(c.join()), "400 bad_device");
  }
  client without_cookies = browser();
  without_cookies.headers = {{"Authorization", "Bearer" + seat}, {"X-Weir-Device", device}};
  EXPECT_EQ(outcome(without_cookies.get("ticket")), "401 no_token") << "of another scheme";
  c.headers = {{"Authorization", "Bearer"}};
  EXPECT_EQ(outcome(c.get("ticket")), "400 malformed") << "it is there, and empty";
  c.headers = {{"Idempotency-Key", "short"}};
  EXPECT_EQ(outcome(c.join()), "400 bad_key");
  c.headers = {{"Idempotency-Key", std::string(16, 'a')}, {"idempotency-key", std::string(16, 'b')}};
  EXPECT_EQ(outcome(c.join()), "400 bad_key");
  c.headers.assign(64, {"X-Any", "thing"});
  EXPECT_EQ(outcome(c.get("ticket")), "431 too_many_headers") << "and a cookie";
  EXPECT_EQ(outcome(c.get("status?" + std::string(1024, 'x'))), "414 target_too_long");
  const std::string now = state();
  c.headers = {{"Authorization", "Basic a2ltOnNlY3JldA=="}, {"Cookie", "a; b=; =c;weir_seat_room_x=1;;"}};
  EXPECT_EQ(c.post("ticket/claim").status(), 202U) << "other people's schemes and cookies";
  c.headers = {{"Cookie", "weir_seat_room=" + seat}};
  EXPECT_EQ(c.post("ticket/claim").status(), 202U) << "the same twice contradicts nobody";
  EXPECT_EQ(state(), now);
}

TEST_F(room_hostile, paths_and_methods) {
  std::vector<std::pair<std::string, std::string>> all{{"POST", "tickets"}, {"GET", "status"}};
  for (const auto* some : {&needs_seat, &needs_pass, &operators}) all.insert(all.end(), some->begin(), some->end());
  for (const auto& [unused, path] : all) {
    std::string allow;
    for (const auto& [method, p] : all) {
      if (p == path) allow += (allow.empty() ? "" : ", ") + method;
    }
    for (const char* method : {"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "get", ""}) {
      if (std::count(all.begin(), all.end(), std::pair<std::string, std::string>{method, path}) != 0) continue;
      const answer a = browser().ask(method, path);
      EXPECT_EQ(outcome(a), "405 method_not_allowed") << method << ' ' << path;
      EXPECT_EQ(a.header("Allow"), allow) << path;
    }
  }
  for (const char* path :
       {"/", "tickets/", "ticket/", "ticket/claim/x", "Ticket", "../room/ticket", "ticket%2Fclaim", "keys/rotate"}) {
    EXPECT_EQ(outcome(browser().get(path)), "404 no_such_path") << path;
  }
  for (const char* path :
       {"/rooms/other/ticket", "/rooms//ticket", "/rooms/", "/rooms/Room/status", "/rooms/room%20/status"}) {
    EXPECT_EQ(outcome(browser().get(path)), "404 no_such_room") << path;
  }
  EXPECT_EQ(outcome(browser().get("/")), "404 no_such_path");
}

TEST_F(room_hostile, only_operators_operate) {
  room_handler by_default{{}};
  by_default.add(*room);
  client stranger = browser(), nobody{by_default};
  stranger.headers = {{"X-Operator", "no"}};
  nobody.headers = {{"X-Operator", "yes"}};
  for (client* c : {&stranger, &nobody}) {
    for (const auto& [method, path] : operators) {
      EXPECT_EQ(outcome(c->ask(method, path, "{broken")), "403 operators_only") << path;
    }
  }
  client op = admin();
  for (const char* body :
       {"", "{}", R"({"n": 0})", R"({"n": -1})", R"({"n": 1.0})", R"({"n": "5"})", R"({"n": 100000001})"}) {
    EXPECT_EQ(outcome(op.post("advance", body)), "400 bad_body") << body;
  }
  for (const std::string& body :
       {std::string{}, std::string{R"({"subject": 5})"}, R"({"subject": "kim", "token": ")" + seat + "\"}"}) {
    EXPECT_EQ(outcome(op.post("revoke", body)), "400 bad_body") << body;
  }
  EXPECT_EQ(outcome(op.post("revoke", R"({"token": "x"})")), "400 malformed");
  EXPECT_EQ(outcome(op.post("revoke", R"({"subject": "nobody"})")), "404 unknown_seat");
  EXPECT_EQ(outcome(op.post("revoke", R"({"token": ")" + std::string{room->ticket_for({0, 99}).view()} + "\"}")),
            "404 unknown_seat");
  EXPECT_EQ(outcome(op.post("resume")), "409 not_paused");
}

TEST_F(room_hostile, a_flood_of_keys_is_forgotten_and_not_kept) {
  room_http_config config = http_config();
  config.remembered_joins = 2;
  config.is_operator = {};
  handler.emplace(std::move(config));
  room_config small = bank_teller(1);
  small.name = "small";
  room_type other{small, keys, nullptr, {}, clock};
  handler->add(other);
  client c{*handler, "small"};
  const auto join_with = [&](const std::string& key) {
    c.headers = {{"Idempotency-Key", std::string(16, key[0])}, {"X-Weir-Device", std::string(16, 'd')}};
    return c.join().status();
  };
  EXPECT_EQ(join_with("a"), 201U);
  EXPECT_EQ(join_with("b"), 201U);
  EXPECT_EQ(join_with("b"), 200U);
  EXPECT_EQ(join_with("c"), 201U);
  EXPECT_EQ(join_with("c"), 200U);
  EXPECT_EQ(join_with("a"), 201U) << "the oldest was forgotten";
  handler.emplace(http_config());
  handler->add(*room);
}

/// A room that has run out of memory.
struct failing_room {
  room_type& r;
  bool hosted = false;

  [[noreturn]] static bool fail() { throw std::bad_alloc{}; }
  [[nodiscard]] room_config config() const { return hosted ? (fail(), room_config{}) : r.config(); }
  [[nodiscard]] time_point now() const noexcept { return r.now(); }
  static bool join(room_request&, const room_join&) { return fail(); }
  static bool claim(room_request&, const seat_holder&) { return fail(); }
  static bool revoke(room_request&, seat_id) { return fail(); }
  static bool revoke_subject(room_request&, std::uint64_t) { return fail(); }
  static room_answer look(const seat_holder&) { fail(); }
  static room_answer watch(const seat_holder&) { fail(); }
  static seat_view look_at(const seat_holder&) { fail(); }
  static room_answer leave(const seat_holder&) { fail(); }
  static room_answer renew(const seat_holder&, std::uint64_t) { fail(); }
  static room_answer complete(const seat_holder&, std::uint64_t) { fail(); }
  [[nodiscard]] read_ticket read(std::string_view t, token_kind k, std::uint64_t b) const noexcept {
    return r.read(t, k, b);
  }
  [[nodiscard]] seat_token ticket_for(seat_id s, std::uint64_t a, std::uint64_t b) const noexcept {
    return r.ticket_for(s, a, b);
  }
  [[nodiscard]] seat_token pass_for(const seat_view& v, std::uint64_t b) const noexcept { return r.pass_for(v, b); }
  static std::optional<config_error> reconfigure(const room_config&) { fail(); }
  static bool set_mode(room_mode) { return fail(); }
  static void advance(std::uint64_t) { fail(); }
  static room_snapshot snapshot() { fail(); }
  [[nodiscard]] std::string commitment() const { return r.commitment(); }
  [[nodiscard]] std::optional<lottery_seed> revealed_seed() { return r.revealed_seed(); }
};

TEST_F(room_hostile, whatever_goes_wrong_is_answered_once) {
  failing_room failing{*room};
  room_handler other{http_config()};
  other.add(failing);
  failing.hosted = true;
  client c{other};
  c.cookies = waits->cookies;
  c.headers = {{"X-Operator", "yes"}, {"Idempotency-Key", "0123456789abcdef"}};
  std::vector<std::pair<std::string, std::string>> all{{"POST", "tickets"}, {"POST", "tickets"}, {"GET", "status"}};
  all.insert(all.end(), needs_seat.begin(), needs_seat.end());
  all.insert(all.end(), operators.begin(), operators.end());
  for (const auto& [method, path] : all) {
    const std::string body = path == "advance" ? R"({"n": 1})" : path == "revoke" ? R"({"subject": "kim"})" : "";
    const answer a = c.ask(method, path, body);
    EXPECT_EQ(outcome(a), "500 internal") << path;
    EXPECT_EQ(a.header("Retry-After"), "1");
  }
  c.cookies = inside->cookies;
  for (const auto& [method, path] : needs_pass) EXPECT_EQ(outcome(c.ask(method, path)), "500 internal") << path;
}

}  // namespace
}  // namespace weir::testing_http
