#pragma once
/// \file
/// The waiting rooms of the server: one for the dates of concerts, one for the flash sale. The services line their users up
/// in them, and everybody else finds them under /rooms/: same lines, same tokens.

#include "desk.hpp"
#include "message.hpp"
#include "room_options.hpp"

#include <weir/asio/room.hpp>
#include <weir/core/time.hpp>
#include <weir/http/room_handler.hpp>
#include <weir/http/room_stream.hpp>
#include <weir/room/hmac_signer.hpp>
#include <weir/room/sqlite_room_store.hpp>
#include <weir/room/waiting_room.hpp>

#include <memory>
#include <optional>
#include <string>

namespace ticketing {

/// One room and what keeps it going. Belongs to the I/O thread; pinned.
class room_desk final : public desk {
 public:
  using room_type = weir::basic_waiting_room<weir::hmac_signer, weir::default_clock, weir::room_stream_waker>;

  /// Errors: those of room and store.
  room_desk(std::string name, const room_options&, const weir::hmac_signer& keys, executor_type);

  task<desk_reply> join(std::string user) override;
  desk_reply look(const request&) override;
  task<desk_reply> enter(const request&) override;
  [[nodiscard]] bool is_room() const noexcept override { return true; }
  [[nodiscard]] boost::json::object counters() override;

  [[nodiscard]] room_type& room() noexcept { return room_; }
  /// Of those who listen to their seats in it.
  [[nodiscard]] const weir::room_stream_waker& waker() const noexcept { return waker_; }
  /// Time does not pass in it any more, and nothing of it keeps the io_context running.
  void end() noexcept;

 private:
  [[nodiscard]] desk_reply of(const weir::room_answer&) const;
  /// Whose seat or session the request brings; nothing: it brings none of this room.
  [[nodiscard]] std::optional<weir::seat_holder> holder_in(const request&) const;

  std::unique_ptr<weir::sqlite_room_store> store_;
  weir::room_stream_waker waker_;
  room_type room_;
  std::optional<weir::room_driver<room_type, executor_type>> driver_;
};

/// Belongs to the I/O thread; pinned.
class rooms {
 public:
  /// Errors: std::invalid_argument, std::runtime_error.
  rooms(const room_options&, executor_type);

  [[nodiscard]] room_desk& concert() noexcept { return concert_; }
  [[nodiscard]] room_desk& flash() noexcept { return flash_; }
  /// Everything under /rooms/.
  task<response> handle(const request&);
  void end() noexcept;

 private:
  [[nodiscard]] response stream(const weir::http_request&);

  executor_type executor_;
  weir::hmac_signer keys_;
  room_desk concert_, flash_;
  weir::room_handler handler_;
};

}  // namespace ticketing
