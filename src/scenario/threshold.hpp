#pragma once
/// \file
/// Thresholds in k6's words: `"http_req_duration{step:register}" = ["p(95)<800"]`. Durations are milliseconds. This file
/// knows the metrics and the grammar; what a run found is compared with them in src/load/thresholds.hpp.

#include "definition.hpp"

#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace weir::scenario {

enum class metric_kind : std::uint8_t {
  trend,    ///< p(N), avg, min, max, med
  rate,     ///< rate, in [0, 1]
  counter,  ///< count, and rate per second of the measured part
  gauge,    ///< value
};

struct metric_info {
  std::string_view name;
  metric_kind kind;
  bool by_step;            ///< takes {step:x}, {journey:x} and the steps' own tags
  bool expected_response;  ///< takes {expected_response:true}
  std::string_view meaning;
};

/// Every metric that a threshold can be put on.
[[nodiscard]] std::span<const metric_info> metrics() noexcept;
/// nullptr: there is none of this name.
[[nodiscard]] const metric_info* find_metric(std::string_view name) noexcept;

/// Reads one threshold, or says what is wrong with it. That tags name existing steps is for the caller to check.
[[nodiscard]] std::variant<threshold, std::string> parse_threshold(std::string_view metric, std::string_view expression);

}  // namespace weir::scenario
