#pragma once
// The limits of a room as JSON: what an operator reads, and may send back changed.

#include <weir/room/room_config.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace weir::inline v0::detail {

struct settings_problem {
  std::string field;    ///< as it is called in JSON; empty: the body as a whole
  std::string problem;  ///< what it accepts
};

/// Everything that `read_settings` takes, as it is.
[[nodiscard]] std::string settings_text(const room_config& config);

/// Puts what a JSON object says into `config`; what it does not name stays. Ranges are for `validate` to check, unless a
/// value does not fit. On a problem `config` may have changed in part. Errors: std::bad_alloc.
[[nodiscard]] std::optional<settings_problem> read_settings(std::string_view body, room_config& config);

/// `error` in the words of JSON.
[[nodiscard]] settings_problem in_json(const config_error& error);

}  // namespace weir::inline v0::detail
