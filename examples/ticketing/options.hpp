#pragma once
/// \file
/// The command line of the demo server.

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>

namespace ticketing {

struct options {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;       ///< 0: a free one, printed
  std::string database;            ///< empty: a fresh file in the temporary directory, removed at the end
  std::int64_t stock = 1'000'000;  ///< tickets on sale when the database is created
  unsigned workers = 0;            ///< hash threads; 0: processors - 1, at least 1
  unsigned cost = 10;              ///< bcrypt: 2^cost rounds
  bool protection = false;
  std::chrono::milliseconds slo{800};  ///< a registration is to be answered within this
  std::chrono::milliseconds request_timeout{10'000};
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds drain{5'000};
  std::size_t max_connections = 20'000;
  std::chrono::milliseconds measure_hash_rate{};  ///< not zero: measure for so long, print hashes per second, exit
};

/// The options, or the exit code if there is nothing to run (help, or a mistake that has been explained on stderr).
[[nodiscard]] std::variant<options, int> parse_options(int argc, char** argv);

}  // namespace ticketing
