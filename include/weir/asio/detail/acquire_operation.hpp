#pragma once
/// \file
/// The operation behind `async_acquire`: where it lies while it waits, and the ways in which it can end.

#include <weir/asio/detail/spare_memory.hpp>
#include <weir/asio/detail/wait_registry.hpp>
#include <weir/core/admission.hpp>
#include <weir/queue/wait_queue.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

namespace weir::inline v0::detail {

/// What a `wait_handle` refers to. Lock order: this mutex before the queue's.
struct cancellable_wait {
  bool cancel() noexcept {
    const completion_scope later;  // a completion takes this mutex, too
    std::lock_guard lock{mutex};
    return operation != nullptr && stop(operation);
  }
  void begin(void* op, bool (*stop_op)(void*) noexcept) noexcept {
    std::lock_guard lock{mutex};
    operation = op;
    stop = stop_op;
  }
  void end(void* op) noexcept {
    std::lock_guard lock{mutex};
    if (operation == op) operation = nullptr;
  }

  std::mutex mutex;
  void* operation = nullptr;
  bool (*stop)(void*) noexcept = nullptr;
};

/// A queue that is shared may go on another thread, once it has told those who wait: also while one of them cancels. Others
/// must outlive them.
struct outlives_its_waiters {
  [[nodiscard]] bool lock() const noexcept { return true; }
};
template <class Queue>
auto alive_while_cancelling(Queue& queue) noexcept {
  if constexpr (requires { queue.weak_from_this(); }) {
    return queue.weak_from_this();
  } else {
    return outlives_its_waiters{};
  }
}

/// What those who wait in `Queue` get: result<permit>, unless it says otherwise.
template <class Queue>
struct answer_from {
  using type = result<typename Queue::permit>;
};
template <class Queue>
  requires requires { typename Queue::answer; }
struct answer_from<Queue> {
  using type = typename Queue::answer;
};
template <class Queue>
using answer_of = typename answer_from<Queue>::type;

/// An answer on its way to its handler. Dropped on the way, a permit in it is refunded: its call never started.
template <class Handler, class Answer>
struct answer_delivery {
  using allocator_type = boost::asio::associated_allocator_t<Handler>;

  answer_delivery(Handler&& h, Answer&& a) : handler(std::move(h)), answer(std::move(a)) {}
  answer_delivery(answer_delivery&&) = default;
  ~answer_delivery() {
    if constexpr (requires { answer->cancel(); }) {
      if (answer) answer->cancel();
    }
  }

  void operator()() {
    Answer delivered = std::move(answer);
    std::move(handler)(std::move(delivered));
  }
  [[nodiscard]] allocator_type get_allocator() const noexcept { return boost::asio::get_associated_allocator(handler); }

  Handler handler;
  Answer answer;
};

template <class Handler, class Answer>
void post_answer(Handler handler, Answer answer) {
  auto executor = boost::asio::get_associated_executor(handler);
  boost::asio::post(executor, answer_delivery<Handler, Answer>{std::move(handler), std::move(answer)});
}

/// A place for a wait in `Queue` in the frame of the coroutine that waits: large enough for the handlers that Asio makes of
/// coroutines.
template <class Queue>
struct wait_room {
  alignas(std::max_align_t) std::byte bytes[sizeof(typename Queue::operation) + 192];
};
struct no_room {};

/// One wait. Its owners, in this order: the initiation until it waits; the queue and the context's registry; then whoever
/// ended the wait, and after it the delivery that was posted to the handler's executor.
///
/// `Room`: where it lies, if it fits; the room goes with the handler, or later. Else memory is allocated.
template <class Queue, class Handler, class Room = no_room>
class acquire_operation final : public Queue::operation, public registered_wait {
  // Not an executor_work_guard, which knows no strand<any_io_executor>.
  using working_executor =
      std::decay_t<decltype(boost::asio::prefer(std::declval<const boost::asio::associated_executor_t<Handler>&>(),
                                                boost::asio::execution::outstanding_work.tracked))>;
  using handler_allocator = boost::asio::associated_allocator_t<Handler>;
  template <class Allocator>
  struct rebound {
    using type = typename std::allocator_traits<Allocator>::template rebind_alloc<acquire_operation>;
  };
  // Where the handler has none of its own: what this thread has to spare.
  using allocator =
      typename std::conditional_t<std::is_same_v<handler_allocator, std::allocator<void>>,
                                  std::type_identity<spare_allocator<acquire_operation>>, rebound<handler_allocator>>::type;
  using allocator_traits = std::allocator_traits<allocator>;

