#include "hosted_room.hpp"

#include <weir/http/room_handler.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>
#include <utility>

namespace weir::inline v0 {
namespace {

using detail::room_action;

struct route {
  std::string_view path, method;
  room_action what;
};
constexpr std::array routes{
    route{"ticket", "GET", room_action::look},
    route{"status", "GET", room_action::status},
    route{"tickets", "POST", room_action::join},
    route{"ticket/stream", "GET", room_action::stream},
    route{"ticket/claim", "POST", room_action::claim},
    route{"ticket", "DELETE", room_action::leave},
    route{"session/renew", "POST", room_action::renew},
    route{"session/complete", "POST", room_action::complete},
    route{"stats", "GET", room_action::stats},
    route{"open", "POST", room_action::open},
    route{"pause", "POST", room_action::pause},
    route{"resume", "POST", room_action::resume},
    route{"close", "POST", room_action::close},
    route{"drain", "POST", room_action::drain},
    route{"passthrough", "POST", room_action::passthrough},
    route{"advance", "POST", room_action::advance},
    route{"revoke", "POST", room_action::revoke},
    route{"", "GET", room_action::settings},
    route{"", "PUT", room_action::change_settings},
};

/// Fits into paths and names of cookies as it is.
bool is_plain(std::string_view name) noexcept {
  return !name.empty() && name.size() <= 64 && name.front() != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"-_.~"}.find(c) != std::string_view::npos;
  });
}

http_response no_method(std::string_view path) {
  std::string allow;
  for (const route& r : routes) {
    if (r.path != path) continue;
    if (!allow.empty()) allow += ", ";
    allow += r.method;
  }
  http_response a = detail::error_response(405, "method_not_allowed", "this path takes " + allow);
  a.headers.emplace_back("Allow", std::move(allow));
  return a;
}

}  // namespace

struct room_handler::state {
  std::shared_ptr<const room_http_config> config;
  std::map<std::string, std::shared_ptr<detail::hosted_room>, std::less<>> rooms;

  struct found_room {
    detail::hosted_room* room;
    room_action what;
  };
  /// Nothing: `done` has been taken.
  std::optional<http_response> answer(const http_request& r, done_function& done) const {
    auto found = find(r);
    if (auto* refused = std::get_if<http_response>(&found)) return std::move(*refused);
    const auto [room, what] = std::get<found_room>(found);
    return room->serve(what, r, done);
  }
  std::variant<http_response, room_stream> stream(const http_request& r) const {
    auto found = find(r);
    if (auto* refused = std::get_if<http_response>(&found)) return std::move(*refused);
    const auto [room, what] = std::get<found_room>(found);
    if (what != room_action::stream) return detail::error_response(404, "no_such_path", "this is no stream");
    return room->open_stream(r);
  }
  [[nodiscard]] std::variant<http_response, found_room> find(const http_request& r) const {
    using detail::error_response;
    if (r.target.size() > room_target_limit) {
      return error_response(414, "target_too_long", "the path must have at most 1024 bytes");
    }
    std::string_view path = r.target.substr(0, r.target.find('?'));
    if (!is_for_rooms(path)) return error_response(404, "no_such_path", "rooms are under /rooms/{name}/");
    path.remove_prefix(std::string_view{"/rooms/"}.size());
    const std::string_view name = path.substr(0, path.find('/'));
    const auto room = rooms.find(name);
    if (room == rooms.end()) return error_response(404, "no_such_room", "there is no waiting room of this name here");
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    const auto* const found =
        std::find_if(routes.begin(), routes.end(), [&](const route& t) { return t.path == path && t.method == r.method; });
    if (found == routes.end()) {
      const bool known = std::any_of(routes.begin(), routes.end(), [&](const route& t) { return t.path == path; });
      return known ? no_method(path) : error_response(404, "no_such_path", "a waiting room has no such path");
    }
    if (r.headers.size() > room_headers_limit) {
      return error_response(431, "too_many_headers", "there must be at most 64 headers");
    }
    if (r.body.size() > room_body_limit) {
      return error_response(413, "body_too_large", "the body must have at most 4096 bytes");
    }
    return found_room{room->second.get(), found->what};
  }
};

room_handler::room_handler(room_http_config config) : state_(std::make_unique<state>()) {
  if (!config.wall_clock) config.wall_clock = [] { return std::chrono::system_clock::now(); };
  state_->config = std::make_shared<const room_http_config>(std::move(config));
}
room_handler::~room_handler() = default;
room_handler::room_handler(room_handler&&) noexcept = default;
room_handler& room_handler::operator=(room_handler&&) noexcept = default;

void room_handler::add_port(std::unique_ptr<room_port> room, const room_stream_waker& waker) {
  const std::string name = room->config().name;
  if (!is_plain(name)) {
    throw std::invalid_argument(
        "room_handler::add: the room \"" + name +
        "\" must have a name of 1 .. 64 letters, digits, '-', '_', '.', '~', no '.' first, to have a path");
  }
  if (state_->rooms.contains(name))
    throw std::invalid_argument("room_handler::add: there is a room \"" + name + "\" already");
  state_->rooms.emplace(name, std::make_shared<detail::hosted_room>(std::move(room), state_->config, waker.places_));
}

void room_handler::handle(const http_request& request, done_function done) const {
  std::optional<http_response> answer;
  try {
    answer = state_->answer(request, done);
  } catch (...) {  // what it was is nobody's business outside
    answer = detail::error_response(500, "internal", "something went wrong here; try again later", std::chrono::seconds{1});
  }
  if (answer) done(*std::move(answer));
}

std::variant<http_response, room_stream> room_handler::stream(const http_request& request) const {
  try {
    return state_->stream(request);
  } catch (...) {
    return detail::error_response(500, "internal", "something went wrong here; try again later", std::chrono::seconds{1});
  }
}

}  // namespace weir::inline v0
