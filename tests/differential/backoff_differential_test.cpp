// Intervals recorded from resilience4j's IntervalFunction, replayed with weir::backoff: every one must be equal.
#include <weir/core/backoff.hpp>

#include <gtest/gtest.h>

#include "support/oracle.hpp"

namespace weir {
namespace {

TEST(differential_backoff, ReplaysResilience4jExactly) {
  testing_support::oracle traces{"backoff"};
  std::size_t intervals = 0;
  for (const auto& scenario : traces.scenarios()) {
    const auto& o = scenario.as_object();
    SCOPED_TRACE(o.at("id").to_number<int>());
    const bool capped = o.contains("maxMs");
    const backoff wait{
        .initial = std::chrono::milliseconds{o.at("initialMs").to_number<std::int64_t>()},
        .multiplier = o.contains("multiplier") ? o.at("multiplier").to_number<double>() : 1.0,
        .cap = capped ? duration{std::chrono::milliseconds{o.at("maxMs").to_number<std::int64_t>()}} : duration::max(),
        .jitter = jitter_kind::none,
        .granularity = std::chrono::milliseconds{1}};
    ASSERT_FALSE(validate(wait));
    std::uint32_t attempt = 0;
    for (const auto& expected : o.at("intervalsMs").as_array()) {
      ++attempt;
      // Without a cap the sequence leaves the range of a duration in nanoseconds; its units do not.
      const std::int64_t got = capped ? wait.nominal(attempt) / std::chrono::milliseconds{1} : wait.uncapped_units(attempt);
      ASSERT_EQ(got, expected.to_number<std::int64_t>()) << "attempt " << attempt;
      ++intervals;
    }
    traces.count_replayed();
  }
  traces.report(std::to_string(intervals) + " intervals");
}

}  // namespace
}  // namespace weir
