#pragma once
/// \file
/// A PostgreSQL server of the test's own: data and unix socket in a temporary directory, no TCP, nothing synced to disk.
///
/// ```cpp
/// postgres_server server;                                   // 1-2 s: once per program
/// db_connect(server.conninfo());
/// server.kill();                                            // SIGKILL, with its backends
/// server.start();                                           // same data, same socket
/// ```
/// As root it runs as the user `postgres` or `nobody`: PostgreSQL refuses root. Thread-safety and the thread that starts
/// it: see child_process.hpp.

#include "child_process.hpp"

#include <string>

namespace weir::testing_support {

class postgres_server {
 public:
  /// Creates the cluster and starts. Errors: std::runtime_error with what initdb or the server said.
  postgres_server();
  ~postgres_server();

  /// For libpq: `host=... user=weir dbname=...`. Superuser without a password.
  [[nodiscard]] std::string conninfo(const std::string& database = "postgres") const;

  /// Starts and returns at once; `ready()` says when it accepts connections. Precondition: it does not run.
  void launch();
  [[nodiscard]] bool ready();
  /// launch, and waits until it is ready.
  void start();
  /// Ends it as an operator would: sessions are disconnected, data written. Resumes it first if it is paused.
  void stop();
  /// SIGKILL to it and all backends.
  void kill() { process_.kill(); }
  /// SIGSTOP to it and all backends: connections stay, nothing answers.
  void pause() { process_.pause(); }
  void resume() { process_.resume(); }
  /// What it printed since its creation.
  [[nodiscard]] std::string log() const;

 private:
  temporary_directory directory_;
  identity as_;
  std::string programs_;  // the directory of initdb and postgres
  child_process process_;
};

}  // namespace weir::testing_support
