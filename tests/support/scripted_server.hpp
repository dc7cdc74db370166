#pragma once
/// \file
/// An HTTP server that does what a test tells it: answers late, wrongly, partly or never. Its own sockets and threads, no
/// library that the code under test uses.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace weir::testing_support {

struct server_request {
  std::string method, path;
  std::map<std::string, std::string> headers;  ///< names in lower case; repeated ones joined by ", "
  std::string body;
  std::size_t connection = 0;  ///< from 0
  std::size_t number = 0;      ///< over all connections, from 0
  std::chrono::steady_clock::time_point at{};
};

enum class reply_kind {
  answer,            ///< status, headers and body
  answer_and_close,  ///< and hangs up without having said so
  raw,               ///< `body` as it is, then hangs up
  endless,           ///< `body` as it is, then `more` again and again
  reset,             ///< RST
  hang_up,           ///< FIN without an answer
  nothing,           ///< holds the connection and says nothing
};

struct server_reply {
  reply_kind kind = reply_kind::answer;
  unsigned status = 200;
  std::string body = "{}";
  std::map<std::string, std::string> headers{};
  std::chrono::milliseconds delay{0};
  std::string more{};
};

/// Listens on 127.0.0.1 from construction to destruction, one thread per connection. `script` is called by these threads,
/// several at a time.
class scripted_server {
 public:
  explicit scripted_server(std::function<server_reply(const server_request&)> script);
  ~scripted_server();
  scripted_server(const scripted_server&) = delete;
  scripted_server& operator=(const scripted_server&) = delete;

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::size_t connections() const { return connections_; }
  /// Everything that was asked so far.
  [[nodiscard]] std::vector<server_request> requests() const;

 private:
  void accept_all();
  void serve(int socket, std::size_t connection);

  std::function<server_reply(const server_request&)> script_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<std::size_t> connections_{0};
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::vector<server_request> requests_;  // guarded by mutex_
  std::vector<int> sockets_;              // guarded by mutex_
  std::vector<std::thread> threads_;      // by the accepting thread until it has ended
  std::thread acceptor_;
};

}  // namespace weir::testing_support
