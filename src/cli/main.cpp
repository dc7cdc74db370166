#include "commands.hpp"

#include <weir/version.hpp>

#include <CLI/CLI.hpp>

#include <exception>
#include <iostream>

int main(int argc, char** argv) {
  using namespace weir::cli;
  CLI::App app{"Load for HTTP services, measured from the intended start, and what it found.", "weir"};
  app.set_version_flag("--version", std::string{"weir "} + WEIR_VERSION_STRING);
  app.require_subcommand(1);
  action run;
  add_load_command(app, run);
  add_compare_command(app, run);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? ok : bad_input;  // --help and --version are "errors" of status 0
  }
  try {
    return run();
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return bad_input;
  }
}
