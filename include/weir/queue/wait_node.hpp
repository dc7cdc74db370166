#pragma once
/// \file
/// `wait_node`: one waiter, as the queue sees it. It lies inside of the operation that waits (a thread's stack frame, a
/// coroutine's operation, your own struct), so that waiting allocates nothing.
///
/// Users who wait from an event loop of their own derive from `wait_operation` (queue/wait_queue.hpp), which is a node with
/// room for the permit.

#include <weir/core/admission.hpp>
#include <weir/core/detail/intrusive_list.hpp>
#include <weir/core/detail/per_thread.hpp>
#include <weir/core/time.hpp>

#include <cstdint>
#include <string_view>
#include <utility>

namespace weir::inline v0 {

/// How a wait ended. Every wait ends exactly once.
enum class wait_outcome : std::uint8_t {
  granted,    ///< has what it waited for
  timed_out,  ///< its deadline passed
  shed,       ///< taken out for the sake of the others
  cancelled,  ///< its owner gave up
  closed,     ///< the queue was closed
};
inline constexpr std::size_t wait_outcome_count = 5;

/// What callers see of it. Precondition: not `granted`.
[[nodiscard]] constexpr errc to_errc(wait_outcome ended) noexcept {
  switch (ended) {
    case wait_outcome::timed_out: return errc::wait_timeout;
    case wait_outcome::shed: return errc::shed;
    case wait_outcome::cancelled: return errc::cancelled;
    default: return errc::closed;
  }
}

/// What the caller fills in before it waits, and what the queue keeps about it. Pinned, and what the caller has filled in
/// unchanged, while it waits. Memory: 104 bytes.
struct wait_node : detail::list_hook {
  enum class state : std::uint8_t { idle, waiting, ended };

  /// Called exactly once for every node that was enqueued, on the thread that ended the wait, under no lock of the queue,
  /// after which the queue does not touch the node: it may be destroyed in here. It may call any queue or policy, but must
  /// not block: completions that follow from it run on this thread after it has returned.
  void (*complete)(wait_node&, wait_outcome) noexcept = nullptr;

  time_point deadline = never;  ///< absolute; never moved by the queue
  std::uint64_t session = 0;
  std::uint32_t cost = 1;
  std::uint32_t tenant = 0;
  std::string_view tag{};
  std::uint8_t priority = 0;

  // Set by the queue.
  wait_outcome ended{};       ///< valid once `where` is `ended`
  state where = state::idle;  ///< guarded by the queue's lock
  std::uint32_t heap_pos = no_heap_pos;
  time_point enqueued{};
  duration waited{};  ///< valid once `where` is `ended`
  wait_node* lane_previous = nullptr;
  wait_node* lane_next = nullptr;

  static constexpr std::uint32_t no_heap_pos = ~std::uint32_t{0};

  void ask(const call& c) noexcept {
    deadline = c.deadline;
    session = c.session;
    cost = c.cost;
    tenant = c.tenant;
    tag = c.tag;
    priority = c.priority;
  }

  /// The call that this node waits for, asked again at `now`.
  [[nodiscard]] call asked(time_point now) const noexcept {
    return {.now = now,
            .deadline = deadline,
            .cost = cost,
            .tenant = tenant,
            .session = session,
            .priority = priority,
            .tag = tag};
  }
};

/// Nodes whose wait has ended, in that order, and whose `complete` is still to be called.
using ready_list = detail::intrusive_list<wait_node>;

namespace detail {

/// While it lives, completions that become due on this thread are put off; the outermost scope runs them when it ends.
///
/// It makes chains iterative: a completion may release a permit, which grants to the next waiter, which completes ...; and
/// it keeps completions out of locks that stand inside of it.
class completion_scope {
 public:
  completion_scope() noexcept {
    if (outermost::mine() == nullptr) {
      outermost::mine() = &due_;
      owner_ = true;
    }
  }
  completion_scope(const completion_scope&) = delete;
  completion_scope& operator=(const completion_scope&) = delete;
  ~completion_scope() {
    if (!owner_) return;
    run();
    outermost::mine() = nullptr;
  }

  void add(ready_list& out) noexcept { outermost::mine()->splice_back(out); }

  /// Runs now whatever has been put off on this thread.
  void run() noexcept {
    while (wait_node* node = outermost::mine()->pop_front()) node->complete(*node, node->ended);
  }

 private:
  using outermost = per_thread<completion_scope, ready_list*, nullptr>;

  ready_list due_;
  bool owner_ = false;
};

}  // namespace detail

/// Completes every node in `out`, which is empty afterwards. Call it under no lock. If this thread is already completing
/// nodes, these are completed behind them, after the running `complete` has returned.
inline void complete_all(ready_list& out) noexcept {
  if (out.empty()) return;
  detail::completion_scope scope;
  scope.add(out);
}

}  // namespace weir::inline v0
