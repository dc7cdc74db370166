#include "commands.hpp"
#include "output_file.hpp"

#include "report/json.hpp"
#include "report/page.hpp"
#include "report/text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include <CLI/CLI.hpp>

#include <iostream>
#include <memory>

namespace weir::cli {
namespace {

struct compare_options {
  std::string before, after, json, html;
};

int compare(const compare_options& o) {
  const output_file json{o.json};
  const output_file html{o.html};
  const load::run_result before = report::read_run(o.before);
  const load::run_result after = report::read_run(o.after);
  std::cout << report::compare_text(before, after);
  if (json.wanted()) {
    const boost::json::value both = {{"before", report::to_json(before)}, {"after", report::to_json(after)}};
    json.write(boost::json::serialize(both) + "\n");
  }
  if (html.wanted()) html.write(report::html({before, after}));
  return ok;
}

}  // namespace

void add_compare_command(CLI::App& app, action& run) {
  auto o = std::make_shared<compare_options>();
  CLI::App* command =
      app.add_subcommand("compare", "Puts two runs side by side: what changed, and whether they can be compared");
  command->add_option("before", o->before, "JSON of the first run, as `weir load --json` wrote it")->required();
  command->add_option("after", o->after, "JSON of the second run")->required();
  command->add_option("--json", o->json, "Write both runs to this file");
  command->add_option("--html", o->html, "Write one self-contained page with both runs over time");
  command->callback([o, &run] { run = [o] { return compare(*o); }; });
}

}  // namespace weir::cli
