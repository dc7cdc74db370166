// Any bytes as requests to a room: each is answered once, with a status that is documented; errors say what they are in
// JSON; what an operator has not asked for does not happen; a room that refuses has not changed. Whatever limits an
// operator sends, the room keeps going, and takes what it says; who listens gets whole events.
//
// Input: requests behind each other, each of lines "method target", "name: value" ..., an empty line, one line of body.
// A header's value "Bearer T" stands for the token of a seat.

#include <weir/http/room_handler.hpp>
#include <weir/room/hmac_signer.hpp>
#include <weir/testing/manual_clock.hpp>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

namespace {

using room_type = weir::basic_waiting_room<weir::hmac_signer, weir::manual_clock>;

std::string_view line_of(std::string_view& text) {
  const auto end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}
weir::http_request request_of(std::string_view& text) {
  weir::http_request r;
  const std::string_view first = line_of(text);
  const auto blank = first.find(' ');
  r.method = first.substr(0, blank);
  if (blank != std::string_view::npos) r.target = first.substr(blank + 1);
  for (std::string_view line = line_of(text); !line.empty(); line = line_of(text)) {
    const auto colon = line.find(':');
    if (colon != std::string_view::npos) r.headers.push_back({line.substr(0, colon), line.substr(colon + 1)});
  }
  r.body = line_of(text);
  return r;
}

struct rooms {
  weir::manual_clock clock;
  weir::hmac_signer keys{1, std::string(32, 'k')};
  room_type room{config(), keys, nullptr, {}, clock};
  weir::room_handler handler{{.is_operator = [](const auto& r) { return r.method == "PUT"; }, .remembered_joins = 64}};
  weir::seat_id seat{};

  rooms() { handler.add(room); }
  /// Of a seat that is still in line, if there are any.
  std::string token() {
    const weir::seat_state state = room.look_at({seat, 0, 0}).state;
    if (is_over(state) || state == weir::seat_state::rejected) {
      weir::room_request r;
      if (room.join(r, {}) && r.answer.why == weir::room_refusal::none) seat = r.answer.view.seat;
    }
    return std::string{room.ticket_for(seat).view()};
  }
  static weir::room_config config() {
    weir::room_config c = weir::bank_teller(3);
    c.capacity = 100;
    c.lanes = {{.name = "a"}, {.name = "b"}};
    return c;
  }
};

bool is_documented(unsigned status) {
  constexpr std::array all{200U, 201U, 202U, 204U, 400U, 401U, 403U, 404U, 405U,
                           409U, 410U, 413U, 414U, 423U, 429U, 431U, 503U};
  for (const unsigned s : all) {
    if (s == status) return true;
  }
  return false;
}

void check(const weir::http_response& a) {
  if (!is_documented(a.status)) std::abort();
  if (a.body.empty() != (a.status == 204)) std::abort();
  for (const auto& [name, value] : a.headers) {
    if (value.find_first_of("\r\n") != std::string::npos) std::abort();
  }
  if (a.body.empty()) return;
  const boost::json::value v = boost::json::parse({a.body.data(), a.body.size()});  // throws: a crash
  if (a.status >= 400 && (!v.as_object().contains("error") || !v.as_object().contains("message"))) std::abort();
}

void listen(std::variant<weir::http_response, weir::room_stream> opened) {
  if (const auto* refused = std::get_if<weir::http_response>(&opened)) {
    if (refused->status < 400) std::abort();
    return check(*refused);
  }
  auto& stream = std::get<weir::room_stream>(opened);
  for (int n = 0; n < 3; ++n) {
    const auto step = stream.next();
    if (!step.text.empty() && !step.text.ends_with("\n\n")) std::abort();
    if (!step.ends && step.again_in <= weir::duration::zero()) std::abort();
    for (std::size_t at = step.text.find("data: "); at != std::string::npos; at = step.text.find("data: ", at + 1)) {
      (void)boost::json::parse(step.text.substr(at + 6, step.text.find('\n', at) - at - 6));
    }
  }
}

/// What a room says of its limits, it takes, and nothing else.
void check_limits(rooms& there) {
  if (weir::validate(there.room.config())) std::abort();
  std::string limits;
  there.handler.handle({.method = "PUT", .target = "/rooms/room", .body = "{}"}, [&](auto a) { limits = a.body; });
  there.handler.handle({.method = "PUT", .target = "/rooms/room", .body = limits}, [&](const auto& a) {
    if (a.status != 200 || a.body != limits) std::abort();
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static std::unique_ptr<rooms> there;
  static unsigned uses = 0;
  if (there == nullptr || ++uses % 256 == 0) there = std::make_unique<rooms>();
  std::string bearer = "Bearer " + there->token();
  std::string_view text{reinterpret_cast<const char*>(data), size};
  for (int n = 0; n < 8 && !text.empty(); ++n) {
    weir::http_request r = request_of(text);
    for (auto& h : r.headers) {
      if (h.value == "Bearer T") h.value = bearer;
    }
    if (weir::room_handler::is_for_stream(r)) {
      listen(there->handler.stream(r));
      continue;
    }
    const auto before = there->room.snapshot();
    int answers = 0;
    there->handler.handle(r, [&](const weir::http_response& a) {
      ++answers;
      check(a);
      const auto after = there->room.snapshot();
      if (after.mode != weir::room_mode::open || after.totals.revoked != 0) std::abort();
      const bool joined = after.totals.joined != before.totals.joined;
      if (joined && a.status != 201) std::abort();
    });
    if (answers != 1) std::abort();
    if (r.method == "PUT") check_limits(*there);
    there->clock.advance(std::chrono::milliseconds{100});
    there->room.pass();
  }
  return 0;
}
