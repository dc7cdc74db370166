// Traces recorded from golang.org/x/time/rate, replayed by the rate limiter: what it allows, and how long it makes a
// reservation wait. Each scenario is replayed up to its first cancel or set_*, which are defined otherwise here. The
// original computes in floating point, so a decision within a nanosecond of its boundary may differ; it then ends the
// replay of its scenario, since the two hold different tokens from there on.
#include <weir/policy/rate_limiter.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "support/oracle.hpp"

namespace weir {
namespace {

namespace json = boost::json;
using limiter_type = basic_rate_limiter<manual_clock>;
using detail::uint128;

/// The best rate of whole permits per whole nanoseconds for a number of permits per second: the last convergent of its
/// continued fraction that fits. None where the number is not between one per 50 days and one per nanosecond.
std::optional<rate> rate_of(double per_second) {
  if (!(per_second > 0) || per_second > 1e9) return std::nullopt;
  int exponent = 0;
  const double mantissa = std::frexp(per_second, &exponent);  // exactly mantissa * 2^exponent
  auto above = static_cast<uint128>(std::ldexp(mantissa, 53)), below = uint128{1'000'000'000};
  for (int i = exponent - 53; i > 0; --i) above *= 2;
  for (int i = exponent - 53; i < 0; ++i) (above % 2 == 0 ? above /= 2 : below *= 2);
  const uint128 most = INT64_MAX;
  uint128 n0 = 0, d0 = 1, n1 = 1, d1 = 0;
  while (below != 0) {
    const uint128 whole = above / below;
    const uint128 n2 = whole * n1 + n0, d2 = whole * d1 + d0;
    if (n2 > most || d2 > most) break;
    n0 = std::exchange(n1, n2);
    d0 = std::exchange(d1, d2);
    above = std::exchange(below, above % below);
  }
  return rate{static_cast<std::uint64_t>(n1), duration{static_cast<std::int64_t>(d1)}};
}

TEST(RateOf, IsTheExactFractionWhereThereIsOne) {
  EXPECT_EQ(rate_of(7), (rate{7, duration{1'000'000'000}}));
  EXPECT_EQ(rate_of(1e9), (rate{1, duration{1}}));
  EXPECT_EQ(rate_of(0.5), (rate{1, duration{2'000'000'000}}));
  EXPECT_EQ(rate_of(0), std::nullopt);
  const rate third = *rate_of(33.3);
  EXPECT_NEAR(static_cast<double>(third.permits) / static_cast<double>(third.per.count()) * 1e9, 33.3, 1e-13);
}

class replay {
 public:
  replay(const json::object& scenario, const rate_limiter_config& config) : scenario_(scenario) {
    limiter_.emplace(config, null_observer{}, clock_);
  }

  bool at_boundary = false;  ///< stopped at a decision that floating point may take otherwise
  bool cut = false;          ///< stopped at a cancel or set_*
  std::size_t allowed = 0, reserved = 0, looked = 0, of_nothing = 0;

  void run() {
    std::size_t i = 0;
    for (const json::value& each : scenario_.at("ops").as_array()) {
      const json::object& op = each.as_object();
      SCOPED_TRACE("operation " + std::to_string(i++) + ": " + json::serialize(op));
      const std::string what{op.at("o").as_string()};
      cut = what == "cancel" || what.starts_with("set_");
      if (cut) return;
      clock_.set(instant(op, "t"));
      if (what != "tokens") {
        const auto n = op.at("n").to_number<std::uint32_t>();
        // They let "nothing" in or not, depending on debts; here nothing costs nothing.
        n == 0 ? void(++of_nothing) : what == "allow" ? allow(op, n) : reserve(op, n);
      }
      if (at_boundary || testing::Test::HasFailure()) return;
      look(op);
    }
  }

 private:
  static time_point instant(const json::object& op, const char* key) {
    return time_point{duration{op.at(key).to_number<std::int64_t>()}};
  }

  void allow(const json::object& op, std::uint32_t n) {
    const bool expected = op.at("r").to_number<int>() == 1;
    const time_point now = clock_.now();
    const time_point due = limiter_->next_available(n, now - duration{2});
    const bool got = limiter_->try_acquire({.now = now, .cost = n}).has_value();
    ++allowed;
    if (got == expected) return;
    at_boundary = due != never && std::abs((due - now).count()) <= 1;
    EXPECT_TRUE(at_boundary) << "here: " << got << ", due in " << (due - now).count() << " ns";
  }

  void reserve(const json::object& op, std::uint32_t n) {
    const time_point now = clock_.now(), later = instant(op, "t2");
    const auto got = limiter_->reserve({.now = now, .cost = n});
    ++reserved;
    ASSERT_EQ(got.has_value(), op.at("r").to_number<int>() == 1) << (got ? "" : got.error().message());
    if (!got) return;
    EXPECT_LE(std::abs((got->due - now).count() - op.at("d").to_number<std::int64_t>()), 2) << (got->due - now).count();
    const std::int64_t left = std::max<std::int64_t>(0, (got->due - later).count());
    EXPECT_LE(std::abs(left - op.at("d2").to_number<std::int64_t>()), 2) << left;
  }

  /// Whole tokens, unless they are too near to a whole number to tell.
  void look(const json::object& op) {
    const auto tokens = op.at("k").to_number<double>();
    if (std::abs(tokens - std::round(tokens)) < 1e-6 * std::max(1.0, std::abs(tokens))) return;
    ++looked;
    EXPECT_EQ(limiter_->snapshot().tokens_approx, tokens < 0 ? 0 : static_cast<std::uint64_t>(tokens)) << tokens;
  }

  const json::object& scenario_;
  manual_clock clock_;
  std::optional<limiter_type> limiter_;
};

TEST(differential_rate_limiter, DecidesAsGolangXTimeRate) {
  testing_support::oracle traces{"rate_limiter_go"};
  std::map<std::string, int> skipped;
  std::size_t allowed = 0, reserved = 0, looked = 0, of_nothing = 0, cut = 0, at_boundary = 0;
  const auto skip = [&](const char* why) {
    traces.count_skipped();
    ++skipped[why];
  };
  for (const json::value& each : traces.scenarios()) {
    const json::object& scenario = each.as_object();
    const auto limit = scenario.at("limit").to_number<double>();
    const auto burst = scenario.at("burst").to_number<std::int64_t>();
    if (scenario.at("backwards").as_bool()) {
      skip("the clock goes back");
    } else if (limit >= 1e300) {
      skip("no limit");
    } else if (limit <= 0) {
      skip("limit 0");
    } else if (burst < 1) {
      skip("burst 0");
    } else {
      const auto rate = rate_of(limit);
      ASSERT_TRUE(rate) << limit;
      const rate_limiter_config config{.limit = *rate, .burst = static_cast<std::uint64_t>(burst)};
      if (validate(config)) {
        skip("a burst of more than 50 days");
        continue;
      }
      SCOPED_TRACE("scenario " + std::to_string(scenario.at("id").to_number<int>()));
      replay one{scenario, config};
      one.run();
      if (testing::Test::HasFailure()) break;
      traces.count_replayed();
      allowed += one.allowed;
      reserved += one.reserved;
      looked += one.looked;
      of_nothing += one.of_nothing;
      cut += one.cut;
      at_boundary += one.at_boundary;
    }
  }
  EXPECT_GT(traces.replayed(), 0u);
  std::string why;
  for (const auto& [reason, n] : skipped) why += (why.empty() ? "" : ", ") + reason + " " + std::to_string(n);
  traces.report(std::to_string(allowed) + " of allow, " + std::to_string(reserved) + " of reserve, " +
                std::to_string(looked) + " token counts; cut at a cancel or set: " + std::to_string(cut) +
                ", at a boundary: " + std::to_string(at_boundary) + "; n = 0 not asked: " + std::to_string(of_nothing) +
                "; skipped for: " + (why.empty() ? "nothing" : why));
}

}  // namespace
}  // namespace weir
