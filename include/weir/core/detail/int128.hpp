#pragma once
/// \file
/// 128-bit integers for products of two 64-bit numbers; an extension that g++ and clang share.

namespace weir::inline v0::detail {

// __extension__ keeps -Wpedantic quiet and does not go with `using`.
__extension__ typedef unsigned __int128 uint128;  // NOLINT(modernize-use-using)
__extension__ typedef __int128 int128;            // NOLINT(modernize-use-using)

}  // namespace weir::inline v0::detail
