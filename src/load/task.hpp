#pragma once
/// \file
/// The driver's coroutines: one thread, one io_context, so the concrete executor, without type erasure.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>

namespace weir::load {

using loop_executor = boost::asio::io_context::executor_type;
template <class T>
using task = boost::asio::awaitable<T, loop_executor>;
inline constexpr boost::asio::use_awaitable_t<loop_executor> use_task{};
using timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                boost::asio::wait_traits<std::chrono::steady_clock>, loop_executor>;

}  // namespace weir::load
