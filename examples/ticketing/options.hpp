#pragma once
/// \file
/// The command line of the demo server.

#include "room_options.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <variant>

namespace ticketing {

struct options {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;     ///< 0: a free one, printed
  std::string postgres;          ///< URL; empty: SQLite
  std::string sqlite;            ///< path; empty: a fresh file in the temporary directory, removed at the end
  std::uint32_t pool_size = 10;  ///< connections to the database
  std::chrono::milliseconds acquire_timeout{30'000};  ///< longest wait for one of them
  std::int64_t stock = 1'000'000;                     ///< tickets on sale when the database is created
  unsigned workers = 0;                               ///< hash threads; 0: processors - 1, at least 1
  unsigned cost = 10;                                 ///< bcrypt: 2^cost rounds
  bool protection = false;
  std::chrono::milliseconds slo{800};         ///< a registration is to be answered within this
  std::chrono::milliseconds date_slo{2'500};  ///< the dates of a concert are to be answered within this
  std::chrono::milliseconds date_query{};  ///< that this query takes when alone, see date_load.hpp; 0: no time to speak of
  std::uint32_t date_limit = 6;            ///< such queries at a time
  bool room = false;                       ///< weir's waiting rooms instead of the reports' tables of tokens
  room_options rooms{};                    ///< `admit` is that of the tables, too
  std::chrono::milliseconds claim_window{30'000}, session{600'000};  ///< of the rooms
  weir::duration issue_time{};  ///< of a token by a table, see serial_station; 0: no time to speak of
  double back_end_rate = 0;     ///< of the flash sale, see shared_station; 0: takes no time
  std::chrono::milliseconds request_timeout{10'000};
  std::chrono::milliseconds idle_timeout{60'000};
  std::chrono::milliseconds drain{5'000};
  std::size_t max_connections = 20'000;
  std::chrono::milliseconds measure_hash_rate{};  ///< not zero: measure for so long, print hashes per second, exit
};

/// The options, or the exit code if there is nothing to run (help, or a mistake that has been explained on stderr).
[[nodiscard]] std::variant<options, int> parse_options(int argc, char** argv);

}  // namespace ticketing
