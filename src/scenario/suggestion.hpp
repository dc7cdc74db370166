#pragma once
/// \file
/// "did you mean": the known name nearest to a mistyped one.

#include <span>
#include <string>
#include <string_view>

namespace weir::scenario {

/// "; did you mean 'executor'?" if a known name is near enough, else "; known: a, b, c". For the end of a message.
[[nodiscard]] std::string suggestion(std::string_view wrong, std::span<const std::string_view> known);

}  // namespace weir::scenario
