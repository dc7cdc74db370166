#pragma once
/// \file
/// Waiting rooms over HTTP. Compiled part over OpenSSL and Boost.JSON: link weir::http.
///
/// ```cpp
/// weir::room_handler handler{{.is_operator = [](const weir::http_request& r) { return from_our_network(r.remote); }}};
/// handler.add(room);                                           // whose name is "tickets": /rooms/tickets/...
/// handler.handle(request, [](weir::http_response answer) { ... });
/// ```
///
/// | under /rooms/{name}/        | answers                                                                              |
/// |-----------------------------|--------------------------------------------------------------------------------------|
/// | POST tickets                | 201 a new seat, 200 the one that there was: view, `token`, and `pass` if inside already;
/// | |                             | 403, 409, 423 with `opens_at`, 429, 503                                              |
/// | GET ticket                  | 200 view; 429 too early; what has come to nothing is a view too, its `state` says how |
/// | GET ticket/stream           | 200 events, see http/room_stream.hpp; 409 too far back, 503 too many: poll; 410 over |
/// | POST ticket/claim           | 200 view and `pass`; 202 view: not yet; 409 another device has it; 410 over          |
/// | DELETE ticket               | 204                                                                                  |
/// | POST session/renew          | 200 view and `pass`; 410                                                             |
/// | POST session/complete       | 204; 410                                                                             |
/// | GET status                  | 200, for everybody, may be cached for a second                                       |
/// | GET, PUT /rooms/{name}      | for operators: the limits, as JSON. PUT changes those that it names, or none:        |
/// | |                             | 400 bad_setting, with `field`. See basic_waiting_room::reconfigure                   |
/// | GET stats                   | for operators, as all that follow, each of which answers with the same statistics    |
/// | POST open, pause, resume, close, drain, passthrough | resume: 409 if the room is not paused                        |
/// | POST advance                | `{"n": 50}`: so many more are let in                                                 |
/// | POST revoke                 | `{"subject": "..."}` or `{"token": "..."}`; 404 no such seat, 410 had ended otherwise |
///
/// Anything with a token: 401 none, or not ours; 400 malformed; 410 of this room before it began afresh; 409 of another
/// device. Everything: 400, 404, 405 with Allow, 413, 414, 431, 500, 503 with Retry-After. Errors are
/// `{"error": "code", "message": "what to do"}`. A refused request changes nothing but counters.
///
/// Body of a join, all of it optional: `{"subject": "who it is", "lane": "name"}`, and a header Idempotency-Key (16 .. 128
/// characters that nobody guesses): the same key from the same device gets the same seat for 60 s. Fields that are not
/// known are ignored.
///
/// Seats come as `Authorization: Bearer`, or as cookie weir_seat_{name}; sessions as field `pass`, as Bearer, or as cookie
/// weir_pass_{name}. Both belong to a device: a secret in cookie weir_device, which is set when the first ticket is given
/// out, or in header X-Weir-Device (16 .. 128 characters), which comes first. Cookies are HttpOnly and SameSite=Lax.
///
/// The status has room, state, epoch, head, tail, rate_per_s, waiting, as_of; with several lanes also `lanes`; and of a
/// room that opens at a set time opens_at, commitment, seed (hexadecimal; null until it has opened): see room/lottery.hpp.
///
/// Times are ISO 8601 in UTC with milliseconds. A view has, whatever the state: state, position, ahead_live,
/// position_upper (null where there is none), total_waiting, eta_s {p50, p90} or null, eta_known, poll_after_ms (null: no
/// need), offer_expires_at, session_expires_at, lane, reason, as_of.

#include <weir/core/time.hpp>
#include <weir/http/message.hpp>
#include <weir/http/room_port.hpp>
#include <weir/http/room_stream.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <variant>

namespace weir::inline v0 {

/// Of requests to rooms; what is larger is refused: 413, 414, 431.
inline constexpr std::size_t room_body_limit = 4096;    ///< bytes
inline constexpr std::size_t room_target_limit = 1024;  ///< bytes
inline constexpr std::size_t room_headers_limit = 64;   ///< headers

/// The hash by which a room knows a subject, or a device: the first eight bytes of SHA-256 (FIPS 180-4), big-endian; 1 for
/// 0, which means nobody. For calls in process about who has come by HTTP. Errors: std::runtime_error if OpenSSL has no
/// SHA-256. Thread-safe.
[[nodiscard]] std::uint64_t room_hash(std::string_view text);

/// What `verify_join` says of a request to join.
struct join_verdict {
  enum class answer : std::uint8_t {
    welcome,
    rejected,   ///< 403
    too_often,  ///< 429: after `retry_after` perhaps
  };
  answer what = answer::welcome;
  duration retry_after = std::chrono::seconds{1};
};

/// Hooks are called on the thread that handles the request, under no lock; what they throw is answered by 500.
struct room_http_config {
  /// Whether a request comes from an operator. Nothing: none does.
  std::function<bool(const http_request&)> is_operator{};
  /// Asked before anything of a join is looked at. Nothing: everybody is welcome.
  std::function<join_verdict(const http_request&)> verify_join{};
  bool secure_cookies = true;             ///< sent over TLS only; false: for trying out
  std::size_t remembered_joins = 10'000;  ///< Idempotency-Keys of a room at a time; beyond, the oldest is forgotten
  room_stream_config streams{};
  /// For dates in answers. Nothing: std::chrono::system_clock.
  std::function<std::chrono::system_clock::time_point()> wall_clock{};
};

/// Any number of rooms. Thread-safe but for `add`. Copies nothing of a request but what it needs.
class room_handler {
 public:
  using done_function = std::function<void(http_response)>;

  /// Errors: std::bad_alloc.
  explicit room_handler(room_http_config config);
  ~room_handler();
  room_handler(room_handler&&) noexcept;
  room_handler& operator=(room_handler&&) noexcept;

  /// Before the first `handle`. The room outlives the handler. `waker`: the one that observes this room. Errors:
  /// std::invalid_argument if the room's name is not 1 .. 64 letters, digits, '-', '_', '.', '~' with no '.' first, or
  /// there is one of that name; std::bad_alloc.
  template <class Room>
  void add(Room& room, const room_stream_waker& waker = {}) {
    add_port(std::make_unique<room_port_of<Room>>(room), waker);
  }
  void add_port(std::unique_ptr<room_port> room, const room_stream_waker& waker = {});

  /// Whether this is the path of a room: for a server that has other paths too. O(1).
  [[nodiscard]] static bool is_for_rooms(std::string_view target) noexcept { return target.starts_with("/rooms/"); }

  /// Whether to call `stream`, if the server can send what has no end, and not `handle`. O(length of the path).
  [[nodiscard]] static bool is_for_stream(const http_request& r) noexcept {
    return r.method == "GET" && is_for_rooms(r.target) &&
           r.target.substr(0, r.target.find('?')).ends_with("/ticket/stream");
  }
  /// Tokens and devices count as for GET ticket; refusals are answers as those of `handle`. Does not throw but
  /// std::bad_alloc.
  [[nodiscard]] std::variant<http_response, room_stream> stream(const http_request& request) const;

  /// `done` is called exactly once: before this returns, or later on the thread on which the room's store reports; without
  /// a lock. It must not throw, and a copy of it may be destroyed anywhere. Complexity: that of the room's call, and
  /// O(length of the request); an early poll takes no memory of the room's and no JSON.
  void handle(const http_request& request, done_function done) const;

 private:
  struct state;
  std::unique_ptr<state> state_;
};

}  // namespace weir::inline v0
