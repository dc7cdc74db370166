#include "commands.hpp"

#include <weir/version.hpp>

#include <CLI/CLI.hpp>

#include <csignal>
#include <exception>
#include <iostream>

#include <fcntl.h>
#include <unistd.h>

namespace {

/// A reader that has gone (`weir load ... | head`) must not end the run, nor a closed stream give its number to a socket.
void keep_standard_streams_harmless() {
  std::signal(SIGPIPE, SIG_IGN);
  for (int fd = open("/dev/null", O_RDWR); fd >= 0; fd = open("/dev/null", O_RDWR)) {
    if (fd <= STDERR_FILENO) continue;
    close(fd);
    break;
  }
}

}  // namespace

int main(int argc, char** argv) {
  using namespace weir::cli;
  keep_standard_streams_harmless();
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
    const int status = run();
    if (std::cout.flush()) return status;
    std::cerr << "standard output: cannot be written\n";
    return status == ok ? bad_input : status;
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return bad_input;
  }
}
