#pragma once
/// \file
/// What all connections of a driver together did: bytes, connections, failures on our own side.

#include <weir/core/time.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <string>

namespace weir::load {

struct traffic {
  std::uint64_t bytes_sent = 0, bytes_received = 0;
  std::uint64_t connections_opened = 0;
  std::uint64_t open_now = 0, open_peak = 0;
  std::uint64_t per_minute_peak = 0;
  std::map<std::string, std::uint64_t> own_errors;

  /// A local port is taken, and for a minute after its end (TIME_WAIT) stays so.
  void opened(time_point now) {
    ++connections_opened;
    open_peak = std::max(open_peak, ++open_now);
    if (last_minute_.empty() || now - last_minute_.back().second_begin >= std::chrono::seconds{1}) {
      last_minute_.push_back({now, 0});
    }
    ++last_minute_.back().count;
    ++in_last_minute_;
    while (now - last_minute_.front().second_begin > std::chrono::seconds{60}) {
      in_last_minute_ -= last_minute_.front().count;
      last_minute_.pop_front();
    }
    per_minute_peak = std::max(per_minute_peak, in_last_minute_);
  }
  void closed() noexcept { --open_now; }

 private:
  struct second {
    time_point second_begin;
    std::uint64_t count;
  };
  std::deque<second> last_minute_;
  std::uint64_t in_last_minute_ = 0;
};

}  // namespace weir::load
