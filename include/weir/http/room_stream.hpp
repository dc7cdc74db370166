#pragma once
/// \file
/// One who listens to its seat instead of asking: server-sent events (WHATWG HTML, section 9.2), without any I/O. Its host
/// writes what it is given, and asks again when it is told.
///
/// ```cpp
/// if (weir::room_handler::is_for_stream(request)) {
///   auto opened = handler.stream(request);                        // http_response: no stream; answer with that
///   auto& stream = std::get<weir::room_stream>(opened);
///   send_head(stream.head());                                     // without length: in chunks, or until the end
///   for (auto step = stream.next(); send(step.text) && !step.ends; step = stream.next()) sleep(step.again_in);
/// }                                                               // its place is free again
/// ```
/// Give every write a time-out, and let go of the stream when it is over: then a reader that does not read costs its seat
/// nothing but the stream, and its presence.
///
/// | event   | data                                                                                                      |
/// |---------|-----------------------------------------------------------------------------------------------------------|
/// | `view`  | the JSON of GET ticket, when there is something new in it: a new state, reason or deadline at once, a new |
/// |         | position or estimate once a second. The last one is that of the seat's end                                |
/// | `end`   | `{"error", "message"}`: `over`, the seat has ended; `replaced`, its owner listens somewhere else;         |
/// |         | `bound_elsewhere`, `unknown_seat`, as GET ticket would say. Do not come back                              |
///
/// Comments in between keep the connection alive. An end without `end` is that of the connection: come back after `retry`,
/// or poll.

#include <weir/core/time.hpp>
#include <weir/http/message.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace weir::inline v0 {

/// Streams of each room of a handler. A stream takes less than 512 bytes here, whatever becomes of it, beside what its host
/// has for a connection; at rest it asks its room `slowest`, and sends three bytes `keep_alive`.
struct room_stream_config {
  std::size_t most = 1000;         ///< of a room at a time; 0: none. Who comes later is told to poll
  std::uint64_t positions = 1000;  ///< only who is offered a turn, is inside, or at most so far back in its line
  duration fastest = std::chrono::milliseconds{250};  ///< how often the room is asked, close to the turn; > 0
  duration slowest = std::chrono::seconds{1};         ///< and else; >= fastest
  duration keep_alive = std::chrono::seconds{15};     ///< a comment after so much silence; > 0
};

namespace detail {
class open_stream;
}

/// An open stream is a sign of life of its seat as a poll is. A seat has one: a newer one ends the older. Movable; one
/// thread at a time. The room outlives it; the handler need not.
class room_stream {
 public:
  struct step {
    std::string text;     ///< to be sent now; may be empty
    duration again_in{};  ///< then call `next`
    bool ends = false;    ///< and then close: nothing more comes
  };

  room_stream(room_stream&&) noexcept;
  room_stream& operator=(room_stream&&) noexcept;
  ~room_stream();

  /// What is sent first: status and headers, no body. Errors: std::bad_alloc.
  [[nodiscard]] http_response head() const;
  /// Complexity: that of the room's look, and O(length of the text). Errors: std::bad_alloc; then close.
  [[nodiscard]] step next();

 private:
  friend class detail::open_stream;
  explicit room_stream(std::unique_ptr<detail::open_stream> open) noexcept;

  std::unique_ptr<detail::open_stream> open_;
};

}  // namespace weir::inline v0
