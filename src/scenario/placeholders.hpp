#pragma once
/// \file
/// `{name}` in paths, header values and bodies. A placeholder is a name in braces, [A-Za-z_][A-Za-z0-9_]*; any other brace
/// stands for itself, so that JSON needs no escaping: `{"user":"{user}"}`.
///
/// Names: `vu` (number of the virtual user, from 1), `iteration` (number of the journey within its load, from 0), `uuid`
/// (random, a new one at each place), and what earlier steps of the journey captured.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::scenario {

/// The names in `text`, in order, with repetitions.
[[nodiscard]] std::vector<std::string_view> placeholders_in(std::string_view text);

/// `text` with every placeholder replaced by what `value` gives for its name.
[[nodiscard]] std::string fill_placeholders(std::string_view text,
                                            const std::function<std::string(std::string_view)>& value);

/// The same for a JSON text: what comes to stand between quotes is escaped, so that it stays one string.
[[nodiscard]] std::string fill_json_placeholders(std::string_view text,
                                                 const std::function<std::string(std::string_view)>& value);

/// Whether the name is one of the built-in ones.
[[nodiscard]] bool is_builtin_placeholder(std::string_view name) noexcept;

}  // namespace weir::scenario
