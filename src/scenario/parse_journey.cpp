#include "parse_parts.hpp"
#include "placeholders.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

namespace weir::scenario {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"};
constexpr std::pair<std::string_view, bool> failure_rules[] = {{"abort", true}, {"continue", false}};
constexpr std::pair<std::string_view, jitter_kind> jitters[] = {
    {"none", jitter_kind::none}, {"full", jitter_kind::full}, {"equal", jitter_kind::equal}};

bool is_token(std::string_view text) noexcept {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"!#$%&'*+-.^_`|~"}.find(c) != std::string_view::npos;
  });
}

bool has_control_character(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

std::string lowered(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

/// "POST /api/users" into method and path.
void parse_request(table_reader& reader, step& out) {
  std::string request;
  if (!reader.require("request") || !reader.text("request", request)) return;
  const std::size_t space = std::min(request.find(' '), request.size());
  out.method = request.substr(0, space);
  out.path = request.substr(std::min(space + 1, request.size()));
  if (std::find(std::begin(methods), std::end(methods), out.method) == std::end(methods)) {
    reader.error(reader.source_of("request"),
                 "unknown method '" + out.method + "' (the form is \"POST /path\")" + suggestion(out.method, methods));
  } else if (!out.path.starts_with('/') || out.path.find(' ') != std::string::npos || has_control_character(out.path)) {
    reader.error(reader.source_of("request"),
                 "the path '" + out.path + "' must begin with '/' and hold no spaces; the form is \"POST /path\"");
  }
}

void parse_headers(table_reader& reader, step& out) {
  if (!reader.text_map("headers", out.headers)) return;
  for (const auto& [name, value] : out.headers) {
    const std::string low = lowered(name);
    if (low == "host" || low == "content-length" || low == "connection" || low == "transfer-encoding") {
      reader.error(reader.source_of("headers"), "header '" + name + "' is set by the driver itself");
    } else if (!is_token(name) || has_control_character(value)) {
      reader.error(reader.source_of("headers"), "header '" + name + "' is not a legal HTTP header");
    }
  }
}

/// RFC 6901, section 3.
bool is_json_pointer(std::string_view text) noexcept {
  if (!text.empty() && text.front() != '/') return false;
  for (std::size_t at = text.find('~'); at != std::string_view::npos; at = text.find('~', at + 1)) {
    if (at + 1 == text.size() || (text[at + 1] != '0' && text[at + 1] != '1')) return false;
  }
  return true;
}

void check_pointer(table_reader& reader, std::string_view key, const std::string& pointer) {
  if (is_json_pointer(pointer)) return;
  reader.error(reader.source_of(key), "'" + pointer + "' is not a JSON pointer; the form is \"/id\" or \"/items/0/id\"");
}

std::optional<json_match::value> json_value(const toml::node& node) {
  if (const auto* b = node.as_boolean()) return b->get();
  if (const auto* i = node.as_integer()) return i->get();
  if (const auto* d = node.as_floating_point(); d != nullptr && std::isfinite(d->get())) return d->get();
  if (const auto* s = node.as_string()) return s->get();
  return std::nullopt;
}

/// 'pointer' and 'equals' in `what`; nullopt: there is no pointer.
std::optional<json_match> parse_match(table_reader& reader, const std::string& what) {
  json_match out;
  const bool has_pointer = reader.text("pointer", out.pointer);
  check_pointer(reader, "pointer", out.pointer);
  if (const toml::node* wanted = reader.node("equals")) {
    const auto add = [&](const toml::node& node) {
      if (const auto value = json_value(node)) {
        out.equals.push_back(*value);
      } else {
        reader.error(node.source(),
                     "'equals' in " + what + " must be a string, a number, true or false, or an array of these");
      }
    };
    if (const toml::array* several = wanted->as_array()) {
      for (const toml::node& node : *several) add(node);
      if (several->empty()) reader.error(wanted->source(), "'equals' in " + what + " must not be empty");
    } else {
      add(*wanted);
    }
    if (!has_pointer) reader.error(wanted->source(), "'equals' in " + what + " needs 'pointer'");
  }
  return has_pointer ? std::optional{std::move(out)} : std::nullopt;
}

body_check parse_check(reporter& report, const toml::table& table) {
  body_check out;
  table_reader reader{report, table, "a check"};
  reader.required_name(out.name);
  out.match = parse_match(reader, "a check");
  const bool by_text = reader.text("contains", out.contains);
  if (out.match.has_value() == by_text) {
    reader.error(reader.source(), "a check has either 'pointer', with or without 'equals', or 'contains'");
  }
  reader.finish();
  return out;
}

/// The table behind 'until' or 'give_up'.
std::optional<json_match> parse_condition(table_reader& poll, std::string_view key) {
  const toml::table* table = poll.table(key, R"({ pointer = "/state", equals = "done" })");
  if (table == nullptr) return std::nullopt;
  const std::string what{key};
  table_reader reader{poll.report(), *table, what};
  reader.require("pointer");
  auto out = parse_match(reader, what);
  reader.finish();
  return out;
}

poll parse_poll(reporter& report, const toml::table& table) {
  poll out;
  table_reader reader{report, table, "poll"};
  reader.require("until");
  out.until = parse_condition(reader, "until").value_or(json_match{});
  out.give_up = parse_condition(reader, "give_up");
  if (reader.text("hint", out.hint)) check_pointer(reader, "hint", out.hint);
  reader.time("every", out.every, {1ms, 24h});
  reader.count("max_polls", out.max_polls, {1, 1'000'000});
  reader.time("max_wait", out.max_wait, {1ms, 24h});
  reader.finish();
  return out;
}

step parse_step(reporter& report, const toml::table& table) {
  step out;
  table_reader reader{report, table, "a step"};
  reader.required_name(out.name);
  parse_request(reader, out);
  parse_headers(reader, out);
  reader.text("body", out.body);
  if (reader.text_map("capture", out.capture)) {
    for (const auto& [name, pointer] : out.capture) {
      check_pointer(reader, "capture", pointer);
      const std::string braced = "{" + name + "}";
      if (is_builtin_placeholder(name) || placeholders_in(braced).empty()) {
        reader.error(reader.source_of("capture"), "'" + name +
                                                      "' cannot be captured: a name of letters, digits and _ "
                                                      "other than vu, iteration, uuid is needed");
      }
    }
  }
  reader.statuses("expect", out.expect);
  for (const toml::table* check : reader.tables("checks", R"([ { name = "paid", pointer = "/paid", equals = true } ])"))
    out.checks.push_back(parse_check(report, *check));
  reader.text_map("tags", out.tags);
  for (const char* reserved : {"step", "journey", "expected_response"}) {
    if (out.tags.contains(reserved)) {
      reader.error(reader.source_of("tags"), "tag '" + std::string{reserved} + "' is set by the driver itself");
    }
  }
  reader.time("timeout", out.timeout, {1ms, 24h});
  if (const toml::table* entries = reader.table("poll", R"({ until = { pointer = "/state", equals = "done" } })")) {
    out.poll = parse_poll(report, *entries);
    reader.refuse("repeat", "has no meaning in a step with 'poll', which repeats until the answer says so");
  } else {
    reader.count("repeat", out.repeat, {1, 1'000'000});
  }
  reader.time("pause", out.pause, {0ms, 24h});
  reader.time("think", out.think, {0ms, 24h});
  if (reader.text("pause_hint", out.pause_hint)) check_pointer(reader, "pause_hint", out.pause_hint);
  reader.finish();
  return out;
}

retry parse_retry(reporter& report, const toml::table& table) {
  retry out;
  table_reader reader{report, table, "retry"};
  reader.count("max_attempts", out.max_attempts, {1, 100});
  reader.time("base", out.wait.initial, {1ms, 1h});
  reader.time("cap", out.wait.cap, {1ms, 24h});
  reader.choice("jitter", out.wait.jitter, jitters);
  reader.statuses("on", out.on);
  reader.flag("honour_retry_after", out.honour_retry_after);
  if (out.wait.cap < out.wait.initial) reader.error(reader.source(), "'cap' in retry must not be less than 'base'");
  reader.finish();
  return out;
}

/// Every placeholder must be built in or captured by an earlier step: an empty value would be sent in silence.
void check_placeholders(reporter& report, const toml::table& table, const step& s, const std::set<std::string>& captured) {
  std::vector<std::string_view> known{"vu", "iteration", "uuid"};
  known.insert(known.end(), captured.begin(), captured.end());
  const auto check = [&](std::string_view text, std::string_view key) {
    for (const std::string_view name : placeholders_in(text)) {
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      const toml::node* node = table.get(key);
      report.error(node == nullptr ? table.source() : node->source(),
                   "placeholder {" + std::string{name} + "} is not captured by an earlier step" + suggestion(name, known));
    }
  };
  check(s.path, "request");
  check(s.body, "body");
  for (const auto& [name, value] : s.headers) check(value, "headers");
}

}  // namespace

journey parse_journey(reporter& report, const toml::table& table) {
  journey out;
  table_reader reader{report, table, "[[journey]]"};
  reader.required_name(out.name);
  reader.choice("on_step_failure", out.abort_on_failure, failure_rules);
  if (const toml::table* entries = reader.table("retry", "{ max_attempts = 3 }")) out.retry = parse_retry(report, *entries);
  std::set<std::string> captured;
  if (reader.require("steps")) {
    for (const toml::table* entry : reader.tables("steps", R"([ { name = "list", request = "GET /list" } ])")) {
      step s = parse_step(report, *entry);
      check_placeholders(report, *entry, s, captured);
      for (const auto& [name, pointer] : s.capture) captured.insert(name);
      const bool twice = std::any_of(out.steps.begin(), out.steps.end(), [&](const step& o) { return o.name == s.name; });
      if (twice && !s.name.empty()) report.error(entry->source(), "there is a step '" + s.name + "' already");
      out.steps.push_back(std::move(s));
    }
    if (out.steps.empty()) reader.error(reader.source_of("steps"), "journey '" + out.name + "' has no steps");
  }
  reader.finish();
  return out;
}

}  // namespace weir::scenario
