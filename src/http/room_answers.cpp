// What answers look like.
#include "hosted_room.hpp"

#include <algorithm>
#include <utility>

namespace weir::inline v0::detail {

http_response json_response(std::uint16_t status, std::string body) {
  http_response r{.status = status, .body = std::move(body)};
  r.headers.reserve(4);
  r.headers.emplace_back("Content-Type", "application/json");
  r.headers.emplace_back("Cache-Control", "no-store");
  if (status == 401) r.headers.emplace_back("WWW-Authenticate", "Bearer");
  return r;
}

http_response error_response(std::uint16_t status, std::string_view code, std::string_view message) {
  json_text text{64 + message.size()};
  text.add("error", code).add("message", message);
  return json_response(status, std::move(text).take());
}

namespace {

template <class Unit>
std::int64_t rounded_up(duration d) {
  return std::chrono::ceil<Unit>(std::min<duration>(d, std::chrono::hours{24 * 365})).count();
}

}  // namespace

http_response error_response(std::uint16_t status, std::string_view code, std::string_view message, duration again) {
  if (again <= duration::zero()) return error_response(status, code, message);
  json_text text{96 + message.size()};
  text.add("error", code).add("message", message);
  text.add("poll_after_ms", rounded_up<std::chrono::milliseconds>(again));
  http_response r = json_response(status, std::move(text).take());
  retry_after(r, again);
  return r;
}

void retry_after(http_response& r, duration d) {
  if (d > duration::zero()) r.headers.emplace_back("Retry-After", std::to_string(rounded_up<std::chrono::seconds>(d)));
}

hosted_room::instant hosted_room::now() const { return {room_->now(), config_->wall_clock()}; }

json_text& hosted_room::write(json_text& to, const seat_view& v) {
  const instant present = now();
  const auto time = [&](std::string_view name, time_point t) { t == never ? to.null(name) : to.add(name, present.of(t)); };
  to.add("state", to_string(v.state));
  if (v.position != 0) {
    to.add("position", v.position).add("ahead_live", v.position - 1).add("position_upper", v.position_upper);
  } else {
    to.null("position").null("ahead_live").null("position_upper");
  }
  to.add("total_waiting", v.total_waiting);
  if (v.eta) {
    to.open("eta_s").add("p50", rounded_up<std::chrono::seconds>(v.eta->p50));
    to.add("p90", rounded_up<std::chrono::seconds>(v.eta->p90)).close();
  } else {
    to.null("eta_s");
  }
  to.add("eta_known", v.eta.has_value());
  if (v.poll_after > duration::zero()) {
    to.add("poll_after_ms", rounded_up<std::chrono::milliseconds>(v.poll_after));
  } else {
    to.null("poll_after_ms");
  }
  time("offer_expires_at", v.offer_expires);
  time("session_expires_at", v.session_expires);
  to.add("lane", lanes_[v.seat.lane]);
  v.reason == hold_reason::none ? to.null("reason") : to.add("reason", to_string(v.reason));
  return to.add("as_of", present.wall);
}

http_response hosted_room::view_response(std::uint16_t status, const seat_view& v, std::string_view token,
                                         std::string_view pass) {
  json_text text{768};
  write(text, v);
  if (!token.empty()) text.add("token", token);
  if (!pass.empty()) text.add("pass", pass);
  http_response r = json_response(status, std::move(text).take());
  retry_after(r, v.poll_after);
  if (!token.empty()) set_cookie(r, seat_cookie_, token, path_, seat_cookie_age);
  if (!pass.empty()) {
    const duration left = std::max(elapsed(room_->now(), v.session_expires), duration::zero());
    set_cookie(r, pass_cookie_, pass, "/", rounded_up<std::chrono::seconds>(left));
  }
  return r;
}

http_response hosted_room::told(const seat_view& v, const seat_holder& who) {
  if (!v.moved_to) return view_response(200, v);
  return view_response(200, v, room_->ticket_for(*v.moved_to, who.subject, who.bind).view());
}

http_response hosted_room::gone() const {
  http_response r{.status = 204};
  r.headers.emplace_back("Cache-Control", "no-store");
  set_cookie(r, seat_cookie_, {}, path_, 0);
  set_cookie(r, pass_cookie_, {}, "/", 0);
  return r;
}

void hosted_room::set_cookie(http_response& r, const std::string& name, std::string_view value, std::string_view path,
                             std::int64_t seconds) const {
  std::string cookie = name;
  cookie.append("=").append(value).append("; Path=").append(path).append("; Max-Age=").append(std::to_string(seconds));
  cookie += "; HttpOnly; SameSite=Lax";
  if (config_->secure_cookies) cookie += "; Secure";
  r.headers.emplace_back("Set-Cookie", std::move(cookie));
}

}  // namespace weir::inline v0::detail
