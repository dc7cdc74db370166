#pragma once
/// \file
/// What the service does: one function per route. Runs on the I/O thread and sends everything heavy elsewhere.

#include "counters.hpp"
#include "date_load.hpp"
#include "message.hpp"
#include "protection.hpp"
#include "store.hpp"
#include "worker_pool.hpp"

#include <functional>
#include <string>
#include <variant>

namespace ticketing {

/// Not thread-safe: belongs to the I/O thread. All references must outlive it.
class routes {
 public:
  /// `guard`: nullptr without protection.
  routes(unsigned bcrypt_cost, weir::duration date_query, worker_pool& hash_workers, worker_pool& store_worker, store&,
         service_counters&, executor_type, protection* guard);

  /// Never throws for what a client sent. Counts by route and status.
  [[nodiscard]] task<response> handle(const request&);
  /// The counters as JSON.
  [[nodiscard]] std::string counters_json() const;

 private:
  using action = task<response> (routes::*)(const request&);
  struct route {
    std::string_view method, target;
    action run;
  };
  static const route table[];

  task<response> add_user(const request&);
  task<response> charge(const request&);
  task<response> order(const request&);
  task<response> dates(const request&);
  task<response> healthz(const request&);
  task<response> counters(const request&);

  /// Hashes on a worker; or the answer, if that is not to be.
  task<std::variant<std::string, response>> hash(const request&, std::string password);
  /// Takes a connection and runs `step` with it; or the answer, if that fails. `step` must not refer to what the coroutine
  /// does not own.
  using store_step = std::function<task<store_reply>(store_session&)>;
  task<std::variant<store_reply, response>> in_store(const request&, weir::call, store_step step);
  /// Awaits `work` until the deadline: a database that says nothing is none.
  task<store_reply> within(weir::time_point deadline, task<store_reply> work);
  /// With protection: within the SLO.
  [[nodiscard]] weir::call call_of(const char* tag) const;
  [[nodiscard]] response unavailable(const store_reply&);
  [[nodiscard]] response no_connection(const request&, const weir::pool_rejection&);

  unsigned cost_;
  worker_pool& hash_workers_;
  worker_pool& store_worker_;
  store& store_;
  service_counters& counters_;
  executor_type executor_;
  protection* guard_;
  date_load date_load_;
  weir::time_point last_logged_{};
};

}  // namespace ticketing
