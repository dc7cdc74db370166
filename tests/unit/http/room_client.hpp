#pragma once
// A browser of sorts, and a room that it talks to by manual clock.

#include <weir/http/room_handler.hpp>
#include <weir/room/hmac_signer.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::testing_http {

using namespace std::chrono_literals;
namespace json = boost::json;

struct answer {
  http_response r;
  json::object body;  // empty: none

  [[nodiscard]] unsigned status() const { return r.status; }
  [[nodiscard]] std::string text(std::string_view field) const {
    const json::value* v = body.if_contains(json::string_view{field.data(), field.size()});
    if (v == nullptr) return "(not there)";
    return v->is_string() ? std::string{v->get_string().data(), v->get_string().size()} : json::serialize(*v);
  }
  [[nodiscard]] std::string header(std::string_view name) const { return std::string{r.header(name)}; }
  [[nodiscard]] std::string error() const { return text("error"); }
};

/// Keeps cookies, all of them for every path.
class client {
 public:
  explicit client(const room_handler& handler, std::string room = "room") : handler_(handler), room_(std::move(room)) {}

  answer ask(std::string_view method, const std::string& path, std::string body = {}) {
    std::optional<answer> a;
    const std::string cookies = cookie_line();
    send(method, path, body, cookies, [&](http_response r) {
      EXPECT_FALSE(a.has_value()) << "answered twice";
      a = read(std::move(r));
    });
    EXPECT_TRUE(a.has_value()) << method << ' ' << path << ": not answered at once";
    return a.value_or(answer{});
  }
  answer post(const std::string& path, std::string body = {}) { return ask("POST", path, std::move(body)); }
  answer get(const std::string& path) { return ask("GET", path); }
  answer join(std::string body = {}) { return post("tickets", std::move(body)); }

  /// Answered whenever; cookies are not kept.
  void begin(std::string_view method, const std::string& path, room_handler::done_function done) {
    const std::string cookies = cookie_line();
    send(method, path, "", cookies, std::move(done));
  }
  answer read(http_response r) {
    for (const auto& [name, value] : r.headers) {
      if (name == "Set-Cookie") keep(value);
    }
    answer a{std::move(r), {}};
    if (!a.r.body.empty()) a.body = json::parse(json::string_view{a.r.body.data(), a.r.body.size()}).as_object();
    if (a.r.header("Cache-Control") != "public, max-age=1") {
      EXPECT_EQ(a.r.header("Cache-Control"), "no-store") << a.r.body;
    }
    if (a.status() >= 400) {
      EXPECT_TRUE(a.body.contains("error") && a.body.contains("message")) << a.r.body;
    }
    return a;
  }

  std::map<std::string, std::string> cookies;
  std::vector<std::pair<std::string, std::string>> headers;

 private:
  void send(std::string_view method, const std::string& path, std::string_view body, const std::string& cookie_line,
            room_handler::done_function done) {
    const std::string target = path.starts_with('/') ? path : "/rooms/" + room_ + '/' + path;
    http_request r{.method = method, .target = target, .headers = {}, .body = body, .remote = "192.0.2.1"};
    for (const auto& [name, value] : headers) r.headers.push_back({name, value});
    if (!cookie_line.empty()) r.headers.push_back({"cookie", cookie_line});
    handler_.handle(r, std::move(done));
  }
  [[nodiscard]] std::string cookie_line() const {
    std::string line;
    for (const auto& [name, value] : cookies) line += (line.empty() ? "" : "; ") + name + '=' + value;
    return line;
  }
  void keep(const std::string& set) {
    const auto equals = set.find('='), end = set.find(';');
    const std::string name = set.substr(0, equals);
    EXPECT_NE(set.find("; HttpOnly; SameSite=Lax"), std::string::npos) << set;
    if (set.find("; Max-Age=0;") != std::string::npos) {
      cookies.erase(name);
    } else {
      cookies[name] = set.substr(equals + 1, end - equals - 1);
    }
  }

  const room_handler& handler_;
  std::string room_;
};

using room_type = basic_waiting_room<hmac_signer, manual_clock>;

struct room_http : ::testing::Test {
  manual_clock clock;
  const time_point began = clock.now();
  hmac_signer keys{1, std::string(32, 'k')};
  join_verdict verdict;
  bool hook_throws = false;
  std::optional<room_type> room;
  std::optional<room_handler> handler;

  /// The wall clock shows midnight when the test begins.
  room_http_config http_config() {
    room_http_config c;
    c.is_operator = [](const http_request& r) {
      for (const auto& h : r.headers) {
        if (h.name == "X-Operator") return h.value == "yes";
      }
      return false;
    };
    c.verify_join = [this](const http_request& r) {
      EXPECT_EQ(r.remote, "192.0.2.1");
      if (hook_throws) throw std::runtime_error{"hook"};
      return verdict;
    };
    c.wall_clock = [this] {
      return std::chrono::sys_days{std::chrono::year{2026} / 1 / 1} +
             std::chrono::duration_cast<std::chrono::system_clock::duration>(clock.now() - began);
    };
    return c;
  }
  void serve(room_config config, room_store* store = nullptr) {
    config.polls.jitter = 0;
    room.emplace(config, keys, store, null_observer{}, clock);
    handler.emplace(http_config());
    handler->add(*room);
  }
  client browser() { return client{*handler}; }
  client admin() {
    client c{*handler};
    c.headers.emplace_back("X-Operator", "yes");
    return c;
  }
  /// Everything but what counts refusals.
  std::string state() {
    json::object s = admin().get("stats").body;
    json::object& totals = s["totals"].as_object();
    for (const char* counts : {"refused", "early_polls", "bound_elsewhere", "claims_held", "held_s"}) totals.erase(counts);
    for (const char* name : {"tokens_rejected", "as_of"}) s.erase(name);
    return json::serialize(s);
  }
};

}  // namespace weir::testing_http
