// The rate limiter against an exact rational token bucket, over many random configurations and histories.
#include <weir/policy/rate_limiter.hpp>

#include <weir/core/random.hpp>
#include <weir/testing/manual_clock.hpp>

#include "support/seeds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iterator>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::duration;
using weir::random_stream;
using weir::rate_limiter_config;
using weir::time_point;
using weir::detail::int128;
using limiter_type = weir::basic_rate_limiter<weir::manual_clock>;

/// A token bucket in rational numbers: tokens in units of 1/per, so that a nanosecond refills `permits` of them. Naive: it
/// refills at every event, and its time stands still when the clock goes back.
class exact_bucket {
 public:
  exact_bucket(const rate_limiter_config& config, time_point now) : now_(now) {
    set(config);
    balance_ = capacity();
  }

  void advance(time_point to) {
    if (to <= now_) return;
    balance_ = std::min(capacity(), balance_ + (to - now_).count() * permits_);
    now_ = to;
  }
  void take(std::uint32_t cost) { balance_ -= cost * per_; }
  void put_back(std::uint32_t cost) { balance_ = std::min(capacity(), balance_ + cost * per_); }
  void empty() { balance_ = std::min<int128>(balance_, 0); }
  void reconfigure(const rate_limiter_config& config) {
    const int128 old_per = per_;
    set(config);
    balance_ = std::min(capacity(), balance_ * per_ / old_per);
  }
  /// Whether `cost` tokens are there, or would be `early` nanoseconds later.
  [[nodiscard]] bool has(std::uint32_t cost, int early) const { return balance_ + early * permits_ >= cost * per_; }
  [[nodiscard]] time_point now() const { return now_; }

 private:
  void set(const rate_limiter_config& config) {
    permits_ = static_cast<int128>(config.limit.permits);
    per_ = config.limit.per.count();
    burst_ = static_cast<int128>(config.burst);
  }
  int128 capacity() const { return burst_ * per_; }

  int128 permits_ = 0, per_ = 1, burst_ = 0, balance_ = 0;
  time_point now_;
};

rate_limiter_config random_config(random_stream& random) {
  static constexpr duration periods[] = {1s, 1s, 1ms, 60s, 1h, 24h, 1ns, 7ns, 1us, 333'333'333ns, 24h * 49};
  rate_limiter_config config;
  config.limit.per = periods[random.below(std::size(periods))];
  const auto most = static_cast<std::uint64_t>(config.limit.per.count());
  static constexpr std::uint64_t scales[] = {10, 1000, 1'000'000, 1'000'000'000};
  config.limit.permits = 1 + random.below(std::min(most, scales[random.below(4)]));
  config.burst = 1 + random.below(random.below(2) == 0 ? 5 : 5000);
  if (validate(config)) config.burst = 1;
  return config;
}

/// Steps around one token's interval: that is where decisions change. Now and then a long one.
duration random_step(random_stream& random, const rate_limiter_config& config) {
  const duration interval = config.limit.per / static_cast<std::int64_t>(config.limit.permits);
  switch (random.below(6)) {
    case 0: return 0ns;
    case 1: return 1ns;
    case 2: return interval;
    case 3: return random.between(0ns, 2 * interval);
    case 4: return random.between(0ns, interval * static_cast<std::int64_t>(2 * std::min<std::uint64_t>(config.burst, 50)));
    default: return random.below(20) == 0 ? random.between(0ns, 24h * 30) : duration{interval / 2};
  }
}

std::uint32_t random_cost(random_stream& random, const rate_limiter_config& config) {
  const std::uint64_t most = random.below(3) == 0 ? config.burst : std::min<std::uint64_t>(config.burst, 3);
  return static_cast<std::uint32_t>(1 + random.below(most));
}

struct issued {
  time_point at;
  std::uint32_t cost;
};

/// Of every interval between two events: issued <= burst + rate * length, to the nanosecond.
void expect_never_over_issued(const std::vector<issued>& history, const rate_limiter_config& config) {
  const auto permits = static_cast<int128>(config.limit.permits);
  const int128 per = config.limit.per.count();
  for (std::size_t first = 0; first < history.size(); ++first) {
    int128 sum = 0;
    for (std::size_t last = first; last < history.size(); ++last) {
      sum += history[last].cost;
      const int128 length = (history[last].at - history[first].at).count() + 1;
      ASSERT_LE(sum * per, static_cast<int128>(config.burst) * per + length * permits) << first << " to " << last;
    }
  }
}

// Reserves when the exact bucket will have the tokens: at most a nanosecond earlier, never later; also when others gave up.
TEST(rate_limiter_property, reserves_for_the_nanosecond_in_which_the_tokens_come) {
  std::uint64_t in_advance = 0;
  for (const std::uint64_t seed : weir::testing_support::seeds(300)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "reserve"};
    weir::manual_clock clock;
    const rate_limiter_config config = random_config(random);
    limiter_type limiter{config, {}, clock};
    exact_bucket model{config, clock.now()};
    for (int i = 0; i < 120; ++i) {
      clock.advance(random_step(random, config));
      model.advance(clock.now());
      const std::uint32_t cost = random_cost(random, config);
      auto promise = limiter.reserve({.cost = cost});
      if (!promise) {
        ASSERT_EQ(promise.error(), weir::errc::rate_limited) << "more than the word holds";
        continue;
      }
      exact_bucket then = model;
      then.advance(promise->due);
      ASSERT_TRUE(then.has(cost, 1)) << "step " << i;
      if (promise->due > clock.now()) {
        ++in_advance;
        exact_bucket before = model;
        before.advance(promise->due - 2ns);
        ASSERT_FALSE(before.has(cost, 0)) << "step " << i << ": later than need be";
      }
      if (random.below(5) == 0) {
        promise->permit.cancel();
      } else {
        model.take(cost);
      }
    }
  }
  EXPECT_GT(in_advance, 5000u);
}

