#pragma once
/// \file
/// What a step demands of the body of an answer: captures and checks. Pure.

#include "scenario/definition.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace weir::load {

struct answer_findings {
  std::map<std::string, std::string, std::less<>> captured;
  std::string missing;  ///< a capture that the body does not have: its pointer; empty: all are there
  std::uint64_t checks_passed = 0, checks_failed = 0;

  [[nodiscard]] bool ok() const noexcept { return missing.empty() && checks_failed == 0; }
};

/// Strings are captured as they are, other values as JSON text. A body that is not JSON has nothing at any pointer.
[[nodiscard]] answer_findings inspect_answer(const scenario::step&, std::string_view body);

}  // namespace weir::load
