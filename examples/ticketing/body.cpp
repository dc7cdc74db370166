#include "body.hpp"

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace ticketing {
namespace {

namespace json = boost::json;

json::string_view view(std::string_view s) { return {s.data(), s.size()}; }
std::string quoted(std::string_view field) { return "field \"" + std::string(field) + "\""; }

const json::value& find(const json::object& object, std::string_view field) {
  const json::value* value = object.if_contains(view(field));
  if (value == nullptr) throw bad_body(quoted(field) + " is missing");
  return *value;
}

}  // namespace

struct request_body::parsed {
  json::object object;
};

request_body::request_body(std::string_view text) {
  boost::system::error_code ec;
  json::value value = json::parse(view(text), ec);
  if (ec) throw bad_body("the body is not valid JSON: " + ec.message());
  if (!value.is_object()) throw bad_body("the body must be a JSON object");
  parsed_ = std::make_unique<parsed>(parsed{std::move(value.get_object())});
}

request_body::~request_body() = default;

std::string request_body::text(std::string_view field, std::size_t least, std::size_t most) const {
  const json::string* s = find(parsed_->object, field).if_string();
  if (s == nullptr) throw bad_body(quoted(field) + " must be a string");
  if (s->size() < least || s->size() > most) {
    throw bad_body(quoted(field) + " must have " + std::to_string(least) + " to " + std::to_string(most) + " bytes, has " +
                   std::to_string(s->size()));
  }
  if (s->find('\0') != json::string::npos) throw bad_body(quoted(field) + " must not contain a NUL");
  return {s->data(), s->size()};
}

std::int64_t request_body::integer(std::string_view field, std::int64_t least, std::int64_t most) const {
  const std::int64_t* n = find(parsed_->object, field).if_int64();
  if (n == nullptr || *n < least || *n > most) {
    throw bad_body(quoted(field) + " must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return *n;
}

std::string error_json(std::string_view message) { return json::serialize(json::value{{"error", view(message)}}); }

}  // namespace ticketing
