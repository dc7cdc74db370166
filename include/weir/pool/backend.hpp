#pragma once
/// \file
/// What a pool needs to know of that which it connects to, where threads wait for it. The asynchronous twin is
/// asio/pool_backend.hpp.
///
/// ```cpp
/// struct orders_db {
///   using connection = db::session;
///   connection connect(const weir::connect_context& c) { return db::open("orders", c.deadline); }
///   void validate(connection& s) { s.execute("SELECT 1"); }        // optional, as the rest
///   void reset(connection& s) { s.rollback(); }
///   bool is_broken(const connection& s) const noexcept { return !s.is_open(); }
/// };
/// ```

#include <weir/core/time.hpp>

#include <concepts>
#include <cstdint>

namespace weir::inline v0 {

/// One attempt to connect.
struct connect_context {
  time_point deadline = never;  ///< give up then
  std::uint32_t endpoint = 0;   ///< which one, in [0, pool_config.endpoints)
  std::uint32_t attempt = 0;    ///< attempts on this endpoint that failed just before this one
};

/// Whoever has a function of one of these names in another shape does not compile: it would never be called.
///
/// Makes and looks after connections; may be called from several threads at once. What fails, throws; the exception's
/// what() is the cause that users of the pool are told.
///
/// - `connect(connect_context) -> connection`: required.
/// - `validate(connection&) -> void`: throws if it is not alive any more. Optional: it is taken to be.
/// - `reset(connection&) -> void`: makes it as good as new before the next user. Optional: it needs none.
/// - `close(connection&) noexcept`: optional; its destructor is run in any case.
/// - `is_broken(const connection&) noexcept -> bool`: cheap, asked whenever one comes back. Optional.
/// - `abort(connection&) noexcept`: ends what it does, and what its peer does for it, now: shuts its socket down. Called
/// from
///   any thread while another one uses the connection, which it must not destroy; never while it is moved or destroyed.
///   Does not wait. Optional: without it nothing is taken from a user who keeps it.
template <class B>
concept blocking_backend = std::move_constructible<typename B::connection> && requires(B& b, const connect_context& c) {
  { b.connect(c) } -> std::same_as<typename B::connection>;
};

namespace detail {

template <class B>
concept validates = requires(B& b, typename B::connection& c) { b.validate(c); };
template <class B>
concept resets = requires(B& b, typename B::connection& c) { b.reset(c); };
template <class B>
concept closes = requires(B& b, typename B::connection& c) { b.close(c); };
template <class B>
concept knows_broken = requires(const B& b, const typename B::connection& c) {
  { b.is_broken(c) } noexcept -> std::convertible_to<bool>;
};
template <class B>
concept aborts = requires(B& b, typename B::connection& c) {
  { b.abort(c) } noexcept;
};

// What has one of these names, but not the shape that is asked for.
template <class B>
concept validate_fits = !(validates<B> || requires { &B::validate; }) || requires(B& b, typename B::connection& c) {
  { b.validate(c) } -> std::same_as<void>;
};
template <class B>
concept reset_fits = !(resets<B> || requires { &B::reset; }) || requires(B& b, typename B::connection& c) {
  { b.reset(c) } -> std::same_as<void>;
};
template <class B>
concept close_fits = closes<B> || !requires { &B::close; };
template <class B>
concept is_broken_fits =
    knows_broken<B> || !(requires { &B::is_broken; } || requires(B& b, typename B::connection& c) { b.is_broken(c); });
template <class B>
concept abort_fits = aborts<B> || !(requires { &B::abort; } || requires(B& b, typename B::connection& c) { b.abort(c); });

}  // namespace detail
}  // namespace weir::inline v0
