// What everybody may know of a room, and what its operator does.
#include "hosted_room.hpp"

#include "room_settings.hpp"
#include "secrets.hpp"

#include <cmath>
#include <utility>

namespace weir::inline v0::detail {
namespace {

double rounded(double value) { return std::round(value * 1000) / 1000; }
/// How many were at most so large; those beyond the last bound have none.
template <std::size_t N>
void add_counts(json_text& text, const bounded_counts<N>& c, const std::array<double, N>& bounds) {
  std::string at_most = "[", counts = "[";
  for (std::size_t i = 0; i <= N; ++i) {
    const char* const comma = i == 0 ? "" : ",";
    append_number(counts += comma, c.counts[i]);
    if (i < N) append_number(at_most += comma, bounds[i]);
  }
  text.raw("at_most", at_most += ']').raw("counts", counts += ']');
}

double seconds(duration d) { return rounded(std::chrono::duration<double>(d).count()); }

}  // namespace

std::string hosted_room::status_text(const instant& present) {
  const room_snapshot s = room_->snapshot();
  double rate = 0;
  for (const auto& lane : s.lanes) rate += lane.rate_per_s;
  json_text text;
  text.add("room", name_).add("state", to_string(s.mode)).add("epoch", s.epoch);
  text.add("head", s.lanes.front().head).add("tail", s.lanes.front().tail);
  text.add("rate_per_s", rounded(rate)).add("waiting", s.waiting);
  if (s.lanes.size() > 1) {
    text.open_list("lanes");
    for (const auto& lane : s.lanes) {
      text.open_element().add("lane", lane.name).add("head", lane.head).add("tail", lane.tail);
      text.add("rate_per_s", rounded(lane.rate_per_s)).add("waiting", lane.waiting).close();
    }
    text.close_list();
  }
  if (const auto opens = opens_at_) {
    text.add("opens_at", present.of(*opens)).add("commitment", room_->commitment());
    const auto seed = room_->revealed_seed();
    seed ? text.add("seed", hex_of(*seed)) : text.null("seed");
  }
  text.add("as_of", present.wall);
  return std::move(text).take();
}

http_response hosted_room::status() {
  const instant present = now();  // by a hook, which is called under no lock
  std::shared_ptr<const std::string> text;
  {
    const scoped_lock lock{status_mutex_};
    const duration age = elapsed(status_of_, present.steady);
    if (status_ == nullptr || age >= std::chrono::seconds{1} || age <= -std::chrono::seconds{1}) {
      status_ = std::make_shared<const std::string>(status_text(present));
      status_of_ = present.steady;
    }
    text = status_;
  }
  http_response r{.body = *text};
  r.headers.emplace_back("Content-Type", "application/json");
  r.headers.emplace_back("Cache-Control", "public, max-age=1");
  return r;
}

http_response hosted_room::stats() {
  const room_snapshot s = room_->snapshot();
  const room_totals& t = s.totals;
  json_text text{2048};
  text.add("room", name_).add("epoch", s.epoch).add("state", to_string(s.mode));
  s.held == hold_reason::none ? text.null("reason") : text.add("reason", to_string(s.held));
  double per_s = 0;
  for (const auto& lane : s.lanes) per_s += lane.rate_per_s;
  text.add("admitted_per_s", rounded(per_s))
      .add("gate", rounded(s.gate))
      .add("gate_reason", s.gate_reason)
      .add("store_error", s.store_error);
  text.add("waiting", s.waiting).add("offered", s.offered).add("active", s.active);
  text.add("noshow", rounded(s.noshow)).add("unstored", s.unstored).add("bytes", s.bytes);
  if (s.eta_at_end) {
    text.open("eta_at_end_s").add("p50", seconds(s.eta_at_end->p50)).add("p90", seconds(s.eta_at_end->p90)).close();
  } else {
    text.null("eta_at_end_s");
  }
  text.open_list("lanes");
  for (const auto& lane : s.lanes) {
    text.open_element().add("lane", lane.name).add("waiting", lane.waiting).add("head", lane.head).add("tail", lane.tail);
    text.add("inside", lane.inside).add("rate_per_s", rounded(lane.rate_per_s));
    text.add("oldest_wait_s", seconds(lane.oldest_wait)).close();
  }
  text.close_list().open("totals");
  const std::pair<std::string_view, std::uint64_t> totals[] = {{"joined", t.joined},
                                                               {"again", t.again},
                                                               {"moved", t.moved},
                                                               {"offered", t.offered},
                                                               {"requeued", t.requeued},
                                                               {"entered", t.entered},
                                                               {"completed", t.completed},
                                                               {"left", t.left},
                                                               {"abandoned", t.abandoned},
                                                               {"rejoined", t.rejoined},
                                                               {"lapsed", t.lapsed},
                                                               {"expired", t.expired},
                                                               {"revoked", t.revoked},
                                                               {"polls", t.polls},
                                                               {"early_polls", t.early_polls},
                                                               {"polls_over", t.polls_over},
                                                               {"bound_elsewhere", t.bound_elsewhere},
                                                               {"claims_held", t.claims_held},
                                                               {"jumped", t.jumped}};
  for (const auto& [name, value] : totals) text.add(name, value);
  text.open("refused");
  for (std::size_t i = 1; i < t.refused.size(); ++i) text.add(to_string(static_cast<room_refusal>(i)), t.refused[i]);
  text.close().open("held_s");
  for (std::size_t i = 1; i < t.held.size(); ++i) text.add(to_string(static_cast<hold_reason>(i)), seconds(t.held[i]));
  // Actual waits over the p50 that was promised on joining, added up.
  text.close().open("eta_error").add("count", t.eta_error.count()).add("sum", rounded(t.eta_error.sum)).close();
  text.close().open("tokens_rejected");
  for (std::size_t i = 1; i < s.tokens_rejected.size(); ++i) {
    text.add(to_string(static_cast<ticket_problem>(i)), s.tokens_rejected[i]);
  }
  text.close().add("streams", streams_->size()).open("eta_error");
  add_counts(text, t.eta_error, eta_error_bounds);
  text.close().open("store_s");
  add_counts(text, s.store_seconds[1], room_store_bounds);
  text.close().add("as_of", config_->wall_clock());
  return json_response(200, std::move(text).take());
}

hosted_room::answer hosted_room::operate(room_action what, const http_request& r, done_function& done) {
  if (!config_->is_operator || !config_->is_operator(r)) {
    return error_response(403, "operators_only", "this is for the room's operators");
  }
  if (what == room_action::settings) return json_response(200, settings_text(room_->config()));
  if (what == room_action::change_settings) return change_settings(r);
  request_fields fields;
  if (const auto problem = read_fields(r.body, fields)) return error_response(400, "bad_body", *problem);
  switch (what) {
    case room_action::stats: return stats();
    case room_action::advance:
      if (!fields.n) return error_response(400, "bad_body", "field \"n\" is needed: how many more are to be let in");
      room_->advance(*fields.n);
      return stats();
    case room_action::revoke: return revoke(fields, done);
    default: return change_mode(what);
  }
}

http_response hosted_room::change_mode(room_action what) {
  switch (what) {
    case room_action::resume:
      if (room_->snapshot().mode != room_mode::paused) {
        return error_response(409, "not_paused", "only a room that is paused can be resumed; see open");
      }
      room_->set_mode(room_mode::open);
      break;
    case room_action::open: room_->set_mode(room_mode::open); break;
    case room_action::pause: room_->set_mode(room_mode::paused); break;
    case room_action::close: room_->set_mode(room_mode::closed); break;
    case room_action::drain: room_->set_mode(room_mode::draining); break;
    default: room_->set_mode(room_mode::passthrough); break;
  }
  return stats();
}

http_response hosted_room::change_settings(const http_request& r) {
  const scoped_lock lock{settings_mutex_};
  room_config config = room_->config();
  auto problem = read_settings(r.body, config);
  if (!problem) {
    if (const auto wrong = room_->reconfigure(config)) problem = in_json(*wrong);
  }
  if (!problem) return json_response(200, settings_text(room_->config()));
  if (problem->field.empty()) return error_response(400, "bad_body", problem->problem);
  json_text text;
  text.add("error", "bad_setting").add("field", problem->field);
  text.add("message", problem->field + ": " + problem->problem);
  return json_response(400, std::move(text).take());
}

hosted_room::answer hosted_room::revoke(const request_fields& fields, done_function& done) {
  if (fields.subject.has_value() == fields.token.has_value()) {
    return error_response(400, "bad_body", "one of the fields \"subject\" and \"token\" is needed");
  }
  const auto finish = [self = shared_from_this()](const room_answer& a) {
    switch (a.why) {
      case room_refusal::none: return self->stats();
      case room_refusal::unknown: return error_response(404, "unknown_seat", "there is no such seat");
      case room_refusal::over: return error_response(410, "over", "this seat has ended before");
      default: return self->refused(a, {});
    }
  };
  if (fields.subject) {
    const std::uint64_t subject = room_hash(*fields.subject);
    return run(done, finish, [&](room_request& request) { return room_->revoke_subject(request, subject); });
  }
  const token_claim said = claim_of(*fields.token);  // an operator has not the device
  const read_ticket ticket = room_->read(*fields.token, said.kind, said.bind);
  if (ticket.problem != ticket_problem::none) return refusal_of(ticket.problem);
  return run(done, finish, [&](room_request& request) { return room_->revoke(request, ticket.holder.seat); });
}

}  // namespace weir::inline v0::detail
