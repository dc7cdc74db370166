#pragma once
/// \file
/// What stands behind the gateway: asks it over a bounded set of connections that are kept, and nothing else. It knows
/// nothing of users, queues or services.

#include "../message.hpp"

#include <load/http_session.hpp>
#include <load/traffic.hpp>

#include <boost/asio/ip/tcp.hpp>
#include <boost/json/fwd.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace ticketing {

struct upstream_options {
  boost::asio::ip::tcp::endpoint backend;
  std::string authority;                       ///< for the Host header of a request that has none
  std::size_t max_in_flight = 115;             ///< requests at a time, and so connections; beyond: 503
  std::chrono::milliseconds timeout{10'000};   ///< from the request to the whole answer; then 504
  std::size_t max_streams = 1'000;             ///< answers that are passed on as they come, at a time; beyond: 503
  std::chrono::milliseconds silence{60'000};   ///< in which nothing came of such an answer: it is over
  std::uint64_t largest_answer = 1024 * 1024;  ///< bytes of body; larger: 502
};

/// Not thread-safe: belongs to the I/O thread. Pinned.
class upstream {
 public:
  upstream(boost::asio::io_context& io, upstream_options o) : io_(io), options_(std::move(o)) {}
  upstream(const upstream&) = delete;
  upstream& operator=(const upstream&) = delete;

  /// The service's answer; or 503 (too many under way), 504 (none in time), 502 (refused, broken, too large), 400 (a target
  /// that is no path). What was under way when the client left is given up. Events (text/event-stream) are passed on as
  /// they come: they count as under way until their head is there, and as a stream from then on.
  [[nodiscard]] task<response> forward(const request&);

  [[nodiscard]] boost::json::object counters() const;

 private:
  class place;
  class events;
  using session = std::unique_ptr<weir::load::http_session>;
  struct idle_session {
    session kept;
    std::chrono::steady_clock::time_point since;
  };

  session take();
  task<response> ask(const request&);
  response streamed(session, weir::load::exchange&&);
  response answer_of(weir::load::exchange&&) const;

  boost::asio::io_context& io_;
  upstream_options options_;
  weir::load::traffic traffic_;
  std::vector<idle_session> idle_;  // the one used last is on top
  std::size_t in_flight_ = 0, in_flight_peak_ = 0;
  std::size_t streams_ = 0, streams_peak_ = 0;
  std::map<unsigned, std::uint64_t> answers_;        // by status
  std::map<std::string, std::uint64_t> no_answers_;  // from behind: by why
};

}  // namespace ticketing
