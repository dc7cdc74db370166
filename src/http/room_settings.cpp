#include "room_settings.hpp"

#include "json_text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

namespace weir::inline v0::detail {
namespace {

namespace json = boost::json;
using problem = std::optional<settings_problem>;

constexpr std::array<std::string_view, 3> paces{"smooth", "batch", "strict"};
constexpr std::array<std::string_view, 3> lapses{"end", "requeue_front", "requeue_back"};
constexpr std::array<std::string_view, 2> renewals{"none", "sliding"};
constexpr std::array<std::string_view, 2> orders{"strict", "weighted"};

double seconds_of(duration d) { return std::chrono::duration<double>(d).count(); }
/// The nearest, so that what `seconds_of` says is what it came from: 1.001 s is not 1000999999 ns.
duration duration_of(double seconds) {
  return seconds < seconds_of(duration::max()) ? duration{std::llround(seconds * 1e9)} : duration::max();
}

/// No longer than `most` bytes, and no character cut in two.
std::string_view beginning_of(std::string_view text, std::size_t most) {
  if (text.size() <= most) return text;
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) --most;
  return text.substr(0, most);
}

/// Reads the members of one object; whatever is left is not known. Each step is nothing once there is a problem.
class member_reader {
 public:
  member_reader(json::object& from, std::string path) : from_(from), path_(std::move(path)) {}

  template <class T>
  void count(const char* name, T& into) {
    take(name, [&](const json::value& v) {
      const auto most = std::min<std::uint64_t>(std::numeric_limits<T>::max(), std::numeric_limits<std::int64_t>::max());
      const std::int64_t* n = v.if_int64();
      if (n == nullptr || *n < 0 || static_cast<std::uint64_t>(*n) > most) {
        return refuse(name, "must be an integer from 0 to " + std::to_string(most));
      }
      into = static_cast<T>(*n);
    });
  }
  void real(const char* name, double& into) {
    take(name, [&](const json::value& v) {
      const double value = v.is_number() ? v.to_number<double>() : std::nan("");
      if (!std::isfinite(value)) return refuse(name, "must be a number");
      into = value;
    });
  }
  void flag(const char* name, bool& into) {
    take(name, [&](const json::value& v) {
      if (!v.is_bool()) return refuse(name, "must be true or false");
      into = v.get_bool();
    });
  }
  /// `off`: what null means, if it means something.
  void seconds(const char* name, duration& into, std::optional<duration> off = std::nullopt) {
    take(name, [&](const json::value& v) {
      if (v.is_null() && off) {
        into = *off;
        return;
      }
      const double s = v.is_number() ? v.to_number<double>() : -1;
      if (!(s >= 0 && s <= seconds_of(duration::max()))) {
        return refuse(name, std::string{"must be seconds from 0 to 9.2e9"} + (off ? ", or null: off" : ""));
      }
      into = duration_of(s);
    });
  }
  template <class T>
  void choice(const char* name, std::span<const std::string_view> names, T& into) {
    take(name, [&](const json::value& v) {
      const json::string* text = v.if_string();
      const auto found = std::find(names.begin(), names.end(),
                                   text == nullptr ? std::string_view{} : std::string_view{text->data(), text->size()});
      if (found != names.end()) {
        into = static_cast<T>(found - names.begin());
        return;
      }
      std::string all = "must be one of";
      for (const auto n : names) all.append(all.back() == 'f' ? " \"" : ", \"").append(n).append("\"");
      refuse(name, std::move(all));
    });
  }
  /// `read(value)` says what is wrong.
  template <class F>
  void part(const char* name, F&& read) {
    take(name, [&](json::value& v) { problem_ = read(v); });
  }
  void refuse(std::string_view name, std::string what) {
    if (!problem_) problem_ = settings_problem{path_ + std::string{name}, std::move(what)};
  }
  problem finish() {
    if (!problem_ && !from_.empty()) {
      const auto name = from_.begin()->key();
      refuse(beginning_of({name.data(), name.size()}, 64), "is not known, or cannot be changed");
    }
    return std::move(problem_);
  }

 private:
  template <class F>
  void take(const char* name, F&& f) {
    json::value* const v = from_.if_contains(name);
    if (v == nullptr) return;
    if (!problem_) f(*v);
    from_.erase(name);
  }

