#pragma once
/// \file
/// The subcommands of `weir`, one file each. Each adds itself to the command line and, when it is the one that was asked
/// for, puts what is to be done into `run`, which returns the exit status.

#include <functional>

namespace CLI {
class App;
}

namespace weir::cli {

/// Exit statuses that scripts rely on.
enum exit_status : int {
  ok = 0,
  bad_input = 2,           ///< said as `file:line: message` where there is a line; also output that cannot be written
  load_invalid = 98,       ///< the generator could not keep up, or was stopped: the numbers mean nothing
  threshold_crossed = 99,  ///< k6's number
};

using action = std::function<int()>;

void add_load_command(CLI::App& app, action& run);
void add_compare_command(CLI::App& app, action& run);

}  // namespace weir::cli
