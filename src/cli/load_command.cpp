#include "commands.hpp"
#include "output_file.hpp"

#include "load/driver.hpp"
#include "report/json.hpp"
#include "report/page.hpp"
#include "report/text.hpp"
#include "scenario/arrivals.hpp"
#include "scenario/duration_text.hpp"
#include "scenario/parse.hpp"
#include "scenario/target.hpp"

#include <boost/json/serialize.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <optional>
#include <sstream>

#include <unistd.h>

namespace weir::cli {
namespace {

struct load_options {
  std::string file, target, label, json, html;
  double rate_factor = 1;
  double time_scale = 1;
  double capacity = 0;
  std::optional<std::uint64_t> seed;
  bool quiet = false;
  bool allow_remote = false;
};

/// The line that says how it goes: rewritten in place on a terminal, every 5 seconds elsewhere.
class progress_display {
 public:
  ~progress_display() {
    if (shown_ && on_terminal_) std::cerr << '\n';
  }
  void operator()(const load::progress& p) {
    ++seconds_;
    if (on_terminal_) {
      std::cerr << '\r' << load::progress_line(p) << "\x1b[K" << std::flush;
    } else if (seconds_ % 5 == 0) {
      std::cerr << load::progress_line(p) << '\n';
    }
    shown_ = true;
  }

