#pragma once
/// \file
/// Which Asio operations wait for a permit, by execution context: a context that is destroyed takes its handlers with it,
/// also those that wait in one of our queues.

#include <weir/core/detail/intrusive_list.hpp>
#include <weir/queue/wait_node.hpp>

#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>

namespace weir::inline v0::detail {

/// What the registry knows of a waiting operation.
struct registered_wait : list_hook {
  bool (*withdraw)(registered_wait&) noexcept = nullptr;  ///< out of its queue; false: another thread completes it
  void (*destroy)(registered_wait&) noexcept = nullptr;   ///< with its handler, which is not called
};

/// The waits of one context, which goes only when each of them has left: one that is being completed on another thread is
/// waited for.
///
/// Lock order: this mutex before the queue's and before the scheduler's. Completions never run under it.
struct context_waits {
  std::mutex mutex;
  intrusive_list<registered_wait> waits;  // guarded by mutex
  bool down = false;                      // guarded by mutex
  std::atomic<bool> is_down{false};       // the same, for everybody
  std::size_t late = 0;                   // guarded by mutex; found ended, but not yet freed, when the context went down
  std::condition_variable freed;

  /// false: the context has gone.
  bool join(registered_wait& wait) {
    std::lock_guard lock{mutex};
    if (!down) waits.push_back(wait);
    return !down;
  }

  /// Takes `wait` out and calls `post` while the context cannot go down. false: it is going down, and waits until the
  /// caller has freed `wait` and said so (`left_late`): its handler may still need the context.
  template <class Post>
  bool leave(registered_wait& wait, Post&& post) {
    std::lock_guard lock{mutex};
    if (down) return false;
    waits.erase(wait);
    post();
    return true;
  }

  void left_late() {
    std::lock_guard lock{mutex};
    if (--late == 0) freed.notify_all();
  }
};

class wait_registry : public boost::asio::execution_context::service {
 public:
  static inline boost::asio::execution_context::id id;

  explicit wait_registry(boost::asio::execution_context& context)
      : service(context), waits_(std::make_shared<context_waits>()) {}

  /// Valid until this thread asks again.
  template <class Executor>
  static const std::shared_ptr<context_waits>& of(const Executor& executor) {
    boost::asio::execution_context& context = boost::asio::query(executor, boost::asio::execution::context);
    // Looking a service up takes the context's mutex and a search. One that went down, its address used again, is noticed.
    static thread_local const boost::asio::execution_context* last = nullptr;
    static thread_local std::shared_ptr<context_waits> waits;
    if (last != &context || waits->is_down.load(std::memory_order_acquire)) {
      waits = boost::asio::use_service<wait_registry>(context).waits_;
      last = &context;
    }
    return waits;
  }

 private:
  void shutdown() override {
    intrusive_list<registered_wait> mine;
    {
      // Leaving makes room for others, whose completions must not run under our mutex.
      completion_scope later;
      {
        std::lock_guard lock{waits_->mutex};
        waits_->down = true;
        waits_->is_down.store(true, std::memory_order_release);
        while (registered_wait* wait = waits_->waits.pop_front()) {
          if (wait->withdraw(*wait)) {
            mine.push_back(*wait);
          } else {
            ++waits_->late;
          }
        }
      }
      later.run();  // some of the late ones may be this thread's own to complete
    }
    while (registered_wait* wait = mine.pop_front()) wait->destroy(*wait);
    std::unique_lock lock{waits_->mutex};
    while (waits_->late != 0) waits_->freed.wait(lock);
  }

  std::shared_ptr<context_waits> waits_;
};

}  // namespace weir::inline v0::detail
