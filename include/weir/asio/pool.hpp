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

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <concepts>
#include <memory>
#include <optional>
#include <source_location>
#include <utility>

namespace weir::inline v0 {

/// Its handle: not copyable; may be moved. Its destructor closes it: waiters are told, idle connections are closed. Leases,
/// and what is under way, may outlive it, but not the execution context.
///
/// Connections are made, validated, reset and closed by coroutines on `executor`; where several threads run it, on a strand
/// for each connection. While the pool is open its context has work.
template <pool_backend Backend, class Executor = boost::asio::any_io_executor, clock_source Clock = default_clock,
          class Observer = null_observer>
class basic_pool {
  using state = detail::asio_pool_state<Backend, Executor, Clock, Observer>;

 public:
  using connection = typename Backend::connection;
  using lease = pool_lease<state>;
  using executor_type = Executor;

  /// Errors: std::invalid_argument naming the field, std::bad_alloc.
  explicit basic_pool(const Executor& executor, Backend backend, const pool_config& config = {}, Observer observer = {},
                      Clock clock = {})
      : state_(std::make_shared<state>(executor, std::move(backend), config, std::move(observer), std::move(clock))) {
    state_->begin();
  }
  basic_pool(basic_pool&&) noexcept = default;
  basic_pool& operator=(basic_pool&& other) noexcept {
    if (this == &other) return *this;
    finish();
    state_ = std::move(other.state_);
    return *this;
  }
  ~basic_pool() { finish(); }

  /// Never waits. Errors: over_capacity (also if one has to be asked first whether it is alive), backend_down, suspended,
  /// expired, closed. No lock where this thread takes again what it gave back last.
  [[nodiscard]] pool_result<lease> try_acquire(
      const call& c = {}, const std::source_location& where = std::source_location::current()) noexcept {
    return state_->try_acquire({c, where});
  }

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

  /// See pool_core.
  void suspend() noexcept { state_->suspend(); }
  void resume() noexcept { state_->resume(); }
  void invalidate() noexcept { state_->invalidate(); }
  void close() noexcept { state_->close(); }
  /// Live; what cannot be changed is said. Errors: std::bad_alloc.
  std::optional<config_error> reconfigure(const pool_config& config) { return state_->reconfigure(config); }

  [[nodiscard]] pool_snapshot snapshot() const { return state_->snapshot(); }
  [[nodiscard]] pool_histograms histograms() const { return state_->histograms(); }
  /// Every connection, who has it and since when, the latest events: `to_json(pool.explain())`. Errors: std::bad_alloc.
  [[nodiscard]] pool_explanation explain() const { return state_->explain(); }
  /// How large it should be for all but 1 % of its users to wait less than `target`, or why not to grow. Errors:
  /// std::bad_alloc. Complexity: O(size advised).
  [[nodiscard]] pool_advice advice(duration target = std::chrono::milliseconds{20}) const { return state_->advice(target); }
  [[nodiscard]] time_point now() const noexcept { return state_->now(); }
  [[nodiscard]] weir::name name() const noexcept { return state_->name(); }
  [[nodiscard]] Backend& backend() noexcept { return state_->backend(); }
  [[nodiscard]] executor_type get_executor() const noexcept { return state_->get_executor(); }

 private:
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

  void finish() noexcept {
    if (state_ != nullptr) std::exchange(state_, nullptr)->end();
  }

  std::shared_ptr<state> state_;
};

template <class Backend, class Executor = boost::asio::any_io_executor>
using pool = basic_pool<Backend, Executor>;

}  // namespace weir::inline v0
