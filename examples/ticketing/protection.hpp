#pragma once
/// \file
/// What `--protection on` adds: weir, and nothing else. Two gates stand in front of what is scarce.
///
/// - Hashing: a wait_queue over a concurrency_limiter of workers + 1, so that a worker always has its next job at hand. Who
///   cannot be answered within the SLO is refused at the door: the queue holds no more than fits, by the measured time of a
///   hash, and every place in it has a deadline.
/// - The database: a wait_queue over a small concurrency_limiter, and inside of it a circuit_breaker.

#include "message.hpp"
#include "store.hpp"

#include <weir/asio/async_acquire.hpp>
#include <weir/asio/co_run.hpp>
#include <weir/asio/queue_timer.hpp>
#include <weir/core/random.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/stats/ewma.hpp>

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

/// What an answer says about the database; nothing: it was not asked. "Sold out" is an answer of a database that works.
template <>
struct weir::outcome_traits<std::optional<ticketing::store_reply>> {
  static outcome of(const std::optional<ticketing::store_reply>& reply) noexcept {
    if (!reply) return outcome::ignored;
    return reply->status == ticketing::store_status::unavailable ? outcome::failure : outcome::success;
  }
};

namespace ticketing {

struct protection_options {
  unsigned workers = 1;        ///< hash threads, >= 1
  weir::duration slo{};        ///< a registration is to be answered within this, from its arrival
  weir::duration hash_time{};  ///< of one hash with all workers busy, measured just before; > 0
  std::uint64_t seed = 0;      ///< of the jitter in Retry-After
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
  using hash_permit = weir::concurrency_limiter::permit;
  using circuit = weir::basic_circuit_breaker<weir::default_clock, circuit_log>;

  protection(const protection_options&, executor_type);

  /// Waits until a hash worker will take the job soon enough, or says why not. Cancellation: the client has hung up.
  task<weir::result<hash_permit>> admit_hash(weir::time_point arrival);
  /// A hash took so long: the budget follows.
  void hashed_in(weir::duration);
  /// Awaits `ask()`, a coroutine that asks the database, with one of its slots and the circuit's consent.
  template <class Ask>
  auto with_store(Ask ask) {
    // The circuit inside of the queue: its probes are not spent on waiting, and an open circuit leaves nobody waiting.
    auto by_circuit = [this, ask = std::move(ask)]() mutable { return weir::co_run(store_circuit_, std::move(ask)); };
    return weir::co_run(store_queue_, std::move(by_circuit));
  }

  /// What a client is told: the status and label of the reason, and when to come back.
  [[nodiscard]] response refusal(const weir::rejection&);
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
  weir::concurrency_limiter store_slots_;
  queue store_queue_;
  queue_timer store_timer_;
  circuit store_circuit_;
};

}  // namespace ticketing
