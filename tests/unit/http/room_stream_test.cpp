// Who listens instead of asking; and those who try to hold all streams, or others' ones.
#include "room_client.hpp"

#include <weir/http/room_stream.hpp>

#include <support/slow_room_store.hpp>

#include <memory>
#include <variant>

namespace weir::testing_http {
namespace {

struct event {
  std::string name;
  json::object data;
};

/// Reads events as browsers do.
std::vector<event> events_in(std::string_view text) {
  std::vector<event> all;
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = rest.find("\n\n");
    EXPECT_NE(end, std::string_view::npos) << "an event has no end: " << text;
    if (end == std::string_view::npos) break;
    std::string_view one = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    if (one.starts_with(':') || one.starts_with("retry: ")) continue;
    EXPECT_TRUE(one.starts_with("event: ")) << one;
    const auto line = one.find('\n');
    EXPECT_TRUE(one.substr(line + 1).starts_with("data: ")) << one;
    const std::string_view data = one.substr(line + 7);
    EXPECT_EQ(data.find('\n'), std::string_view::npos) << "data of several lines: " << one;
    all.push_back(
        {std::string{one.substr(7, line - 7)}, json::parse(json::string_view{data.data(), data.size()}).as_object()});
  }
  return all;
}

struct room_http_stream : room_http {
  room_stream_config streams;

