#pragma once
/// \file
/// What the command line says of the waiting rooms.

#include <weir/core/config.hpp>
#include <weir/core/time.hpp>
#include <weir/room/room_config.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace ticketing {

struct room_options {
  weir::rate admit{50, std::chrono::seconds{10}};
  weir::room_pace pace = weir::room_pace::strict;
  std::uint32_t max_active = 0;  ///< 0: no limit
  weir::duration claim_window = std::chrono::seconds{30};
  weir::duration session = std::chrono::minutes{10};
  double polls_per_s = 5000;
  std::optional<weir::time_point> opens_at{};  ///< until then who comes is collected, then drawn by lot
  std::string file;                            ///< of the store; empty: in memory
  std::string operator_token;                  ///< empty: nobody is one
};

}  // namespace ticketing
