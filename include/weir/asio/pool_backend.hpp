#pragma once
/// \file
/// What an asynchronous pool needs to know of that which it connects to: the coroutines of a backend.
///
/// ```cpp
/// struct orders_db {
///   using connection = db::session;
///   asio::awaitable<connection> connect(weir::connect_context c);
///   asio::awaitable<void> validate(connection&);                     // optional, as the rest
///   asio::awaitable<void> reset(connection&);
///   asio::awaitable<void> close(connection&);
///   bool is_broken(const connection&) const noexcept;
/// };
/// ```

#include <weir/pool/backend.hpp>

#include <boost/asio/awaitable.hpp>

#include <concepts>

namespace weir::inline v0 {

/// As `blocking_backend`, in coroutines that run on the executor which the connection is made for
/// (`asio::this_coro::executor`). What fails, throws. The pool cancels what takes too long, with
/// cancellation_type::terminal: the coroutine must end soon after. The connection is closed after a cancelled `validate` or
/// `reset`.
template <class B>
concept pool_backend = std::move_constructible<typename B::connection> && requires(B& b, connect_context c) {
  { b.connect(c) } -> std::same_as<boost::asio::awaitable<typename B::connection>>;
};

namespace detail {

// What has one of these names, but is no coroutine that can be called so.
template <class B>
concept async_validate_fits = !(validates<B> || requires { &B::validate; }) || requires(B& b, typename B::connection& c) {
  { b.validate(c) } -> std::same_as<boost::asio::awaitable<void>>;
};
template <class B>
concept async_reset_fits = !(resets<B> || requires { &B::reset; }) || requires(B& b, typename B::connection& c) {
  { b.reset(c) } -> std::same_as<boost::asio::awaitable<void>>;
};
template <class B>
concept async_close_fits = !(closes<B> || requires { &B::close; }) || requires(B& b, typename B::connection& c) {
  { b.close(c) } -> std::same_as<boost::asio::awaitable<void>>;
};

}  // namespace detail
}  // namespace weir::inline v0
