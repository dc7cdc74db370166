#pragma once
/// \file
/// A look at TOML text before it is parsed: toml++ 3.3 limits how deep values nest, but not how many parts a dotted key
/// has. It makes and destroys one table in another for each, and half a million of them overflow the stack.
///
/// Private to this folder.

#include <cstddef>
#include <string_view>

namespace weir::scenario {

/// The line, from 1, of the first key with more than `most` parts; 0: there is none. Of text that is not TOML, it looks at
/// what stands before the first error. Complexity: O(text).
[[nodiscard]] unsigned line_of_key_with_more_parts(std::string_view text, std::size_t most) noexcept;

}  // namespace weir::scenario
