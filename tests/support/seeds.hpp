#pragma once
// How many random cases a property test runs.

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <ranges>
#include <string_view>

namespace weir::testing_support {

/// 0, 1, 2, ...: `count` seeds, times the environment's WEIR_TEST_SCALE (scripts/test --full sets it).
///
/// ```cpp
/// for (const std::uint64_t seed : weir::testing_support::seeds(200)) {
///   SCOPED_TRACE(seed);
/// ```
inline auto seeds(std::uint64_t count) {
  std::uint64_t scale = 1;
  if (const char* text = std::getenv("WEIR_TEST_SCALE")) {
    const std::string_view view{text};
    std::from_chars(view.data(), view.data() + view.size(), scale);
  }
  return std::views::iota(std::uint64_t{0}, count * scale);
}

}  // namespace weir::testing_support
