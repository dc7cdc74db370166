#pragma once
/// \file
/// A run as a file. The document has three parts: `metrics` and `thresholds` in the shape of k6's summary export (times in
/// milliseconds), for tools that know k6; and `weir`, versioned, which holds everything and is what is read back.
///
/// ```cpp
/// out << boost::json::serialize(weir::report::to_json(run));
/// weir::load::run_result before = weir::report::read_run("before.json");
/// ```
/// Thread-safe: pure functions, apart from the file that is read.

#include "load/run_result.hpp"

#include <boost/json/value.hpp>

#include <stdexcept>
#include <string>

namespace weir::report {

/// Of `weir.version`: raised when a reader of the older one would misread the file.
inline constexpr int json_version = 3;

/// Strings that are not UTF-8 get replacement signs; numbers that are not finite become null.
[[nodiscard]] boost::json::value to_json(const load::run_result&);

/// What is wrong with a file: "run.json: weir.seconds[3].in_flight: expected a whole number >= 0, found a string".
class format_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Reads the `weir` part. `source`: how errors call the document. Unknown members are ignored; missing ones, wrong types,
/// values out of range and sizes beyond what a run can have (a day of seconds, 1000 steps, ...) throw `format_error`.
[[nodiscard]] load::run_result from_json(const boost::json::value&, const std::string& source = "run");

/// `from_json` of a file of at most 64 MiB. Throws `format_error`, also when it cannot be read or is not JSON.
[[nodiscard]] load::run_result read_run(const std::string& file);

}  // namespace weir::report
