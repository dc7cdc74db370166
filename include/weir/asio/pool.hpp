#pragma once
/// \file
/// `pool`: connections shared by coroutines and handlers.
///
/// ```cpp
/// boost::asio::io_context context{1};
/// weir::pool<orders_db> pool{context.get_executor(), orders_db{}, {.name = "orders", .max_size = 10}};
/// auto session = co_await pool.co_acquire({.deadline = deadline, .tag = "checkout"});
/// if (!session) co_return too_busy(session.error());     // session.error().message() says what the pool looked like
/// co_await (*session)->execute("...");
/// ```
/// One timer for the whole pool; waiters are nodes in their own operations; completions run on each waiter's executor, none
/// under the lock. Thread-safe without a strand. From threads that block: blocking_pool, with the same decisions.

#include <weir/asio/async_acquire.hpp>
#include <weir/asio/detail/pool_state.hpp>
#include <weir/asio/pool_backend.hpp>
#include <weir/pool/detail/pool_handle.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <concepts>
#include <memory>
#include <optional>
#include <source_location>
#include <utility>

namespace weir::inline v0 {
namespace detail {

template <class Pool>
struct affine_homes;

}  // namespace detail

/// Its handle: not copyable; may be moved. Its destructor closes it: waiters are told, idle connections are closed. Leases,
/// and what is under way, may outlive it, but not the execution context.
///
/// Connections are made, validated, reset and closed by coroutines on `executor`; where several threads run it, on a strand
/// for each connection. While the pool is open its context has work.
template <pool_backend Backend, class Executor = boost::asio::any_io_executor, clock_source Clock = default_clock,
          class Observer = null_observer>
class basic_pool : public detail::pool_handle<detail::asio_pool_state<Backend, Executor, Clock, Observer>> {
  using state = detail::asio_pool_state<Backend, Executor, Clock, Observer>;
  using base = detail::pool_handle<state>;

 public:
  using typename base::lease;
  using executor_type = Executor;

  /// Errors: std::invalid_argument naming the field, std::bad_alloc.
  explicit basic_pool(const Executor& executor, Backend backend, const pool_config& config = {}, Observer observer = {},
                      Clock clock = {})
      : base(std::make_shared<state>(executor, std::move(backend), config, std::move(observer), std::move(clock))) {}

  /// Waits for a connection until `c.deadline`, at most pool_config.acquire_timeout. Completion signature:
  /// `void(weir::pool_result<lease>)`, on the handler's associated executor, never inline. Errors, as values: those of
  /// try_acquire but over_capacity and suspended; queue_full, would_miss_deadline, quota, wait_timeout, shed, cancelled.
  /// Cancellation, memory and what happens to dropped handlers: as with `async_acquire` of a queue.
  template <boost::asio::completion_token_for<void(pool_result<lease>)> Token>
  auto async_acquire(const call& c, Token&& token, const std::source_location& where = std::source_location::current()) {
    return boost::asio::async_initiate<Token, void(pool_result<lease>)>(detail::acquire_initiation<true>{}, token,
                                                                        state_.get(), detail::pool_call{c, where},
                                                                        std::shared_ptr<detail::cancellable_wait>{});
  }
  /// The same; `handle.cancel()` ends the wait from any thread.
  template <boost::asio::completion_token_for<void(pool_result<lease>)> Token>
  auto async_acquire(const call& c, const wait_handle& handle, Token&& token,
                     const std::source_location& where = std::source_location::current()) {
    return boost::asio::async_initiate<Token, void(pool_result<lease>)>(detail::acquire_initiation<true>{}, token,
                                                                        state_.get(), detail::pool_call{c, where},
                                                                        detail::wait_of::handle(handle));
  }

  /// As async_acquire with use_awaitable, but a connection that is there costs no suspension.
  template <class AwaitableExecutor = boost::asio::any_io_executor>
  [[nodiscard]] boost::asio::awaitable<pool_result<lease>, AwaitableExecutor> co_acquire(
      call c = {}, std::source_location where = std::source_location::current()) {
    return wait_if_need_be<AwaitableExecutor>(*state_, {c, where});
  }

  /// Closes, and completes when no connection is left: all have been given back, and closed. Or at `deadline`, with what
  /// there is still: connections in use stay with their users, whose next call fails if the backend has `abort`, and are
  /// closed when they give them back. Completion signature: `void(weir::pool_result<weir::drain_report>)`, on the handler's
  /// associated executor, never inline. Errors: cancelled (by the handler's slot; the pool stays closed).
  template <boost::asio::completion_token_for<void(pool_result<drain_report>)> Token>
  auto async_drain(time_point deadline, Token&& token) {
    return detail::async_watch(state_->drains(), {.deadline = deadline}, std::forward<Token>(token));
  }
  /// Completes when `n` connections are idle or in use, for which it opens as many as are missing; with how many there are.
  /// A pool that is suspended opens none: this waits for `resume`, or its deadline.
  /// Completion signature: `void(weir::pool_result<std::uint32_t>)`, on the handler's associated executor, never inline.
  /// Errors: never_admissible (n > max_size), backend_down (with its cause; not with on_down wait), closed, expired,
  /// wait_timeout, cancelled.
  template <boost::asio::completion_token_for<void(pool_result<std::uint32_t>)> Token>
  auto async_ready(std::uint32_t n, time_point deadline, Token&& token) {
    return detail::async_watch(state_->readies(), {.deadline = deadline, .wanted = n}, std::forward<Token>(token));
  }
  template <boost::asio::completion_token_for<void(pool_result<std::uint32_t>)> Token>
  auto async_ready(std::uint32_t n, Token&& token) {
    return async_ready(n, never, std::forward<Token>(token));
  }

  [[nodiscard]] executor_type get_executor() const noexcept { return state_->get_executor(); }

 private:
  friend struct detail::affine_homes<basic_pool>;

  template <class AwaitableExecutor>
  static boost::asio::awaitable<pool_result<lease>, AwaitableExecutor> wait_if_need_be(state& pool,
                                                                                       detail::pool_call request) {
    if (!pool.is_crowded()) {
      auto first = pool.try_first(request);
      if (first || !waiting_helps(first.error())) co_return first;
    }
    detail::wait_room<state> room;
    detail::wait_in_line<state, detail::pool_call> wait{pool, request, room};
    co_return co_await std::move(wait);
  }

  using base::state_;
};

template <class Backend, class Executor = boost::asio::any_io_executor>
using pool = basic_pool<Backend, Executor>;

}  // namespace weir::inline v0
