#pragma once
/// \file
/// The parts of the scenario parser. Private to this folder; includes toml++.

#include "definition.hpp"
#include "table_reader.hpp"

namespace weir::scenario {

[[nodiscard]] load parse_load(reporter&, const toml::table&);
[[nodiscard]] journey parse_journey(reporter&, const toml::table&);

}  // namespace weir::scenario
