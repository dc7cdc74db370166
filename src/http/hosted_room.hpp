#pragma once
// One room over HTTP.

#include "credentials.hpp"
#include "json_text.hpp"
#include "recent_joins.hpp"
#include "request_body.hpp"
#include "stream_places.hpp"

#include <weir/core/detail/mutex.hpp>
#include <weir/http/room_handler.hpp>
#include <weir/http/room_stream.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace weir::inline v0::detail {

/// What can be done to a room: a path and a method.
enum class room_action : std::uint8_t {
  join,
  look,
  claim,
  leave,
  renew,
  complete,
  status,
  stream,
  // The operator's.
  stats,
  open,
  pause,
  resume,
  close,
  drain,
  passthrough,
  advance,
  revoke,
  settings,
  change_settings,
};
[[nodiscard]] constexpr bool is_operators(room_action what) noexcept { return what >= room_action::stats; }

/// `{"error": code, "message": message}`, never cached.
[[nodiscard]] http_response error_response(std::uint16_t status, std::string_view code, std::string_view message);
/// The same, with Retry-After and `poll_after_ms`, if that is more than zero.
[[nodiscard]] http_response error_response(std::uint16_t status, std::string_view code, std::string_view message,
                                           duration retry_after);
/// Whole seconds, rounded up. Nothing if zero or less.
void retry_after(http_response& r, duration d);
[[nodiscard]] http_response json_response(std::uint16_t status, std::string body);
/// Why a token does not count.
[[nodiscard]] http_response refusal_of(ticket_problem problem);

/// Thread-safe. Outlives its requests by itself.
class hosted_room : public std::enable_shared_from_this<hosted_room> {
 public:
  using done_function = room_handler::done_function;
  /// Nothing: `done` has been taken, and is called later.
  using answer = std::optional<http_response>;

  hosted_room(std::unique_ptr<room_port> room, std::shared_ptr<const room_http_config> config,
              std::shared_ptr<stream_places> streams);

  /// Errors: std::bad_alloc, std::runtime_error, those of hooks; `done` is then as it was.
  answer serve(room_action what, const http_request& request, done_function& done);
  /// Errors: as serve.
  std::variant<http_response, room_stream> open_stream(const http_request& request);

 private:
  friend class detail::open_stream;
  hosted_room(const room_config& of, std::unique_ptr<room_port>&& room, std::shared_ptr<const room_http_config>&& config,
              std::shared_ptr<stream_places>&& streams);

  /// The present, on both time lines.
  struct instant {
    time_point steady;
    std::chrono::system_clock::time_point wall;

    [[nodiscard]] std::chrono::system_clock::time_point of(time_point t) const {
      return wall + std::chrono::duration_cast<std::chrono::system_clock::duration>(elapsed(steady, t));
    }
  };
  /// Who joins.
  struct joiner {
    room_join who{};
    std::string device{};           ///< the secret, if it is a new one
    std::optional<join_key> key{};  ///< of a join that may come again
    join_key key_with_device{};     ///< when it does, with what it has got
  };
  /// What somebody holds in hand; or why that does not count.
  struct held {
    read_ticket ticket{};
    answer refusal{};
  };
  struct pending;

  // Users.
  answer join(const http_request& r, done_function& done);
  http_response look(const http_request& r);
  answer claim(const http_request& r, done_function& done);
  http_response leave(const http_request& r);
  http_response renew(const http_request& r);
  http_response complete(const http_request& r);

  /// The refusal, or the answer to a join that has come again.
  answer read_joiner(const http_request& r, joiner& j);
  answer repeat(const http_request& r, const request_fields& fields, const presented& device, joiner& j);
  http_response joined(const room_answer& a, const joiner& j);
  http_response not_joined(const room_answer& a);
  http_response claimed(const room_answer& a, const seat_holder& who);
  /// `what` is over, or belongs to another device, or is not known.
  http_response refused(const room_answer& a, const seat_holder& who);
  held read_presented(token_kind kind, const http_request& r);
  held read_pass(const http_request& r);
  held read_token(token_kind kind, std::string_view text, const http_request& r);

  // The operator's, and everybody's: room_reports.cpp.
  answer operate(room_action what, const http_request& r, done_function& done);
  answer revoke(const request_fields& fields, done_function& done);
  http_response change_mode(room_action what);
  http_response change_settings(const http_request& r);
  http_response status();
  http_response stats();
  [[nodiscard]] std::string status_text(const instant& present);

  // Answers: room_answers.cpp.
  static constexpr std::int64_t seat_cookie_age = 86'400;

  [[nodiscard]] instant now() const;
  json_text& write(json_text& to, const seat_view& v);
  /// Token and pass, if there are any, also as cookies.
  http_response view_response(std::uint16_t status, const seat_view& v, std::string_view token = {},
                              std::string_view pass = {});
  /// With the token of its seat at the end of the line, if it has been moved there.
  http_response told(const seat_view& v, const seat_holder& who);
  [[nodiscard]] http_response gone() const;
  void set_cookie(http_response& r, const std::string& name, std::string_view value, std::string_view path,
                  std::int64_t seconds) const;
  /// Runs `start(request)`, and answers with `finish(answer)`: at once, or when the request is completed.
  template <class Start>
  answer run(done_function& done, std::function<http_response(const room_answer&)> finish, Start&& start);

  const std::unique_ptr<room_port> room_;
  const std::shared_ptr<const room_http_config> config_;
  const std::string name_, path_, seat_cookie_, pass_cookie_;
  std::vector<std::string> lanes_;  // their names, which stay
  recent_joins recent_;
  const std::optional<time_point> opens_at_;  // stays
  const std::shared_ptr<stream_places> streams_;

  mutex settings_mutex_;  // one change after the other
  mutex status_mutex_;
  std::shared_ptr<const std::string> status_ WEIR_GUARDED_BY(status_mutex_);
  time_point status_of_ WEIR_GUARDED_BY(status_mutex_);
};

struct hosted_room::pending final : room_request {
  static void completed(room_request& r) noexcept;

  std::function<http_response(const room_answer&)> finish;
  done_function done;
};

template <class Start>
hosted_room::answer hosted_room::run(done_function& done, std::function<http_response(const room_answer&)> finish,
                                     Start&& start) {
  auto owned = std::make_unique<pending>();
  owned->complete = pending::completed;
  owned->finish = std::move(finish);
  owned->done = std::move(done);
  pending* const request = owned.release();  // once it waits, it is nobody's but the room's
  bool at_once = true;
  try {
    at_once = start(*request);
  } catch (...) {
    owned.reset(request);
    done = std::move(owned->done);
    throw;
  }
  if (!at_once) return std::nullopt;
  owned.reset(request);
  done = std::move(owned->done);
  return owned->finish(owned->answer);
}

}  // namespace weir::inline v0::detail
