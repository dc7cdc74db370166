#include "routes.hpp"

#include "body.hpp"
#include "password.hpp"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <charconv>
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

json::object to_json(const weir::pool_snapshot& s) {
  return {{"max", s.now.max},
          {"inUse", s.now.in_use},
          {"idle", s.now.idle},
          {"connecting", s.now.connecting},
          {"waiting", s.now.waiting},
          {"arrivals", s.arrivals()},
          {"immediate", s.immediate},
          {"waited", s.waited},
          {"timeout", s.timeout},
          {"predicted", s.predicted},
          {"queueFull", s.queue_full},
          {"backendDown", s.backend_down},
          {"expired", s.expired},
          {"closed", s.closed_refused},
          {"cancelled", s.cancelled},
          {"expiredHandoffs", s.expired_handoffs},
          {"inUseSeconds", s.in_use_seconds},
          {"waiterSeconds", s.waiter_seconds},
          {"opened", s.opened},
          {"connectFailed", s.connect_failed},
          {"down", s.now.down},
          {"lastConnectError", s.now.last_failure == nullptr ? std::string{} : one_line(s.now.last_failure->text)}};
}

/// Between `prefix` and `suffix` of a path; empty: nothing is, or more than one segment.
std::string_view between(std::string_view path, std::string_view prefix, std::string_view suffix) {
  if (path.size() <= prefix.size() + suffix.size() || !path.starts_with(prefix) || !path.ends_with(suffix)) return {};
  path = path.substr(prefix.size(), path.size() - prefix.size() - suffix.size());
  return path.find('/') == path.npos ? path : std::string_view{};
}

std::string_view path_of(const request& r) { return r.target.substr(0, r.target.find('?')); }

/// What stands in the place of "{}".
std::string_view parameter(std::string_view path, std::string_view pattern) {
  const auto hole = pattern.find("{}");
  return hole == pattern.npos ? std::string_view{} : between(path, pattern.substr(0, hole), pattern.substr(hole + 2));
}

constexpr std::string_view dates_path = "/concert/{}/date";

}  // namespace

const routes::route routes::table[] = {
    {"POST", "/api/users", &routes::add_user}, {"POST", "/api/points/charge", &routes::charge},
    {"POST", "/api/orders", &routes::order},   {"GET", "/healthz", &routes::healthz},
    {"GET", dates_path, &routes::dates},       {"GET", "/counters", &routes::counters},
};

routes::routes(unsigned bcrypt_cost, weir::duration date_query, worker_pool& hash_workers, worker_pool& store_worker,
               store& s, service_counters& c, executor_type executor, protection* guard)
    : cost_(bcrypt_cost),
      hash_workers_(hash_workers),
      store_worker_(store_worker),
      store_(s),
      counters_(c),
      executor_(executor),
      guard_(guard),
      date_load_(date_query, executor) {}

