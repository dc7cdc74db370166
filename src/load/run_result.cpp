#include "run_result.hpp"

namespace weir::load {
namespace {

double share(std::uint64_t part, std::uint64_t whole) noexcept {
  return whole == 0 ? 1.0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

const char* to_string(verdict v) noexcept {
  switch (v) {
    case verdict::good: return "good";
    case verdict::slow: return "slow";
    case verdict::rejected: return "rejected";
    case verdict::timeout: return "timeout";
    case verdict::error: return "error";
    case verdict::broken: return "broken";
  }
  return "unknown";
}

double request_success(const run_result& r) noexcept {
  std::uint64_t expected = 0;
  std::uint64_t attempts = 0;
  for (const step_result& step : r.steps) {
    // A call ends with its first expected answer, so there is one such attempt in each good or slow call.
    expected +=
        step.verdicts[static_cast<std::size_t>(verdict::good)] + step.verdicts[static_cast<std::size_t>(verdict::slow)];
    attempts += step.attempts;
  }
  return share(expected, attempts);
}

double started_success(const run_result& r) noexcept { return share(r.journeys.completed, r.journeys.started); }

double intended_success(const run_result& r) noexcept { return share(r.journeys.completed, r.journeys.intended); }

}  // namespace weir::load
