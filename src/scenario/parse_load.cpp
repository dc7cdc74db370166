#include "parse_parts.hpp"

#include <algorithm>
#include <array>

namespace weir::scenario {
namespace {

using namespace std::chrono_literals;

constexpr std::pair<std::string_view, executor> executors[] = {
    {"constant-arrival-rate", executor::constant_arrival_rate},
    {"ramping-arrival-rate", executor::ramping_arrival_rate},
    {"constant-vus", executor::constant_vus},
    {"ramping-vus", executor::ramping_vus},
    {"shared-iterations", executor::shared_iterations},
    {"per-vu-iterations", executor::per_vu_iterations},
};
constexpr std::pair<std::string_view, arrivals> arrival_kinds[] = {{"poisson", arrivals::poisson},
                                                                   {"uniform", arrivals::uniform}};

constexpr time_range run_times{1ms, 24h};
constexpr number_range rates{0, 1e6};
constexpr count_range vu_counts{1, 100'000};

/// Which of the optional keys an executor takes.
struct keys {
  bool stages = false, start_rate = false, rate = false, arrivals_and_max_vus = false, vus = false, length = false,
       iterations = false;
};
constexpr keys keys_of(executor e) noexcept {
  switch (e) {
    case executor::constant_arrival_rate: return {.rate = true, .arrivals_and_max_vus = true, .length = true};
    case executor::ramping_arrival_rate: return {.stages = true, .start_rate = true, .arrivals_and_max_vus = true};
    case executor::constant_vus: return {.vus = true, .length = true};
    case executor::ramping_vus: return {.stages = true, .vus = true};
    case executor::shared_iterations:
    case executor::per_vu_iterations: return {.vus = true, .iterations = true};
  }
  return {};
}

void parse_stages(table_reader& reader, load& out, number_range targets) {
  if (!reader.require("stages")) return;
  const auto entries = reader.tables("stages", R"([ { duration = "5s", target = 20 } ])");
  if (!reader.node("stages")->is_array()) return;
  double highest = std::max(out.start_rate, static_cast<double>(out.executor == executor::ramping_vus ? out.vus : 0));
  bool all_read = true;
  for (const toml::table* entry : entries) {
    table_reader stage_reader{reader.report(), *entry, "a stage"};
    stage s;
    if (stage_reader.require("duration")) stage_reader.time("duration", s.length, {0ms, 24h});
    all_read = stage_reader.require("target") && stage_reader.number("target", s.target, targets) && all_read;
    stage_reader.finish();
    highest = std::max(highest, s.target);
    out.stages.push_back(s);
  }
  if (length_of(out) <= 0ms) {
    reader.error(reader.source_of("stages"), "the stages in [[load]] last no time");
  } else if (all_read && highest <= 0) {
    reader.error(reader.source_of("stages"), "the stages in [[load]] have no target above 0: there would be no load");
  }
}

}  // namespace

load parse_load(reporter& report, const toml::table& table) {
  load out;
  table_reader reader{report, table, "[[load]]"};
  if (reader.require("journey")) reader.text("journey", out.journey);
  out.name = out.journey;
  if (reader.node("name") != nullptr) reader.required_name(out.name);
  reader.time("graceful_stop", out.graceful_stop, {0ms, 24h});
  if (!reader.require("executor") || !reader.choice("executor", out.executor, executors)) {
    // Which of these belong here is not known, but a mistyped name is.
    for (const char* key : {"rate", "start_rate", "time_unit", "arrivals", "max_vus", "vus", "duration", "iterations",
                            "max_duration", "stages"}) {
      (void)reader.node(key);
    }
    reader.finish();
    return out;
  }

  const keys takes = keys_of(out.executor);
  const std::string why = "is not used by executor " + std::string{to_string(out.executor)};
  const auto read_or_refuse = [&](bool wanted, std::string_view key, auto&& read) {
    if (wanted) {
      read(key);
    } else {
      reader.refuse(key, why);
    }
  };
  read_or_refuse(takes.rate, "rate", [&](auto key) {
    if (reader.require(key) && reader.number(key, out.rate, rates) && out.rate <= 0) {
      reader.refuse(key, "in [[load]] must be more than 0: there would be no load");
    }
  });
  read_or_refuse(takes.start_rate, "start_rate", [&](auto key) { reader.number(key, out.start_rate, rates); });
  read_or_refuse(is_open_loop(out.executor), "time_unit", [&](auto key) { reader.time(key, out.time_unit, {1ms, 24h}); });
  read_or_refuse(takes.arrivals_and_max_vus, "arrivals",
                 [&](auto key) { reader.choice(key, out.arrivals, arrival_kinds); });
  read_or_refuse(takes.arrivals_and_max_vus, "max_vus", [&](auto key) { reader.count(key, out.max_vus, vu_counts); });
  read_or_refuse(takes.vus, "vus", [&](auto key) {
    // Ramping may begin at nothing; the others need somebody.
    const bool ramping = out.executor == executor::ramping_vus;
    if (ramping) out.vus = 0;
    reader.count(key, out.vus, {ramping ? 0u : 1u, vu_counts.high});
  });
  read_or_refuse(takes.length, "duration", [&](auto key) {
    if (reader.require(key)) reader.time(key, out.length, run_times);
  });
  read_or_refuse(takes.iterations, "iterations", [&](auto key) {
    if (reader.require(key)) reader.count(key, out.iterations, {1, 1'000'000'000});
  });
  read_or_refuse(takes.iterations, "max_duration", [&](auto key) {
    out.length = 10min;  // k6's default
    reader.time(key, out.length, run_times);
  });
  read_or_refuse(takes.stages, "stages", [&](auto) {
    const bool vus = out.executor == executor::ramping_vus;
    parse_stages(reader, out, vus ? number_range{0, static_cast<double>(vu_counts.high)} : rates);
  });
  reader.finish();
  return out;
}

}  // namespace weir::scenario
