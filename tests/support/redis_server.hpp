#pragma once
/// \file
/// A Redis server of the test's own: unix socket and data in a temporary directory, no TCP. What was written survives a
/// `stop`, not a `kill`. Thread-safety and the thread that starts it: see child_process.hpp.

#include "child_process.hpp"

#include <string>

namespace weir::testing_support {

class redis_server {
 public:
  /// Starts. Errors: std::runtime_error with what the server said.
  redis_server() { start(); }

  [[nodiscard]] std::string socket() const { return (directory_.path() / "socket").string(); }

  /// Starts and returns at once; `ready()` says when it accepts connections. Precondition: it does not run.
  void launch();
  [[nodiscard]] bool ready();
  /// launch, and waits until it is ready.
  void start();
  /// Ends it as an operator would; data is written. Resumes it first if it is paused.
  void stop();
  void kill() { process_.kill(); }    ///< SIGKILL
  void pause() { process_.pause(); }  ///< SIGSTOP: connections stay, nothing answers
  void resume() { process_.resume(); }
  /// What it printed since its creation.
  [[nodiscard]] std::string log() const;

 private:
  temporary_directory directory_;
  child_process process_;
};

}  // namespace weir::testing_support
