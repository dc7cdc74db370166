#pragma once
/// \file
/// A waiting room as its HTTP handlers see it, whatever signer, clock and observer it has.
///
/// Thread-safe as the room is; the calls mean what those of `basic_waiting_room` mean.

#include <weir/room/waiting_room.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::inline v0 {
namespace detail {

/// What a token says of itself, believed by nobody: `read` with that, and it holds if the rest does.
struct token_claim {
  token_kind kind = token_kind::seat;
  std::uint64_t bind = 0;
};
[[nodiscard]] inline token_claim claim_of(std::string_view token) noexcept {
  token_data data;
  token_claim said;
  if (!from_base64url(token, data)) return said;
  if ((data[0] & 15U) == static_cast<std::uint8_t>(token_kind::pass)) said.kind = token_kind::pass;
  take_number(data.data() + token_payload - sizeof said.bind, said.bind);
  return said;
}

}  // namespace detail

class room_port {
 public:
  virtual ~room_port() = default;

  [[nodiscard]] virtual room_config config() const = 0;
  [[nodiscard]] virtual time_point now() const noexcept = 0;

  // true: `r.answer` is there; false: `r` will be completed, on any thread.
  [[nodiscard]] virtual bool join(room_request& r, const room_join& who) = 0;
  [[nodiscard]] virtual bool claim(room_request& r, const seat_holder& who) = 0;
  [[nodiscard]] virtual bool revoke(room_request& r, seat_id seat) = 0;
  [[nodiscard]] virtual bool revoke_subject(room_request& r, std::uint64_t subject) = 0;

  virtual room_answer look(const seat_holder& who) = 0;
  virtual room_answer watch(const seat_holder& who) = 0;
  virtual seat_view look_at(const seat_holder& who) = 0;
  virtual room_answer leave(const seat_holder& who) = 0;
  virtual room_answer renew(const seat_holder& who, std::uint64_t session) = 0;
  virtual room_answer complete(const seat_holder& who, std::uint64_t session) = 0;

  [[nodiscard]] virtual read_ticket read(std::string_view token, token_kind kind, std::uint64_t bind) const noexcept = 0;
  [[nodiscard]] virtual seat_token ticket_for(seat_id seat, std::uint64_t subject, std::uint64_t bind) const noexcept = 0;
  [[nodiscard]] virtual seat_token pass_for(const seat_view& view, std::uint64_t bind) const noexcept = 0;

  virtual std::optional<config_error> reconfigure(const room_config& config) = 0;
  virtual bool set_mode(room_mode mode) = 0;
  virtual void advance(std::uint64_t n) = 0;
  [[nodiscard]] virtual room_snapshot snapshot() = 0;
  [[nodiscard]] virtual std::string commitment() const = 0;
  [[nodiscard]] virtual std::optional<lottery_seed> revealed_seed() = 0;
};

/// Of a `basic_waiting_room`, which outlives it.
template <class Room>
class room_port_of final : public room_port {
 public:
  explicit room_port_of(Room& room) noexcept : room_(room) {}

  [[nodiscard]] room_config config() const override { return room_.config(); }
  [[nodiscard]] time_point now() const noexcept override { return room_.now(); }

  [[nodiscard]] bool join(room_request& r, const room_join& who) override { return room_.join(r, who); }
  [[nodiscard]] bool claim(room_request& r, const seat_holder& who) override { return room_.claim(r, who); }
  [[nodiscard]] bool revoke(room_request& r, seat_id seat) override { return room_.revoke(r, seat); }
  [[nodiscard]] bool revoke_subject(room_request& r, std::uint64_t subject) override {
    return room_.revoke_subject(r, subject);
  }

  room_answer look(const seat_holder& who) override { return room_.look(who); }
  room_answer watch(const seat_holder& who) override { return room_.watch(who); }
  seat_view look_at(const seat_holder& who) override { return room_.look_at(who); }
  room_answer leave(const seat_holder& who) override { return room_.leave(who); }
  room_answer renew(const seat_holder& who, std::uint64_t session) override { return room_.renew(who, session); }
  room_answer complete(const seat_holder& who, std::uint64_t session) override { return room_.complete(who, session); }

  [[nodiscard]] read_ticket read(std::string_view token, token_kind kind, std::uint64_t bind) const noexcept override {
    return room_.read(token, kind, bind);
  }
  [[nodiscard]] seat_token ticket_for(seat_id seat, std::uint64_t subject, std::uint64_t bind) const noexcept override {
    return room_.ticket_for(seat, subject, bind);
  }
  [[nodiscard]] seat_token pass_for(const seat_view& view, std::uint64_t bind) const noexcept override {
    return room_.pass_for(view, bind);
  }

  std::optional<config_error> reconfigure(const room_config& config) override { return room_.reconfigure(config); }
  bool set_mode(room_mode mode) override { return room_.set_mode(mode); }
  void advance(std::uint64_t n) override { room_.advance(n); }
  [[nodiscard]] room_snapshot snapshot() override { return room_.snapshot(); }
  [[nodiscard]] std::string commitment() const override { return room_.commitment(); }
  [[nodiscard]] std::optional<lottery_seed> revealed_seed() override { return room_.revealed_seed(); }

 private:
  Room& room_;
};

}  // namespace weir::inline v0
