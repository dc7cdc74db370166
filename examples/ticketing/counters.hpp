#pragma once
/// \file
/// What the server counts. Everything belongs to the I/O thread, so plain integers do.

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace ticketing {

struct connection_counters {
  std::uint64_t open = 0;
  std::uint64_t accepted = 0;
  std::uint64_t refused = 0;        ///< beyond --max-connections
  std::uint64_t accept_errors = 0;  ///< out of descriptors, mostly
  std::uint64_t timed_out = 0;      ///< half a request, an answer that nobody read, silence
  std::uint64_t malformed = 0;      ///< not HTTP, or larger than the limits
  std::uint64_t hung_up = 0;        ///< the client left before it had its answer
};

[[nodiscard]] boost::json::object to_json(const connection_counters&);

struct service_counters {
  connection_counters connections;
  /// By route ("POST /api/users"; "other" for what is none) and status. 499: the client had left.
  std::map<std::string, std::map<unsigned, std::uint64_t>, std::less<>> requests;
  std::uint64_t store_errors = 0;
  std::string last_store_error;
};

}  // namespace ticketing
