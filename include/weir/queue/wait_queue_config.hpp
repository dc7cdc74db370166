#pragma once
/// \file
/// What a `wait_queue` is told and what it tells: its config, snapshot and events.

#include <weir/core/config.hpp>
#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/core/time.hpp>
#include <weir/queue/discipline.hpp>
#include <weir/queue/wait_node.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace weir::inline v0 {

struct wait_queue_config {
  std::string name = "wait_queue";
  std::uint32_t capacity = 256;                 ///< how many may wait, 0 .. 1'000'000; 0: nobody waits, queue_full at once
  duration max_wait = std::chrono::seconds{1};  ///< caps every deadline, > 0; duration::max(): no cap
  bool predict = true;                          ///< refuse at the door who would wait beyond its deadline
  duration rate_window = std::chrono::seconds{5};  ///< memory of the prediction, > 0
  queue_discipline discipline{};  ///< who is next; tenants without reservations and caps, which only a pool can keep
};

[[nodiscard]] inline std::optional<config_error> validate(const wait_queue_config& config) {
  if (config.capacity > 1'000'000) {
    return config_error{"wait_queue_config.capacity", "must be in [0, 1000000], is " + std::to_string(config.capacity)};
  }
  const auto positive = [](const char* field, duration d) -> std::optional<config_error> {
    if (d > duration::zero()) return std::nullopt;
    return config_error{field, "must be > 0" + detail::is(d)};
  };
  if (auto wrong = positive("wait_queue_config.max_wait", config.max_wait)) return wrong;
  if (auto wrong = positive("wait_queue_config.rate_window", config.rate_window)) return wrong;
  return validate_without_owner(config.discipline, "wait_queue_config.discipline");
}

/// A call was turned away at the door.
struct wait_refused {
  weir::name name;
  std::uint64_t sequence;
  errc why;  ///< expired, queue_full, quota, would_miss_deadline, closed; never_admissible if it has become that
  duration predicted_wait;  ///< zero: unknown
};

/// A wait has ended.
struct wait_ended {
  weir::name name;
  std::uint64_t sequence;
  wait_outcome how;
  duration waited;
};

/// What a wait_queue has done, in calls, since its construction. The numbers of those who waited are of one instant, under
/// the lock; those that never reached the lock are exact when nothing happens at the same time.
struct wait_queue_snapshot {
  std::uint32_t capacity = 0;
  std::uint32_t waiting = 0;
  bool is_closed = false;
  duration oldest_wait{};     ///< of those who wait now
  double waiter_seconds = 0;  ///< waited by all together: its increase per second is the mean length of the queue
  double hand_off_rate = 0;   ///< cost per second handed to waiters while there were any; 0: unknown

  std::uint64_t admitted_at_once = 0;
  std::uint64_t admitted_after_wait = 0;
  std::uint64_t refused = 0;              ///< by the policy: a try_acquire that could not, or a request that never can
  std::uint64_t expired = 0;              ///< at the door
  std::uint64_t queue_full = 0;           ///< at the door
  std::uint64_t quota = 0;                ///< at the door: too many of the same tenant
  std::uint64_t would_miss_deadline = 0;  ///< at the door
  std::uint64_t wait_timeout = 0;
  std::uint64_t shed = 0;
  std::uint64_t closed = 0;     ///< at the door or while waiting
  std::uint64_t cancelled = 0;  ///< before or while waiting
  std::uint64_t probes = 0;     ///< of those who waited: let in against the prediction

  [[nodiscard]] std::uint64_t admitted() const noexcept { return admitted_at_once + admitted_after_wait; }
  [[nodiscard]] std::uint64_t rejected() const noexcept {
    return refused + expired + queue_full + quota + would_miss_deadline + wait_timeout + shed + closed;
  }
  /// The ledger: admitted + rejected + cancelled + waiting.
  [[nodiscard]] std::uint64_t arrivals() const noexcept { return admitted() + rejected() + cancelled + waiting; }
};

}  // namespace weir::inline v0
