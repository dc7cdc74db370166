#include "parse.hpp"

#include "key_parts.hpp"
#include "parse_parts.hpp"
#include "target.hpp"
#include "threshold.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>

namespace weir::scenario {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t longest_file = 1'000'000;
constexpr std::size_t most_key_parts = 32;

/// Where things were said, for what can only be checked when everything has been read.
struct places {
  toml::source_region slo_step, warmup, peak_end;
  std::vector<toml::source_region> loads, journeys;
};

void parse_scenario(reporter& report, const toml::table& table, definition& out, places& where) {
  table_reader reader{report, table, "[scenario]"};
  reader.required_name(out.name);
  reader.count("seed", out.seed, {0, INT64_MAX});
  if (reader.text("target", out.target)) {
    const auto addresses = parse_targets(out.target);
    if (const auto* problem = std::get_if<std::string>(&addresses)) reader.error(reader.source_of("target"), *problem);
  }
  reader.time("warmup", out.warmup, {0ms, 24h});
  where.warmup = reader.source_of("warmup");
  if (duration peak_end{}; reader.time("peak_end", peak_end, {0ms, 24h})) out.peak_end = peak_end;
  where.peak_end = reader.source_of("peak_end");
  if (const toml::table* entries = reader.table("slo", R"({ step = "order", within = "800ms" })")) {
    slo s;
    table_reader slo_reader{report, *entries, "slo"};
    slo_reader.text("step", s.step);
    where.slo_step = slo_reader.source_of("step");
    if (slo_reader.require("within")) slo_reader.time("within", s.within, {1ms, 24h});
    slo_reader.finish();
    out.slo = std::move(s);
  }
  reader.finish();
}

void parse_thresholds(reporter& report, const toml::table& table, definition& out,
                      std::vector<toml::source_region>& places_of_thresholds) {
  for (const auto& [metric, value] : table) {
    const toml::array* expressions = value.as_array();
    if (expressions == nullptr) {
      report.error(value.source(), "'" + std::string{metric.str()} +
                                       "' in [thresholds] must be an array of strings like "
                                       "\"p(95)<800\"");
      continue;
    }
    if (expressions->empty()) report.error(value.source(), "'" + std::string{metric.str()} + "' in [thresholds] is empty");
    for (const toml::node& expression : *expressions) {
      const auto* text = expression.as_string();
      if (text == nullptr) {
        report.error(expression.source(), "a threshold must be a string like \"p(95)<800\"");
        continue;
      }
      auto read = parse_threshold(metric.str(), text->get());
      if (const auto* problem = std::get_if<std::string>(&read)) {
        report.error(expression.source(), *problem);
        continue;
      }
      out.thresholds.push_back(std::get<threshold>(std::move(read)));
      places_of_thresholds.push_back(expression.source());
    }
  }
}

bool has_step(const definition& d, const std::string& name) {
  return std::any_of(d.journeys.begin(), d.journeys.end(), [&](const journey& j) {
    return std::any_of(j.steps.begin(), j.steps.end(), [&](const step& s) { return s.name == name; });
  });
}

/// Where no step could be read at all, that has been said.
void say_no_step(reporter& report, const toml::source_region& where, const definition& d, const std::string& wrong) {
  std::vector<std::string_view> names;
  for (const journey& j : d.journeys) {
    for (const step& s : j.steps) names.push_back(s.name);
  }
  if (!names.empty()) report.error(where, "there is no step '" + wrong + "'" + suggestion(wrong, names));
}

bool has_tag(const definition& d, const std::string& key, const std::string& value) {
  for (const journey& j : d.journeys) {
    for (const step& s : j.steps) {
      if (const auto found = s.tags.find(key); found != s.tags.end() && found->second == value) return true;
    }
  }
  return false;
}

/// A threshold on what steps with 'poll' do, where there is none, would hold or fail for no reason.
void check_threshold_polls(reporter& report, const definition& d, const threshold& t, const toml::source_region& where) {
  if (t.metric != "wait_duration" && t.metric != "polls_too_early") return;
  const auto wanted = t.tags.find("step");
  for (const journey& j : d.journeys) {
    for (const step& s : j.steps) {
      if (s.poll && (wanted == t.tags.end() || wanted->second == s.name)) return;
    }
  }
  report.error(where, "metric '" + t.metric + "' is of steps with 'poll', and " +
                          (wanted == t.tags.end() ? "there is none" : "step '" + wanted->second + "' has none"));
}

void check_threshold_tags(reporter& report, const definition& d, const threshold& t, const toml::source_region& where) {
  for (const auto& [key, value] : t.tags) {
    if (key == "expected_response") continue;
    if (key == "step") {
      if (!has_step(d, value)) say_no_step(report, where, d, value);
    } else if (key == "journey") {
      if (d.find_journey(value) == nullptr) report.error(where, "there is no journey '" + value + "'");
    } else if (!has_tag(d, key, value)) {
      report.error(where, "no step has the tag " + key + ":" + value);
    }
  }
}

void check_whole(reporter& report, const definition& d, const places& where) {
  std::set<std::string> names;
  for (std::size_t i = 0; i < d.journeys.size(); ++i) {
    if (!names.insert(d.journeys[i].name).second) {
      report.error(where.journeys[i], "there is a journey '" + d.journeys[i].name + "' already");
    }
  }
  names.clear();
  for (std::size_t i = 0; i < d.loads.size(); ++i) {
    const load& l = d.loads[i];
    if (!names.insert(l.name).second) report.error(where.loads[i], "there is a load '" + l.name + "' already");
    if (l.journey.empty() || d.find_journey(l.journey) != nullptr) continue;
    std::vector<std::string_view> known;
    for (const journey& j : d.journeys) known.push_back(j.name);
    report.error(where.loads[i], "there is no journey '" + l.journey + "'" + suggestion(l.journey, known));
  }
  if (d.slo && !d.slo->step.empty() && !has_step(d, d.slo->step)) {
    say_no_step(report, where.slo_step, d, d.slo->step);
  }
  if (d.warmup > 0ms && d.warmup >= d.length()) {
    report.error(where.warmup, "'warmup' must be shorter than the load, which lasts " + to_text(d.length()));
  }
  if (d.peak_end && *d.peak_end > d.length()) {
    report.error(where.peak_end, "'peak_end' must lie within the load, which lasts " + to_text(d.length()));
  }
}

void parse_root(reporter& report, const toml::table& root, definition& out) {
  table_reader reader{report, root, "the file"};
  places where;
  if (reader.require("scenario")) {
    if (const toml::table* table = reader.table("scenario")) parse_scenario(report, *table, out, where);
  }
  if (reader.require("load")) {
    for (const toml::table* table : reader.tables("load", "[[load]]")) {
      out.loads.push_back(parse_load(report, *table));
      where.loads.push_back(table->source());
    }
  }
  if (reader.require("journey")) {
    for (const toml::table* table : reader.tables("journey", "[[journey]]")) {
      out.journeys.push_back(parse_journey(report, *table));
      where.journeys.push_back(table->source());
    }
  }
  std::vector<toml::source_region> thresholds;
  if (const toml::table* table = reader.table("thresholds", "[thresholds]"))
    parse_thresholds(report, *table, out, thresholds);
  (void)reader.table("policy");
  (void)reader.table("model");
  reader.finish();
  check_whole(report, out, where);
  for (std::size_t i = 0; i < thresholds.size(); ++i) {
    check_threshold_tags(report, out, out.thresholds[i], thresholds[i]);
    check_threshold_polls(report, out, out.thresholds[i], thresholds[i]);
  }
}

}  // namespace

