#pragma once
/// \file
/// The queue that the reports' services had written by hand: a table of numbers, and a job that activates the next ones
/// every so often. Who has gone keeps its place, nobody is told when to ask again, and whoever is active stays so.

#include "desk.hpp"

#include <weir/http/room_credentials.hpp>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/wait_traits.hpp>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <string>
#include <unordered_map>

namespace ticketing {

class token_table final : public desk {
 public:
  /// `admit`: so many are activated every `per`.
  token_table(const weir::rate& admit, executor_type executor) : admit_(admit), timer_(executor) { activate(); }

  task<desk_reply> join(std::string user) override {
    const auto [seat, fresh] = seats_.try_emplace(std::move(user), last_ + 1);
    if (fresh) ++last_;
    desk_reply r = of(seat->second);
    r.token = std::to_string(seat->second);
    co_return r;
  }
  desk_reply look(const request& r) override {
    const std::uint64_t number = number_of(weir::bearer_of(r));
    return number == 0 ? desk_reply{.status = desk_status::no_token} : of(number);
  }
  task<desk_reply> enter(const request& r) override {
    desk_reply found = look(r);
    if (found.status == desk_status::ok) {
      if (found.view.state != weir::seat_state::active) found.status = desk_status::not_yet;
      found.pass = weir::bearer_of(r);
    }
    co_return found;
  }
  [[nodiscard]] bool is_room() const noexcept override { return false; }
  [[nodiscard]] boost::json::object counters() override {
    return {{"issued", last_}, {"activated", std::min(active_, last_)}};
  }
  /// Nothing keeps the io_context running.
  void end() noexcept { timer_.cancel(); }

 private:
  using clock = std::chrono::steady_clock;

  void activate() {
    active_ = std::min(active_ + admit_.permits, last_);
    timer_.expires_after(admit_.per);
    timer_.async_wait([this](const boost::system::error_code& ec) {
      if (!ec) activate();
    });
  }
  [[nodiscard]] std::uint64_t number_of(std::string_view token) const noexcept {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), number);
    return error == std::errc{} && end == token.data() + token.size() && number <= last_ ? number : 0;
  }
  [[nodiscard]] desk_reply of(std::uint64_t number) const noexcept {
    desk_reply r;
    const bool active = number <= active_;
    r.view.state = active ? weir::seat_state::active : weir::seat_state::waiting;
    r.view.position = active ? 0 : number - active_;
    return r;
  }

  weir::rate admit_;
  boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor_type> timer_;
  std::unordered_map<std::string, std::uint64_t> seats_;
  std::uint64_t last_ = 0, active_ = 0;
};

/// Of both services. Belongs to the I/O thread; pinned.
class token_tables {
 public:
  token_tables(const weir::rate& admit, executor_type executor) : concert_(admit, executor), flash_(admit, executor) {}

  [[nodiscard]] token_table& concert() noexcept { return concert_; }
  [[nodiscard]] token_table& flash() noexcept { return flash_; }
  void end() noexcept {
    concert_.end();
    flash_.end();
  }

 private:
  token_table concert_, flash_;
};

}  // namespace ticketing
