#include "pages.hpp"

#include "assets.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <stdexcept>

namespace ticketing {
namespace {

namespace json = boost::json;
using parts = std::initializer_list<std::string_view>;

std::string joined(parts all) {
  std::string text;
  for (const std::string_view part : all) text.append(part).append("\n");
  return text;
}

/// As Content-Security-Policy names what may run: 'sha256-...'.
std::string source_of(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned size = 0;
  if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("pages: no SHA-256");
  }
  std::array<unsigned char, 4 * ((EVP_MAX_MD_SIZE + 2) / 3) + 1> base64;
  const int length = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(size));
  return "'sha256-" + std::string(base64.begin(), base64.begin() + length) + "'";
}

/// JSON that may stand within a script element.
std::string json_of(const std::vector<listed_room>& rooms) {
  json::array all;
  for (const listed_room& r : rooms) {
    const json::object title{{"en", r.title}, {"ko", r.title_ko.empty() ? r.title : r.title_ko}};
    all.push_back(json::object{{"name", r.name}, {"title", title}, {"link", r.link}, {"streams", r.streams}});
  }
  std::string text;
  for (const char c : json::serialize(all)) c == '<' ? text += "\\u003c" : text += c;
  return text;
}

/// The one place of "{{name}}" in `text`.
void fill(std::string& text, std::string_view name, std::string_view value) {
  const std::string hole = "{{" + std::string(name) + "}}";
  const auto at = text.find(hole);
  if (at == text.npos) throw std::logic_error("pages: no place for " + hole);
  text.replace(at, hole.size(), value);
}

std::string_view after(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) ? path.substr(prefix.size()) : std::string_view{};
}

}  // namespace

pages::pages(std::vector<listed_room> rooms) : rooms_(std::move(rooms)) {
  const auto made = [&](std::string_view content, parts styles, parts scripts, std::string_view notes = {}) {
    const std::string style = joined(styles), script = joined(scripts);
    document d{
        .body = std::string(assets::frame_html()),
        .policy = "default-src 'none'; script-src " + source_of(script) + "; style-src " + source_of(style) +
                  "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                  "require-trusted-types-for 'script'; trusted-types 'none'"};
    fill(d.body, "style", style);
    fill(d.body, "content", content);
    fill(d.body, "notes", notes);
    fill(d.body, "script", script);
    fill(d.body, "rooms", json_of(rooms_));  // last: a title may have anything in it
    return d;
  };
  using namespace assets;
  index_ = made(index_html(), {style_css()}, {words_js(), language_js(), requests_js(), elements_js(), index_js()});
  fan_ = made(fan_html(), {style_css(), fan_css()},
              {words_js(), language_js(), requests_js(), fan_state_js(), fan_screen_js(), fan_js()});
  operator_ = made(operator_html(), {style_css(), operator_css()},
                   {chart_js(), words_js(), language_js(), requests_js(), elements_js(), operator_state_js(),
                    operator_limits_state_js(), operator_charts_js(), operator_limits_js(), operator_js()},
                   "<!--\n" + std::string(chart_js_license()) + "-->");
}

std::optional<page> pages::page_for(std::string_view path) const {
  const auto shown = [](const document& d, unsigned status) {
    return page{.status = status,
                .content_type = "text/html; charset=utf-8",
                .body = d.body,
                .headers = {{"Cache-Control", "no-cache"},
                            {"Content-Security-Policy", d.policy},
                            {"X-Content-Type-Options", "nosniff"},
                            {"Referrer-Policy", "same-origin"}}};
  };
  const auto of_room = [&](const document& d, std::string_view name) -> std::optional<page> {
    if (name.find('/') != name.npos) return std::nullopt;
    return shown(d, std::ranges::any_of(rooms_, [&](const listed_room& r) { return r.name == name; }) ? 200 : 404);
  };
  if (path == "/") return shown(index_, 200);
  if (const auto name = after(path, "/fan/"); !name.empty()) return of_room(fan_, name);
  if (const auto name = after(path, "/operator/"); !name.empty()) return of_room(operator_, name);
  return std::nullopt;
}

}  // namespace ticketing
