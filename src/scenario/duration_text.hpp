#pragma once
/// \file
/// Durations as scenario files write them: "15s", "800ms", "1m30s", "1.5h". Units: h, m, s, ms, us, ns.

#include <weir/core/time.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace weir::scenario {

/// nullopt: not a duration, negative, or longer than 292 years.
[[nodiscard]] std::optional<duration> parse_duration(std::string_view text) noexcept;

/// The shortest exact form: 90 s is "1m30s".
[[nodiscard]] std::string to_text(duration d);

}  // namespace weir::scenario
