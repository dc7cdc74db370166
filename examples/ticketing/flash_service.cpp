#include "flash_service.hpp"

#include "answers.hpp"
#include "store.hpp"

#include <weir/http/room_credentials.hpp>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <string>
#include <utility>

namespace ticketing {
namespace {

namespace json = boost::json;

/// Who has logged in is known by this and a name: a demo has no secrets to keep.
constexpr std::string_view access = "user-";
constexpr std::size_t longest_name = 64;

}  // namespace

void flash_service::add_to(router& to) {
  to.add("POST", "/api/auth/login", bound(*this, &flash_service::login));
  to.add("POST", "/api/queue/enqueue", bound(*this, &flash_service::enqueue));
  to.add("GET", "/api/queue/status", bound(*this, &flash_service::status));
  to.add("POST", "/api/queue/enter", bound(*this, &flash_service::enter));
  to.add("GET", "/api/events/{}", bound(*this, &flash_service::detail));
}

task<response> flash_service::login(const request& r, std::string_view) {
  const request_body body{r.body};
  const std::string user = body.text("userId", 1, longest_name);
  co_return response{.body = json::serialize(json::object{{"accessToken", std::string(access) + user}})};
}

task<response> flash_service::enqueue(const request& r, std::string_view) {
  const request_body body{r.body};
  (void)body.integer("eventId", 1, INT64_MAX);
  std::string user{weir::bearer_of(r)};
  if (!user.starts_with(access) || user.size() > access.size() + longest_name)
    co_return problem(401, "log in first: Authorization: Bearer ACCESS_TOKEN");
  co_await ask_table();
  const desk_reply joined = co_await desk_.join(std::move(user));
  co_return answer_of(joined, 201);
}

task<response> flash_service::status(const request& r, std::string_view) {
  co_await ask_table();
  co_return answer_of(desk_.look(r));
}

task<response> flash_service::enter(const request& r, std::string_view) {
  co_await ask_table();
  const desk_reply entered = co_await desk_.enter(r);
  if (entered.status == desk_status::not_yet) {
    response waits = answer_of(entered);
    waits.status = 202;
    co_return waits;
  }
  if (entered.status == desk_status::ok && desk_.is_room()) co_await back_end_.visit();
  co_return answer_of(entered);
}

task<response> flash_service::detail(const request&, std::string_view event) {
  const auto id = whole_number(event);
  if (!id) co_return problem(404, "no such event");
  co_return response{
      .body = json::serialize(json::object{{"event", *id}, {"title", "Flash sale"}, {"price", ticket_price}}),
      .headers = {{"Cache-Control", "max-age=1"}}};
}

task<void> flash_service::ask_table() {
  if (!desk_.is_room()) co_await back_end_.visit();
}

}  // namespace ticketing