  void serve(const room_config& config) {
    room_http::serve(config);
    handler.reset();
    room_http_config c = http_config();
    c.streams = streams;
    handler.emplace(c);
    handler->add(*room);
  }
  /// A stream, or the answer of whoever does not get one.
  std::variant<http_response, room_stream> open(const client& c, std::string_view method = "GET") {
    std::string cookies;
    for (const auto& [name, value] : c.cookies) cookies.append(cookies.empty() ? "" : "; ").append(name + '=' + value);
    http_request r{.method = method, .target = "/rooms/room/ticket/stream?x=/"};
    r.headers.push_back({"Cookie", cookies});
    for (const auto& [name, value] : c.headers) r.headers.push_back({name, value});
    EXPECT_EQ(room_handler::is_for_stream(r), method == "GET");
    return handler->stream(r);
  }
  room_stream must_open(const client& c) {
    auto opened = open(c);
    if (const auto* refused = std::get_if<http_response>(&opened)) {
      ADD_FAILURE() << refused->status << refused->body;
      throw std::runtime_error{"no stream"};
    }
    return std::get<room_stream>(std::move(opened));
  }
  std::string refusal(const client& c) {
    auto opened = open(c);
    auto* refused = std::get_if<http_response>(&opened);
    if (refused == nullptr) return "a stream";
    const json::object body = json::parse(json::string_view{refused->body.data(), refused->body.size()}).as_object();
    return std::to_string(refused->status) + ' ' + std::string{body.at("error").as_string().c_str()};
  }
  static std::string state_in(const std::vector<event>& events) {
    return events.size() == 1 && events[0].name == "view" ? std::string{events[0].data.at("state").as_string().c_str()}
                                                          : "?";
  }
};

TEST_F(room_http_stream, tells_what_is_new_and_ends_with_the_seat) {
  serve(bank_teller(1));
  client inside = browser(), first = browser(), second = browser();
  (void)inside.join();
  (void)first.join();
  const answer joined = second.join();
  room_stream stream = must_open(second);
  EXPECT_EQ(stream.head().header("Content-Type"), "text/event-stream");
  EXPECT_EQ(stream.head().header("Cache-Control"), "no-store");
  auto step = stream.next();
  EXPECT_TRUE(step.text.starts_with("retry: 3000\n\nevent: view\ndata: {\"state\":\"waiting\",\"position\":2,"))
      << step.text;
  json::object polled = joined.body, told = events_in(step.text).at(0).data;
  polled.erase("token");
  EXPECT_EQ(json::serialize(told), json::serialize(polled)) << "is what a poll says";
  EXPECT_EQ(step.again_in, 1s);

  EXPECT_EQ(stream.next().text, "") << "nothing is new";
  (void)first.ask("DELETE", "ticket");
  EXPECT_EQ(stream.next().text, "") << "positions are told once a second";
  clock.advance(1s);
  EXPECT_EQ(events_in(stream.next().text).at(0).data.at("position").as_int64(), 1);

  (void)inside.post("session/complete");
  EXPECT_EQ(state_in(events_in(stream.next().text)), "offered") << "states are told at once";
  EXPECT_EQ(second.post("ticket/claim").status(), 200U);
  step = stream.next();
  EXPECT_EQ(state_in(events_in(step.text)), "active");
  EXPECT_EQ(step.text.find("pass"), std::string::npos) << "who claims gets it";
  EXPECT_EQ(second.post("session/complete").status(), 204U);
  step = stream.next();
  EXPECT_TRUE(step.ends);
  const auto last = events_in(step.text);
  ASSERT_EQ(last.size(), 2U) << step.text;
  EXPECT_EQ(last[0].data.at("state").as_string(), "completed");
  EXPECT_EQ(last[1].name, "end");
  EXPECT_EQ(last[1].data.at("error").as_string(), "over");
  step = stream.next();
  EXPECT_TRUE(step.ends && step.text.empty()) << "nothing comes after the end";
}

TEST_F(room_http_stream, asks_more_often_close_to_the_turn_and_at_the_end_of_an_offer) {
  room_config config = amusement_park(1, 1s);
  config.pace = room_pace::smooth;
  config.claim_window = 2s;
  serve(config);
  std::vector<client> users(40, browser());
  for (auto& u : users) (void)u.join();
  room_stream next = must_open(users[1]), far = must_open(users[39]);
  EXPECT_EQ(next.next().again_in, 250ms);
  EXPECT_EQ(far.next().again_in, 1s);
  clock.advance(1s);
  room->pass();
  auto step = next.next();
  EXPECT_EQ(state_in(events_in(step.text)), "offered");
  EXPECT_EQ(step.again_in, 1s);
  clock.advance(1500ms);
  EXPECT_EQ(next.next().again_in, 500ms) << "the offer ends then";
  clock.advance(500ms);
  step = next.next();
  EXPECT_TRUE(step.ends);
  EXPECT_EQ(events_in(step.text).at(0).data.at("state").as_string(), "lapsed");
}

TEST_F(room_http_stream, is_a_sign_of_life_and_no_poll) {
  room_config config = bank_teller(1);
  config.presence_least = 5s;
  config.session_ttl = 1h;
  serve(config);
  client inside = browser(), listens = browser(), sleeps = browser();
  for (client* c : {&inside, &sleeps, &listens}) (void)c->join();
  (void)admin().post("pause");
  room_stream stream = must_open(listens);
  std::string text;
  for (int i = 0; i < 400; ++i) {
    text += stream.next().text;
    clock.advance(250ms);
    room->pass();
  }
  const auto told = events_in(text);
  EXPECT_EQ(told.back().data.at("position").as_int64(), 1) << "the one before was found absent, this one was not";
  EXPECT_NE(text.find("\n\n:\n\n"), std::string::npos) << "a comment keeps the connection alive";
  EXPECT_EQ(told.size(), 2U) << "when nothing is new nothing else is said: " << text;
  EXPECT_EQ(room->snapshot().totals.polls, 0U);
  EXPECT_EQ(listens.get("ticket").status(), 200U) << "who listens may ask all the same";
}

TEST_F(room_http_stream, who_was_absent_is_back_and_who_has_moved_is_told_the_new_seat) {
  room_config config = amusement_park(1, 1s);
  config.lapsed = after_lapse::requeue_back;
  config.claim_window = 1s;
  serve(config);
  client a = browser(), b = browser();
  (void)a.join();
  (void)b.join();
  room_stream stream = must_open(b);
  (void)stream.next();
  clock.advance(1s);
  room->pass();
  clock.advance(1s);
  room->pass();
  const auto last = events_in(stream.next().text);
  ASSERT_EQ(last.size(), 2U);
  EXPECT_EQ(last[0].data.at("state").as_string(), "lapsed");
  const std::string moved{last[0].data.at("token").as_string().c_str()};
  EXPECT_EQ(b.get("ticket").text("token"), moved);
  EXPECT_EQ(refusal(b), "a stream");
}

TEST_F(room_http_stream, is_for_the_front_of_the_line) {
  streams.positions = 2;
  serve(bank_teller(1));
  std::vector<client> users(4, browser());
  for (auto& u : users) (void)u.join();
  EXPECT_EQ(refusal(users[0]), "a stream") << "is inside";
  EXPECT_EQ(refusal(users[2]), "a stream");
  const std::string before = state();
  EXPECT_EQ(refusal(users[3]), "409 not_near");
  EXPECT_EQ(state(), before);
  auto refused = open(users[3]);
  EXPECT_GE(std::stoi(std::string{std::get<http_response>(refused).header("Retry-After")}), 1);

  room_config prequeue = bank_teller(1);
  prequeue.opens_at = clock.now() + 1h;
  serve(prequeue);
  client early = browser();
  (void)early.join();
  EXPECT_EQ(refusal(early), "409 not_near") << "before the opening there is no front";
}

TEST_F(room_http_stream, places_are_few_and_a_seat_has_one) {
  streams.most = 2;
  serve(bank_teller(1));
  std::vector<client> users(4, browser());
  for (auto& u : users) (void)u.join();
  std::optional<room_stream> first{must_open(users[1])};
  (void)first->next();
  std::vector<room_stream> many;
  for (int i = 0; i < 50; ++i) many.push_back(must_open(users[2]));
  EXPECT_EQ(refusal(users[3]), "503 streams_full");
  EXPECT_EQ(refusal(users[1]), "a stream") << "its own place is its own";
  auto step = first->next();
  EXPECT_TRUE(step.ends);
  EXPECT_EQ(events_in(step.text).at(0).data.at("error").as_string(), "replaced");
  step = many[0].next();
  EXPECT_TRUE(step.ends);
  EXPECT_FALSE(many[49].next().ends);
  many.erase(many.begin());
  EXPECT_FALSE(many[48].next().ends) << "one that was replaced gives back nothing of its successor's";
  many.clear();
  EXPECT_EQ(refusal(users[3]), "a stream");
}

TEST_F(room_http_stream, tokens_and_devices_count_as_for_polls) {
  room_config config = bank_teller(1);
  config.duplicates = duplicate_seat::move;
  serve(config);
  client inside = browser(), b = browser(), stranger = browser();
  (void)inside.join();
  const answer joined = b.join(R"({"subject":"kim"})");
  EXPECT_EQ(refusal(stranger), "401 no_token");
  stranger.cookies["weir_device"] = "00000000000000000000000000000000";
  stranger.headers = {{"Authorization", "Bearer " + joined.text("token")}};
  EXPECT_EQ(refusal(stranger), "409 bound_elsewhere");
  std::string forged = joined.text("token");
  forged[20] = forged[20] == 'A' ? 'B' : 'A';
  stranger.headers = {{"Authorization", "Bearer " + forged}};
  EXPECT_EQ(refusal(stranger), "401 forged");
  stranger.headers = {{"Authorization", "Bearer x"}};
  EXPECT_EQ(refusal(stranger), "400 malformed");
  const auto post = open(b, "POST");
  EXPECT_EQ(std::get<http_response>(post).status, 405);
  EXPECT_EQ(browser().get("ticket/stream").error(), "no_stream") << "of a server that has none";

  room_stream stream = must_open(b);
  (void)stream.next();
  client phone = browser();
  (void)phone.join(R"({"subject":"kim"})");
  const auto step = stream.next();
  EXPECT_TRUE(step.ends);
  EXPECT_EQ(events_in(step.text).at(0).data.at("error").as_string(), "bound_elsewhere");
  EXPECT_EQ(refusal(b), "409 bound_elsewhere");
  (void)phone.ask("DELETE", "ticket");
  client left = browser();
  left.cookies = phone.cookies;
  left.headers = {{"Authorization", "Bearer " + joined.text("token")}};
  EXPECT_NE(refusal(left), "a stream");
}

TEST_F(room_http_stream, outlives_its_handler) {
  serve(bank_teller(1));
  client a = browser();
  (void)a.join();
  room_stream stream = must_open(a);
  handler.reset();
  EXPECT_EQ(state_in(events_in(stream.next().text)), "active");
}

/// A room that wakes its streams.
struct room_http_woken : room_http_stream {
  using woken_room = basic_waiting_room<hmac_signer, manual_clock, room_stream_waker>;
  testing_support::slow_store store;
  room_stream_waker waker;
  std::optional<woken_room> woken;

