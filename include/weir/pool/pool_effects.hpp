#pragma once
/// \file
/// What goes into a `pool_core` and what comes out of it: waiters, effects, events.

#include <weir/core/detail/intrusive_list.hpp>
#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/pool/pool_rejection.hpp>
#include <weir/pool/pool_slot.hpp>
#include <weir/queue/wait_node.hpp>

#include <cstdint>
#include <memory>
#include <source_location>

namespace weir::inline v0 {

/// How a connection comes back.
enum class give_back : std::uint8_t {
  used,      ///< to be reset, if it can be
  clean,     ///< nothing to reset
  broken,    ///< found broken
  discard,   ///< its user knows that it is of no use any more
  detached,  ///< its user has taken it out: the place is free, nothing is to be closed
};

/// Which optional parts a backend has, and its shell.
struct pool_abilities {
  bool validates = false;
  bool resets = false;
  bool aborts = false;
  bool observed = false;  ///< somebody hears of every event: none may be forgotten within one step
};

/// One who waits for a connection. Ended: `slot` is the connection, or `why` and `evidence` say why there is none.
struct pool_waiter : wait_node {
  pool_slot* slot = nullptr;
  std::source_location site{};  ///< of who asked
  std::shared_ptr<const pool_evidence> evidence;
  errc why{};
};
static_assert(sizeof(pool_waiter) <= 160);

/// What a drain has left, at its end or at its deadline. None of these is ever used again by the pool.
struct drain_report {
  std::uint32_t in_use = 0;     ///< not given back; each is closed when its user does
  std::uint32_t aborted = 0;    ///< of these, made useless for their users at the deadline (backend's `abort`)
  std::uint32_t under_way = 0;  ///< being opened, reset or closed by a backend that takes its time
  std::uint32_t lost = 0;       ///< aborted earlier for not being given back (leak_reclaim), and still not

  /// No connection is left, but for what was `lost`.
  [[nodiscard]] bool is_complete() const noexcept { return in_use + under_way == 0; }
};

/// One who waits for the pool as a whole. Ended: `why` is empty, and `report` or `warm` says what there is; or `why` and
/// `evidence`.
struct pool_watch : wait_node {
  enum class aim : std::uint8_t {
    drained,  ///< no connection is left
    ready,    ///< `wanted` connections are idle or in use
  };
  aim what{};
  std::uint32_t wanted = 0;
  std::uint32_t warm = 0;
  drain_report report;
  errc why{};
  std::shared_ptr<const pool_evidence> evidence;
};

enum class pool_event_kind : std::uint8_t {
  opened,          ///< a connection; `took`: how long that lasted
  connect_failed,  ///< `took`, `cause`
  closed,          ///< a connection; `reason`; `took`: its age
  backend_down,    ///< from now on acquirers are told so at once; `cause`
  backend_up,      ///< a connection was made again
  purged,          ///< so many broke that the others are not trusted any more; comes after those that were closed for it
  suspected_leak,  ///< in use for longer than leak_after; `took`: how long; `user`
  returned_leak,   ///< what was suspected came back; `took`, `user`
  invalidated,     ///< by an operator; `note`; comes after those that were closed for it
};

/// Something happened in a pool.
struct pool_event {
  weir::name name;
  std::uint64_t sequence = 0;
  pool_event_kind kind{};
  close_reason reason{};
  std::uint32_t slot = 0;        ///< the place
  std::uint64_t connection = 0;  ///< counts connections
  duration took{};
  time_point at{};
  pool_slot::use user{};                           ///< who has, or had, the connection, and where it was seen
  std::shared_ptr<const connect_failure> cause{};  ///< nullptr: there was no memory for it
  /// Why: what `discard` (reason discarded) or `invalidate` was told, cut off after 31 bytes.
  char note[detail::shared_text::most + 1]{};
};

/// A job that takes too long. nullptr: none.
struct overdue_job {
  pool_slot* slot = nullptr;
  std::uint64_t number = 0;  ///< `pool_slot::job`: that place may be doing the next one by now
};

/// What has to be done outside of the lock. A slot in `jobs` has the state that says what (connecting, validating,
/// resetting, closing); the shell does it and reports how it ended (`pool_core::connected` ...), exactly once.
struct pool_effects {
  ready_list ready;  ///< to be completed
  detail::intrusive_list<pool_slot> jobs;
  bool overdue = false;           ///< some job takes too long: `pool_core::take_overdue`
  bool aborts = false;            ///< some connection is to be aborted: `pool_core::take_to_abort`
  wait_node* watchers = nullptr;  ///< pool_watches to be completed, by `lane_next`
};

}  // namespace weir::inline v0