std::string diagnostic::text() const {
  return line == 0 ? file + ": " + message : file + ":" + std::to_string(line) + ": " + message;
}

parsed parse(std::string_view text, std::string_view file) {
  parsed out;
  if (text.size() > longest_file) {
    out.errors.push_back({std::string{file}, 0, "is longer than 1 MB; that is no scenario"});
    return out;
  }
  if (const unsigned line = line_of_key_with_more_parts(text, most_key_parts); line != 0) {
    out.errors.push_back({std::string{file}, line, "a key of more than " + std::to_string(most_key_parts) + " parts"});
    return out;
  }
  try {
    const toml::table root = toml::parse(text, file);
    reporter report{file, out.errors};
    parse_root(report, root, out.definition);
  } catch (const toml::parse_error& e) {
    std::string message{e.description()};
    if (message.find("inline table") != std::string::npos) {
      message += "; a table in braces stands on one line, without a comma at its end";
    }
    out.errors.push_back({std::string{file}, e.source().begin.line, std::move(message)});
  }
  std::stable_sort(out.errors.begin(), out.errors.end(),
                   [](const diagnostic& a, const diagnostic& b) { return a.line < b.line; });
  return out;
}

parsed parse_file(const std::string& path) {
  // stdio, because a stream buffer throws when it reads a folder.
  const auto close = [](std::FILE* f) { std::fclose(f); };
  const std::unique_ptr<std::FILE, decltype(close)> file{std::fopen(path.c_str(), "rb"), close};
  std::string text(longest_file + 1, '\0');
  if (file != nullptr) text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (file == nullptr || std::ferror(file.get()) != 0) {
    parsed out;
    out.errors.push_back({path, 0, std::string{"cannot be read: "} + std::strerror(errno)});
    return out;
  }
  return parse(text, path);
}

}  // namespace weir::scenario
