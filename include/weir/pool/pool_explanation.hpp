#pragma once
/// \file
/// `explain()`: everything that a pool knows about itself at one instant, as data and as JSON.

#include <weir/pool/pool_core.hpp>
#include <weir/pool/pool_snapshot.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weir::inline v0 {

[[nodiscard]] constexpr std::string_view to_string(pool_event_kind kind) noexcept {
  constexpr std::string_view words[] = {"opened", "connect_failed", "closed",        "backend_down", "backend_up",
                                        "purged", "suspected_leak", "returned_leak", "invalidated"};
  return words[static_cast<std::size_t>(kind)];
}

/// A place of the pool and the connection in it.
struct connection_explanation {
  std::uint32_t slot = 0;
  std::uint64_t number = 0;  ///< counts connections
  slot_state state{};
  duration age{};
  std::uint64_t uses = 0;  ///< of the place
  std::uint32_t endpoint = 0;
  pool_slot::use use{};  ///< in_use, lost: by whom, since when, and where it was seen last
  duration held{};       ///< in_use, lost
};

/// One who waits for a connection.
struct waiter_explanation {
  duration waited{};
  duration remaining = duration::max();  ///< until its deadline; duration::max(): it has none
  std::uint32_t tenant = 0;
  std::uint8_t priority = 0;
  char tag[detail::shared_text::most + 1]{};
  const char* file = nullptr;  ///< where it asked
  std::uint32_t line = 0;
};

struct pool_explanation {
  /// Of those who wait, so many are shown: the cost under the pool's lock must not grow with the line.
  static constexpr std::size_t most_waiters = 8;

  pool_snapshot snapshot;
  std::array<waiter_explanation, most_waiters> waiters{};  ///< those who have waited for longest, in that order
  std::size_t waiter_count = 0;
  std::vector<connection_explanation> connections;            ///< but vacant places
  std::array<pool_event, pool_core::recent_events> events{};  ///< the latest ones, oldest first
  std::size_t event_count = 0;
  time_point at{};
};

namespace detail {

inline void explain_line(const pool_core& core, time_point now, pool_explanation& into) noexcept {
  const wait_node* node = core.queue().longest();
  for (; node != nullptr && into.waiter_count < into.most_waiters; node = core.queue().behind(*node)) {
    const auto& w = *static_cast<const pool_waiter*>(node);
    waiter_explanation& e = into.waiters[into.waiter_count++];
    e.waited = std::max(duration::zero(), elapsed(w.enqueued, now));
    if (w.deadline != never) e.remaining = std::max(duration::zero(), elapsed(now, w.deadline));
    e.tenant = w.tenant;
    e.priority = w.priority;
    w.tag.copy(e.tag, fitting(w.tag, sizeof e.tag - 1));
    e.file = w.site.file_name();
    e.line = w.site.line();
  }
}

/// Under the lock. `into.connections` has room for all.
inline void explain(pool_core& core, time_point now, pool_explanation& into) noexcept {
  into.at = now;
  into.snapshot = take_snapshot(core, now);
  explain_line(core, now, into);
  for (const pool_slot* slot : core.table().slots()) {
    connection_explanation c{
        .slot = slot->id, .number = slot->number, .state = slot->state(), .uses = slot->uses(), .endpoint = slot->endpoint};
    if (c.state == slot_state::vacant || into.connections.size() == into.connections.capacity()) continue;
    if (c.state != slot_state::connecting) c.age = elapsed(slot->born, now);
    if (slot->is_held() && slot->read_use(c.use)) c.held = elapsed(c.use.since, now);
    into.connections.push_back(c);
  }
  const std::uint64_t last = core.events();
  const std::uint64_t first = last > pool_core::recent_events ? last - pool_core::recent_events : 0;
  for (std::uint64_t k = first; k < last; ++k) into.events[into.event_count++] = core.event(k + 1);
}

/// One JSON object, member by member. Small on purpose: this header is for everybody, a JSON library is not.
class json_object {
 public:
  json_object& text(std::string_view key, std::string_view value) {
    begin(key);
    quote(value);
    return *this;
  }
  json_object& number(std::string_view key, std::uint64_t value) { return raw(key, std::to_string(value)); }
  json_object& milliseconds(std::string_view key, duration d) {
    return raw(key, std::to_string(std::chrono::duration<double, std::milli>(d).count()));
  }
  json_object& truth(std::string_view key, bool value) { return raw(key, value ? "true" : "false"); }
  json_object& raw(std::string_view key, std::string_view json) {
    begin(key);
    out_ += json;
    return *this;
  }
  [[nodiscard]] std::string str() const { return out_ + '}'; }

