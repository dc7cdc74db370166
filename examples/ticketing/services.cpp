#include "services.hpp"

#include "answers.hpp"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <string_view>
#include <utility>
#include <vector>

namespace ticketing {
namespace {

namespace json = boost::json;

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

}  // namespace

services::services(const options& o, const surroundings& around)
    : counters_(around.counters),
      hash_workers_(around.hash_workers),
      store_worker_(around.store_worker),
      store_(around.database),
      guard_(around.guard),
      queues_(queues_of(o, around.executor)),
      router_(counters_),
      database_(store_, counters_, around.executor, guard_),
      orders_(o.cost, hash_workers_, database_, guard_),
      // A room gives out tokens without asking anything slow: that is what it is for.
      concert_(
          {.issue_time = o.room ? weir::duration{} : o.issue_time, .date_query = o.date_query, .whole_list = !o.protection},
          concert_desk(), database_, around.executor, guard_),
      flash_(o.back_end_rate, flash_desk(), around.executor) {
  orders_.add_to(router_);
  concert_.add_to(router_);
  flash_.add_to(router_);
  router_.add("GET", "/healthz", bound(*this, &services::healthz));
  router_.add("GET", "/counters", bound(*this, &services::counters));
  if (auto* const r = std::get_if<std::unique_ptr<rooms>>(&queues_)) {
    if (guard_ != nullptr) (*r)->concert().room().gate_by([guard = guard_] { return guard->gate(); });
    router_.mount("/rooms/", [&all = **r](const request& asked, std::string_view) { return all.handle(asked); });
    pages_.emplace(std::vector<listed_room>{
        {.name = "concert", .title = "Concert 451", .title_ko = "콘서트 451", .link = "/concert/451/date", .streams = true},
        {.name = "flash", .title = "Flash sale", .title_ko = "선착순 판매", .link = "/api/events/1", .streams = true}});
    for (const std::string_view path : {"/", "/fan/{}", "/operator/{}"}) {
      router_.add("GET", path, bound(*this, &services::page_of));
    }
  }
}

services::queues services::queues_of(const options& o, executor_type executor) {
  if (o.room) return std::make_unique<rooms>(o.rooms, executor);
  return std::make_unique<token_tables>(o.rooms.admit, executor);
}

desk& services::concert_desk() noexcept {
  return std::visit([](auto& q) -> desk& { return q->concert(); }, queues_);
}
desk& services::flash_desk() noexcept {
  return std::visit([](auto& q) -> desk& { return q->flash(); }, queues_);
}

void services::end() noexcept {
  std::visit([](auto& q) { q->end(); }, queues_);
  flash_.end();
}

task<response> services::healthz(const request&, std::string_view) { co_return response{.body = R"({"status":"ok"})"}; }

task<response> services::page_of(const request& r, std::string_view) {
  const auto found = pages_->page_for(r.target.substr(0, r.target.find('?')));
  if (!found) co_return problem(404, "no such page");
  response a{.status = found->status, .body = std::string(found->body)};
  a.headers.emplace_back("Content-Type", found->content_type);
  for (const auto& [name, value] : found->headers) a.headers.emplace_back(name, value);
  co_return a;
}

task<response> services::counters(const request&, std::string_view) { co_return response{.body = counters_json()}; }

std::string services::counters_json() {
  json::object requests;
  for (const auto& [label, statuses] : counters_.requests) {
    json::object by_status;
    for (const auto& [status, count] : statuses) by_status[std::to_string(status)] = count;
    requests[label] = std::move(by_status);
  }
  json::object all{
      {"connections", to_json(counters_.connections)},
      {"requests", std::move(requests)},
      {"hashWorkers", to_json(hash_workers_.snapshot())},
      {"store",
       {{"pool", to_json(store_.pool())},
        {"worker", to_json(store_worker_.snapshot())},
        {"errors", counters_.store_errors},
        {"lastError", counters_.last_store_error}}},
  };
  all["queues"] = {{"concert", concert_desk().counters()},
                   {"flash", flash_desk().counters()},
                   {"flashBackEnd", {{"visits", flash_.visits()}}}};
  if (guard_ != nullptr) all["weir"] = guard_->counters();
  return json::serialize(all);
}

}  // namespace ticketing
