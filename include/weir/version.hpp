#pragma once
/// \file
/// The library's version, as macros and as constants. Semantic versioning; before 1.0 a minor version may break.

#define WEIR_VERSION_MAJOR 0
#define WEIR_VERSION_MINOR 1
#define WEIR_VERSION_PATCH 0
#define WEIR_VERSION_STRING "0.1.0"

namespace weir::inline v0 {

inline constexpr int version_major = WEIR_VERSION_MAJOR;
inline constexpr int version_minor = WEIR_VERSION_MINOR;
inline constexpr int version_patch = WEIR_VERSION_PATCH;

}  // namespace weir::inline v0
