#include "hosted_room.hpp"

#include "open_stream.hpp"

#include "secrets.hpp"

#include <algorithm>
#include <utility>

namespace weir::inline v0::detail {

using namespace std::string_view_literals;

namespace {

constexpr std::int64_t a_day = 86'400;

http_response bad_device() {
  return error_response(400, "bad_device",
                        "header X-Weir-Device or cookie weir_device must be there once, with 16 .. 128 visible characters");
}
http_response bad_body(std::string_view problem) { return error_response(400, "bad_body", problem); }

http_response bound_elsewhere() {
  return error_response(409, "bound_elsewhere",
                        "this belongs to another device: send the cookie weir_device, or the header X-Weir-Device, "
                        "with which it was given out");
}
http_response no_store(duration retry) {
  return error_response(503, "store", "this cannot be written down at the moment; try again", retry);
}

}  // namespace

http_response refusal_of(ticket_problem problem) {
  switch (problem) {
    case ticket_problem::malformed: return error_response(400, "malformed", "the token is not one of a waiting room");
    case ticket_problem::epoch:
      return error_response(410, "epoch", "the room has begun afresh since this token was given out: join again");
    case ticket_problem::bind: return bound_elsewhere();
    case ticket_problem::wrong_kind:
      return error_response(401, "wrong_kind", "a seat's token is for /ticket, a pass for /session, and not the other way");
    case ticket_problem::version:
    case ticket_problem::unknown_key:
    case ticket_problem::forged:
    case ticket_problem::none: break;
  }
  return error_response(401, to_string(problem), "the token was not given out by this room: join again");
}

hosted_room::hosted_room(std::unique_ptr<room_port> room, std::shared_ptr<const room_http_config> config,
                         std::shared_ptr<stream_places> streams)
    : hosted_room(room->config(), std::move(room), std::move(config), std::move(streams)) {}

hosted_room::hosted_room(const room_config& of, std::unique_ptr<room_port>&& room,
                         std::shared_ptr<const room_http_config>&& config, std::shared_ptr<stream_places>&& streams)
    : room_(std::move(room)),
      config_(std::move(config)),
      name_(of.name),
      path_("/rooms/" + name_),
      seat_cookie_("weir_seat_" + name_),
      pass_cookie_("weir_pass_" + name_),
      recent_(config_->remembered_joins),
      opens_at_(of.opens_at),
      streams_(std::move(streams)) {
  for (const auto& lane : of.lanes) lanes_.push_back(lane.name);
}

hosted_room::answer hosted_room::serve(room_action what, const http_request& r, done_function& done) {
  switch (what) {
    case room_action::join: return join(r, done);
    case room_action::look: return look(r);
    case room_action::claim: return claim(r, done);
    case room_action::leave: return leave(r);
    case room_action::renew: return renew(r);
    case room_action::complete: return complete(r);
    case room_action::status: return status();
    case room_action::stream: return error_response(404, "no_stream", "this server has no streams: poll GET ticket");
    default: return operate(what, r, done);
  }
}

void hosted_room::pending::completed(room_request& r) noexcept {
  const std::unique_ptr<pending> me{static_cast<pending*>(&r)};
  http_response a;
  try {
    a = me->finish(me->answer);
  } catch (...) {
    a = {.status = 500};
  }
  me->done(std::move(a));
}

// What is presented.

hosted_room::held hosted_room::read_token(token_kind kind, std::string_view text, const http_request& r) {
  const presented device = device_of(r);
  if (is_bad(device)) return {.refusal = bad_device()};
  const std::uint64_t bind = device.found == presented::how::once ? room_hash(device.text) : 0;
  held h{.ticket = room_->read(text, kind, bind)};
  if (h.ticket.problem != ticket_problem::none) h.refusal = refusal_of(h.ticket.problem);
  return h;
}

hosted_room::held hosted_room::read_presented(token_kind kind, const http_request& r) {
  const presented token = token_of(r, kind == token_kind::seat ? seat_cookie_ : pass_cookie_);
  switch (token.found) {
    case presented::how::once: return read_token(kind, token.text, r);
    case presented::how::contradictory:
      return {.refusal = error_response(400, "malformed", "there are two different tokens: send one")};
    case presented::how::absent: break;
  }
  http_response none = error_response(
      401, "no_token",
      kind == token_kind::seat ? "send the seat's token as Authorization: Bearer, or as its cookie"sv
                               : "send the pass as field \"pass\", as Authorization: Bearer, or as its cookie"sv);
  return {.refusal = std::move(none)};
}

hosted_room::held hosted_room::read_pass(const http_request& r) {
  request_fields fields;
  if (const auto problem = read_fields(r.body, fields)) return {.refusal = bad_body(*problem)};
  return fields.pass ? read_token(token_kind::pass, *fields.pass, r) : read_presented(token_kind::pass, r);
}

// Joining.

hosted_room::answer hosted_room::read_joiner(const http_request& r, joiner& j) {
  if (config_->verify_join) {
    const join_verdict verdict = config_->verify_join(r);
    switch (verdict.what) {
      case join_verdict::answer::welcome: break;
      case join_verdict::answer::rejected: return error_response(403, "rejected", "joining was refused");
      case join_verdict::answer::too_often:
        return error_response(429, "too_often", "too many have joined from there; try again later", verdict.retry_after);
    }
  }
  request_fields fields;
  if (const auto problem = read_fields(r.body, fields)) return bad_body(*problem);
  if (fields.lane) {
    const auto lane = std::find(lanes_.begin(), lanes_.end(), *fields.lane);
    if (lane == lanes_.end()) return bad_body("field \"lane\" must be the name of a lane of this room");
    j.who.lane = static_cast<std::uint8_t>(lane - lanes_.begin());
  }
  const presented device = device_of(r);
  if (is_bad(device)) return bad_device();
  if (device.found == presented::how::absent) j.device = new_device_secret();
  j.who.bind = room_hash(j.device.empty() ? device.text : j.device);
  if (fields.subject) j.who.subject = room_hash(*fields.subject);
  return repeat(r, fields, device, j);
}

hosted_room::answer hosted_room::repeat(const http_request& r, const request_fields& fields, const presented& device,
                                        joiner& j) {
  const presented key = header_of(r, "Idempotency-Key");
  if (key.found == presented::how::absent) return std::nullopt;
  if (key.found == presented::how::contradictory || !is_secret(key.text)) {
    return error_response(400, "bad_key", "Idempotency-Key must be there once, with 16 .. 128 visible characters");
  }
  const auto with = [&](std::string_view secret) { return sha256_of(std::string{key.text} + '\n' + std::string{secret}); };
  const std::string subject = fields.subject.value_or("");
  const std::uint64_t content = room_hash(std::to_string(subject.size()) + '\n' + subject + fields.lane.value_or(""));
  j.key = with(device.text);
  j.key_with_device = j.device.empty() ? *j.key : with(j.device);
  const auto known = recent_.begin(*j.key, content, room_->now());
  if (!known) return std::nullopt;
  if (known->content != content) {
    return error_response(409, "key_reused", "this Idempotency-Key has been used for another subject or lane");
  }
  if (!known->seat) {
    return error_response(409, "in_progress", "the first request with this Idempotency-Key is not answered yet",
                          std::chrono::seconds{1});
  }
  room_answer a = room_->look(*known->seat);
  if (a.why == room_refusal::early) a = {.view = room_->look_at(*known->seat)};
  if (a.why != room_refusal::none && a.why != room_refusal::over) return refused(a, *known->seat);
  a.again = true;
  return joined(a, {.who = {known->seat->seat.lane, known->seat->subject, known->seat->bind}, .device = known->device});
}

hosted_room::answer hosted_room::join(const http_request& r, done_function& done) {
  joiner j;
  if (auto there = read_joiner(r, j)) return there;
  const auto start = [&, who = j.who](room_request& request) { return room_->join(request, who); };
  const std::optional<join_key> key = j.key;
  try {
    return run(
        done, [self = shared_from_this(), j = std::move(j)](const room_answer& a) { return self->joined(a, j); }, start);
  } catch (...) {
    if (key) recent_.forget(*key);
    throw;
  }
}

http_response hosted_room::joined(const room_answer& a, const joiner& j) {
  if (a.why != room_refusal::none && a.why != room_refusal::over) {
    if (j.key) recent_.forget(*j.key);
    return not_joined(a);
  }
  const seat_holder holder{a.view.seat, j.who.subject, j.who.bind};
  if (j.key) recent_.settle(*j.key, holder, j.device, j.key_with_device);
  seat_view view = a.view;
  if (view.state == seat_state::waiting || view.state == seat_state::prequeued) view = room_->look_at(holder);
  const seat_token token = room_->ticket_for(view.moved_to.value_or(view.seat), j.who.subject, j.who.bind);
  std::optional<seat_token> pass;
  if (view.state == seat_state::active && view.session != 0) pass = room_->pass_for(view, j.who.bind);
  http_response r = view_response(a.again ? 200 : 201, view, token.view(), pass ? pass->view() : ""sv);
  if (!j.device.empty()) set_cookie(r, std::string{device_cookie}, j.device, "/", 30 * a_day);
  return r;
}

http_response hosted_room::not_joined(const room_answer& a) {
  switch (a.why) {
    case room_refusal::full:
      return error_response(503, "room_full", "too many wait already; try again later", a.retry_after);
    case room_refusal::duplicate: return error_response(409, "duplicate", "this subject has a seat already");
    case room_refusal::closed: {
      const instant present = now();
      json_text text;
      text.add("error", "closed").add("message", "the room takes nobody at the moment");
      const auto opens = opens_at_;
      opens && *opens > present.steady ? text.add("opens_at", present.of(*opens)) : text.null("opens_at");
      return json_response(423, std::move(text).take());
    }
    case room_refusal::store: return no_store(a.retry_after);
    default: return refused(a, {});
  }
}

// With a seat.

http_response hosted_room::look(const http_request& r) {
  held h = read_presented(token_kind::seat, r);
  if (h.refusal) return *std::move(h.refusal);
  const room_answer a = room_->look(h.ticket.holder);
  switch (a.why) {
    case room_refusal::none:
    case room_refusal::over: return told(a.view, h.ticket.holder);
    case room_refusal::early: return error_response(429, "early", "ask again when the last answer said", a.retry_after);
    default: return refused(a, h.ticket.holder);
  }
}

std::variant<http_response, room_stream> hosted_room::open_stream(const http_request& r) {
  held h = read_presented(token_kind::seat, r);
  if (h.refusal) return *std::move(h.refusal);
  const seat_holder& who = h.ticket.holder;
  const seat_view v = room_->look_at(who);
  if (v.state == seat_state::rejected) return refused({.why = room_refusal::unknown}, who);
  if (is_over(v.state)) return refused({.why = room_refusal::over, .view = v}, who);
  const bool near = v.state == seat_state::offered || v.state == seat_state::active ||
                    (v.state == seat_state::waiting && v.position <= config_->streams.positions);
  if (!near) {
    return error_response(409, "not_near", "streams are for the front of the line: poll GET ticket", v.poll_after);
  }
  const room_answer a = room_->watch(who);
  if (a.why != room_refusal::none) return refused(a, who);
  const std::uint64_t number = streams_->open(who.seat, config_->streams.most);
  if (number == 0) {
    return error_response(503, "streams_full", "too many listen already: poll GET ticket", v.poll_after);
  }
  return detail::open_stream::make(shared_from_this(), who, number);
}

hosted_room::answer hosted_room::claim(const http_request& r, done_function& done) {
  held h = read_presented(token_kind::seat, r);
  if (h.refusal) return std::move(h.refusal);
  const seat_holder who = h.ticket.holder;
  return run(
      done, [self = shared_from_this(), who](const room_answer& a) { return self->claimed(a, who); },
      [&](room_request& request) { return room_->claim(request, who); });
}

http_response hosted_room::claimed(const room_answer& a, const seat_holder& who) {
  if (a.why == room_refusal::none) return view_response(200, a.view, {}, room_->pass_for(a.view, who.bind).view());
  if (a.why != room_refusal::not_yet) return refused(a, who);
  seat_view view = a.view;
  view.poll_after = std::max(view.poll_after, a.retry_after);
  return view_response(202, view);
}

http_response hosted_room::leave(const http_request& r) {
  held h = read_presented(token_kind::seat, r);
  if (h.refusal) return *std::move(h.refusal);
  const room_answer a = room_->leave(h.ticket.holder);
  if (a.why != room_refusal::none) return refused(a, h.ticket.holder);
  return gone();
}

// With a pass.

http_response hosted_room::renew(const http_request& r) {
  held h = read_pass(r);
  if (h.refusal) return *std::move(h.refusal);
  const seat_holder& who = h.ticket.holder;
  const room_answer a = room_->renew(who, h.ticket.session);
  if (a.why != room_refusal::none) return refused(a, who);
  return view_response(200, a.view, {}, room_->pass_for(a.view, who.bind).view());
}

http_response hosted_room::complete(const http_request& r) {
  held h = read_pass(r);
  if (h.refusal) return *std::move(h.refusal);
  const room_answer a = room_->complete(h.ticket.holder, h.ticket.session);
  if (a.why != room_refusal::none) return refused(a, h.ticket.holder);
  return gone();
}

http_response hosted_room::refused(const room_answer& a, const seat_holder& who) {
  switch (a.why) {
    case room_refusal::bound_elsewhere: return bound_elsewhere();
    case room_refusal::store: return no_store(a.retry_after);
    case room_refusal::over: {
      json_text text;
      text.add("error", "over").add("message", "this has ended, see view.state; join again if the room takes you");
      if (a.view.moved_to) {
        text.add("token", room_->ticket_for(*a.view.moved_to, who.subject, who.bind).view());
      }
      text.open("view");
      return json_response(410, std::move(write(text, a.view).close()).take());
    }
    default: return error_response(410, "unknown_seat", "the room does not know this seat any more: join again");
  }
}

}  // namespace weir::inline v0::detail