 public:
  template <class Call>
  static void launch(Queue& queue, const Call& c, std::shared_ptr<cancellable_wait> handle, Handler handler,
                     [[maybe_unused]] Room* room = nullptr) {
    context_waits& waits = *wait_registry::of(boost::asio::get_associated_executor(handler));
    void* place = nullptr;
    if constexpr (fits()) {
      place = room->bytes;
    } else {
      allocator memory = memory_of(handler);
      place = allocator_traits::allocate(memory, 1);
    }
    auto* op = ::new (place) acquire_operation(queue, std::move(handler), waits, std::move(handle));
    delivery owner{*op};  // frees it, should the slot throw
    op->listen_to_slot();
    std::exchange(owner.op, nullptr)->begin(c);
  }

 private:
  struct delivery {
    using allocator_type = handler_allocator;

    explicit delivery(acquire_operation& o) noexcept : op(&o) {}
    delivery(delivery&& other) noexcept : op(std::exchange(other.op, nullptr)) {}
    ~delivery() {
      if (op != nullptr) op->free();
    }
    void operator()() { std::exchange(op, nullptr)->deliver(); }
    [[nodiscard]] allocator_type get_allocator() const noexcept {
      return boost::asio::get_associated_allocator(op->handler_);
    }

    acquire_operation* op;
  };

  acquire_operation(Queue& queue, Handler&& handler, context_waits& waits, std::shared_ptr<cancellable_wait> handle)
      : queue_(queue),
        handler_(std::move(handler)),
        working_(boost::asio::prefer(boost::asio::get_associated_executor(handler_),
                                     boost::asio::execution::outstanding_work.tracked)),
        waits_(waits),
        handle_(std::move(handle)) {
    this->complete = [](wait_node& node, wait_outcome) noexcept {
      static_cast<acquire_operation&>(static_cast<typename Queue::operation&>(node)).completed();
    };
    this->withdraw = [](registered_wait& wait) noexcept {
      auto& op = static_cast<acquire_operation&>(wait);
      return op.queue_.withdraw(op);
    };
    this->destroy = [](registered_wait& wait) noexcept { static_cast<acquire_operation&>(wait).free(); };
  }
  ~acquire_operation() = default;

  void listen_to_slot() {
    if (auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected()) {
      slot.assign([this, alive = alive_while_cancelling(queue_)](boost::asio::cancellation_type type) {
        if (type == boost::asio::cancellation_type::none) return;
        // Also after the grant: what is begun with the permit would not hear of this any more.
        unwanted_ = true;
        [[maybe_unused]] const auto stays = alive.lock();
        if (!ended_.load(std::memory_order_acquire)) queue_.cancel(*this);
      });
    }
  }

  template <class Call>
  void begin(const Call& c) {
    if (handle_) {
      handle_->begin(this, [](void* op) noexcept {
        auto& self = *static_cast<acquire_operation*>(op);
        return self.queue_.cancel(self);
      });
    }
    if (!waits_.join(*this)) return static_cast<void>(let_go_of_handler());
    auto answer = queue_.wait(*this, c);
    if (!answer) return;  // waits: from here on it may be gone at any time
    if (*answer) {
      if (handle_) handle_->end(this);  // which may be looking at it
      this->keep(std::move(**answer));
      return completed();
    }
    if (!waits_.leave(*this, [] {})) return free_late();
    post_answer(let_go_of_handler(), std::move(*answer));
  }

