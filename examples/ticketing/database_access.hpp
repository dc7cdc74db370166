#pragma once
/// \file
/// How a service asks the database: with a connection of the pool, within its time, through the circuit; and what a client
/// is told if that is not to be.

#include "counters.hpp"
#include "message.hpp"
#include "protection.hpp"
#include "store.hpp"

#include <functional>
#include <variant>

namespace ticketing {

/// Not thread-safe: belongs to the I/O thread. All references must outlive it.
class database_access {
 public:
  /// `guard`: nullptr without protection.
  database_access(store& s, service_counters& c, executor_type executor, protection* guard)
      : store_(s), counters_(c), executor_(executor), guard_(guard) {}

  /// `step` must not refer to what the coroutine does not own.
  using step = std::function<task<store_reply>(store_session&)>;
  /// Takes a connection and runs `what` with it; or the answer, if that fails.
  task<std::variant<store_reply, response>> ask(const request&, weir::call, step what);
  /// With protection: within the SLO, from now on.
  [[nodiscard]] weir::call call_of(const char* tag) const;

 private:
  /// Awaits `work` until the deadline: a database that says nothing is none.
  task<store_reply> within(weir::time_point deadline, task<store_reply> work);
  [[nodiscard]] response unavailable(const store_reply&);
  [[nodiscard]] response no_connection(const request&, const weir::pool_rejection&);

  store& store_;
  service_counters& counters_;
  executor_type executor_;
  protection* guard_;
  weir::time_point last_logged_{};
};

}  // namespace ticketing
