#include "answer_check.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <utility>

namespace weir::load {
namespace {

namespace json = boost::json;

const json::value* find(const json::value& document, const std::string& pointer) {
  boost::system::error_code ec;
  return document.find_pointer(pointer, ec);
}

bool equals(const json::value& value, const bool& expected) { return value.is_bool() && value.get_bool() == expected; }
bool equals(const json::value& value, const std::string& expected) {
  return value.is_string() && std::string_view{value.get_string()} == expected;
}
bool equals(const json::value& value, const double& expected) {
  return value.is_number() && value.to_number<double>() == expected;
}
/// Exact: ids beyond 2^53 differ where the nearest doubles do not.
bool equals(const json::value& value, const std::int64_t& expected) {
  if (const std::int64_t* i = value.if_int64()) return *i == expected;
  if (const std::uint64_t* u = value.if_uint64()) return std::cmp_equal(*u, expected);
  return equals(value, static_cast<double>(expected));
}

bool holds(const scenario::body_check& check, std::string_view body, const json::value* document) {
  if (check.pointer.empty() && !check.equals) return body.find(check.contains) != std::string_view::npos;
  if (document == nullptr) return false;
  const json::value* value = find(*document, check.pointer);
  if (value == nullptr) return false;
  if (!check.equals) return true;
  return std::visit([&](const auto& expected) { return equals(*value, expected); }, *check.equals);
}

}  // namespace

answer_findings inspect_answer(const scenario::step& step, std::string_view body) {
  answer_findings out;
  if (step.capture.empty() && step.checks.empty()) return out;
  boost::system::error_code ec;
  const json::value parsed = json::parse(json::string_view{body.data(), body.size()}, ec);
  const json::value* document = ec ? nullptr : &parsed;
  for (const auto& [name, pointer] : step.capture) {
    const json::value* value = document == nullptr ? nullptr : find(*document, pointer);
    if (value == nullptr) {
      out.missing = pointer;
    } else if (const json::string* text = value->if_string()) {
      out.captured[name] = std::string{*text};
    } else {
      out.captured[name] = json::serialize(*value);
    }
  }
  for (const scenario::body_check& check : step.checks) {
    ++(holds(check, body, document) ? out.checks_passed : out.checks_failed);
  }
  return out;
}

}  // namespace weir::load
