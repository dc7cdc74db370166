#pragma once
// Bodies of requests: JSON objects with a few members that are known.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir::inline v0::detail {

/// What is wrong with a body: one sentence for who sent it.
using body_problem = std::optional<std::string>;

/// Members that are not asked for are ignored; null counts as not there.
struct request_fields {
  std::optional<std::string> subject;  ///< 1 .. 256 bytes
  std::optional<std::string> lane;     ///< 1 .. 64 bytes
  std::optional<std::string> token;
  std::optional<std::string> pass;
  std::optional<std::uint64_t> n;  ///< 1 .. 100'000'000
};

/// An empty body has no members. Nested at most eight deep. Errors: std::bad_alloc.
[[nodiscard]] body_problem read_fields(std::string_view body, request_fields& into);

}  // namespace weir::inline v0::detail