  void serve(room_config config, room_store* kept_by = nullptr) {
    config.polls.jitter = 0;
    woken.emplace(config, keys, kept_by, waker, clock);
    handler.emplace(http_config());
    handler->add(*woken, waker);
  }
};

TEST_F(room_http_woken, a_stream_is_woken_by_what_happens_to_its_seat_and_to_no_other) {
  serve(bank_teller(1));
  client inside = browser(), first = browser(), second = browser();
  (void)inside.join();
  (void)first.join();
  (void)second.join();
  room_stream of_first = must_open(first), of_second = must_open(second);
  int woke_first = 0, woke_second = 0;
  of_first.wake_by([&] { ++woke_first; });
  of_second.wake_by([&] { ++woke_second; });
  (void)of_first.next();
  (void)browser().join();
  EXPECT_EQ(woke_first + woke_second, 0) << "somebody comes, behind them";
  (void)inside.post("session/complete");
  EXPECT_EQ(woke_first, 1);
  EXPECT_EQ(woke_second, 0);
  EXPECT_EQ(state_in(events_in(of_first.next().text)), "offered") << "what it is woken for is there";
  (void)first.post("ticket/claim");
  EXPECT_EQ(woke_first, 2);

  room_stream elsewhere = must_open(first);
  EXPECT_EQ(woke_first, 3) << "its owner listens on another connection";
  EXPECT_TRUE(of_first.next().ends);
  elsewhere.wake_by([&] { ++woke_first; });
  elsewhere.wake_by({});
  of_first.wake_by([&] { ++woke_first; });
  (void)first.post("session/complete");
  EXPECT_EQ(woke_first, 3) << "neither who asked no longer, nor who is replaced";
  EXPECT_EQ(woke_second, 1);
  {
    const room_stream gone = std::move(of_second);
  }
  clock.advance(10min);
  woken->pass();
  EXPECT_EQ(woke_second, 1) << "a stream that has gone";
}

TEST_F(room_http_woken, a_change_that_is_not_stored_yet_is_asked_for_again_soon) {
  serve(bank_teller(1), &store);
  store.commit();
  client inside = browser(), next = browser();
  std::optional<http_response> joined;
  inside.begin("POST", "tickets", [&](http_response a) { joined = std::move(a); });
  store.commit();
  (void)inside.read(*std::move(joined));
  (void)next.join();
  store.commit();
  room_stream stream = must_open(next);
  int woken_up = 0;
  stream.wake_by([&] { ++woken_up; });
  EXPECT_EQ(stream.next().again_in, 1s);
  (void)inside.post("session/complete");
  EXPECT_EQ(woken_up, 1);
  auto step = stream.next();
  EXPECT_EQ(state_in(events_in(step.text)), "waiting") << "an offer may not be told before it is stored";
  duration in_all = step.again_in;
  EXPECT_EQ(step.again_in, 20ms);
  for (int i = 0; i < 5; ++i) in_all += stream.next().again_in;
  EXPECT_EQ(in_all, 1260ms);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(stream.next().again_in, 1s) << "not for ever";
  store.commit();
  EXPECT_EQ(state_in(events_in(stream.next().text)), "offered");
}

}  // namespace
}  // namespace weir::testing_http
