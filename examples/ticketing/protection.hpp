#pragma once
/// \file
/// What `--protection on` adds: weir, and nothing else. Gates stand in front of what is scarce.
///
/// - Hashing: a wait_queue over a concurrency_limiter of workers + 1, so that a worker always has its next job at hand. Who
///   cannot be answered within the SLO is refused at the door: the queue holds no more than fits, by the measured time of a
///   hash, and every place in it has a deadline.
/// - The dates of concerts: a wait_queue over a concurrency_limiter at the edge, before anything is taken. A service that
///   gets slower with each request inside cannot be saved by a queue that counts as inside: not by that of the pool either.
/// - Waiting rooms: they let in fewer while more than half of the places in that queue are taken, and nobody while the
/// circuit is
///   open.
/// - The database: what is asked with a connection of the pool goes through a circuit_breaker.

#include "message.hpp"
#include "store.hpp"

#include <weir/asio/async_acquire.hpp>
#include <weir/asio/co_run.hpp>
#include <weir/asio/queue_timer.hpp>
#include <weir/core/random.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/room/room_gate.hpp>
#include <weir/stats/ewma.hpp>

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

/// What an answer says about the database. "Sold out" is an answer of a database that works.
template <>
struct weir::outcome_traits<ticketing::store_reply> {
  static outcome of(const ticketing::store_reply& reply) noexcept {
    if (reply.status == ticketing::store_status::abandoned) return outcome::ignored;
    return reply.status == ticketing::store_status::unavailable ? outcome::failure : outcome::success;
  }
};

namespace ticketing {

struct protection_options {
  unsigned workers = 1;          ///< hash threads, >= 1
  weir::duration slo{};          ///< a registration is to be answered within this, from its arrival
  weir::duration hash_time{};    ///< of one hash with all workers busy, measured just before; > 0
  weir::duration date_slo{};     ///< dates are to be answered within this
  weir::duration date_query{};   ///< that a query of dates takes when alone; 0: no time to speak of
  std::uint32_t date_limit = 6;  ///< queries of dates at a time
  std::uint64_t seed = 0;        ///< of the jitter in Retry-After
};

/// How many registrations may wait for a hash, and how long, so that the SLO holds for those that are let in.
struct hash_budget {
  weir::duration wait{};       ///< at most so long, from the arrival until the grant
  std::uint32_t capacity = 0;  ///< at most so many
};
[[nodiscard]] hash_budget budget_for(unsigned workers, weir::duration slo, weir::duration hash_time) noexcept;

/// Says on stderr what the circuit does.
struct circuit_log {
  void on(const weir::circuit_opened&) const;
  void on(const weir::circuit_half_opened&) const;
  void on(const weir::circuit_closed&) const;
};

/// Belongs to the I/O thread; the executor must outlive it, and it every permit.
class protection {
 public:
  using place = weir::concurrency_limiter::permit;
  using circuit = weir::basic_circuit_breaker<weir::default_clock, circuit_log>;

  protection(const protection_options&, executor_type);

  /// Waits until a hash worker will take the job soon enough, or says why not. Cancellation: the client has hung up.
  task<weir::result<place>> admit_hash(weir::time_point arrival);
  /// A hash took so long: the budget follows.
  void hashed_in(weir::duration);
  /// Waits at the edge until a query of dates may come in.
  task<weir::result<place>> admit_dates(weir::time_point arrival);
  /// Awaits `ask()`, a coroutine that asks the database, with the circuit's consent. The connection has been taken before:
  /// the circuit's probes are not spent on waiting.
  template <class Ask>
  auto through_circuit(Ask ask) {
    return weir::co_run(store_circuit_, std::move(ask));
  }
  /// How long who asks the database may wait for a connection.
  [[nodiscard]] weir::duration slo() const noexcept { return options_.slo; }
  [[nodiscard]] weir::duration date_slo() const noexcept { return options_.date_slo; }

  /// What a client is told: the status and label of the reason, and when to come back.
  [[nodiscard]] response refusal(const weir::rejection&);
  /// How many of its users a waiting room may let in, for what lies behind it.
  [[nodiscard]] weir::gate_reading gate();
  /// Nobody waits any more.
  void close() noexcept;
  [[nodiscard]] boost::json::object counters() const;

 private:
  using queue = weir::wait_queue<weir::concurrency_limiter>;
  using queue_timer = weir::queue_timer<queue, executor_type>;

  protection_options options_;
  weir::ewma hash_time_{std::chrono::seconds{10}};
  hash_budget budget_;
  weir::random_stream jitter_;
  weir::concurrency_limiter hash_slots_;
  queue hash_queue_;
  queue_timer hash_timer_;
  weir::concurrency_limiter date_places_;
  queue date_queue_;
  queue_timer date_timer_;
  circuit store_circuit_;
  weir::aimd_gate dates_gate_;
};

}  // namespace ticketing
