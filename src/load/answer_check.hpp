#pragma once
/// \file
/// What a step demands of the body of an answer: captures and checks, and what an answer to a poll says. Pure.

#include "scenario/definition.hpp"

#include <weir/core/time.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace weir::load {

struct answer_findings {
  std::map<std::string, std::string, std::less<>> captured;
  std::string missing;  ///< a capture that the body does not have: its pointer; empty: all are there
  std::uint64_t checks_passed = 0, checks_failed = 0;
  /// The pause that the answer asks for, on the server's clock; at most a day. Nothing: it has no number there, or one < 0.
  std::optional<duration> hint;

  [[nodiscard]] bool ok() const noexcept { return missing.empty() && checks_failed == 0; }
};

/// Strings are captured as they are, other values as JSON text. A body that is not JSON has nothing at any pointer.
[[nodiscard]] answer_findings inspect_answer(const scenario::step&, std::string_view body);

/// What an answer to a poll says.
struct poll_answer {
  enum class word : std::uint8_t { done, wait, given_up };
  poll_answer::word says = word::done;
  std::optional<duration> hint;  ///< until the next poll; as in answer_findings
};

/// Something that is not JSON says `wait`, as does what meets neither condition. `until` comes before `give_up`.
[[nodiscard]] poll_answer read_poll(const scenario::poll&, std::string_view body);

}  // namespace weir::load
