#pragma once
// What a stream remembers: whose it is, and what it has said last.

#include "hosted_room.hpp"

#include <weir/http/room_stream.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace weir::inline v0::detail {

/// One thread at a time. Keeps its room's handlers.
class open_stream {
 public:
  /// `number`: its place, which it gives back.
  open_stream(std::shared_ptr<hosted_room> room, const seat_holder& who, std::uint64_t number) noexcept
      : room_(std::move(room)), who_(who), number_(number) {}
  open_stream(const open_stream&) = delete;
  open_stream& operator=(const open_stream&) = delete;
  ~open_stream();

  /// Errors: std::bad_alloc, and the place is free again.
  [[nodiscard]] static room_stream make(std::shared_ptr<hosted_room> room, const seat_holder& who, std::uint64_t number);

  room_stream::step next();
  void wake_by(std::function<void()> wake);

 private:
  [[nodiscard]] bool is_news(const seat_view& v, time_point now) const noexcept;
  [[nodiscard]] duration until_next(const seat_view& v, time_point now) const noexcept;
  void end(room_stream::step& s, std::string_view body);
  /// Until when nothing new will be there after all, if it was woken and found nothing.
  [[nodiscard]] duration after_waking_in_vain() noexcept;

  const std::shared_ptr<hosted_room> room_;
  const seat_holder who_;
  const std::uint64_t number_;
  bool begun_ = false, ended_ = false;
  std::uint8_t looked_in_vain_ = 0;  // since it was woken
  std::shared_ptr<stream_bell> bell_{};
  seat_view told_{};
  time_point told_at_{}, said_at_{};
};
static_assert(sizeof(open_stream) <= 320, "the bytes of a stream are promised");

}  // namespace weir::inline v0::detail
