#include "order_service.hpp"

#include "answers.hpp"
#include "body.hpp"
#include "password.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <utility>

namespace ticketing {
namespace {

namespace json = boost::json;

response created(json::object body) { return {.status = 201, .body = json::serialize(body)}; }

}  // namespace

void order_service::add_to(router& to) {
  to.add("POST", "/api/users", bound(*this, &order_service::add_user));
  to.add("POST", "/api/points/charge", bound(*this, &order_service::charge));
  to.add("POST", "/api/orders", bound(*this, &order_service::order));
}

task<response> order_service::add_user(const request& r, std::string_view) {
  const request_body body{r.body};
  const std::string name = body.text("name", 1, 200);
  const auto hashed = co_await hash(r, body.text("password", 8, 72));
  if (const auto* refused = std::get_if<response>(&hashed)) co_return *refused;

  // g++ 12 destroys a lambda temporary inside of a co_await expression twice: here they all get a name first.
  database_access::step step = [name, hash = std::get<std::string>(hashed)](store_session& s) {
    return s.add_user(name, hash);
  };
  const auto added = co_await database_.ask(r, database_.call_of("users"), std::move(step));
  if (const auto* refused = std::get_if<response>(&added)) co_return *refused;
  co_return created({{"id", std::get<store_reply>(added).value}});
}

task<response> order_service::charge(const request& r, std::string_view) {
  const request_body body{r.body};
  const auto user = body.integer("userId", 1, INT64_MAX);
  const auto amount = body.integer("amount", 1, 1'000'000'000);

  database_access::step step = [user, amount](store_session& s) { return s.charge(user, amount); };
  const auto charged = co_await database_.ask(r, database_.call_of("charge"), std::move(step));
  if (const auto* refused = std::get_if<response>(&charged)) co_return *refused;
  co_return response{.body = json::serialize(json::object{{"balance", std::get<store_reply>(charged).value}})};
}

task<response> order_service::order(const request& r, std::string_view) {
  const request_body body{r.body};
  const auto user = body.integer("userId", 1, INT64_MAX);
  const auto quantity = body.integer("quantity", 1, 10);

  database_access::step step = [user, quantity](store_session& s) { return s.order(user, quantity); };
  const auto ordered = co_await database_.ask(r, database_.call_of("orders"), std::move(step));
  if (const auto* refused = std::get_if<response>(&ordered)) co_return *refused;
  const auto& reply = std::get<store_reply>(ordered);
  co_return created({{"orderId", reply.value}, {"stock", reply.stock}});
}

task<std::variant<std::string, response>> order_service::hash(const request& r, std::string password) {
  std::optional<protection::place> permit;
  if (guard_ != nullptr) {
    auto admitted = co_await guard_->admit_hash(r.arrival);
    if (!admitted) co_return r.gone() ? client_left() : guard_->refusal(admitted.error());
    permit.emplace(std::move(*admitted));
  }
  auto on_worker = [password = std::move(password), cost = cost_] {
    const auto start = std::chrono::steady_clock::now();
    std::string hashed = hash_password(password, cost);
    return std::pair{std::move(hashed), weir::duration{std::chrono::steady_clock::now() - start}};
  };
  // Throws if hashing fails, which is nobody's overload: the permit that is dropped then counts as ignored.
  auto hashed = co_await hash_workers_.run(std::move(on_worker));
  if (!hashed) {
    if (permit) permit->cancel();
    co_return r.gone() ? client_left() : shutting_down();
  }
  if (permit) permit->release(r.gone() ? weir::outcome::ignored : weir::outcome::success);
  if (guard_ != nullptr) guard_->hashed_in(hashed->second);
  if (r.gone()) co_return client_left();
  co_return std::move(hashed->first);
}

}  // namespace ticketing
