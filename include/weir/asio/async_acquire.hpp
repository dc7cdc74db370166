#pragma once
/// \file
/// `async_acquire`: waiting for a permit in a `wait_queue`, with any completion token.
///
/// ```cpp
/// weir::result<permit> permit = co_await weir::async_acquire(queue, {.deadline = deadline}, boost::asio::use_awaitable);
/// if (!permit) co_return too_busy(permit.error());
/// ```
/// The queue needs somebody who drives its time: asio/queue_timer.hpp.

#include <weir/asio/detail/acquire_operation.hpp>
#include <weir/core/admission.hpp>

#include <boost/asio/async_result.hpp>

#include <concepts>
#include <memory>
#include <optional>
#include <utility>

namespace weir::inline v0 {

/// A queue that calls can wait in: `wait_queue`.
template <class Q>
concept waiting_queue = admission_policy<Q> && requires(Q& q, typename Q::operation& op, const call& c) {
  { q.try_first(c) } -> std::same_as<result<typename Q::permit>>;
  { q.wait(op, c) } -> std::same_as<std::optional<result<typename Q::permit>>>;
  { q.cancel(op) } -> std::same_as<bool>;
  { q.withdraw(op) } -> std::same_as<bool>;
};

namespace detail {
struct wait_of;
}

/// Cancels a wait from any thread. Make one, pass it to `async_acquire`, keep a copy. Copies refer to the same wait: the
/// last one that was begun with it. Thread-safe.
class wait_handle {
 public:
  wait_handle() : wait_(std::make_shared<detail::cancellable_wait>()) {}

  /// true: the wait ends with errc::cancelled. false: it has ended already, or not begun.
  bool cancel() const noexcept { return wait_ != nullptr && wait_->cancel(); }

 private:
  friend struct detail::wait_of;
  template <waiting_queue Queue, class Token>
  friend auto async_acquire(Queue&, const call&, const wait_handle&, Token&&);

  std::shared_ptr<detail::cancellable_wait> wait_;
};

namespace detail {

/// What a handle refers to, for other things to wait for than queues.
struct wait_of {
  static const std::shared_ptr<cancellable_wait>& handle(const wait_handle& h) noexcept { return h.wait_; }
};

}  // namespace detail

/// Waits for its turn. Completion signature: `void(weir::result<permit>)`, on the handler's associated executor, never
/// inline. Errors (as values): those of `wait_queue::acquire`.
///
/// - Cancellation, which gives errc::cancelled: by the handler's slot (any type; touched on the associated executor only)
///   until the delivery: a permit on its way is refunded, and goes to the next in line. By a `wait_handle` from any thread,
///   while it waits: a grant that came first wins.
/// - Whatever happens to the handler, the permit comes back once: if the context is destroyed before the delivery, the
///   permit is cancelled (refunded) and the handler destroyed.
/// - Memory: one operation and one post from the handler's associated allocator, freed before the handler runs. A call that
///   need not wait costs the post alone. Threads keep up to 32 blocks of a size of what handlers without an allocator have
///   used. Out of memory while a wait ends: std::terminate.
/// - A plain function without an executor completes on Asio's system context: use `bind_executor`.
///
/// The queue must outlive the wait, `c.tag` the permit. Thread-safe.
template <waiting_queue Queue, class Token>
auto async_acquire(Queue& queue, const call& c, Token&& token) {
  return boost::asio::async_initiate<Token, void(result<typename Queue::permit>)>(
      detail::acquire_initiation<true>{}, token, &queue, c, std::shared_ptr<detail::cancellable_wait>{});
}
template <waiting_queue Queue, class Token>
auto async_acquire(Queue& queue, const call& c, const wait_handle& handle, Token&& token) {
  return boost::asio::async_initiate<Token, void(result<typename Queue::permit>)>(detail::acquire_initiation<true>{}, token,
                                                                                  &queue, c, handle.wait_);
}

namespace detail {

/// As `async_acquire`, for a call that `try_first` has refused.
template <class Queue, class Call, class Token>
auto async_wait_in_line(Queue& queue, const Call& c, Token&& token) {
  return boost::asio::async_initiate<Token, void(answer_of<Queue>)>(acquire_initiation<false>{}, token, &queue, c,
                                                                    std::shared_ptr<cancellable_wait>{});
}

/// The same, to be awaited by a coroutine that keeps all three: costs no frame and no memory but its own.
template <class Queue, class Call>
struct wait_in_line {
  template <boost::asio::completion_token_for<void(answer_of<Queue>)> Token>
  auto operator()(Token&& token) && {
    return boost::asio::async_initiate<Token, void(answer_of<Queue>)>(wait_in_room{}, token, &queue, &asked, &room);
  }

  Queue& queue;
  const Call& asked;
  wait_room<Queue>& room;
};

}  // namespace detail
}  // namespace weir::inline v0
