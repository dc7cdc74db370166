#include "request_body.hpp"

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <array>
#include <cstddef>

namespace weir::inline v0::detail {
namespace {

namespace json = boost::json;

/// The member, or nothing if it is not there or null.
const json::value* find(const json::object& object, const char* name) {
  const json::value* value = object.if_contains(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

body_problem take_text(const json::object& object, const char* name, std::size_t most, std::optional<std::string>& into) {
  const json::value* value = find(object, name);
  if (value == nullptr) return std::nullopt;
  const json::string* text = value->if_string();
  if (text == nullptr || text->empty() || text->size() > most) {
    return "field \"" + std::string{name} + "\" must be a string of 1 .. " + std::to_string(most) + " bytes";
  }
  into.emplace(text->data(), text->size());
  return std::nullopt;
}

body_problem take_count(const json::object& object, const char* name, std::uint64_t most,
                        std::optional<std::uint64_t>& into) {
  const json::value* value = find(object, name);
  if (value == nullptr) return std::nullopt;
  const std::int64_t* number = value->if_int64();
  if (number == nullptr || *number < 1 || static_cast<std::uint64_t>(*number) > most) {
    return "field \"" + std::string{name} + "\" must be an integer, 1 .. " + std::to_string(most);
  }
  into = static_cast<std::uint64_t>(*number);
  return std::nullopt;
}

}  // namespace

body_problem read_fields(std::string_view body, request_fields& into) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) return std::nullopt;
  std::array<unsigned char, 2048> memory;
  json::monotonic_resource near{memory.data(), memory.size()};
  json::parse_options options;
  options.max_depth = 8;
  boost::system::error_code ec;
  const json::value value = json::parse(json::string_view{body.data(), body.size()}, ec, &near, options);
  if (ec == json::error::too_deep) return "the body is nested more than 8 deep";
  if (ec) return "the body is no valid JSON: " + ec.message();
  const json::object* object = value.if_object();
  if (object == nullptr) return "the body must be a JSON object, such as {\"subject\": \"...\"}";
  if (auto p = take_text(*object, "subject", 256, into.subject)) return p;
  if (auto p = take_text(*object, "lane", 64, into.lane)) return p;
  if (auto p = take_text(*object, "token", 128, into.token)) return p;
  if (auto p = take_text(*object, "pass", 128, into.pass)) return p;
  return take_count(*object, "n", 100'000'000, into.n);
}

}  // namespace weir::inline v0::detail
