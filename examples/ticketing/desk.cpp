#include "desk.hpp"

#include "answers.hpp"

#include <boost/json/serialize.hpp>

#include <cmath>

namespace ticketing {
namespace {

namespace json = boost::json;

std::int64_t milliseconds(weir::duration d) { return std::chrono::ceil<std::chrono::milliseconds>(d).count(); }

response refusal(unsigned status, std::string_view error, const desk_reply& r) {
  json::object body{{"error", json::string_view{error.data(), error.size()}}};
  if (r.status == desk_status::not_yet || r.status == desk_status::over) body["state"] = to_string(r.view.state);
  if (r.view.position != 0) body["position"] = r.view.position;
  if (r.retry_after > weir::duration::zero()) body["pollAfterMs"] = milliseconds(r.retry_after);
  return {.status = status,
          .body = json::serialize(body),
          .retry_after = std::chrono::ceil<std::chrono::seconds>(r.retry_after)};
}

}  // namespace

response answer_of(const desk_reply& r, unsigned status) {
  switch (r.status) {
    case desk_status::ok: break;
    case desk_status::not_yet: return refusal(403, "not_yet", r);
    case desk_status::early: return refusal(429, "too_early", r);
    case desk_status::no_token: return problem(401, "a token of this queue is needed: Authorization: Bearer TOKEN");
    case desk_status::over: return refusal(410, "over", r);
    case desk_status::full: return refusal(503, "room_full", r);
    case desk_status::closed: return refusal(423, "closed", r);
    case desk_status::unavailable: return refusal(503, "store_unavailable", r);
  }
  json::object body{{"state", to_string(r.view.state)}, {"position", r.view.position}};
  if (!r.token.empty()) body["token"] = r.token;
  if (!r.pass.empty()) body["pass"] = r.pass;
  if (r.view.eta) {
    body["etaSeconds"] = {{"p50", std::chrono::ceil<std::chrono::seconds>(r.view.eta->p50).count()},
                          {"p90", std::chrono::ceil<std::chrono::seconds>(r.view.eta->p90).count()}};
  }
  if (r.view.poll_after > weir::duration::zero()) body["pollAfterMs"] = milliseconds(r.view.poll_after);
  return {.status = status, .body = json::serialize(body), .headers = {{"Cache-Control", "no-store"}}};
}

}  // namespace ticketing
