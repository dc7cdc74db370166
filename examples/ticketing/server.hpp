#pragma once
/// \file
/// The HTTP/1.1 server: connections, limits, time-outs, shutdown. Knows nothing of what the service does.

#include "counters.hpp"
#include "message.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace ticketing {

struct server_options {
  std::string name = "ticketing";  ///< of the program, in answers and messages
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  std::size_t max_connections = 20'000;
  std::uint32_t header_limit = 8 * 1024;              ///< bytes; larger: 431
  std::uint64_t body_limit = 64 * 1024;               ///< bytes; larger: 413
  std::chrono::milliseconds request_timeout{10'000};  ///< reading one request (408), writing one answer
  std::chrono::milliseconds idle_timeout{60'000};     ///< silence before a request: closed
  bool watch_clients = false;                         ///< notice that a client hangs up while its request is handled
};

/// Not thread-safe: lives on the I/O thread. The counters and what the handler refers to must outlive the io_context's run.
class server {
 public:
  /// Binds and starts to accept. Errors: boost::system::system_error (address in use, bad address).
  server(boost::asio::io_context&, const server_options&, connection_counters&, request_handler);
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  [[nodiscard]] std::uint16_t port() const;
  /// Accepts no more, closes silent connections; the others end after the request that they are at. Once none is left,
  /// `ended` is called, and nothing of the server's keeps the io_context running.
  void stop(std::function<void()> ended);
  /// Closes every connection and cancels every handler.
  void abort();

 private:
  struct state;
  std::shared_ptr<state> state_;
};

}  // namespace ticketing
