#pragma once
/// \file
/// Programs that a test starts and ends: exactly these, also when the test itself dies.
///
/// Not thread-safe. The kernel ends a child when the *thread* that started it ends: start from one that lives as long as
/// the child shall, such as the main thread.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace weir::testing_support {

/// A new empty directory with a short name, removed with what is in it at the end.
class temporary_directory {
 public:
  temporary_directory();
  ~temporary_directory();
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Whom a child runs as; nobody in particular: as the test.
struct identity {
  uid_t user = static_cast<uid_t>(-1);
  gid_t group = static_cast<gid_t>(-1);
};

/// One program and the processes that it starts, which are its direct children.
class child_process {
 public:
  child_process() = default;
  /// `arguments[0]` is the program, found in PATH. What it prints goes to the end of `log`. Errors: std::system_error if it
  /// can't be forked; a program that is not there ends with exit code 127.
  child_process(std::vector<std::string> arguments, const std::filesystem::path& log, identity as = {});
  ~child_process() { kill(); }
  child_process(child_process&& other) noexcept;
  child_process& operator=(child_process&& other) noexcept;

  [[nodiscard]] pid_t pid() const { return pid_; }  ///< -1: none
  [[nodiscard]] bool running();
  void signal(int number) const;
  /// Waits for its end; the exit code, or minus the signal; -1000 if it does not end within `limit`.
  int wait(std::chrono::milliseconds limit);
  /// SIGKILL to it and its children; returns when all of them are gone. Does nothing if it has ended.
  void kill();
  /// SIGSTOP to it and its children. They are killed should the test die meanwhile.
  void pause();
  void resume();

 private:
  [[nodiscard]] std::vector<pid_t> children() const;
  void dismiss_guard();

  pid_t pid_ = -1;
  int status_ = 0;
  std::vector<pid_t> paused_;
  pid_t guard_ = -1;     // kills what is paused when the test dies, which it sees by the end of a pipe
  int guard_pipe_ = -1;  // our end of it
};

}  // namespace weir::testing_support