task<response> routes::handle(const request& r) {
  const std::string_view path = path_of(r);
  const auto* const found = std::ranges::find_if(
      table, [&](const route& known) { return path == known.target || !parameter(path, known.target).empty(); });
  response answer;
  std::string label = "other";
  if (found == std::end(table)) {
    answer = problem(404, "no such resource");
  } else {
    label = std::string(found->method) + " " + std::string(found->target);
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
  store_step step = [name, hash = std::get<std::string>(hashed)](store_session& s) { return s.add_user(name, hash); };
  const auto added = co_await in_store(r, call_of("users"), std::move(step));
  if (const auto* refused = std::get_if<response>(&added)) co_return *refused;
  co_return created({{"id", std::get<store_reply>(added).value}});
}

task<response> routes::charge(const request& r) {
  const request_body body{r.body};
  const auto user = body.integer("userId", 1, INT64_MAX);
  const auto amount = body.integer("amount", 1, 1'000'000'000);

  store_step step = [user, amount](store_session& s) { return s.charge(user, amount); };
  const auto charged = co_await in_store(r, call_of("charge"), std::move(step));
  if (const auto* refused = std::get_if<response>(&charged)) co_return *refused;
  co_return response{.body = json::serialize(json::object{{"balance", std::get<store_reply>(charged).value}})};
}

task<response> routes::order(const request& r) {
  const request_body body{r.body};
  const auto user = body.integer("userId", 1, INT64_MAX);
  const auto quantity = body.integer("quantity", 1, 10);

  store_step step = [user, quantity](store_session& s) { return s.order(user, quantity); };
  const auto ordered = co_await in_store(r, call_of("orders"), std::move(step));
  if (const auto* refused = std::get_if<response>(&ordered)) co_return *refused;
  const auto& reply = std::get<store_reply>(ordered);
  co_return created({{"orderId", reply.value}, {"stock", reply.stock}});
}

task<response> routes::dates(const request& r) {
  const std::string_view text = parameter(path_of(r), dates_path);
  std::int64_t concert = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), concert);
  if (error != std::errc{} || end != text.data() + text.size() || concert < 1) co_return problem(404, "no such concert");

  std::optional<protection::place> place;
  if (guard_ != nullptr) {
    auto admitted = co_await guard_->admit_dates(r.arrival);
    if (!admitted) co_return r.gone() ? client_left() : guard_->refusal(admitted.error());
    place.emplace(std::move(*admitted));
  }
  weir::call c{.tag = "dates"};
  if (guard_ != nullptr) c.deadline = weir::later(r.arrival, guard_->date_slo());
  const date_load::visit inside{date_load_};
  store_step step = [this, concert](store_session& s) -> task<store_reply> {
    store_reply reply = co_await s.dates(concert);
    if (reply.status != store_status::ok) co_return reply;
    const bool passed = co_await date_load_.pass();
    if (!passed) co_return store_reply{.status = store_status::abandoned};
    co_return reply;
  };
  const auto found = co_await in_store(r, c, std::move(step));
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

task<response> routes::healthz(const request&) { co_return response{.body = R"({"status":"ok"})"}; }

task<response> routes::counters(const request&) { co_return response{.body = counters_json()}; }

task<std::variant<std::string, response>> routes::hash(const request& r, std::string password) {
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

weir::call routes::call_of(const char* tag) const {
  weir::call c{.tag = tag};
  // From now on, not from the arrival: a hash that took longer than it should have is not to be thrown away.
  if (guard_ != nullptr) c.deadline = weir::later(std::chrono::steady_clock::now(), guard_->slo());
  return c;
}

task<std::variant<store_reply, response>> routes::in_store(const request& r, weir::call c, store_step step) {
  const auto session = co_await store_.session(c);
  if (!session) co_return no_connection(r, session.error());
  store_reply reply;
  if (guard_ == nullptr) {
    reply = co_await step(**session);
  } else {
    auto ask = [&] { return within(c.deadline, step(**session)); };
    auto answered = co_await guard_->through_circuit(std::move(ask));
    if (!answered) co_return r.gone() ? client_left() : guard_->refusal(answered.error());
    reply = std::move(*answered);
  }
  switch (reply.status) {
    case store_status::ok: co_return reply;
    case store_status::no_such_concert: co_return problem(404, "no such concert");
    case store_status::no_such_user: co_return problem(404, "field \"userId\": no such user");
    case store_status::points_full: co_return problem(409, "the account can hold no more points");
    case store_status::no_points: co_return problem(402, "not enough points");
    case store_status::sold_out: co_return problem(409, "sold out");
    case store_status::abandoned: co_return r.gone() ? client_left() : shutting_down();
    case store_status::unavailable: break;
  }
  co_return unavailable(reply);
}

task<store_reply> routes::within(weir::time_point deadline, task<store_reply> work) {
  using namespace boost::asio::experimental::awaitable_operators;
  using clock = std::chrono::steady_clock;
  boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor_type> limit{executor_, deadline};
  auto first = co_await (std::move(work) || limit.async_wait(use_task));
  if (auto* reply = std::get_if<store_reply>(&first)) co_return std::move(*reply);
  co_return store_reply{.status = store_status::unavailable, .message = "no answer in time"};
}

response routes::no_connection(const request& r, const weir::pool_rejection& why) {
  if (r.gone()) return client_left();
  if (why == weir::errc::closed) return shutting_down();
  if (why == weir::errc::backend_down) {
    const bool told = why.evidence() != nullptr && why.evidence()->last_failure != nullptr;
    response answer = unavailable({.message = told ? why.evidence()->last_failure->text : why.message()});
    return guard_ != nullptr ? guard_->refusal(why) : std::move(answer);
  }
  if (guard_ != nullptr) return guard_->refusal(why);
  // As it was reported: the pool's words, as an error of the server.
  return {.status = 500, .body = error_json(why.message())};
}

response routes::unavailable(const store_reply& reply) {
  ++counters_.store_errors;
  counters_.last_store_error = one_line(reply.message);
  const auto now = weir::time_point(std::chrono::steady_clock::now());
  if (now - last_logged_ >= std::chrono::seconds{1}) {
    last_logged_ = now;
    std::fprintf(stderr, "ticketing: database: %s (%llu errors so far)\n", counters_.last_store_error.c_str(),
                 static_cast<unsigned long long>(counters_.store_errors));
  }
  return {.status = 503,
          .body = error_json("the database is not available: " + counters_.last_store_error),
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
       {{"pool", to_json(store_.pool())},
        {"worker", to_json(store_worker_.snapshot())},
        {"errors", counters_.store_errors},
        {"lastError", counters_.last_store_error}}},
  };
  if (guard_ != nullptr) all["weir"] = guard_->counters();
  return json::serialize(all);
}

}  // namespace ticketing