  json::object& from_;
  std::string path_;
  problem problem_{};
};

problem read_admit(json::value& v, room_config& config) {
  if (v.is_null()) {
    config.admit.reset();
    return std::nullopt;
  }
  json::object* object = v.if_object();
  if (object == nullptr) return settings_problem{"admit", "must be an object, or null: no limit"};
  rate r = config.admit.value_or(rate{});
  if (!config.admit && (!object->contains("permits") || !object->contains("per_s"))) {
    return settings_problem{"admit", "must have permits and per_s, as there was no limit"};
  }
  member_reader m{*object, "admit."};
  m.count("permits", r.permits);
  m.seconds("per_s", r.per);
  config.admit = r;
  return m.finish();
}

problem read_polls(json::value& v, room_config& config) {
  json::object* object = v.if_object();
  if (object == nullptr) return settings_problem{"polls", "must be an object"};
  member_reader m{*object, "polls."};
  m.real("budget_per_s", config.polls.budget_per_s);
  m.seconds("shortest_s", config.polls.shortest);
  m.seconds("longest_s", config.polls.longest);
  m.real("jitter", config.polls.jitter);
  return m.finish();
}

problem read_lanes(json::value& v, room_config& config) {
  json::array* array = v.if_array();
  if (array == nullptr) return settings_problem{"lanes", "must be an array of objects, each with its \"lane\""};
  for (std::size_t i = 0; i < array->size(); ++i) {
    const std::string path = "lanes[" + std::to_string(i) + "]";
    json::object* object = (*array)[i].if_object();
    const json::value* name = object == nullptr ? nullptr : object->if_contains("lane");
    const auto lane = std::find_if(config.lanes.begin(), config.lanes.end(), [&](const room_lane_config& l) {
      return name != nullptr && name->is_string() &&
             std::string_view{name->get_string().data(), name->get_string().size()} == l.name;
    });
    if (lane == config.lanes.end()) return settings_problem{path + ".lane", "must be the name of a lane of this room"};
    object->erase("lane");
    member_reader m{*object, path + "."};
    m.real("weight", lane->weight);
    m.real("min_share", lane->min_share);
    m.count("cap", lane->cap);
    m.flag("bypass", lane->bypass);
    if (auto p = m.finish()) return p;
  }
  return std::nullopt;
}

}  // namespace

std::string settings_text(const room_config& c) {
  json_text text{1024};
  if (c.admit) {
    text.open("admit").add("permits", c.admit->permits).add("per_s", seconds_of(c.admit->per)).close();
  } else {
    text.null("admit");
  }
  text.add("pace", paces[static_cast<std::size_t>(c.pace)]).add("max_active", c.max_active);
  text.add("capacity", c.capacity).add("manual", c.manual).add("claim_window_s", seconds_of(c.claim_window));
  text.add("lapsed", lapses[static_cast<std::size_t>(c.lapsed)]).add("session_ttl_s", seconds_of(c.session_ttl));
  c.session_idle == duration::max() ? text.null("session_idle_s") : text.add("session_idle_s", seconds_of(c.session_idle));
  text.add("session_max_s", seconds_of(c.session_max)).add("renewal", renewals[static_cast<std::size_t>(c.renewal)]);
  text.add("overbook_at_most", c.overbook_at_most).add("presence_least_s", seconds_of(c.presence_least));
  text.add("order", orders[static_cast<std::size_t>(c.order)]).open_list("lanes");
  for (const room_lane_config& l : c.lanes) {
    text.open_element().add("lane", l.name).add("weight", l.weight).add("min_share", l.min_share);
    text.add("cap", l.cap).add("bypass", l.bypass).close();
  }
  text.close_list().open("polls").add("budget_per_s", c.polls.budget_per_s);
  text.add("shortest_s", seconds_of(c.polls.shortest)).add("longest_s", seconds_of(c.polls.longest));
  text.add("jitter", c.polls.jitter).close().add("eta_memory_s", seconds_of(c.eta_memory));
  return std::move(text).take();
}

std::optional<settings_problem> read_settings(std::string_view body, room_config& config) {
  std::array<unsigned char, 4096> memory;
  json::monotonic_resource near{memory.data(), memory.size()};
  json::parse_options options;
  options.max_depth = 4;
  boost::system::error_code ec;
  json::value value = json::parse(json::string_view{body.data(), body.size()}, ec, &near, options);
  json::object* object = ec ? nullptr : value.if_object();
  if (object == nullptr) {
    return settings_problem{"", "the body must be a JSON object, such as {\"max_active\": 100}"};
  }
  member_reader m{*object, ""};
  m.part("admit", [&](json::value& v) { return read_admit(v, config); });
  m.choice("pace", paces, config.pace);
  m.count("max_active", config.max_active);
  m.count("capacity", config.capacity);
  m.flag("manual", config.manual);
  m.seconds("claim_window_s", config.claim_window);
  m.choice("lapsed", lapses, config.lapsed);
  m.seconds("session_ttl_s", config.session_ttl);
  m.seconds("session_idle_s", config.session_idle, duration::max());
  m.seconds("session_max_s", config.session_max);
  m.choice("renewal", renewals, config.renewal);
  m.real("overbook_at_most", config.overbook_at_most);
  m.seconds("presence_least_s", config.presence_least);
  m.choice("order", orders, config.order);
  m.part("lanes", [&](json::value& v) { return read_lanes(v, config); });
  m.part("polls", [&](json::value& v) { return read_polls(v, config); });
  m.seconds("eta_memory_s", config.eta_memory);
  return m.finish();
}

settings_problem in_json(const config_error& error) {
  settings_problem p{error.field, error.problem};
  constexpr std::string_view of_room = "room_config.", of_polls = "poll_config.";
  if (p.field.starts_with(of_room)) p.field.erase(0, of_room.size());
  if (p.field.starts_with(of_polls)) p.field.replace(0, of_polls.size(), "polls.");
  constexpr std::array<std::string_view, 9> in_seconds{"admit.per",    "claim_window",   "session_ttl",
                                                       "session_idle", "session_max",    "presence_least",
                                                       "eta_memory",   "polls.shortest", "polls.longest"};
  if (std::find(in_seconds.begin(), in_seconds.end(), p.field) != in_seconds.end()) p.field += "_s";
  return p;
}

}  // namespace weir::inline v0::detail
