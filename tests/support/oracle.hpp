#pragma once
/// \file
/// Recorded traces of other libraries: JSON Lines, one scenario a line, found by file stem in $WEIR_ORACLE_DIR or, where
/// that is not set, in tests/data.

#include <boost/json.hpp>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace weir::testing_support {

/// Which directory, WEIR_TEST_DATA is what the build says about tests/data.
inline std::string oracle_directory() {
  const char* directory = std::getenv("WEIR_ORACLE_DIR");
  return directory != nullptr && *directory != '\0' ? directory : WEIR_TEST_DATA;
}

/// One file of traces, and the count of what was done with them.
class oracle {
 public:
  explicit oracle(std::string_view stem) : path_(oracle_directory() + "/" + std::string{stem} + ".jsonl") {
    std::ifstream file{path_};
    if (!file) throw std::runtime_error("no traces: " + path_);
    for (std::string line; std::getline(file, line);) {
      if (!line.empty()) scenarios_.push_back(boost::json::parse(line));
    }
    if (scenarios_.empty()) throw std::runtime_error("no scenarios in " + path_);
  }

  [[nodiscard]] const std::vector<boost::json::value>& scenarios() const noexcept { return scenarios_; }
  void count_replayed() noexcept { ++replayed_; }
  void count_skipped() noexcept { ++skipped_; }
  [[nodiscard]] std::size_t replayed() const noexcept { return replayed_; }

  /// One line that says what the comparison rested on.
  void report(std::string_view what) const {
    std::cout << path_ << ": replayed " << replayed_ << ", skipped " << skipped_ << ", of " << scenarios_.size()
              << " scenarios; compared " << what << '\n';
  }

 private:
  std::string path_;
  std::vector<boost::json::value> scenarios_;
  std::size_t replayed_ = 0, skipped_ = 0;
};

}  // namespace weir::testing_support