// Decides as the exact bucket does; at most a nanosecond earlier, never later. retry_after is exact.
TEST(rate_limiter_property, decides_as_an_exact_token_bucket) {
  for (const std::uint64_t seed : weir::testing_support::seeds(400)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "exact"};
    weir::manual_clock clock;
    const rate_limiter_config config = random_config(random);
    limiter_type limiter{config, {}, clock};
    exact_bucket model{config, clock.now()};
    std::vector<issued> history;
    for (int i = 0; i < 250; ++i) {
      clock.advance(random_step(random, config));
      model.advance(clock.now());
      const std::uint32_t cost = random_cost(random, config);
      const auto available = limiter.next_available(cost, clock.now());
      auto permit = limiter.try_acquire({.cost = cost});
      if (permit) {
        ASSERT_TRUE(model.has(cost, 1)) << "step " << i;
        ASSERT_EQ(available, clock.now());
        model.take(cost);
        history.push_back({clock.now(), cost});
        continue;
      }
      ASSERT_EQ(permit.error(), weir::errc::rate_limited);
      ASSERT_FALSE(model.has(cost, 0)) << "step " << i;
      const duration wait = permit.error().retry_after();
      ASSERT_GT(wait, 0ns);
      ASSERT_EQ(available, clock.now() + wait);
      if (random.below(3) != 0) continue;
      clock.advance(wait - 1ns);
      ASSERT_FALSE(limiter.try_acquire({.cost = cost})) << "step " << i << ": too early";
      clock.advance(1ns);
      model.advance(clock.now());
      ASSERT_TRUE(limiter.try_acquire({.cost = cost})) << "step " << i << ": not when it was promised";
      ASSERT_TRUE(model.has(cost, 1));
      model.take(cost);
      history.push_back({clock.now(), cost});
    }
    expect_never_over_issued(history, config);
  }
}

// Clocks that go back, by a little or by years, and forth: no interval of the clamped time is over-issued.
TEST(rate_limiter_property, a_hostile_clock_gains_nothing) {
  for (const std::uint64_t seed : weir::testing_support::seeds(400)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "hostile"};
    weir::manual_clock clock;
    clock.set(time_point{24h * 365 * 50});
    const rate_limiter_config config = random_config(random);
    limiter_type limiter{config, {}, clock};
    exact_bucket model{config, clock.now()};
    ASSERT_TRUE(limiter.try_acquire({.cost = 0}));  // time begins for both
    std::vector<issued> history;
    time_point latest = clock.now();
    for (int i = 0; i < 250; ++i) {
      switch (random.below(8)) {
        case 0: clock.set(clock.now() - random_step(random, config)); break;
        case 1: clock.set(latest); break;
        case 2:
          if (random.below(10) == 0) clock.set(clock.now() - random.between(0s, 24h * 3650));
          break;
        default: clock.set(clock.now() + random_step(random, config));
      }
      latest = std::max(latest, clock.now());
      model.advance(clock.now());
      const std::uint32_t cost = random_cost(random, config);
      auto permit = limiter.try_acquire({.cost = cost});
      if (permit) {
        ASSERT_TRUE(model.has(cost, 1)) << "step " << i;
        model.take(cost);
        history.push_back({latest, cost});
      } else if (clock.now() == latest) {
        // At the front of time it is not just strict but exact, whatever has happened behind.
        ASSERT_FALSE(model.has(cost, 0)) << "step " << i;
      }
    }
    expect_never_over_issued(history, config);
  }
}

// Reconfigured, drained and cancelled at random moments, the tokens are those of the exact bucket. Each change of the
// configuration rounds to a unit, which is less than a nanosecond of refill; they may add up.
TEST(rate_limiter_property, tokens_survive_changes) {
  for (const std::uint64_t seed : weir::testing_support::seeds(400)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "changes"};
    weir::manual_clock clock;
    rate_limiter_config config = random_config(random);
    limiter_type limiter{config, {}, clock};
    exact_bucket model{config, clock.now()};
    std::vector<limiter_type::permit> held;
    int changes = 0;
    for (int i = 0; i < 250; ++i) {
      clock.advance(random_step(random, config));
      model.advance(clock.now());
      const std::uint64_t what = random.below(40);
      if (what == 0) {
        rate_limiter_config next = random_config(random);
        // Comparable rates, else the nanosecond of the one is an age of the other.
        next.limit = {config.limit.permits, config.limit.per + config.limit.per / 7};
        if (validate(next)) next.burst = config.burst;
        if (validate(next)) continue;
        ASSERT_FALSE(limiter.reconfigure(next));
        model.reconfigure(next);
        config = next;
        held.clear();
        ++changes;
      } else if (what == 1) {
        limiter.drain();
        model.empty();
        ++changes;
      } else if (what < 8 && !held.empty()) {
        const std::size_t which = random.below(held.size());
        model.put_back(held[which].cost());
        held[which].cancel();
        held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
      } else {
        const std::uint32_t cost = random_cost(random, config);
        auto permit = limiter.try_acquire({.cost = cost});
        if (permit) {
          ASSERT_TRUE(model.has(cost, 1 + changes)) << "step " << i;
          model.take(cost);
          held.push_back(std::move(*permit));
        } else {
          ASSERT_FALSE(model.has(cost, -1 - changes)) << "step " << i;
        }
      }
    }
    const auto s = limiter.snapshot();
    ASSERT_EQ(s.arrivals(), s.admitted + s.rate_limited + s.cancelled);
  }
}

}  // namespace
