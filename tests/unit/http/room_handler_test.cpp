// What users and operators of a room get, each row of its surface with each status. See room_hostile_test.cpp for those
// who mean no good.
#include "room_client.hpp"

#include <weir/http/room_credentials.hpp>

#include <thread>

namespace weir::testing_http {
namespace {

TEST_F(room_http, a_user_joins_waits_claims_and_leaves) {
  serve(bank_teller(1));
  client first = browser(), second = browser();
  const answer in = first.join();
  EXPECT_EQ(in.status(), 201U);
  EXPECT_EQ(in.text("state"), "active") << "there was room: nobody has to ask twice";
  EXPECT_EQ(in.text("session_expires_at"), "2026-01-01T00:10:00.000Z");
  EXPECT_EQ(in.text("pass").size(), 68U);
  EXPECT_EQ(first.cookies.at("weir_seat_room"), in.text("token"));
  EXPECT_EQ(first.cookies.at("weir_pass_room"), in.text("pass"));
  EXPECT_EQ(first.cookies.at("weir_device").size(), 32U);

  const answer waits = second.join();
  EXPECT_EQ(waits.status(), 201U);
  EXPECT_EQ(waits.text("state"), "waiting");
  EXPECT_EQ(waits.text("position"), "1");
  EXPECT_EQ(waits.text("reason"), "active");
  EXPECT_EQ(waits.text("pass"), "(not there)");
  EXPECT_NE(first.cookies.at("weir_device"), second.cookies.at("weir_device"));

  const answer not_yet = second.post("ticket/claim");
  EXPECT_EQ(not_yet.status(), 202U);
  EXPECT_EQ(not_yet.text("state"), "waiting");
  EXPECT_GE(std::stoi(not_yet.header("Retry-After")), 1);

  EXPECT_EQ(first.post("session/complete").status(), 204U);
  EXPECT_EQ(first.cookies.size(), 1U) << "seat and pass are nothing any more";
  clock.advance(2500ms);
  const answer offered = second.get("ticket");
  EXPECT_EQ(offered.status(), 200U);
  EXPECT_EQ(offered.text("state"), "offered");
  EXPECT_EQ(offered.text("offer_expires_at"), "2026-01-01T00:00:30.000Z");

  const answer claimed = second.post("ticket/claim");
  EXPECT_EQ(claimed.status(), 200U);
  EXPECT_EQ(claimed.text("session_expires_at"), "2026-01-01T00:10:02.500Z");
  const answer again = second.post("ticket/claim");
  EXPECT_EQ(again.status(), 200U) << "the same session, for who did not hear the answer";
  EXPECT_EQ(again.text("session_expires_at"), claimed.text("session_expires_at"));
  EXPECT_EQ(room->snapshot().totals.entered, 2U);

  const auto pass = room->read(again.text("pass"), token_kind::pass, room_hash(second.cookies.at("weir_device")));
  EXPECT_TRUE(room->is_inside(pass));
  EXPECT_EQ(second.ask("DELETE", "ticket").status(), 204U);
  EXPECT_FALSE(room->is_inside(pass));
  EXPECT_TRUE(second.get("ticket").status() == 401U) << "its cookie is gone";
}

TEST_F(room_http, cookies_go_no_further_than_they_must) {
  serve(bank_teller(1));
  const auto cookies = [&] {
    std::vector<std::string> all;
    const answer a = browser().join();
    for (const auto& [name, value] : a.r.headers) {
      if (name == "Set-Cookie") all.push_back(value.substr(0, value.find('=')) + value.substr(value.find(';')));
    }
    return all;
  };
  EXPECT_EQ(cookies(),
            (std::vector<std::string>{"weir_seat_room; Path=/rooms/room; Max-Age=86400; HttpOnly; SameSite=Lax; Secure",
                                      "weir_pass_room; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure",
                                      "weir_device; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure"}));
  room_http_config config = http_config();
  config.secure_cookies = false;
  handler.emplace(config);
  handler->add(*room);
  for (const std::string& cookie : cookies()) EXPECT_EQ(cookie.find("Secure"), std::string::npos) << cookie;
}

TEST_F(room_http, the_service_behind_knows_who_is_inside) {
  serve(bank_teller(1));
  client user = browser();
  (void)user.join();
  const std::string cookies =
      "weir_pass_room=" + user.cookies.at("weir_pass_room") + "; weir_device=" + user.cookies.at("weir_device");
  const auto inside = [&](const std::vector<http_header>& headers) {
    const http_request r{.method = "GET", .target = "/dates", .headers = headers};
    const auto shown = room_credentials_of(r, "room", token_kind::pass);
    return shown && room->is_inside(room->read(shown->token, token_kind::pass, shown->bind));
  };
  EXPECT_TRUE(inside({{"Cookie", cookies}}));
  const std::string bearer = "Bearer " + user.cookies.at("weir_pass_room");
  EXPECT_TRUE(inside({{"Authorization", bearer}, {"X-Weir-Device", user.cookies.at("weir_device")}}));
  EXPECT_FALSE(inside({{"Authorization", bearer}})) << "of another device";
  EXPECT_FALSE(inside({{"Authorization", bearer}, {"X-Weir-Device", "short"}}));
  EXPECT_FALSE(inside({{"Cookie", cookies}, {"Cookie", "weir_pass_room=another"}}));
  EXPECT_FALSE(inside({}));
  EXPECT_FALSE(
      room_credentials_of({.method = "GET", .target = "/", .headers = {{"Cookie", cookies}}}, "room", token_kind::seat));
  (void)user.post("session/complete");
  EXPECT_FALSE(inside({{"Cookie", cookies}}));
}

TEST_F(room_http, a_view_says_everything_in_so_many_words) {
  room_config config = bank_teller(1);
  config.eta_memory = 10s;
  serve(config);
  client a = browser(), b = browser();
  (void)a.join();
  clock.advance(250ms);
  const answer joined = b.join();
  const std::string view =
      R"({"state":"waiting","position":1,"ahead_live":0,"position_upper":1,"total_waiting":1,"eta_s":)";
  EXPECT_TRUE(joined.r.body.starts_with(view)) << joined.r.body;
  EXPECT_NE(joined.r.body.find(R"(,"offer_expires_at":null,"session_expires_at":null,"lane":"standard","reason":"active",)"
                               R"("as_of":"2026-01-01T00:00:00.250Z","token":")"),
            std::string::npos)
      << joined.r.body;
  const auto& eta = joined.body.at("eta_s").as_object();
  EXPECT_GT(eta.at("p90").as_int64(), eta.at("p50").as_int64());
  EXPECT_EQ(joined.text("eta_known"), "true");
  EXPECT_GE(std::stod(joined.text("poll_after_ms")), 1000);
  EXPECT_EQ(joined.header("Content-Type"), "application/json");

  (void)admin().post("pause");
  const answer paused = b.get("ticket");
  EXPECT_EQ(paused.text("eta_s"), "null");
  EXPECT_EQ(paused.text("eta_known"), "false");
  EXPECT_EQ(paused.text("reason"), "paused");
  const answer left = (b.ask("DELETE", "ticket"), b.headers.emplace_back("Authorization", "Bearer " + joined.text("token")),
                       b.get("ticket"));
  EXPECT_EQ(left.r.body,
            R"({"state":"left","position":null,"ahead_live":null,"position_upper":null,"total_waiting":0,)"
            R"("eta_s":null,"eta_known":false,"poll_after_ms":null,"offer_expires_at":null,)"
            R"("session_expires_at":null,"lane":"standard","reason":null,"as_of":"2026-01-01T00:00:00.250Z"})");
  EXPECT_EQ(left.header("Retry-After"), "");
}

TEST_F(room_http, operators_read_the_limits_and_send_them_back_changed) {
  room_config config = amusement_park(50, 10s);
  config.lanes = {{.name = "vip"}, {.name = "standard"}};
  serve(config);
  client user = browser();
  EXPECT_EQ(admin().get("/rooms/room").r.body,
            R"({"admit":{"permits":50,"per_s":10},"pace":"batch","max_active":0,"capacity":1000000,"manual":false,)"
            R"("claim_window_s":30,"lapsed":"end","session_ttl_s":600,"session_idle_s":null,"session_max_s":3600,)"
            R"("renewal":"none","overbook_at_most":0.5,"presence_least_s":60,"order":"strict","lanes":[)"
            R"({"lane":"vip","weight":1,"min_share":0,"cap":0,"bypass":false},)"
            R"({"lane":"standard","weight":1,"min_share":0,"cap":0,"bypass":false}],)"
            R"("polls":{"budget_per_s":5000,"shortest_s":1,"longest_s":60,"jitter":0},"eta_memory_s":60})");
  const answer changed = admin().ask(
      "PUT", "/rooms/room",
      R"({"admit":{"permits":20},"pace":"strict","max_active":7,"session_idle_s":2.5,"lanes":[{"lane":"standard","cap":3}]})");
  EXPECT_EQ(changed.status(), 200U);
  EXPECT_EQ(room->config().admit, (rate{20, 10s}));
  EXPECT_EQ(room->config().pace, room_pace::strict);
  EXPECT_EQ(room->config().session_idle, 2500ms);
  EXPECT_EQ(room->config().lanes[1].cap, 3U);
  EXPECT_EQ(admin().get("/rooms/room/").r.body, changed.r.body);
  EXPECT_EQ(admin().ask("PUT", "/rooms/room", changed.r.body).r.body, changed.r.body) << "what it says it takes";
  room_config odd = room->config();
  odd.session_ttl = 1001ms;  // one of those that no binary fraction of a second hits
  odd.session_max = duration::max();
  ASSERT_FALSE(room->reconfigure(odd));
  EXPECT_EQ(admin().ask("PUT", "/rooms/room", admin().get("/rooms/room").r.body).status(), 200U);
  EXPECT_EQ(room->config().session_ttl, 1001ms);
  EXPECT_EQ(room->config().session_max, duration::max());
  EXPECT_EQ(admin().ask("PUT", "/rooms/room", R"({"admit":null,"session_idle_s":null})").text("admit"), "null");
  EXPECT_EQ(room->config().session_idle, duration::max());
  EXPECT_EQ(user.get("/rooms/room").error(), "operators_only");
  EXPECT_EQ(user.ask("PUT", "/rooms/room", "{}").error(), "operators_only");
  EXPECT_EQ(admin().post("/rooms/room").header("Allow"), "GET, PUT");
}

TEST_F(room_http, operators_see_what_their_page_shows) {
  room_config config = amusement_park(1, 1s);
  config.pace = room_pace::smooth;
  serve(config);
  client first = browser(), second = browser();
  (void)first.join();
  (void)second.join();
  const auto listens = handler->stream({.method = "GET",
                                        .target = "/rooms/room/ticket/stream",
                                        .headers = {{"Cookie", "weir_seat_room=" + second.cookies.at("weir_seat_room") +
                                                                   "; weir_device=" + second.cookies.at("weir_device")}}});
  clock.advance(1s);
  room->pass();
  (void)second.ask("DELETE", "ticket");
  second.headers.emplace_back("Authorization", "Bearer " + std::string(68, 'A'));
  (void)second.get("ticket");
  const answer stats = admin().get("stats");
  EXPECT_EQ(stats.text("admitted_per_s"), "1");
  EXPECT_EQ(stats.text("eta_error"), R"({"at_most":[2.5E-1,5E-1,7.5E-1,9E-1,1.1E0,1.25E0,1.5E0,2,4],)"
                                     R"("counts":[1,0,0,0,0,0,0,0,0,0]})");
  EXPECT_EQ(stats.body.at("store_s").as_object().at("counts").as_array().size(), 13U);
  EXPECT_EQ(stats.text("streams"), "1");
  EXPECT_EQ(stats.body.at("totals").as_object().at("polls_over").as_int64(), 0);
}

TEST_F(room_http, limits_that_are_wrong_are_named_and_none_of_them_is_taken) {
  serve(bank_teller(3));
  const auto sent = [&](const std::string& body) {
    const answer a = admin().ask("PUT", "/rooms/room", body);
    EXPECT_EQ(a.status(), 400U) << body;
    EXPECT_EQ(room->config().max_active, 3U) << "half of it was taken: " << body;
    return a.error() == "bad_setting" ? a.text("message") : a.error();
  };
  const std::pair<const char*, const char*> rows[] = {
      {R"({"max_active":4,"speed":1})", "speed: is not known, or cannot be changed"},
      {R"({"max_active":4,"presence":false})", "presence: is not known, or cannot be changed"},
      {R"({"max_active":-1})", "max_active: must be an integer from 0 to 4294967295"},
      {R"({"max_active":4294967296})", "max_active: must be an integer from 0 to 4294967295"},
      {R"({"max_active":"4"})", "max_active: must be an integer from 0 to 4294967295"},
      {R"({"max_active":4,"claim_window_s":0.5})", "claim_window_s: must be >= 1 s, is "},
      {R"({"max_active":4,"claim_window_s":null})", "claim_window_s: must be seconds from 0 to 9.2e9"},
      {R"({"max_active":4,"session_ttl_s":1e12})", "session_ttl_s: must be seconds from 0 to 9.2e9"},
      {R"({"max_active":4,"pace":"fast"})", R"(pace: must be one of "smooth", "batch", "strict")"},
      {R"({"max_active":4,"admit":{"permits":5}})", "admit: must have permits and per_s, as there was no limit"},
      {R"({"max_active":4,"admit":{"permits":5,"per_s":1,"x":1}})", "admit.x: is not known, or cannot be changed"},
      {R"({"max_active":4,"admit":{"permits":5,"per_s":0}})", "admit.per_s: must be 1 ms .. 24 h, is "},
      {R"({"max_active":4,"polls":{"shortest_s":0}})", "polls.shortest_s: must be > 0, is "},
      {R"({"max_active":4,"polls":{"budget_per_s":1e999}})", "polls.budget_per_s: must be a number"},
      {R"({"max_active":4,"polls":[]})", "polls: must be an object"},
      {R"({"max_active":4,"lanes":{}})", R"(lanes: must be an array of objects, each with its "lane")"},
      {R"({"max_active":4,"lanes":[{"lane":"vip"}]})", "lanes[0].lane: must be the name of a lane of this room"},
      {R"({"max_active":4,"lanes":[{"lane":"standard","weight":0}]})", "lanes[0].weight: must be in (0, 1e6], is 0"},
      {R"({"max_active":0})", "admit: or max_active is needed, or manual: else nobody would have to wait"},
      {R"([1])", "bad_body"},
      {R"({"max_active":4)", "bad_body"},
      {"", "bad_body"}};
  for (const auto& [body, expected] : rows) {
    const std::string message = sent(body);
    EXPECT_EQ(message.substr(0, std::string_view{expected}.size()), expected) << body;
  }
  std::string name = "x";  // 1 + 21 * 3 bytes, and what comes next would be cut in two
  for (int i = 0; i < 40; ++i) name += "줄";
  EXPECT_EQ(admin().ask("PUT", "/rooms/room", "{\"" + name + "\":1}").text("field"), name.substr(0, 64));
  name.insert(1, "y");
  EXPECT_EQ(admin().ask("PUT", "/rooms/room", "{\"" + name + "\":1}").text("field"), name.substr(0, 62));
}

TEST_F(room_http, the_status_is_for_everybody_and_is_made_once_a_second) {
  serve(bank_teller(1));
  client user = browser();
  const std::string before = user.get("status").r.body;
  EXPECT_EQ(before, R"({"room":"room","state":"open","epoch":)" + std::to_string(room->epoch()) +
                        R"(,"head":0,"tail":0,"rate_per_s":0.002,"waiting":0,"as_of":"2026-01-01T00:00:00.000Z"})");
  for (int i = 0; i < 3; ++i) (void)browser().join();
  clock.advance(999ms);
  const answer cached = user.get("status?x=1");
  EXPECT_EQ(cached.r.body, before);
  EXPECT_EQ(cached.header("Cache-Control"), "public, max-age=1");
  clock.advance(1ms);
  const answer fresh = user.get("status");
  EXPECT_EQ(fresh.text("waiting"), "2");
  EXPECT_EQ(fresh.text("head"), "1");
  EXPECT_EQ(fresh.text("tail"), "3");
  EXPECT_EQ(fresh.text("as_of"), "2026-01-01T00:00:01.000Z");
  clock.set(clock.now() - 10s);
  EXPECT_NE(user.get("status").r.body, fresh.r.body) << "a clock that went back stops nothing";

  room_http_config config = http_config();
  bool asks = false;
  config.wall_clock = [&, usual = config.wall_clock] {
    if (!std::exchange(asks, false)) return usual();
    (void)user.get("status");
    return usual();
  };
  handler.emplace(config);
  handler->add(*room);
  asks = true;
  EXPECT_EQ(user.get("status").status(), 200U) << "hooks are called under no lock";
}

TEST_F(room_http, who_comes_again_gets_the_same_seat) {
  serve(bank_teller(1));
  (void)browser().join();
  client user = browser();
  const answer seat = user.join(R"({"subject": "kim"})");
  EXPECT_EQ(seat.status(), 201U);
  const answer again = user.join(R"({"subject": "kim", "unknown": [1, {"a": null}]})");
  EXPECT_EQ(again.status(), 200U);
  EXPECT_EQ(again.text("position"), "1");
  EXPECT_EQ(user.get("ticket").status(), 429U) << "that was a poll";
  EXPECT_EQ(user.join(R"({"subject": "lee"})").text("position"), "2");
  EXPECT_EQ(user.join(R"({"subject": null})").text("position"), "3") << "nobody asks who it is";
  EXPECT_EQ(room->snapshot().totals.again, 1U);
}

TEST_F(room_http, joins_that_are_refused) {
  room_config config = bank_teller(1);
  config.capacity = 1;
  config.duplicates = duplicate_seat::reject;
  config.opens_at = clock.now() + 90s;
  serve(config);
  client user = browser();
  const answer early = user.join(R"({"subject": "kim"})");
  EXPECT_EQ(early.text("state"), "prequeued") << early.r.body;
  EXPECT_EQ(early.text("reason"), "not_open");
  const std::string before = state();

  verdict = {join_verdict::answer::rejected};
  EXPECT_EQ(user.join().status(), 403U);
  verdict = {join_verdict::answer::too_often, 2100ms};
  const answer often = user.join();
  EXPECT_EQ(often.status(), 429U);
  EXPECT_EQ(often.header("Retry-After"), "3");
  EXPECT_EQ(often.text("poll_after_ms"), "2100");
  verdict = {};
  const answer twice = user.join(R"({"subject": "kim"})");
  EXPECT_EQ(twice.status(), 409U);
  EXPECT_EQ(twice.error(), "duplicate");
  const answer full = user.join(R"({"subject": "lee"})");
  EXPECT_EQ(full.status(), 503U);
  EXPECT_EQ(full.error(), "room_full");
  EXPECT_EQ(full.header("Retry-After"), "60");
  hook_throws = true;
  const answer broken = user.join();
  EXPECT_EQ(broken.status(), 500U);
  EXPECT_EQ(broken.r.body.find("hook"), std::string::npos) << "what went wrong is nobody's business outside";
  hook_throws = false;
  EXPECT_EQ(state(), before);

  (void)admin().post("close");
  const answer closed = user.join();
  EXPECT_EQ(closed.status(), 423U);
  EXPECT_EQ(closed.text("opens_at"), "2026-01-01T00:01:30.000Z");
  clock.advance(100s);
  EXPECT_EQ(user.join().text("opens_at"), "null") << "that was then";
}

TEST_F(room_http, everybody_can_check_the_draw) {
  room_config config = bank_teller(1);
  config.opens_at = clock.now() + 90s;
  serve(config);
  const answer before = browser().get("status");
  EXPECT_EQ(before.text("state"), "prequeue");
  EXPECT_EQ(before.text("opens_at"), "2026-01-01T00:01:30.000Z");
  EXPECT_EQ(before.text("commitment"), room->commitment());
  EXPECT_EQ(before.text("seed"), "null");
  clock.advance(90s);
  room->pass();
  const std::string seed = browser().get("status").text("seed");
  ASSERT_EQ(seed.size(), 64U);
  lottery_seed revealed{};
  for (std::size_t i = 0; i < revealed.size(); ++i) {
    revealed[i] = static_cast<std::uint8_t>(std::stoul(seed.substr(2 * i, 2), nullptr, 16));
  }
  EXPECT_EQ(commitment_of(revealed), before.text("commitment"));
}

TEST_F(room_http, lanes_have_names) {
  room_config config = bank_teller(1);
  config.lanes = {{.name = "members"}, {.name = "every\"body"}};
  serve(config);
  (void)browser().join();
  const answer other = browser().join(R"({"lane": "every\"body"})");
  EXPECT_EQ(other.text("lane"), "every\"body");
  EXPECT_EQ(browser().join(R"({"lane": "members"})").text("position"), "1");
  clock.advance(1s);
  EXPECT_EQ(browser().get("status").body.at("lanes").as_array().size(), 2U);
  const answer none = browser().join(R"({"lane": "vip"})");
  EXPECT_EQ(none.status(), 400U);
  EXPECT_NE(none.text("message").find("\"lane\""), std::string::npos);
}

TEST_F(room_http, a_join_that_is_repeated_with_its_key_gets_one_seat) {
  serve(bank_teller(1));
  (void)browser().join();
  client user = browser();
  user.headers.emplace_back("Idempotency-Key", "0123456789abcdef");
  const answer first = user.join();
  EXPECT_EQ(first.status(), 201U);
  const std::string device = user.cookies.at("weir_device");

  const answer with_cookie = user.join();
  EXPECT_EQ(with_cookie.status(), 200U);
  EXPECT_EQ(with_cookie.text("position"), "1");
  user.cookies.clear();  // it has not heard the first answer
  const answer repeated = user.join();
  EXPECT_EQ(repeated.status(), 200U);
  EXPECT_EQ(user.cookies.at("weir_device"), device) << "or it could do nothing with its seat";
  EXPECT_EQ(room->snapshot().waiting, 1U);
  clock.advance(40s);
  EXPECT_EQ(user.get("ticket").status(), 200U);

  EXPECT_EQ(user.join(R"({"subject": "other"})").error(), "key_reused");
  client stranger = browser();
  stranger.headers = user.headers;
  stranger.cookies["weir_device"] = std::string(20, 'x');
  EXPECT_EQ(stranger.join().status(), 201U) << "of another device";
  clock.advance(21s);
  EXPECT_EQ(user.join().status(), 201U) << "a minute later it is a new join";

  (void)admin().post("close");
  client late = browser();
  late.headers.emplace_back("Idempotency-Key", "fedcba9876543210");
  EXPECT_EQ(late.join().status(), 423U);
  (void)admin().post("open");
  EXPECT_EQ(late.join().status(), 201U) << "what came to nothing may be tried again";
}

TEST_F(room_http, polls_that_come_too_early_are_not_looked_at) {
  serve(bank_teller(1));
  (void)browser().join();
  client user = browser();
  (void)user.join();
  EXPECT_EQ(user.get("ticket").status(), 200U);
  const std::string before = state();
  const answer early = user.get("ticket");
  EXPECT_EQ(early.status(), 429U);
  EXPECT_EQ(early.error(), "early");
  EXPECT_EQ(early.header("Retry-After"), "25");
  EXPECT_EQ(early.text("poll_after_ms"), "25000") << "half of what it was told";
  EXPECT_EQ(state(), before);
}

TEST_F(room_http, an_offer_that_was_not_claimed) {
  room_config config = bank_teller(1);
  config.lapsed = after_lapse::requeue_back;
  serve(config);
  client inside = browser(), user = browser();
  (void)inside.join();
  const std::string old = user.join().text("token");
  (void)inside.post("session/complete");
  clock.advance(31s);
  room->pass();
  user.headers.emplace_back("Authorization", "Bearer " + old);
  const answer over = user.post("ticket/claim");
  EXPECT_EQ(over.status(), 410U);
  EXPECT_EQ(over.error(), "over");
  EXPECT_EQ(over.body.at("view").as_object().at("state").as_string(), "lapsed");
  const answer looked = user.get("ticket");
  EXPECT_EQ(looked.status(), 200U);
  EXPECT_EQ(looked.text("state"), "lapsed");
  EXPECT_EQ(looked.text("token").substr(0, 60), over.text("token").substr(0, 60)) << "of the place at the end of the line";
  user.headers.clear();
  const answer moved = user.get("ticket");
  EXPECT_EQ(moved.text("state"), "offered") << "the cookie is that of the new seat";
  EXPECT_EQ(user.post("ticket/claim").status(), 200U);
}

TEST_F(room_http, a_seat_is_of_one_device) {
  serve(bank_teller(2));
  client phone = browser(), laptop = browser();
  const std::string token = phone.join(R"({"subject": "kim"})").text("token");
  laptop.cookies = phone.cookies;
  laptop.cookies["weir_device"] = std::string(32, 'e');
  for (const char* path : {"ticket/claim", "session/renew", "session/complete"}) {
    EXPECT_EQ(laptop.post(path).error(), "bound_elsewhere") << path;
  }
  EXPECT_EQ(laptop.get("ticket").status(), 409U);
  EXPECT_EQ(laptop.ask("DELETE", "ticket").status(), 409U);
  const answer own = laptop.join(R"({"subject": "kim"})");
  EXPECT_EQ(own.status(), 200U) << "the same subject has the same seat";
  EXPECT_EQ(own.text("pass"), "(not there)") << "but the session is the phone's";
  EXPECT_EQ(laptop.post("ticket/claim").status(), 409U);

  client script = client{*handler};  // no cookies, no browser
  script.headers = {{"x-weir-device", phone.cookies.at("weir_device")}, {"authorization", "bEaReR  " + token}};
  EXPECT_EQ(script.get("ticket").text("state"), "active");
}

TEST_F(room_http, sessions_are_renewed_and_end) {
  room_config config = bank_teller(1);
  config.renewal = session_renewal::sliding;
  serve(config);
  client user = browser();
  const std::string pass = user.join().text("pass");
  clock.advance(60s);
  const answer renewed = user.post("session/renew");
  EXPECT_EQ(renewed.status(), 200U);
  EXPECT_EQ(renewed.text("session_expires_at"), "2026-01-01T00:11:00.000Z");
  EXPECT_EQ(user.cookies.at("weir_pass_room"), renewed.text("pass"));
  EXPECT_EQ(user.post("session/renew", R"({"pass": ")" + pass + R"("})").status(), 200U) << "the old one is of the same";
  const auto cookies = user.cookies;
  EXPECT_EQ(user.post("session/complete").status(), 204U);
  user.cookies = cookies;
  EXPECT_EQ(user.post("session/complete").status(), 204U) << "again: the same answer";
  user.cookies = cookies;
  const answer over = user.post("session/renew");
  EXPECT_EQ(over.status(), 410U);
  EXPECT_EQ(over.body.at("view").as_object().at("state").as_string(), "completed");

  client late = browser();
  (void)late.join();
  clock.advance(601s);
  room->pass();
  EXPECT_EQ(late.post("session/renew").status(), 410U);
  EXPECT_EQ(late.post("session/complete").status(), 410U);
}

TEST_F(room_http, an_operator_has_the_room_do_things) {
  serve(bank_teller(1));
  client op = admin();
  const auto state_after = [&](const std::string& path, const std::string& body = {}) {
    const answer a = op.post(path, body);
    return a.status() == 200 ? a.text("state") : std::to_string(a.status()) + ' ' + a.error();
  };
  EXPECT_EQ(state_after("pause"), "paused");
  EXPECT_EQ(state_after("resume"), "open");
  EXPECT_EQ(state_after("resume"), "409 not_paused");
  EXPECT_EQ(state_after("drain"), "draining");
  EXPECT_EQ(state_after("passthrough"), "passthrough");
  EXPECT_EQ(state_after("close"), "closed");
  EXPECT_EQ(state_after("resume"), "409 not_paused") << "that would open it";
  EXPECT_EQ(state_after("open"), "open");

  client user = browser();
  const std::string token = user.join(R"({"subject": "kim"})").text("token");
  const answer revoked = op.post("revoke", R"({"subject": "kim"})");
  EXPECT_EQ(revoked.status(), 200U);
  EXPECT_EQ(revoked.body.at("totals").as_object().at("revoked").as_int64(), 1);
  EXPECT_EQ(user.get("ticket").text("state"), "revoked");
  EXPECT_EQ(op.post("revoke", R"({"subject": "kim"})").status(), 404U);
  EXPECT_EQ(op.post("revoke", R"({"token": ")" + token + R"("})").status(), 200U) << "again: the same answer";

  client other = browser();
  const answer inside = other.join();
  EXPECT_EQ(op.post("revoke", R"({"token": ")" + inside.text("pass") + R"("})").status(), 200U)
      << "without the device, by seat or by pass";
  EXPECT_EQ(other.post("session/renew").status(), 410U);
  client third = browser();
  const std::string done = third.join().text("token");
  (void)third.post("session/complete");
  EXPECT_EQ(op.post("revoke", R"({"token": ")" + done + R"("})").error(), "over") << "it has come to an end before";
}

TEST_F(room_http, an_operator_lets_more_in) {
  room_config config;
  config.manual = true;
  serve(config);
  client user = browser();
  EXPECT_EQ(user.join().text("state"), "waiting");
  EXPECT_EQ(admin().post("advance", R"({"n": 5})").text("offered"), "1");
  clock.advance(40s);
  room->pass();
  EXPECT_EQ(user.post("ticket/claim").status(), 410U) << "30 s to come";
}

/// Tells what it was given only when it is asked to.
class slow_store final : public room_store {
 public:
  room_image load(const room_config&, time_point) override { return {.epoch = 7}; }
  void start(listener& to) override { to_ = &to; }
  void write(std::vector<room_record>, std::uint64_t upto) override { upto_ = upto; }
  void stop() noexcept override {}
  void commit() { to_->stored(upto_); }
  void fail() { to_->store_fails("disk full"); }

