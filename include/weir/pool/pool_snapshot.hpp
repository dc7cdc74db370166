#pragma once
/// \file
/// What a pool shows: numbers (`pool_snapshot`, `pool_tenant`) and how long things took (`pool_histograms`). The metrics'
/// names: docs/pools.md.

#include <weir/pool/pool_core.hpp>
#include <weir/stats/histogram.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::inline v0 {

/// Of one instant, but for connections that are taken and put back without the lock at the same time. Counters: since
/// construction.
struct pool_snapshot {
  pool_evidence now;  ///< connections by state, waiters, oldest wait, the last failure to connect
  std::uint32_t min = 0;
  std::uint32_t waiters_max = 0;
  bool closed = false;
  bool failing = false;       ///< the last attempt to connect has failed
  double waiter_seconds = 0;  ///< its increase per second is the mean number of waiters
  double in_use_seconds = 0;  ///< its increase per second is the mean number of connections in use, without `lost` ones
  duration predicted_wait{};  ///< of who asked now; zero: unknown, or none
  std::uint64_t expired_handoffs = 0;  ///< granted when the time was up: never

  // Every acquire that has ended is in one of these.
  std::uint64_t immediate = 0, waited = 0, timeout = 0, predicted = 0, queue_full = 0, codel = 0, quota = 0,
                backend_down = 0, cancelled = 0, closed_refused = 0, expired = 0, suspended = 0, refused = 0,
                self_deadlock = 0;

  std::uint64_t opened = 0, connect_failed = 0, connect_timed_out = 0;
  std::array<std::uint64_t, close_reason_count> closed_for{};  ///< by close_reason
  std::uint32_t lost = 0;  ///< aborted for not being given back (leak_reclaim), and still not
  std::uint64_t leaks_suspected = 0, leaks_returned = 0, purges = 0, outages = 0;
  std::uint64_t events = 0;
  std::uint64_t missed_events = 0;  ///< of these, forgotten before the observer heard of them

  [[nodiscard]] std::uint64_t granted() const noexcept { return immediate + waited; }
  [[nodiscard]] std::uint64_t rejected() const noexcept {
    return timeout + predicted + queue_full + codel + quota + backend_down + closed_refused + expired + suspended +
           refused + self_deadlock;
  }
  /// The ledger: granted + rejected + cancelled + waiting.
  [[nodiscard]] std::uint64_t arrivals() const noexcept { return granted() + rejected() + cancelled + now.waiting; }
};

/// How long things took. Waits that were none (immediate grants) are not in `wait_ok`; `pool_snapshot::immediate` counts
/// them. All but the waits are exact to 6 %, their sums are exact.
struct pool_histograms {
  histogram wait_ok, wait_failed, held, connected, connect_failed, connect_timed_out, validated, not_validated, was_reset,
      not_reset;
};

/// The waits of one tenant (pool_config.waiting, order tenants).
struct pool_tenant {
  std::uint32_t tenant = 0;
  bool is_other = false;  ///< not one of the first 64 that are listed: all these together; `tenant` says nothing
  std::uint64_t waiting = 0, in_use = 0;
  std::uint64_t immediate = 0;     ///< granted without waiting, since construction
  histogram wait_ok, wait_failed;  ///< as those of pool_histograms
};

namespace detail {

/// Under the pool's lock.
inline pool_snapshot take_snapshot(pool_core& core, time_point now) noexcept {
  pool_snapshot s;
  s.now = core.look(now);
  s.min = core.config().min_size;
  s.waiters_max = core.queue().capacity();
  s.closed = core.is_closed();
  s.failing = core.is_failing();
  s.waiter_seconds = core.queue().waiter_seconds(now);
  std::uint64_t uses = 0;
  for (const pool_slot* slot : core.table().slots()) {
    uses += slot->uses();
    s.in_use_seconds += std::chrono::duration<double>(slot->in_use_until(now)).count();
  }
  s.in_use_seconds = core.never_less(s.in_use_seconds);
  if (s.now.idle == 0) s.predicted_wait = core.queue().predicted_wait(1, now).value_or(duration::zero());

  const auto& done = core.queue().totals();
  const auto& totals = core.totals();
  const auto ended = [&](wait_outcome how) { return done.ended[static_cast<std::size_t>(how)]; };
  s.waited = totals.waited;
  s.expired_handoffs = totals.expired_handoffs;
  s.immediate = uses - totals.waited;
  s.timeout = ended(wait_outcome::timed_out);
  s.predicted = done.would_miss_deadline;
  s.queue_full = done.queue_full;
  s.quota = done.quota;
  s.codel = ended(wait_outcome::shed) - totals.shed_when_down;
  s.backend_down = totals.backend_down + totals.shed_when_down;
  s.cancelled = ended(wait_outcome::cancelled);
  s.closed_refused = totals.closed + done.closed + ended(wait_outcome::closed);
  s.expired = totals.expired + done.expired;
  s.suspended = totals.suspended;
  s.refused = totals.refused;
  s.self_deadlock = totals.self_deadlock;

  s.opened = totals.opened;
  s.connect_failed = totals.connect_failed;
  s.connect_timed_out = totals.connect_timed_out;
  s.closed_for = totals.closed_for;
  s.lost = core.table().count(slot_state::lost);
  s.leaks_suspected = totals.leaks_suspected;
  s.leaks_returned = totals.leaks_returned;
  s.purges = totals.purges;
  s.outages = totals.outages;
  s.events = core.events();
  s.missed_events = core.missed_events();
  return s;
}

/// But for `held`. Without the lock, while the queue stays as it is configured. Errors: std::bad_alloc.
inline pool_histograms read_histograms(const wait_queue_core& queue, const pool_core::durations& lasted) {
  pool_histograms h;
  h.wait_ok = queue.waits(wait_outcome::granted).snapshot();
  for (const auto failed : {wait_outcome::timed_out, wait_outcome::shed, wait_outcome::closed}) {
    h.wait_failed.merge(queue.waits(failed).snapshot());
  }
  lasted.connected.add_to(h.connected);
  lasted.connect_failed.add_to(h.connect_failed);
  lasted.connect_timed_out.add_to(h.connect_timed_out);
  lasted.validated.add_to(h.validated);
  lasted.not_validated.add_to(h.not_validated);
  lasted.was_reset.add_to(h.was_reset);
  lasted.not_reset.add_to(h.not_reset);
  return h;
}

/// But for the histograms. Under the lock.
inline void count_tenant(const tenant_lanes& lanes, std::size_t i, pool_tenant& t) noexcept {
  const auto& account = lanes.accounts()[i];
  const auto whose = lanes.holder(i);
  t.tenant = whose.tenant;
  t.is_other = i == 0;
  t.waiting = whose.waiting;
  t.in_use = whose.in_use;
  t.immediate = account.taken - account.granted.count();
}

}  // namespace detail
}  // namespace weir::inline v0
