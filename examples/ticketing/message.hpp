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

struct request {
  std::string_view method;
  std::string_view target;
  std::vector<weir::http_header> headers{};
  std::string_view body;
  weir::time_point arrival{};         ///< when its first byte had been read
  const bool* client_gone = nullptr;  ///< becomes true when the client hangs up (only where the server watches for it)

  [[nodiscard]] bool gone() const noexcept { return client_gone != nullptr && *client_gone; }
};

/// Of a body that comes by and by.
struct body_step {
  std::string text{};  ///< is sent now; may be empty
  weir::duration again_in{};
  bool ends = false;  ///< this was the last one
};

struct response {
  unsigned status = 200;
  std::string body{};                                          ///< JSON, unless a header Content-Type says otherwise
  std::chrono::seconds retry_after{};                          ///< header Retry-After, if not zero
  std::string_view allow{};                                    ///< header Allow, if not empty
  std::vector<std::pair<std::string, std::string>> headers{};  ///< more of them
  /// If there: the body is what this says, each time that its last step asked for, until it ends, the client has left, or
  /// the server stops. It must not throw.
  std::function<body_step()> steps{};
};

/// Runs on the I/O thread. Its coroutine is cancelled (terminal) when the client hangs up, if the server watches for it.
using request_handler = std::function<task<response>(const request&)>;

}  // namespace ticketing