 private:
  listener* to_ = nullptr;
  std::uint64_t upto_ = 0;
};

TEST_F(room_http, what_has_to_be_stored_is_answered_once_it_is) {
  slow_store store;
  serve(bank_teller(1), &store);
  client user = browser(), other = browser();
  const answer no_numbers = user.join();
  EXPECT_EQ(no_numbers.status(), 503U);
  EXPECT_EQ(no_numbers.error(), "store");
  EXPECT_NE(no_numbers.header("Retry-After"), "");
  store.commit();

  user.headers.emplace_back("Idempotency-Key", "0123456789abcdef");
  std::vector<answer> answers;
  const auto keep = [&](http_response r) { answers.push_back(user.read(std::move(r))); };
  user.begin("POST", "tickets", keep);
  EXPECT_TRUE(answers.empty());
  EXPECT_EQ(user.join().error(), "in_progress") << "and not a second seat";
  std::thread{[&] { store.commit(); }}.join();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].status(), 201U);
  EXPECT_EQ(answers[0].text("state"), "active");
  EXPECT_EQ(user.join().status(), 200U);

  (void)other.join();
  (void)user.post("session/complete");
  EXPECT_EQ(other.get("ticket").text("state"), "waiting") << "the offer is not stored";
  EXPECT_EQ(other.post("ticket/claim").status(), 202U);
  store.commit();
  other.begin("POST", "ticket/claim", keep);
  EXPECT_EQ(answers.size(), 1U);
  store.fail();
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_EQ(answers[1].status(), 503U);
  EXPECT_EQ(answers[1].error(), "store");
  store.commit();
  EXPECT_EQ(other.post("ticket/claim").status(), 200U) << "it had been decided, and is stored now";

  admin().begin("POST", "passthrough", keep);
  ASSERT_EQ(answers.size(), 3U);
  {
    // Its room completes a request whose handler is gone.
    client last = browser();
    last.begin("POST", "tickets", keep);
    handler.reset();
  }
  store.commit();
  ASSERT_EQ(answers.size(), 4U);
  EXPECT_EQ(answers[3].status(), 201U);
  room.reset();  // before its store
}

TEST_F(room_http, rooms_have_paths) {
  serve(bank_teller(1));
  EXPECT_THROW(handler->add(*room), std::invalid_argument) << "there is one of that name";
  for (const char* name : {"a/b", "..", "a b", "a;b", "대기실"}) {
    room_config config = bank_teller(1);
    config.name = name;
    room_type other{config, keys, nullptr, {}, clock};
    EXPECT_THROW(handler->add(other), std::invalid_argument) << name;
  }
  room_config config = bank_teller(1);
  config.name = "other-1.2_x~";
  room_type other{config, keys, nullptr, {}, clock};
  handler->add(other);
  EXPECT_EQ(client(*handler, config.name).join().status(), 201U);
  EXPECT_EQ(room->snapshot().totals.joined, 0U);
  EXPECT_TRUE(room_handler::is_for_rooms("/rooms/x"));
  EXPECT_FALSE(room_handler::is_for_rooms("/roomsx"));
}

TEST(room_hash, is_the_front_of_sha_256) {
  EXPECT_EQ(room_hash("abc"), 0xba7816bf8f01cfea) << "FIPS 180-4's example";
  EXPECT_EQ(room_hash(""), 0xe3b0c44298fc1c14);
}

}  // namespace
}  // namespace weir::testing_http
