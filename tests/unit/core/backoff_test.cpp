#include <weir/core/backoff.hpp>

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace weir {
namespace {

using namespace std::chrono_literals;

TEST(Backoff, DoublesUpToTheCap) {
  const backoff b{.initial = 100ms, .multiplier = 2, .cap = 1s, .jitter = jitter_kind::none};
  EXPECT_EQ(b.nominal(0), 100ms);
  EXPECT_EQ(b.nominal(1), 100ms);
  EXPECT_EQ(b.nominal(2), 200ms);
  EXPECT_EQ(b.nominal(4), 800ms);
  EXPECT_EQ(b.nominal(5), 1s);
  EXPECT_EQ(b.nominal(std::numeric_limits<std::uint32_t>::max()), 1s);
}

TEST(Backoff, CutsOffAtEveryStepToItsGranularity) {
  // 500 * 1.5^4 is 2531.25; cut off step by step it is 2530.
  const backoff b{
      .initial = 500ms, .multiplier = 1.5, .cap = duration::max(), .jitter = jitter_kind::none, .granularity = 1ms};
  EXPECT_EQ(b.nominal(4), 1687ms);
  EXPECT_EQ(b.nominal(5), 2530ms);
}

TEST(Backoff, TheCapNeedNotBeAMultipleOfTheGranularity) {
  const backoff b{.initial = 1s, .multiplier = 2, .cap = 1500ms, .jitter = jitter_kind::none, .granularity = 1s};
  EXPECT_EQ(b.nominal(1), 1s);
  EXPECT_EQ(b.nominal(2), 1500ms);
  EXPECT_EQ(b.nominal(3), 1500ms);
}

TEST(Backoff, TheCapBoundsTheResultAndNotTheSequence) {
  // 1000, 500, 250: the sequence shrinks from above the cap to below it.
  const backoff b{.initial = 1s, .multiplier = 0.5, .cap = 600ms, .jitter = jitter_kind::none};
  EXPECT_EQ(b.nominal(1), 600ms);
  EXPECT_EQ(b.nominal(2), 500ms);
  EXPECT_EQ(b.nominal(3), 250ms);
  EXPECT_EQ(b.nominal(1000), 0ms);
}

TEST(Backoff, SaturatesInsteadOfOverflowing) {
  const backoff b{.initial = 1h, .multiplier = 1e300, .cap = duration::max(), .jitter = jitter_kind::none};
  EXPECT_EQ(b.nominal(2), duration::max());
  EXPECT_EQ(b.nominal(1'000'000), duration::max());
  backoff coarse = b;
  coarse.granularity = 1s;
  EXPECT_EQ(coarse.uncapped_units(5), std::numeric_limits<std::int64_t>::max());
  EXPECT_GE(coarse.nominal(5), duration::max() - duration{1s});
}

TEST(Backoff, ALongTailOfAttemptsCostsNothingOnceItStandsStill) {
  // 3 * 1.1 is 3 again after the cut, for four thousand million attempts.
  const backoff b{.initial = 3ns, .multiplier = 1.1, .cap = 1s, .jitter = jitter_kind::none};
  EXPECT_EQ(b.nominal(std::numeric_limits<std::uint32_t>::max()), 3ns);
}

TEST(Backoff, EachJitterStaysInItsRangeAndUsesIt) {
  struct row {
    jitter_kind kind;
    duration low, high;
  };
  for (const row& r :
       {row{jitter_kind::none, 400ms, 400ms}, row{jitter_kind::full, 0ms, 400ms}, row{jitter_kind::equal, 200ms, 400ms},
        row{jitter_kind::proportional, 320ms, 480ms}, row{jitter_kind::decorrelated, 100ms, 600ms}}) {
    const backoff b{.initial = 100ms, .multiplier = 2, .cap = 1s, .jitter = r.kind, .fraction = 0.2};
    random_stream random{7, "jitter"};
    duration least = duration::max(), most = duration::zero();
    for (int i = 0; i < 2000; ++i) {
      const duration d = b.delay(3, random, 200ms);
      least = std::min(least, d);
      most = std::max(most, d);
    }
    SCOPED_TRACE(static_cast<int>(r.kind));
    EXPECT_GE(least, r.low);
    EXPECT_LE(most, r.high);
    EXPECT_LE(least, r.low + (r.high - r.low) / 50);
    EXPECT_GE(most, r.high - (r.high - r.low) / 50);
  }
}

TEST(Backoff, ProportionalJitterSpreadsAroundTheCapToo) {
  const backoff b{.initial = 1s, .cap = 10s, .jitter = jitter_kind::proportional, .fraction = 0.5};
  random_stream random{1, "jitter"};
  int above = 0;
  for (int i = 0; i < 1000; ++i) above += b.delay(50, random) > 10s;
  EXPECT_GT(above, 400);
  EXPECT_LT(above, 600);
}

TEST(Backoff, DecorrelatedJitterStartsAtInitialAndEndsAtTheCap) {
  const backoff b{.initial = 100ms, .cap = 2s, .jitter = jitter_kind::decorrelated};
  random_stream random{3, "jitter"};
  duration previous{};
  bool reached = false;
  for (int i = 0; i < 200; ++i) {
    const duration next = b.delay(1, random, previous);
    ASSERT_GE(next, 100ms);
    ASSERT_LE(next, std::min<duration>(2s, std::max<duration>(previous, 100ms) * 3));
    reached = reached || next == 2s;
    previous = next;
  }
  EXPECT_TRUE(reached);
}

TEST(Backoff, TheSameSeedGivesTheSameDelays) {
  const backoff b{};
  random_stream one{42, "x"}, two{42, "x"};
  for (std::uint32_t k = 1; k < 20; ++k) EXPECT_EQ(b.delay(k, one), b.delay(k, two));
}

TEST(Backoff, ExtremeValuesNeitherOverflowNorGoNegative) {
  for (const auto kind :
       {jitter_kind::none, jitter_kind::full, jitter_kind::equal, jitter_kind::decorrelated, jitter_kind::proportional}) {
    const backoff b{.initial = duration::max(), .multiplier = 10, .cap = duration::max(), .jitter = kind, .fraction = 1};
    random_stream random{5, "jitter"};
    for (std::uint32_t k = 0; k < 50; ++k) EXPECT_GE(b.delay(k, random, duration::max()), duration::zero());
  }
}

TEST(Backoff, ValidateNamesEachWrongField) {
  const auto field = [](backoff b) {
    const auto error = validate(b, "retry_config.wait");
    return error ? error->field : "";
  };
  EXPECT_EQ(field({}), "");
  EXPECT_EQ(field({.initial = 0ms}), "retry_config.wait.initial");
  EXPECT_EQ(field({.initial = 1ms, .granularity = 2ms}), "retry_config.wait.initial");
  EXPECT_EQ(field({.multiplier = 0}), "retry_config.wait.multiplier");
  EXPECT_EQ(field({.multiplier = std::nan("")}), "retry_config.wait.multiplier");
  EXPECT_EQ(field({.multiplier = INFINITY}), "retry_config.wait.multiplier");
  EXPECT_EQ(field({.cap = 0ms}), "retry_config.wait.cap");
  EXPECT_EQ(field({.fraction = 1.1}), "retry_config.wait.fraction");
  EXPECT_EQ(field({.fraction = std::nan("")}), "retry_config.wait.fraction");
  EXPECT_EQ(field({.granularity = 0ms}), "retry_config.wait.granularity");
}

}  // namespace
}  // namespace weir