 private:
  bool on_terminal_ = isatty(STDERR_FILENO) == 1;
  bool shown_ = false;
  unsigned seconds_ = 0;
};

/// --capacity counts journeys and goodput counts calls: each journey must make exactly one that counts.
bool capacity_fits(const scenario::definition& d, const std::string& file) {
  for (const scenario::load& l : d.loads) {
    std::uint64_t calls = 0;
    bool polls = false;
    for (const scenario::step& s : d.find_journey(l.journey)->steps) {
      if (d.slo && !d.slo->step.empty() && d.slo->step != s.name) continue;
      calls += s.repeat;
      polls = polls || s.poll;
    }
    if (calls == 1 && !polls) continue;
    std::cerr << file << ": --capacity counts journeys, but journey '" << l.journey << "' makes "
              << (polls ? "any number of" : std::to_string(calls))
              << " calls under the SLO, not one; let 'slo' name one step of it\n";
    return false;
  }
  return true;
}

/// The scenario with what the command line says instead; nullopt: wrong, and said so.
std::optional<scenario::definition> read_scenario(const load_options& o) {
  scenario::parsed file = scenario::parse_file(o.file);
  for (const scenario::diagnostic& d : file.errors) std::cerr << d.text() << '\n';
  if (!file.ok()) return std::nullopt;
  scenario::definition& d = file.definition;
  if (o.seed) d.seed = *o.seed;
  if (!o.target.empty()) d.target = o.target;
  if (d.target.empty()) {
    std::cerr << o.file << ": no target: set 'target' in [scenario] or give --target http://host:port\n";
    return std::nullopt;
  }
  const auto addresses = scenario::parse_targets(d.target);
  if (const auto* problem = std::get_if<std::string>(&addresses)) {
    std::cerr << "--target: " << *problem << '\n';
    return std::nullopt;
  }
  const auto& targets = std::get<std::vector<scenario::target_address>>(addresses);
  if (!o.allow_remote && !std::all_of(targets.begin(), targets.end(), [](const auto& t) { return t.is_loopback(); })) {
    std::cerr << "target " << d.target << " is not this machine. Load on a server that is not yours is an attack; if you "
              << "may do this, say --allow-remote\n";
    return std::nullopt;
  }
  if (o.capacity > 0 && !capacity_fits(d, o.file)) return std::nullopt;
  return std::move(d);
}

void announce(const scenario::definition& d, const load_options& o) {
  scenario::definition scaled = d;
  scenario::scale_rates(scaled, o.rate_factor);
  std::cerr << d.name << " against " << d.target << ", seed " << d.seed << ", rate factor " << o.rate_factor << ", "
            << scenario::to_text(d.length());
  if (o.time_scale != 1) std::cerr << " of the scenario's time, " << o.time_scale << " times as fast";
  std::cerr << '\n';
  for (const scenario::load& l : scaled.loads) {
    std::cerr << "  " << l.name << ": " << to_string(l.executor);
    if (is_open_loop(l.executor)) {
      std::cerr << ", " << to_string(l.arrivals) << ", " << scenario::rate_profile{l}.total() << " journeys planned";
    } else {
      std::cerr << ": a closed loop; the server decides how much load it gets";
    }
    std::cerr << '\n';
  }
  for (const scenario::journey& j : d.journeys) {
    if (j.abort_on_failure) continue;
    std::cerr << "  note: journey " << j.name << " goes on after failed steps; later steps are not those of a real user\n";
  }
}

int run_load(const load_options& o) {
  const output_file json{o.json};
  const output_file html{o.html};
  const std::optional<scenario::definition> d = read_scenario(o);
  if (!d) return bad_input;

  load::drive_options drive{
      .rate_factor = o.rate_factor, .time_scale = o.time_scale, .capacity_per_s = o.capacity, .label = o.label};
  drive.stop_on_signal = true;
  load::run_result found;
  {
    progress_display display;
    if (!o.quiet) {
      announce(*d, o);
      drive.on_second = std::ref(display);
    }
    found = load::drive(*d, drive);
  }
  std::cout << report::text_summary(found) << std::flush;
  if (json.wanted()) json.write(boost::json::serialize(report::to_json(found)) + "\n");
  if (html.wanted()) html.write(report::html({found}));
  if (!found.generator.valid) return load_invalid;
  const bool crossed = std::any_of(found.thresholds.begin(), found.thresholds.end(),
                                   [](const load::threshold_result& t) { return !t.passed; });
  return crossed ? threshold_crossed : ok;
}

/// CLI::Range lets nan through.
CLI::Validator number_from(double low, double high) {
  std::ostringstream range;
  range << "from " << low << " to " << high;
  const auto check = [low, high, wanted = range.str()](std::string& text) {
    double value = 0;
    const bool is_number = CLI::detail::lexical_cast(text, value);
    return is_number && value >= low && value <= high ? std::string{} : "'" + text + "' is not a number " + wanted;
  };
  return CLI::Validator{check, range.str()};
}

}  // namespace

void add_load_command(CLI::App& app, action& run) {
  auto o = std::make_shared<load_options>();
  CLI::App* command = app.add_subcommand("load", "Sends the load of a scenario file and reports what came of it");
  command->add_option("file", o->file, "Scenario (TOML)")->required();
  command->add_option("--rate-factor", o->rate_factor, "Multiply all arrival rates")->check(number_from(1e-6, 1e6));
  command
      ->add_option("--time-scale", o->time_scale,
                   "Run so many times as fast: the scenario's times are divided, its rates multiplied; all that is "
                   "reported is in the scenario's time, and how late the driver itself may be, too: 2 to 10")
      ->check(number_from(1e-3, 1e3));
  command
      ->add_option("--capacity", o->capacity,
                   "Journeys per second that the server can do, measured just before; turns "
                   "the overload summary on")
      ->check(number_from(1e-6, 1e9));
  command->add_option("--label", o->label, "Your word for this run, shown in the reports");
  command->add_option("--json", o->json, "Write the whole result to this file");
  command->add_option("--html", o->html, "Write one self-contained page to this file");
  command->add_option("--seed", o->seed, "Instead of the scenario's")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{INT64_MAX}));
  command->add_option("--target", o->target, "Instead of the scenario's: http://host[:port], several between commas");
  command->add_flag("--quiet", o->quiet, "No progress, only the summary");
  command->add_flag("--allow-remote", o->allow_remote, "Let the target be another machine");
  command->footer(
      "Exit status: 0 ok, 2 bad input or output that cannot be written, 98 the generator could not keep up or was stopped, "
      "99 a threshold was crossed.");
  command->callback([o, &run] { run = [o] { return run_load(*o); }; });
}

}  // namespace weir::cli
