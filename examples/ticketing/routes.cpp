#include "routes.hpp"

#include "body.hpp"
#include "password.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>

namespace ticketing {
namespace {

namespace json = boost::json;

response created(json::object body) { return {.status = 201, .body = json::serialize(body)}; }
response problem(unsigned status, std::string_view message) { return {.status = status, .body = error_json(message)}; }
/// Never reaches the client: it has left. Counted as such.
response client_left() { return {.status = 499}; }
response shutting_down() {
  return {.status = 503, .body = error_json("the server is shutting down"), .retry_after = std::chrono::seconds{5}};
}

json::object to_json(const worker_pool::load& l) {
  return {{"queued", l.queued}, {"running", l.running}, {"done", l.done}, {"dropped", l.dropped}};
}

}  // namespace

const routes::route routes::table[] = {
    {"POST", "/api/users", &routes::add_user}, {"POST", "/api/points/charge", &routes::charge},
    {"POST", "/api/orders", &routes::order},   {"GET", "/healthz", &routes::healthz},
    {"GET", "/counters", &routes::counters},
};

routes::routes(unsigned bcrypt_cost, worker_pool& hash_workers, worker_pool& store_worker, store& s, service_counters& c,
               protection* guard)
    : cost_(bcrypt_cost),
      hash_workers_(hash_workers),
      store_worker_(store_worker),
      store_(s),
      counters_(c),
      guard_(guard) {}

task<response> routes::handle(const request& r) {
  const std::string_view path = r.target.substr(0, r.target.find('?'));
  const auto* const found = std::ranges::find(table, path, &route::target);
  response answer;
  std::string label = "other";
  if (found == std::end(table)) {
    answer = problem(404, "no such resource");
  } else {
    label = std::string(found->method) + " " + std::string(path);
    if (found->method != (r.method == "HEAD" ? "GET" : r.method)) {
      answer = problem(405, "use " + std::string(found->method));
      answer.allow = found->method;
    } else {
      try {
        answer = co_await (this->*found->run)(r);
      } catch (const bad_body& e) {
        answer = problem(400, e.what());
      } catch (const std::exception& e) {
        std::fprintf(stderr, "ticketing: %s: %s\n", label.c_str(), e.what());
        answer = problem(500, "internal error");
      }
    }
  }
  ++counters_.requests[label][answer.status];
  co_return answer;
}

task<response> routes::add_user(const request& r) {
  const request_body body{r.body};
  const std::string name = body.text("name", 1, 200);
  const auto hashed = co_await hash(r, body.text("password", 8, 72));
  if (const auto* refused = std::get_if<response>(&hashed)) co_return *refused;

  // g++ 12 destroys a lambda temporary inside of a co_await expression twice: here they all get a name first.
  std::function<store_reply(store&)> step = [name, hash = std::get<std::string>(hashed)](store& s) {
    return s.add_user(name, hash);
  };
  const auto added = co_await in_store(r, std::move(step));
  if (const auto* refused = std::get_if<response>(&added)) co_return *refused;
  co_return created({{"id", std::get<store_reply>(added).value}});
}

task<response> routes::charge(const request& r) {
  const request_body body{r.body};
  const auto user = body.integer("userId", 1, INT64_MAX);
  const auto amount = body.integer("amount", 1, 1'000'000'000);

  std::function<store_reply(store&)> step = [user, amount](store& s) { return s.charge(user, amount); };
  const auto charged = co_await in_store(r, std::move(step));
  if (const auto* refused = std::get_if<response>(&charged)) co_return *refused;
  co_return response{.body = json::serialize(json::object{{"balance", std::get<store_reply>(charged).value}})};
}

task<response> routes::order(const request& r) {
  const request_body body{r.body};
  const auto user = body.integer("userId", 1, INT64_MAX);
  const auto quantity = body.integer("quantity", 1, 10);

  std::function<store_reply(store&)> step = [user, quantity](store& s) { return s.order(user, quantity); };
  const auto ordered = co_await in_store(r, std::move(step));
  if (const auto* refused = std::get_if<response>(&ordered)) co_return *refused;
  const auto& reply = std::get<store_reply>(ordered);
  co_return created({{"orderId", reply.value}, {"stock", reply.stock}});
}

task<response> routes::healthz(const request&) { co_return response{.body = R"({"status":"ok"})"}; }

task<response> routes::counters(const request&) { co_return response{.body = counters_json()}; }

task<std::variant<std::string, response>> routes::hash(const request& r, std::string password) {
  std::optional<protection::hash_permit> permit;
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

task<std::variant<store_reply, response>> routes::in_store(const request& r, std::function<store_reply(store&)> step) {
  auto ask = [this, step = std::move(step)] {
    auto on_worker = [this, step] { return step(store_); };
    return store_worker_.run(std::move(on_worker));
  };
  std::optional<store_reply> reply;
  if (guard_ == nullptr) {
    reply = co_await ask();
  } else {
    auto answered = co_await guard_->with_store(std::move(ask));
    if (!answered) co_return r.gone() ? client_left() : guard_->refusal(answered.error());
    reply = std::move(*answered);
  }
  if (!reply) co_return r.gone() ? client_left() : shutting_down();
  switch (reply->status) {
    case store_status::ok: co_return *reply;
    case store_status::no_such_user: co_return problem(404, "field \"userId\": no such user");
    case store_status::points_full: co_return problem(409, "the account can hold no more points");
    case store_status::no_points: co_return problem(402, "not enough points");
    case store_status::sold_out: co_return problem(409, "sold out");
    case store_status::unavailable: break;
  }
  co_return unavailable(*reply);
}

response routes::unavailable(const store_reply& reply) {
  ++counters_.store_errors;
  counters_.last_store_error = reply.message;
  const auto now = weir::time_point(std::chrono::steady_clock::now());
  if (now - last_logged_ >= std::chrono::seconds{1}) {
    last_logged_ = now;
    std::fprintf(stderr, "ticketing: database: %s (%llu errors so far)\n", reply.message.c_str(),
                 static_cast<unsigned long long>(counters_.store_errors));
  }
  return {.status = 503,
          .body = error_json("the database is not available: " + reply.message),
          .retry_after = std::chrono::seconds{1}};
}

std::string routes::counters_json() const {
  json::object requests;
  for (const auto& [label, statuses] : counters_.requests) {
    json::object by_status;
    for (const auto& [status, count] : statuses) by_status[std::to_string(status)] = count;
    requests[label] = std::move(by_status);
  }
  const auto& c = counters_.connections;
  json::object all{
      {"connections",
       {{"open", c.open},
        {"accepted", c.accepted},
        {"refused", c.refused},
        {"acceptErrors", c.accept_errors},
        {"timedOut", c.timed_out},
        {"malformed", c.malformed},
        {"hungUp", c.hung_up}}},
      {"requests", std::move(requests)},
      {"hashWorkers", to_json(hash_workers_.snapshot())},
      {"store",
       {{"worker", to_json(store_worker_.snapshot())},
        {"errors", counters_.store_errors},
        {"lastError", counters_.last_store_error}}},
  };
  if (guard_ != nullptr) all["weir"] = guard_->counters();
  return json::serialize(all);
}

}  // namespace ticketing
