// Lesson 12: a waiting room. Two may be inside; who comes is told its place, and nobody is lost or let in twice.
//
// What a user holds in hand is a signed token: the room finds the seat by it, and nobody can forge one. Over HTTP the same
// goes by weir/http/room_handler.hpp, in coroutines by weir/asio/room.hpp. Needs weir::room. The clock is a manual one, so
// that the output is the same every time. In a service, write `weir::waiting_room<weir::hmac_signer>`.
#include <weir/room/hmac_signer.hpp>
#include <weir/room/waiting_room.hpp>
#include <weir/testing/manual_clock.hpp>

#include <cstdio>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using room_type = weir::basic_waiting_room<weir::hmac_signer, weir::manual_clock>;

struct user {
  const char* name;
  std::string ticket{};
  std::string pass{};
};

void join(room_type& room, user& u) {
  weir::room_request r;
  if (!room.join(r, {})) return;  // with a store it may be completed later
  u.ticket = room.ticket_for(r.answer.view.seat).view();
  if (r.answer.view.state == weir::seat_state::active) u.pass = room.pass_for(r.answer.view).view();
  std::printf("%s joins: %s\n", u.name, to_string(r.answer.view.state));
}

void poll(room_type& room, const user& u) {
  const auto seat = room.read(u.ticket, weir::token_kind::seat);
  const weir::seat_view view = room.look(seat.holder).view;
  std::printf("%s asks: %s", u.name, to_string(view.state));
  if (view.position != 0)
    std::printf(", place %d of %d", static_cast<int>(view.position), static_cast<int>(view.total_waiting));
  std::printf("\n");
}

void claim(room_type& room, user& u) {
  const auto seat = room.read(u.ticket, weir::token_kind::seat);
  weir::room_request r;
  if (!room.claim(r, seat.holder)) return;
  if (r.answer.why == weir::room_refusal::none) u.pass = room.pass_for(r.answer.view).view();
  std::printf("%s claims: %s\n", u.name, r.answer.why == weir::room_refusal::none ? "inside" : to_string(r.answer.why));
}

void complete(room_type& room, const user& u) {
  const auto session = room.read(u.pass, weir::token_kind::pass);
  room.complete(session.holder, session.session);
  std::printf("%s has done what it came for\n", u.name);
}

int main() {
  const std::string secret(32, 'k');  // 32 random bytes of yours
  const weir::hmac_signer keys{1, secret};
  weir::manual_clock clock;
  room_type room{weir::bank_teller(2), keys, nullptr, {}, clock};  // 은행 창구 방식: two counters

  std::vector<user> users{{"Ada"}, {"Bo"}, {"Cho"}, {"Dana"}};
  for (user& u : users) join(room, u);
  user& cho = users[2];
  user& dana = users[3];
  poll(room, dana);
  claim(room, cho);  // not yet

  complete(room, users[0]);
  poll(room, cho);
  claim(room, cho);
  claim(room, cho);  // the answer was lost: it is the same session

  complete(room, users[1]);
  clock.advance(31s);
  room.pass();  // in a service something calls it: time has passed
  poll(room, dana);

  std::string forged = cho.ticket;
  forged[20] = forged[20] == 'A' ? 'B' : 'A';
  std::printf("a changed ticket: %s\n", to_string(room.read(forged, weir::token_kind::seat).problem));
  const auto s = room.snapshot();
  std::printf("inside %d, entered %d, lapsed %d\n", static_cast<int>(s.active), static_cast<int>(s.totals.entered),
              static_cast<int>(s.totals.lapsed));
}
