#pragma once
/// \file
/// Running coroutines in tests.

#include <gtest/gtest.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <optional>

namespace weir::testing_support {

/// How a coroutine ended, and how long that took.
struct ending {
  std::exception_ptr error;
  std::chrono::steady_clock::duration took{};

  /// Whether it ended with boost::asio::error::operation_aborted.
  [[nodiscard]] bool cancelled() const {
    try {
      if (error) std::rethrow_exception(error);
    } catch (const boost::system::system_error& e) {
      return e.code() == boost::asio::error::operation_aborted;
    } catch (...) {
    }
    return false;
  }
};

class coroutine_test : public ::testing::Test {
 protected:
  using body = std::function<boost::asio::awaitable<void>()>;

  /// Runs `b` and all that it starts; `cancel_after`: with cancellation_type::terminal after so long.
  ending finish(const body& b, std::optional<std::chrono::milliseconds> cancel_after = {}) {
    ending end;
    boost::asio::cancellation_signal signal;
    boost::asio::steady_timer timer{context_};
    const auto started = std::chrono::steady_clock::now();
    const auto on_end = [&](std::exception_ptr error) {
      end = {error, std::chrono::steady_clock::now() - started};
      timer.cancel();
    };
    boost::asio::co_spawn(context_, b(), boost::asio::bind_cancellation_slot(signal.slot(), on_end));
    if (cancel_after) {
      timer.expires_after(*cancel_after);
      timer.async_wait([&](boost::system::error_code ec) {
        if (!ec) signal.emit(boost::asio::cancellation_type::terminal);
      });
    }
    context_.restart();
    context_.run();
    return end;
  }
  /// Runs `b`, which is to end by itself.
  void run(const body& b) {
    if (const auto end = finish(b); end.error) std::rethrow_exception(end.error);
  }

  boost::asio::io_context context_{1};
};

/// The error that `a` ends with; none if it succeeds.
template <class Error, class T>
boost::asio::awaitable<std::optional<Error>> failure(boost::asio::awaitable<T> a) {
  try {
    co_await std::move(a);
  } catch (const Error& error) {
    co_return error;
  }
  co_return std::nullopt;
}

/// Far less than what is cancelled would take, which is ten seconds, and far more than a busy machine needs.
inline constexpr std::chrono::seconds soon{2};

inline std::chrono::steady_clock::time_point in(std::chrono::milliseconds d) {
  return std::chrono::steady_clock::now() + d;
}

}  // namespace weir::testing_support
