#include "answer_check.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
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

/// `document`: nullptr if the body is not JSON.
bool holds(const scenario::json_match& match, const json::value* document) {
  const json::value* value = document == nullptr ? nullptr : find(*document, match.pointer);
  if (value == nullptr) return false;
  return match.equals.empty() || std::any_of(match.equals.begin(), match.equals.end(), [&](const auto& wanted) {
           return std::visit([&](const auto& expected) { return equals(*value, expected); }, wanted);
         });
}

bool holds(const scenario::body_check& check, std::string_view body, const json::value* document) {
  return check.match ? holds(*check.match, document) : body.find(check.contains) != std::string_view::npos;
}

std::optional<json::value> parse(std::string_view body) {
  boost::system::error_code ec;
  json::value out = json::parse(json::string_view{body.data(), body.size()}, ec);
  return ec ? std::nullopt : std::optional{std::move(out)};
}

/// nullopt: there are no milliseconds. A time that has passed is none: it would be asked again at once, and again.
std::optional<duration> read_hint(const std::string& pointer, const json::value* document) {
  constexpr double longest_ms = 24 * 3600 * 1e3;
  const json::value* hint = document == nullptr || pointer.empty() ? nullptr : find(*document, pointer);
  if (hint == nullptr || !hint->is_number()) return std::nullopt;
  const double ms = std::min(hint->to_number<double>(), longest_ms);
  if (!(ms >= 0)) return std::nullopt;
  return std::chrono::round<duration>(std::chrono::duration<double, std::milli>{ms});
}

}  // namespace

answer_findings inspect_answer(const scenario::step& step, std::string_view body) {
  answer_findings out;
  if (step.capture.empty() && step.checks.empty() && step.pause_hint.empty()) return out;
  const std::optional<json::value> parsed = parse(body);
  const json::value* document = parsed ? &*parsed : nullptr;
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
  out.hint = read_hint(step.pause_hint, document);
  return out;
}

poll_answer read_poll(const scenario::poll& poll, std::string_view body) {
  const std::optional<json::value> parsed = parse(body);
  const json::value* document = parsed ? &*parsed : nullptr;
  poll_answer out;
  if (holds(poll.until, document)) return out;
  out.says = poll.give_up && holds(*poll.give_up, document) ? poll_answer::word::given_up : poll_answer::word::wait;
  out.hint = read_hint(poll.hint, document);
  return out;
}

}  // namespace weir::load
