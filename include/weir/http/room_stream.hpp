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
/// or poll. To hear of an offer at once, and not when the stream is asked next, see room_stream_waker.

#include <weir/core/time.hpp>
#include <weir/http/message.hpp>
#include <weir/room/room_effects.hpp>
#include <weir/room/seat.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
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
class stream_places;
}  // namespace detail

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
  /// `wake`: it is worth calling `next` before its time, for its seat has changed its state, or somebody else listens to it
  /// now; perhaps it has nothing to tell after all. Called on any thread, one at a time; it must not throw, nor use the
  /// stream: let it post. Once this has returned, what it was before is not called any more; nor once the stream has gone.
  /// Without a room_stream_waker: called only when somebody else listens. 200 bytes more. Errors: std::bad_alloc.
  void wake_by(std::function<void()> wake);

 private:
  friend class detail::open_stream;
  explicit room_stream(std::unique_ptr<detail::open_stream> open) noexcept;

  std::unique_ptr<detail::open_stream> open_;
};

/// An observer of a room, which wakes its streams.
///
/// ```cpp
/// using room = weir::basic_waiting_room<weir::hmac_signer, weir::default_clock, weir::room_stream_waker>;
/// weir::room_stream_waker waker;
/// room tickets{config, keys, store, waker};
/// handler.add(tickets, waker);
/// stream.wake_by([&] { post(executor, [&] { timer.cancel(); }); });   // then `next`, as when its time comes
/// ```
/// A handle: copies are the same. Of one room; an observer of more passes its events on. Thread-safe. Each change of a seat
/// costs a look while nobody listens, else a short lock and O(log streams), outside of the room's lock.
class room_stream_waker {
 public:
  /// Errors: std::bad_alloc.
  room_stream_waker();
  void on(const seat_changed& e) const noexcept {
    if (!e.first) wake(e.seat);
  }

 private:
  friend class room_handler;
  void wake(seat_id seat) const noexcept;

  std::shared_ptr<detail::stream_places> places_;
};

}  // namespace weir::inline v0
