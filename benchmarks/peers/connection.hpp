#pragma once
// What all pools hand out, and what a pool must be able to do to be measured.

#include <chrono>
#include <concepts>
#include <cstdint>
#include <string_view>
#include <utility>

namespace weir_peers {

using clock = std::chrono::steady_clock;
using time_point = clock::time_point;
inline constexpr time_point no_deadline = time_point::max();

/// Does nothing, so that the pool is all that is measured.
struct connection {
  std::uint32_t id = 0;  ///< in [0, size of the pool)
};

/// What `acquire` gives: false if there was no connection; `P::id_of` tells which one it is.
template <class H, class P>
concept possible_connection = std::movable<H> && requires(const H& held) {
  static_cast<bool>(held);
  { P::id_of(held) } -> std::same_as<std::uint32_t>;
};

/// For threads. `P(size)` is full of connections; `acquire` blocks until the deadline.
template <class P>
concept thread_pool = std::constructible_from<P, std::uint32_t> && requires(P& pool, time_point deadline) {
  { P::name } -> std::convertible_to<std::string_view>;
  { pool.acquire(deadline) } -> possible_connection<P>;
  pool.release(pool.acquire(deadline));
  { pool.idle() } -> std::convertible_to<std::size_t>;  ///< counted while nobody holds one: fewer than `size` were lost
};

/// For coroutines: `P(context, size)`, and `co_await pool.co_acquire(deadline)` in a coroutine on P::executor_type.
/// `release` is a plain call.
template <class P>
concept coroutine_pool = requires(P& pool, time_point deadline) {
  typename P::executor_type;
  { P::name } -> std::convertible_to<std::string_view>;
  pool.co_acquire(deadline);
  { pool.idle() } -> std::convertible_to<std::size_t>;
};

}  // namespace weir_peers
