#pragma once
// The pool of those who have Asio and no pool: a channel with the connections in it.

#include "connection.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/concurrent_channel.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <tuple>
#include <variant>
#include <vector>

namespace weir_peers {

namespace asio = boost::asio;

/// How somebody who waits for a channel is given a deadline.
enum class channel_deadline : std::uint8_t {
  careful,    ///< a parallel group of receive and timer, both results looked at: what arrives with the timer is kept
  operator_,  ///< `receive || timer`: shorter, and drops the connection that arrives with the timer
};

/// Those who wait are served in their order. Every deadline is a timer of its own.
template <channel_deadline Deadline>
class basic_channel_pool {
 public:
  using executor_type = asio::io_context::executor_type;
  template <class T>
  using awaitable = asio::awaitable<T, executor_type>;
  static constexpr std::string_view name = Deadline == channel_deadline::careful ? "channel" : "channel_or";

  basic_channel_pool(asio::io_context& context, std::uint32_t size)
      : executor_(context.get_executor()), connections_(size), idle_(executor_, size) {
    for (std::uint32_t i = 0; i < size; ++i) {
      connections_[i].id = i;
      release(&connections_[i]);
    }
  }

  [[nodiscard]] connection* try_acquire() {
    connection* taken = nullptr;
    idle_.try_receive([&taken](boost::system::error_code, connection* c) { taken = c; });
    return taken;
  }

  awaitable<connection*> co_acquire(time_point deadline) {
    if (connection* const taken = try_acquire()) co_return taken;
    if (deadline == no_deadline) co_return co_await idle_.async_receive(token{});
    timer until(executor_, deadline);
    if constexpr (Deadline == channel_deadline::careful) {
      auto both =
          asio::experimental::make_parallel_group(idle_.async_receive(asio::deferred), until.async_wait(asio::deferred));
      const auto [order, failed, taken, timer_result] =
          co_await both.async_wait(asio::experimental::wait_for_one(), token{});
      co_return failed ? nullptr : taken;
    } else {
      using namespace asio::experimental::awaitable_operators;
      const auto first = co_await (idle_.async_receive(token{}) || until.async_wait(token{}));
      co_return first.index() == 0 ? std::get<0>(first) : nullptr;
    }
  }

  void release(connection* held) { idle_.try_send(boost::system::error_code{}, held); }

  [[nodiscard]] static std::uint32_t id_of(const connection* held) { return held->id; }

  /// Takes all that are there and puts them back.
  [[nodiscard]] std::size_t idle() {
    std::vector<connection*> found;
    while (connection* const taken = try_acquire()) found.push_back(taken);
    for (connection* const each : found) release(each);
    return found.size();
  }

 private:
  using token = asio::use_awaitable_t<executor_type>;
  using timer = asio::basic_waitable_timer<clock, asio::wait_traits<clock>, executor_type>;

  executor_type executor_;
  std::vector<connection> connections_;
  asio::experimental::concurrent_channel<executor_type, void(boost::system::error_code, connection*)> idle_;
};
using channel_pool = basic_channel_pool<channel_deadline::careful>;
using channel_pool_operator = basic_channel_pool<channel_deadline::operator_>;
static_assert(coroutine_pool<channel_pool>);

/// The same channel, for threads that do not wait.
class channel_try_pool {
 public:
  static constexpr std::string_view name = "channel_try";

  explicit channel_try_pool(std::uint32_t size) : pool_(context_, size) {}
  [[nodiscard]] connection* acquire(time_point) { return pool_.try_acquire(); }
  void release(connection* held) { pool_.release(held); }
  [[nodiscard]] static std::uint32_t id_of(const connection* held) { return held->id; }
  [[nodiscard]] std::size_t idle() { return pool_.idle(); }

 private:
  asio::io_context context_{1};
  channel_pool pool_;
};
static_assert(thread_pool<channel_try_pool>);

}  // namespace weir_peers
