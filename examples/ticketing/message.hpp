#pragma once
/// \file
/// What passes between the HTTP unit and the routes: plain structures, so that only server.cpp knows Beast.

#include <weir/core/time.hpp>
#include <weir/http/message.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ticketing {

/// Everything runs on the one I/O thread; a concrete executor spares the type erasure of any_io_executor.
using executor_type = boost::asio::io_context::executor_type;
template <class T>
using task = boost::asio::awaitable<T, executor_type>;
inline constexpr boost::asio::use_awaitable_t<executor_type> use_task{};

struct request : weir::http_request {
  weir::time_point arrival{};         ///< when its first byte had been read
  const bool* client_gone = nullptr;  ///< becomes true when the client hangs up (only where the server watches for it)

  [[nodiscard]] bool gone() const noexcept { return client_gone != nullptr && *client_gone; }
};

/// A body that comes by and by. Belongs to the I/O thread; destroyed when it has ended, the client has left, or the server
/// stops.
class body_source {
 public:
  body_source() = default;
  body_source(const body_source&) = delete;
  body_source& operator=(const body_source&) = delete;
  virtual ~body_source() = default;

  /// What is sent next; empty: that was all. It is written before this is called again, so that a slow client slows it
  /// down. Cancelled (terminal) when the client hangs up or the server stops. Errors: none.
  virtual task<std::string> next() = 0;
};

struct response {
  unsigned status = 200;
  std::string body{};                                          ///< JSON, unless a header Content-Type says otherwise
  std::chrono::seconds retry_after{};                          ///< header Retry-After, if not zero
  std::string_view allow{};                                    ///< header Allow, if not empty
  std::vector<std::pair<std::string, std::string>> headers{};  ///< more of them
  std::shared_ptr<body_source> source{};  ///< if there: what the body is, until it ends; `status` is 200 then
};

/// Runs on the I/O thread. Its coroutine is cancelled (terminal) when the client hangs up, if the server watches for it.
using request_handler = std::function<task<response>(const request&)>;

}  // namespace ticketing
