// Any bytes as requests to a room: each is answered once, with a status that is documented; errors say what they are in
// JSON; what an operator has not asked for does not happen; a room that refuses has not changed.
//
// Input: requests behind each other, each of lines "method target", "name: value" ..., an empty line, one line of body.

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
  weir::room_handler handler{{.remembered_joins = 64}};

  rooms() { handler.add(room); }
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static std::unique_ptr<rooms> there;
  static unsigned uses = 0;
  if (there == nullptr || ++uses % 256 == 0) there = std::make_unique<rooms>();
  std::string_view text{reinterpret_cast<const char*>(data), size};
  for (int n = 0; n < 8 && !text.empty(); ++n) {
    const weir::http_request r = request_of(text);
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
    there->clock.advance(std::chrono::milliseconds{100});
    there->room.pass();
  }
  return 0;
}