 private:
  void begin(std::string_view key) {
    if (out_.size() > 1) out_ += ',';
    quote(key);
    out_ += ':';
  }
  void quote(std::string_view s) {
    out_ += '"';
    for (const char c : s) {
      constexpr std::string_view hex = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += c;
      } else if (byte < 0x20) {
        out_ += "\\u00";
        out_ += hex[byte >> 4];
        out_ += hex[byte & 15];
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }

  std::string out_ = "{";
};

inline std::string place(const char* file, std::uint32_t line) {
  return file == nullptr ? std::string{} : std::string{file} + ':' + std::to_string(line);
}

inline std::string json_of(const connection_explanation& c) {
  json_object o;
  o.number("slot", c.slot)
      .number("connection", c.number)
      .text("state", slot_state_names[static_cast<std::size_t>(c.state)]);
  o.number("endpoint", c.endpoint).milliseconds("age_ms", c.age).number("uses", c.uses);
  if (c.state == slot_state::in_use || c.state == slot_state::lost) {
    o.text("tag", c.use.tag).milliseconds("held_ms", c.held).text("site", place(c.use.file, c.use.line));
    if (c.use.touched_file != nullptr) o.text("last_site", place(c.use.touched_file, c.use.touched_line));
  }
  return o.str();
}

inline std::string json_of(const waiter_explanation& w) {
  json_object o;
  o.milliseconds("waited_ms", w.waited);
  if (w.remaining != duration::max()) o.milliseconds("remaining_ms", w.remaining);
  o.text("tag", w.tag).number("tenant", w.tenant).number("priority", w.priority).text("site", place(w.file, w.line));
  return o.str();
}

inline std::string json_of(const pool_event& e, time_point now) {
  json_object o;
  o.number("sequence", e.sequence).text("what", to_string(e.kind)).milliseconds("ago_ms", elapsed(e.at, now));
  if (e.kind == pool_event_kind::closed) o.text("reason", close_reason_names[static_cast<std::size_t>(e.reason)]);
  if (e.note[0] != '\0') o.text("note", e.note);
  if (e.kind != pool_event_kind::backend_down && e.kind != pool_event_kind::invalidated)
    o.number("slot", e.slot).number("connection", e.connection);
  if (e.took != duration::zero()) o.milliseconds("took_ms", e.took);
  return o.str();
}

template <class Range, class F>
std::string json_array(const Range& range, F&& each) {
  std::string out = "[";
  for (const auto& element : range) out += (out.size() > 1 ? "," : "") + each(element);
  return out + ']';
}

}  // namespace detail

/// As one JSON object: name, connections by state, those who wait, the backend, every connection, the latest events.
/// Allocates.
[[nodiscard]] inline std::string to_json(const pool_explanation& e) {
  const pool_snapshot& s = e.snapshot;
  detail::json_object o, states, backend;
  states.number("idle", s.now.idle).number("in_use", s.now.in_use).number("connecting", s.now.connecting);
  states.number("validating", s.now.validating).number("resetting", s.now.resetting).number("closing", s.now.closing);
  backend.text("state", s.now.down ? "down" : s.failing ? "degraded" : "up");
  if (s.now.down) backend.milliseconds("next_attempt_in_ms", s.now.next_probe_in);
  if (s.now.last_failure != nullptr) backend.text("last_connect_error", s.now.last_failure->text);
  o.text("pool", s.now.name.view()).number("max", s.now.max).number("min", s.min).raw("connections_by_state", states.str());
  o.number("waiting", s.now.waiting).milliseconds("oldest_wait_ms", s.now.oldest_wait);
  o.milliseconds("predicted_wait_ms", s.predicted_wait).truth("suspended", s.now.suspended).truth("closed", s.closed);
  const auto json = [](const auto& each) { return detail::json_of(each); };
  o.raw("longest_waiting",
        detail::json_array(std::vector(e.waiters.begin(), e.waiters.begin() + static_cast<std::ptrdiff_t>(e.waiter_count)),
                           json));
  o.raw("backend", backend.str());
  o.raw("connections", detail::json_array(e.connections, json));
  const std::vector<pool_event> events(e.events.begin(), e.events.begin() + static_cast<std::ptrdiff_t>(e.event_count));
  o.raw("events", detail::json_array(events, [&](const auto& event) { return detail::json_of(event, e.at); }));
  return o.str();
}

}  // namespace weir::inline v0
