#pragma once
/// \file
/// SHA-1 (FIPS 180-4), by which Redis names scripts. Not for anything that needs a secure hash.

#include <string>
#include <string_view>

namespace weir::inline v0::detail {

/// 40 hexadecimal digits, lower case.
[[nodiscard]] std::string sha1(std::string_view text);

}  // namespace weir::inline v0::detail