  static constexpr bool fits() noexcept {
    if constexpr (std::is_same_v<Room, no_room>) {
      return false;
    } else {
      return sizeof(acquire_operation) <= sizeof(Room);
    }
  }
  static allocator memory_of(const Handler& handler) noexcept {
    if constexpr (std::is_same_v<handler_allocator, std::allocator<void>>) {
      return allocator{};
    } else {
      return allocator{boost::asio::get_associated_allocator(handler)};
    }
  }

  /// The wait has ended; on any thread.
  void completed() noexcept {
    if (handle_) handle_->end(this);
    ended_.store(true, std::memory_order_release);
    // Not to working_, of which Asio makes many copies, each of which counts as work until it goes.
    const auto post = [this] { boost::asio::post(boost::asio::get_associated_executor(handler_), delivery{*this}); };
    if (!waits_.leave(*this, post)) free_late();  // else it may have been delivered, and freed, by now
  }

  /// On the handler's executor.
  void deliver() {
    if (unwanted_) this->refund();
    Handler handler = take_handler();
    std::move(handler)(last_answer(memory_of(handler)));
  }
  /// A temporary, which a handler that takes it by value need not move.
  auto last_answer(allocator memory) noexcept {
    auto answer = this->take();
    free_with(memory);
    return answer;
  }

  Handler take_handler() {
    if (auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected()) slot.clear();
    return std::move(handler_);
  }
  /// The memory is free before the handler runs: it may begin the next operation with it.
  Handler let_go_of_handler() {
    Handler handler = take_handler();
    free_with(memory_of(handler));
    return handler;
  }

  /// The handler is not called; a permit that was granted is refunded. The slot is left alone: it may have gone already.
  void free() noexcept {
    const Handler last = std::move(handler_);  // a coroutine's frame, which we may lie in, goes with it
    free_with(memory_of(last));
  }
  void free_late() noexcept {
    context_waits& waits = waits_;
    free();
    waits.left_late();
  }

  void free_with([[maybe_unused]] allocator memory) noexcept {
    if (handle_) handle_->end(this);
    this->~acquire_operation();
    if constexpr (!fits()) allocator_traits::deallocate(memory, this, 1);
  }

  Queue& queue_;
  Handler handler_;
  working_executor working_;  // the handler's; counts as work of its context
  context_waits& waits_;      // does not go before the last wait in it
  std::shared_ptr<cancellable_wait> handle_;
  std::atomic<bool> ended_{false};  // the queue may go before the delivery
  bool unwanted_ = false;           // on the handler's executor
};

/// `first`: the call has not been tried yet.
template <bool First>
struct acquire_initiation {
  template <class Handler, class Queue, class Call>
  void operator()(Handler&& handler, Queue* queue, const Call& c, std::shared_ptr<cancellable_wait> handle) const {
    if constexpr (First) {
      if (auto answer = queue->try_first(c); answer || !waiting_helps(answer.error())) {
        return post_answer(std::forward<Handler>(handler), std::move(answer));
      }
    }
    using operation = acquire_operation<Queue, std::decay_t<Handler>>;
    operation::launch(*queue, c, std::move(handle), std::forward<Handler>(handler));
  }
};

/// For a call that `try_first` has refused, in a room that stays until the handler runs.
struct wait_in_room {
  template <class Handler, class Queue, class Call>
  void operator()(Handler&& handler, Queue* queue, const Call* c, wait_room<Queue>* room) const {
    using operation = acquire_operation<Queue, std::decay_t<Handler>, wait_room<Queue>>;
    operation::launch(*queue, *c, {}, std::forward<Handler>(handler), room);
  }
};

}  // namespace weir::inline v0::detail
