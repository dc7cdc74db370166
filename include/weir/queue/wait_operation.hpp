#pragma once
/// \file
/// `wait_operation`: what waits in a `wait_queue`, and how a thread sleeps while it does.

#include <weir/core/admission.hpp>
#include <weir/core/error.hpp>
#include <weir/core/name.hpp>
#include <weir/queue/wait_node.hpp>

#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <utility>

namespace weir::inline v0 {

namespace detail {

/// The sleep of one blocked thread. Its mutex is taken under the queue's lock, never the other way round.
struct sleeping_thread {
  std::mutex mutex;
  std::condition_variable woken;
  bool done = false;           // guarded by mutex
  time_point wake_at = never;  // guarded by mutex; when to see what time has brought, while first in line
  time_point planned = never;  // guarded by the queue's lock; what wake_at was last set to

  void finish() noexcept {
    // Notified under the mutex: the thread may end, and take this object along, as soon as it sees `done`.
    std::lock_guard lock{mutex};
    done = true;
    woken.notify_one();
  }
  void plan(time_point t) noexcept {
    planned = t;
    std::lock_guard lock{mutex};
    wake_at = t;
    woken.notify_one();
  }

  /// Returns when `finish` was called. `see_time(now)` is called when it is `deadline` or `wake_at`; once it has seen the
  /// deadline, `finish` was called or is about to be by another thread.
  template <class Clock, class SeeTime>
  void sleep(Clock& clock, time_point deadline, SeeTime&& see_time) {
    std::unique_lock lock{mutex};
    while (!done) {
      const time_point wake = std::min(deadline, wake_at);
      clock.wait_until(woken, lock, wake);
      const time_point now = clock.now();
      if (done || now < wake) continue;
      wake_at = never;
      lock.unlock();
      see_time(now);
      lock.lock();
      if (now >= deadline) deadline = never;
    }
  }
};

}  // namespace detail

/// A wait in progress. Derive from it or put it into your own operation, set `complete`, and `start` it on a queue. Pinned
/// and alive until `complete` is called; it can then be started again. Memory: 112 bytes and the permit.
template <permit_type Permit>
class wait_operation : public wait_node {
 public:
  wait_operation() noexcept = default;
  wait_operation(const wait_operation&) = delete;
  wait_operation& operator=(const wait_operation&) = delete;
  /// A permit that nobody took is refunded, here and when it is started again.
  ~wait_operation() {
    assert(where != state::waiting && "destroyed while it waits");
    refund();
  }

  /// How the wait ended: the permit, or why there is none. Once, after `complete` was called.
  [[nodiscard]] result<Permit> take() noexcept {
    assert(where == state::ended);
    if (!granted_) return result<Permit>{boost::system::in_place_error, to_errc(ended), queue_};
    result<Permit> permit{boost::system::in_place_value, std::move(*granted_)};
    granted_.reset();
    return permit;
  }

 protected:
  /// As if it had waited for `permit`, which the queue granted at once.
  void keep(Permit&& permit) noexcept {
    granted_.emplace(std::move(permit));
    ended = wait_outcome::granted;
    where = state::ended;
  }
  /// Gives a permit that nobody took back: the wait then counts as cancelled. The queue must not hold the operation.
  void refund() noexcept {
    if (!granted_) return;
    ended = wait_outcome::cancelled;
    granted_->cancel();
    granted_.reset();
  }

 private:
  template <waitable_policy, clock_source, class>
  friend class basic_wait_queue;

  std::optional<Permit> granted_;
  name queue_;
  detail::sleeping_thread* thread_ = nullptr;  // set if a blocked thread waits
};

}  // namespace weir::inline v0
