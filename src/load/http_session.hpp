#pragma once
/// \file
/// One keep-alive HTTP/1.1 connection to the target, opened when it is needed. The only part of the driver behind which
/// Boost.Beast is; nothing of it shows here. The demo's gateway asks its services by it, too.

#include "task.hpp"
#include "traffic.hpp"

#include <weir/core/time.hpp>

#include <boost/asio/ip/tcp.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::load {

/// How one request ended.
struct exchange {
  enum class ending : std::uint8_t {
    answered,   ///< a whole HTTP answer came
    timed_out,  ///< none came in time; the connection is dropped
    broken,     ///< refused, reset, closed early, or not HTTP
    own_error,  ///< this machine had no port, descriptor or memory for it: says nothing about the server
    cancelled,  ///< `cancel()` ended it
  };
  exchange::ending end = ending::broken;
  unsigned status = 0;
  std::string body;
  bool streams = false;  ///< the body is still to come: `more`
  /// The connection had been idle, and ended without a byte of an answer: it seems that its end and the request crossed.
  bool crossed = false;
  std::optional<duration> retry_after;                       ///< the header, if it holds seconds
  std::vector<std::pair<std::string, std::string>> headers;  ///< in their order, if the session keeps them
  std::string_view failure{};                                ///< "connection refused": why there is no answer; static text
  time_point sent{};  ///< when writing began; when it failed before that: when it was asked for
  time_point done{};
};

struct session_options {
  std::uint64_t largest_body = 16'000'000;  ///< bytes; a larger answer is a broken one
  bool keep_headers = false;                ///< of answers
  /// An answer 200 of this Content-Type is told when its head has come, however large it is; empty: none is.
  std::string_view streamed_type{};
};

/// Pinned. Used by one coroutine at a time; `cancel()` from outside of it, on the same thread.
class http_session {
 public:
  /// `traffic` must outlive it.
  http_session(boost::asio::io_context&, boost::asio::ip::tcp::endpoint target, traffic&, session_options = {});
  ~http_session();
  http_session(const http_session&) = delete;
  http_session& operator=(const http_session&) = delete;

  /// Sends `request` as it is and reads the answer. `timeout` is for all of it, connecting included. `to_head`: the answer
  /// has no body. An idle connection that the server has closed is replaced first, without a word. What comes before the
  /// answer (1xx) is passed over.
  [[nodiscard]] task<exchange> send(std::string_view request, duration timeout, bool to_head);
  /// Of an answer that streams: what has come since, at most 64 KB. Empty: it has ended, or nothing came within `silence`,
  /// and the connection is dropped.
  [[nodiscard]] task<std::string> more(duration silence);

  /// Ends what is under way; no request can be sent after it.
  void cancel() noexcept;

 private:
  class connection;
  std::unique_ptr<connection> connection_;
};

/// The value of a Retry-After header in seconds, whole or with a fraction; nullopt: a date, or nonsense.
[[nodiscard]] std::optional<duration> parse_retry_after(std::string_view value) noexcept;

}  // namespace weir::load
