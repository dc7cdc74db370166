#include "concert_service.hpp"

#include "answers.hpp"

#include <weir/http/room_credentials.hpp>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

namespace ticketing {
namespace {

namespace json = boost::json;

constexpr std::int64_t concerts = 10'000;
constexpr std::int64_t concerts_on_a_page = 10;

/// Of `?name=value&…`; empty: not there.
std::string_view query_value(std::string_view target, std::string_view name) {
  const auto mark = target.find('?');
  std::string_view rest = mark == target.npos ? std::string_view{} : target.substr(mark + 1);
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    if (pair.size() > name.size() && pair.starts_with(name) && pair[name.size()] == '=')
      return pair.substr(name.size() + 1);
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
  }
  return {};
}

json::object concert_at(std::int64_t id) { return {{"id", id}, {"title", "Concert " + std::to_string(id)}, {"seats", 50}}; }

json::array concerts_from(std::int64_t first, std::int64_t n) {
  json::array all;
  for (std::int64_t id = first; id < first + n; ++id) all.push_back(concert_at(id));
  return all;
}

}  // namespace

concert_service::concert_service(const concert_options& o, desk& d, database_access& database, executor_type executor,
                                 protection* guard)
    : desk_(d),
      database_(database),
      guard_(guard),
      issuing_(o.issue_time, executor),
      date_load_(o.date_query, executor),
      list_(json::serialize(concerts_from(1, concerts))) {
  if (o.whole_list) return;
  for (std::int64_t first = 1; first <= concerts; first += concerts_on_a_page) {
    const json::object page{{"page", first / concerts_on_a_page + 1},
                            {"pages", concerts / concerts_on_a_page},
                            {"concerts", concerts_from(first, concerts_on_a_page)}};
    pages_.push_back(json::serialize(page));
  }
}

void concert_service::add_to(router& to) {
  to.add("POST", "/user/{}/queue/token/issue", bound(*this, &concert_service::issue));
  to.add("GET", "/user/{}/queue/token", bound(*this, &concert_service::token));
  to.add("GET", "/concerts/query", bound(*this, &concert_service::list));
  to.add("GET", "/concert/{}/date", bound(*this, &concert_service::dates));
}

task<response> concert_service::issue(const request&, std::string_view user) {
  if (user.size() > 64) co_return problem(404, "no such user: at most 64 characters");
  std::string name{user};
  co_await issuing_.visit();
  const desk_reply r = co_await desk_.join(std::move(name));
  co_return answer_of(r, 201);
}

task<response> concert_service::token(const request& r, std::string_view) { co_return answer_of(desk_.look(r)); }

task<response> concert_service::list(const request& r, std::string_view) {
  if (pages_.empty()) {
    const json::value all = json::parse(list_);
    co_return response{.body = json::serialize(json::object{{"concerts", all}})};
  }
  const std::string_view wanted = query_value(r.target, "page");
  const auto page = wanted.empty() ? 1 : whole_number(wanted);
  if (!page || *page > static_cast<std::int64_t>(pages_.size())) {
    co_return problem(400, "page must be 1 .. " + std::to_string(pages_.size()));
  }
  co_return response{.body = pages_[static_cast<std::size_t>(*page) - 1], .headers = {{"Cache-Control", "max-age=1"}}};
}

task<response> concert_service::dates(const request& r, std::string_view concert) {
  const auto id = whole_number(concert);
  if (!id) co_return problem(404, "no such concert");
  if (desk_.is_room() || !weir::bearer_of(r).empty()) {
    const desk_reply entered = co_await desk_.enter(r);
    if (entered.status != desk_status::ok) co_return answer_of(entered);
  }
  co_return co_await query(r, *id);
}

task<response> concert_service::query(const request& r, std::int64_t concert) {
  std::optional<protection::place> place;
  if (guard_ != nullptr) {
    auto admitted = co_await guard_->admit_dates(r.arrival);
    if (!admitted) co_return r.gone() ? client_left() : guard_->refusal(admitted.error());
    place.emplace(std::move(*admitted));
  }
  weir::call c{.tag = "dates"};
  if (guard_ != nullptr) c.deadline = weir::later(r.arrival, guard_->date_slo());
  const date_load::visit inside{date_load_};
  database_access::step step = [this, concert](store_session& s) -> task<store_reply> {
    store_reply reply = co_await s.dates(concert);
    if (reply.status != store_status::ok) co_return reply;
    const bool passed = co_await date_load_.pass();
    if (!passed) co_return store_reply{.status = store_status::abandoned};
    co_return reply;
  };
  const auto found = co_await database_.ask(r, c, std::move(step));
  const auto* refused = std::get_if<response>(&found);
  if (place) {
    // "No such concert" is an answer, too.
    const bool answered = refused == nullptr || refused->status == 404;
    place->release(r.gone() ? weir::outcome::ignored : answered ? weir::outcome::success : weir::outcome::failure);
  }
  if (refused != nullptr) co_return *refused;
  json::array days;
  for (const auto& [day, seats] : std::get<store_reply>(found).dates) {
    days.push_back(json::object{{"date", day}, {"seats", seats}});
  }
  co_return response{.body = json::serialize(json::object{{"concert", concert}, {"dates", std::move(days)}})};
}

}  // namespace ticketing
