#pragma once
/// \file
/// What a server's process owes its surroundings: descriptors for its connections, and an orderly end.

#include "server.hpp"

#include <boost/asio/basic_signal_set.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/wait_traits.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

namespace ticketing {

/// Every connection is a descriptor; the soft limit is often 1024. `others`: what is needed beside. Returns how many
/// connections there can be, and says on stderr if these are fewer.
[[nodiscard]] std::size_t raise_descriptor_limit(const std::string& program, std::size_t connections, std::size_t others);

/// SIGTERM and SIGINT: stop, and abort what has not ended within `drain`; a second signal aborts at once. Belongs to the
/// I/O thread; pinned.
class shutdown_sequence {
 public:
  struct hooks {
    std::function<void()> abandon;  ///< what is still running is given up; who waits is to be told so
    std::function<void()> end;      ///< the last connection has gone: nothing may keep the io_context running
  };

  shutdown_sequence(boost::asio::io_context&, std::string program, std::chrono::milliseconds drain, server&, hooks);
  shutdown_sequence(const shutdown_sequence&) = delete;
  shutdown_sequence& operator=(const shutdown_sequence&) = delete;

 private:
  using clock = std::chrono::steady_clock;

  void begin();
  void finish();
  void abort();

  boost::asio::basic_signal_set<executor_type> signals_;
  boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor_type> timer_;
  std::string program_;
  std::chrono::milliseconds drain_;
  server& server_;
  hooks hooks_;
  bool aborting_ = false;
};

}  // namespace ticketing
