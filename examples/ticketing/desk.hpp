#pragma once
/// \file
/// Where the users of a service line up: the reports' table of tokens, or weir's waiting room. The services see no
/// difference.

#include "message.hpp"

#include <weir/core/config.hpp>
#include <weir/room/seat.hpp>

#include <boost/json/object.hpp>

#include <chrono>
#include <string>
#include <string_view>

namespace ticketing {

enum class desk_status : std::uint8_t {
  ok,
  not_yet,      ///< waits still, see `retry_after`
  early,        ///< has asked sooner than it was told to
  no_token,     ///< none, or none of ours
  over,         ///< the seat has ended: `view.state` says how
  full,         ///< so many wait already
  closed,       ///< takes nobody at the moment
  unavailable,  ///< cannot be written down at the moment
};

struct desk_reply {
  desk_status status = desk_status::ok;
  weir::seat_view view{};
  std::string token{};  ///< join, and of who has been given another seat
  std::string pass{};   ///< enter
  weir::duration retry_after{};
};

/// Belongs to the I/O thread.
class desk {
 public:
  virtual ~desk() = default;

  /// Who has a seat keeps it.
  virtual task<desk_reply> join(std::string user) = 0;
  virtual desk_reply look(const request&) = 0;
  /// ok: whose token the request brings is inside, as of now or before.
  virtual task<desk_reply> enter(const request&) = 0;
  /// Whether this is a waiting room: then who asks for what lies behind needs a token, and the room answers by itself.
  [[nodiscard]] virtual bool is_room() const noexcept = 0;
  [[nodiscard]] virtual boost::json::object counters() = 0;
};

/// `status` if all is well: token, state, position, etaSeconds, pollAfterMs.
[[nodiscard]] response answer_of(const desk_reply&, unsigned status = 200);

}  // namespace ticketing
