#include "protection.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace ticketing {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

/// For reading the request, the insert, the answer, and the network between us and the client's stopwatch.
constexpr weir::duration margin = 60ms;
/// The part of the possible waiting that the queue may fill: hash times scatter, and a place that turns out to be too late
/// costs its owner the whole wait for nothing, where a refusal at the door costs it nothing.
constexpr double fill = 0.8;

weir::circuit_breaker_config circuit_config(std::uint64_t seed) {
  return {.name = "database",
          .over_time = {.slicing = {.length = 10s}, .trip = {.minimum_calls = 20, .failure_rate = 0.5}},
          .consecutive_failures = 5,
          .open_for = {.initial = 1s, .cap = 10s},
          .seed = seed,
          .probes = {.count = 2}};
}

json::object to_json(const weir::wait_queue_snapshot& s) {
  return {{"arrivals", s.arrivals()},
          {"waiting", s.waiting},
          {"capacity", s.capacity},
          {"admittedAtOnce", s.admitted_at_once},
          {"admittedAfterWait", s.admitted_after_wait},
          {"queueFull", s.queue_full},
          {"wouldMissDeadline", s.would_miss_deadline},
          {"expired", s.expired},
          {"waitTimeout", s.wait_timeout},
          {"refused", s.refused},
          {"closed", s.closed},
          {"cancelled", s.cancelled},
          {"meanQueueSeconds", s.waiter_seconds}};
}

json::object to_json(const weir::concurrency_limiter_snapshot& s) {
  return {{"limit", s.limit},     {"inFlight", s.calls_in_flight()}, {"admitted", s.admitted}, {"success", s.success},
          {"failure", s.failure}, {"overload", s.overload},          {"ignored", s.ignored},   {"cancelled", s.cancelled}};
}

json::object to_json(const weir::circuit_breaker_snapshot& s) {
  return {{"state", weir::to_string(s.state)},
          {"trips", s.trips},
          {"admitted", s.admitted},
          {"rejected", s.rejected},
          {"cancelled", s.cancelled},
          {"success", s.success},
          {"failure", s.failure},
          {"ignored", s.ignored},
          {"inFlight", s.in_flight}};
}

/// The fast path asks without an operation; only who has to wait gets one.
template <class Queue>
task<weir::result<typename Queue::permit>> wait_in(Queue& queue, weir::call c) {
  auto at_once = queue.try_first(c);
  if (at_once || !weir::waiting_helps(at_once.error())) co_return at_once;
  co_return co_await weir::async_acquire(queue, c, use_task);
}

}  // namespace

hash_budget budget_for(unsigned workers, weir::duration slo, weir::duration hash_time) noexcept {
  // After the grant come, at worst, the rest of the hash that a worker is at, and one's own.
  const weir::duration wait = std::max<weir::duration>(slo - 2 * hash_time - margin, 5ms);
  const double places = fill * workers * static_cast<double>(wait.count()) / static_cast<double>(hash_time.count());
  return {.wait = wait, .capacity = static_cast<std::uint32_t>(std::clamp(places, 0.0, 100'000.0))};
}

void circuit_log::on(const weir::circuit_opened& e) const {
  std::fprintf(stderr, "ticketing: database circuit opened for %lld ms (%s)\n",
               static_cast<long long>(std::chrono::ceil<std::chrono::milliseconds>(e.open_for).count()),
               weir::to_string(e.reason));
}
void circuit_log::on(const weir::circuit_half_opened&) const {
  std::fprintf(stderr, "ticketing: database circuit half-open: probing\n");
}
void circuit_log::on(const weir::circuit_closed&) const { std::fprintf(stderr, "ticketing: database circuit closed\n"); }

protection::protection(const protection_options& options, executor_type executor)
    : options_(options),
      budget_(budget_for(options.workers, options.slo, options.hash_time)),
      jitter_(options.seed, "retry-after"),
      hash_slots_({.name = "hashing", .limit = options.workers + 1}),
      hash_queue_(hash_slots_, {.name = "hashing", .capacity = budget_.capacity, .max_wait = options.slo}),
      hash_timer_(hash_queue_, executor),
      date_places_({.name = "dates", .limit = options.date_limit}),
      date_queue_(date_places_, {.name = "dates", .capacity = 10 * options.date_limit, .max_wait = options.date_slo}),
      date_timer_(date_queue_, executor),
      store_circuit_(circuit_config(options.seed)) {
  hash_time_.record(static_cast<double>(options.hash_time.count()), hash_queue_.now());
}

task<weir::result<protection::place>> protection::admit_hash(weir::time_point arrival) {
  return wait_in(hash_queue_, {.deadline = weir::later(arrival, budget_.wait)});
}

task<weir::result<protection::place>> protection::admit_dates(weir::time_point arrival) {
  // What is left is for the query, among others that run.
  return wait_in(date_queue_, {.deadline = weir::later(arrival, options_.date_slo - 2 * options_.date_query)});
}

void protection::hashed_in(weir::duration took) {
  hash_time_.record(static_cast<double>(took.count()), hash_queue_.now());
  const weir::duration mean{static_cast<weir::duration::rep>(hash_time_.mean())};
  const hash_budget budget = budget_for(options_.workers, options_.slo, mean);
  if (budget.capacity != budget_.capacity) {
    (void)hash_queue_.reconfigure({.capacity = budget.capacity, .max_wait = options_.slo});
  }
  budget_ = budget;
}

response protection::refusal(const weir::rejection& why) {
  const auto& row = weir::info(static_cast<weir::errc>(why.code().value()));
  // Spread out, or they all come back together.
  const weir::duration wait = std::max<weir::duration>({why.retry_after(), why.predicted_wait(), 1s});
  const weir::duration jittered = jitter_.between(wait, 2 * wait);
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(jittered);
  return {.status = row.http_status,
          .body = R"({"error":")" + std::string(row.label) + R"(","retryAfterMs":)" + std::to_string(milliseconds.count()) +
                  "}",
          .retry_after = std::chrono::ceil<std::chrono::seconds>(jittered)};
}

weir::gate_reading protection::gate() {
  const auto dates = date_queue_.snapshot();
  return weir::tightest({weir::gate_by_breaker(store_circuit_),
                         dates_gate_.see(2 * dates.waiting > dates.capacity, "dates_queue", date_queue_.now())});
}

void protection::close() noexcept {
  hash_queue_.close();
  date_queue_.close();
}

boost::json::object protection::counters() const {
  return {{"hashTimeMs", hash_time_.mean() / 1e6},          {"hashQueue", to_json(hash_queue_.snapshot())},
          {"hashSlots", to_json(hash_slots_.snapshot())},   {"dateQueue", to_json(date_queue_.snapshot())},
          {"datePlaces", to_json(date_places_.snapshot())}, {"storeCircuit", to_json(store_circuit_.snapshot())}};
}

}  // namespace ticketing
