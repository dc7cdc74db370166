#pragma once
/// \file
/// Files that the user asked for by --json and --html. They are opened before the work begins: nobody wants to learn after
/// a minute of load that the folder does not exist.

#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>

namespace weir::cli {

class output_file {
 public:
  /// An empty path: not asked for. Errors: std::runtime_error with the path and the reason. What the file holds is kept
  /// until `write`.
  explicit output_file(std::string path) : path_(std::move(path)) {
    if (!path_.empty() && !std::ofstream{path_, std::ios::app}) fail();
  }

  [[nodiscard]] bool wanted() const noexcept { return !path_.empty(); }

  /// Replaces the content. Errors: std::runtime_error.
  void write(const std::string& content) const {
    std::ofstream file{path_, std::ios::binary | std::ios::trunc};
    file << content;
    file.flush();
    if (!file) fail();
  }

 private:
  [[noreturn]] void fail() const { throw std::runtime_error(path_ + ": cannot be written: " + std::strerror(errno)); }

  std::string path_;
};

}  // namespace weir::cli
