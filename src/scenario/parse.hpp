#pragma once
/// \file
/// Reads scenario files. What is wrong with one is said as `file:line: message`, all of it at once where that is possible.
///
/// ```toml
/// [scenario]
/// name = "orders"
/// target = "http://127.0.0.1:8081"
/// slo = { step = "order", within = "800ms" }
/// [[load]]
/// executor = "ramping-arrival-rate"
/// journey = "buy"
/// stages = [ { duration = "5s", target = 20 }, { duration = "5s", target = 40 } ]
/// [[journey]]
/// name = "buy"
/// steps = [
///   { name = "register", request = "POST /users", expect = [201], capture = { user = "/id" } },
///   { name = "order", request = "POST /orders", body = '{"user":"{user}"}', expect = [201] } ]
/// [thresholds]
/// "http_req_failed" = ["rate<0.01"]
/// ```
/// [policy] and [model] belong to the simulator and are passed over.

#include "definition.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace weir::scenario {

struct diagnostic {
  std::string file;
  unsigned line = 0;  ///< from 1; 0: the file as a whole
  std::string message;

  /// "orders.toml:12: unknown key 'exectuor'; did you mean 'executor'?"
  [[nodiscard]] std::string text() const;
};

struct parsed {
  scenario::definition definition;  ///< complete and consistent if there are no errors
  std::vector<diagnostic> errors;   ///< in the order of their lines
  [[nodiscard]] bool ok() const noexcept { return errors.empty(); }
};

/// `file` is only the name in messages. Never throws on bad input, whatever the bytes. Limits: 1 MB of text,
/// keys of 32 parts.
[[nodiscard]] parsed parse(std::string_view toml, std::string_view file);
/// Reads the file, too; one that cannot be read is an error like the others.
[[nodiscard]] parsed parse_file(const std::string& path);

}  // namespace weir::scenario
