// The strict promise of a window limiter, checked at every admission: no interval (t, t + per] holds more than the limit.
// And the other half: a list of all recorded tokens admits whenever it does, and knows when it will.
#include <weir/policy/window_limiter.hpp>

#include <weir/core/random.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "support/seeds.hpp"

namespace weir {
namespace {

using namespace std::chrono_literals;
using limiter_type = basic_window_limiter<manual_clock>;

/// Instants that look for trouble: ties, the edges of windows and one nanosecond beside them, pauses, steps back.
time_point move(time_point now, time_point newest, duration per, random_stream& random) {
  switch (random.below(12)) {
    case 0: return newest + per;
    case 1: return newest + per - 1ns;
    case 2: return newest + per + 1ns;
    case 3: return now + per / 2;
    case 4: return now - duration{static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(3 * per.count())))};
    case 5: return now + duration{static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(2 * per.count())))};
    case 6: return now + 1ns;
    default:
      return now + duration{static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(per.count() / 8 + 2)))};
  }
}

/// All tokens that count, in the order of their instants; the slow and obvious way.
struct list_of_tokens {
  std::deque<time_point> at;
  std::uint64_t permits;
  duration per;

  /// Whether `cost` more fit at `t`, if nothing is ever taken back.
  [[nodiscard]] time_point due(std::uint64_t cost) const {
    const std::size_t over = at.size() + cost > permits ? at.size() + cost - permits : 0;
    return over == 0 ? time_point::min() : at[over - 1] + per;
  }
  void issue(std::uint64_t cost, time_point t) { at.insert(at.end(), cost, t); }
  /// No more than `permits` in (t - per, t] for the newest, and so for all before.
  [[nodiscard]] bool keeps_the_limit() const {
    return at.size() <= permits || at[at.size() - 1] - at[at.size() - 1 - permits] >= per;
  }
};

// More than a million arrivals; exact agreement with the list, also about when to come back.
TEST(WindowLimiterProperty, AdmitsExactlyWhatAListOfTokensAdmits) {
  std::uint64_t arrivals = 0, admitted = 0;
  for (const std::uint64_t seed : testing_support::seeds(260)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "window_limiter"};
    const bool fifty = seed % 2 == 0;
    const std::uint64_t permits = fifty ? 50 : 1 + random.below(20);
    const duration per = fifty ? duration{10s} : duration{static_cast<std::int64_t>(1 + random.below(1000))};
    limiter_type limiter{{.limit = {permits, per}}};
    list_of_tokens list{{}, permits, per};
    time_point now{1h}, newest = now - 1h;
    for (int i = 0; i < 4000; ++i, ++arrivals) {
      if (random.below(3) != 0) now = move(now, newest, per, random);
      const auto cost = random.below(8) == 0 ? 1 + static_cast<std::uint32_t>(random.below(permits)) : 1u;
      const time_point recorded = std::max(now, newest), due = list.due(cost);
      auto permit = limiter.try_acquire({.now = now, .cost = cost});
      ASSERT_EQ(permit.has_value(), due <= recorded) << i;
      if (permit) {
        ASSERT_EQ(permit->recorded_at(), recorded);
        list.issue(cost, recorded);
        newest = recorded;
        admitted += cost;
        ASSERT_TRUE(list.keeps_the_limit()) << i;
        while (list.at.size() > 2 * permits) list.at.pop_front();
      } else {
        ASSERT_EQ(permit.error().retry_after(), due - now) << i;
        ASSERT_EQ(limiter.next_available(cost, now), due) << i;
      }
    }
  }
  EXPECT_GT(arrivals, 1'000'000u);
  EXPECT_GT(admitted, arrivals / 10);
}

// With cancellations: those that were not cancelled never exceed the limit, and nothing is lost for longer than its window.
TEST(WindowLimiterProperty, ACancelledTokenNeverLetsInOneTooMany) {
  std::uint64_t cancelled = 0, used_again = 0;
  for (const std::uint64_t seed : testing_support::seeds(200)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "window_limiter_cancel"};
    const std::uint64_t permits = 1 + random.below(12);
    const duration per{static_cast<std::int64_t>(2 + random.below(300))};
    limiter_type limiter{{.limit = {permits, per}}};
    struct issued {
      limiter_type::permit permit;
      std::uint64_t cost;
      time_point at;
    };
    std::vector<issued> open;      // may still be cancelled
    std::vector<time_point> kept;  // tokens that will never be
    time_point now{1h}, newest = now;
    for (int i = 0; i < 600; ++i) {
      now = move(now, newest, per, random);
      if (random.below(3) == 0 && !open.empty()) {
        const auto which = static_cast<std::ptrdiff_t>(random.below(open.size()));
        open[static_cast<std::size_t>(which)].permit.cancel();
        open.erase(open.begin() + which);
        ++cancelled;
        continue;
      }
      const auto cost = 1 + static_cast<std::uint32_t>(random.below(permits));
      auto permit = limiter.try_acquire({.now = now, .cost = cost});
      if (!permit) {
        // What it says is kept, if nobody comes and nothing is cancelled.
        const auto again = limiter.next_available(cost, now);
        ASSERT_EQ(again, now + permit.error().retry_after());
        if (random.below(2) == 0) continue;
        ASSERT_FALSE(limiter.try_acquire({.now = again - 1ns, .cost = cost})) << i;
        permit = limiter.try_acquire({.now = now = again, .cost = cost});
        ASSERT_TRUE(permit) << i;
      }
      newest = permit->recorded_at();
      open.push_back({std::move(*permit), cost, newest});
      if (random.below(2) == 0) {  // decided: it runs
        const auto which = static_cast<std::ptrdiff_t>(random.below(open.size()));
        auto& chosen = open[static_cast<std::size_t>(which)];
        chosen.permit.release(outcome::success);
        kept.insert(kept.end(), chosen.cost, chosen.at);
        open.erase(open.begin() + which);
      }
    }
    for (const auto& each : open) kept.insert(kept.end(), each.cost, each.at);
    std::sort(kept.begin(), kept.end());
    for (std::size_t k = permits; k < kept.size(); ++k) ASSERT_GE(kept[k] - kept[k - permits], per) << k;
    // At rest everything comes back.
    auto all = limiter.try_acquire({.now = newest + per, .cost = static_cast<std::uint32_t>(permits)});
    ASSERT_TRUE(all);
    all->cancel();
    used_again += limiter.try_acquire({.now = newest + per, .cost = static_cast<std::uint32_t>(permits)}).has_value();
  }
  EXPECT_GT(cancelled, 10'000u);
  EXPECT_EQ(used_again, 200u * (testing_support::seeds(200).size() / 200));
}

// Another limit in the middle: what had been issued before still counts for the new one, whatever of it is cancelled, and
// whenever that was.
TEST(WindowLimiterProperty, ANewLimitHoldsForWhatWasIssuedBefore) {
  std::uint64_t cancelled = 0;
  for (const std::uint64_t seed : testing_support::seeds(600)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "window_limiter_reconfigure"};
    const auto any_limit = [&] {
      return rate{1 + random.below(10), duration{static_cast<std::int64_t>(1 + random.below(200))}};
    };
    rate limit = any_limit();
    manual_clock clock;
    limiter_type limiter{{.limit = limit}, {}, clock};
    struct issued {
      limiter_type::permit permit;
      time_point at;
      bool counts;
    };
    std::vector<issued> all;
    for (int i = 0; i < 300; ++i) {
      clock.advance(duration{static_cast<std::int64_t>(random.below(1 + random.below(60)))});
      if (random.below(15) == 0) {
        limit = any_limit();
        ASSERT_EQ(limiter.reconfigure({.limit = limit}), std::nullopt);
      }
      if (random.below(5) == 0 && !all.empty()) {
        auto& chosen = all[all.size() - 1 - random.below(std::min<std::uint64_t>(all.size(), 12))];
        chosen.permit.cancel();
        cancelled += std::exchange(chosen.counts, false);
      }
      auto permit = limiter.try_acquire();
      if (!permit) {
        ASSERT_GT(permit.error().retry_after(), 0ns);
        continue;
      }
      all.push_back({std::move(*permit), clock.now(), true});
      // Those that are cancelled later do not count for those that come later. So it is this one that may be too many.
      const auto in_window = std::count_if(all.begin(), all.end(),
                                           [&](const issued& x) { return x.counts && x.at > clock.now() - limit.per; });
      ASSERT_LE(static_cast<std::uint64_t>(in_window), limit.permits) << i;
    }
    EXPECT_FALSE(all.empty());
  }
  EXPECT_GT(cancelled, 10'000u);
}

// What the approximate one is worth: it decides by its formula exactly, also with cancellations, and says when; those that
// were not cancelled are never more than twice the limit.
TEST(WindowLimiterProperty, TheApproximateOneIsOffByAFactorOfTwoAtMost) {
  std::uint64_t worst = 0, cancelled = 0;
  for (const std::uint64_t seed : testing_support::seeds(200)) {
    SCOPED_TRACE(seed);
    random_stream random{seed, "window_limiter_approximate"};
    const std::uint64_t permits = 1 + random.below(30);
    const duration per{static_cast<std::int64_t>(1 + random.below(1000))};
    limiter_type limiter{{.limit = {permits, per}, .precision = window_precision::approximate}};
    const bool cancels = random.below(2) == 0;
    std::deque<time_point> tokens;  // of this and the previous period
    std::optional<limiter_type::permit> undecided;
    time_point now{1h}, newest = now;
    const auto fits = [&](std::uint64_t cost, time_point at) {
      const auto period = [&](time_point t) { return t.time_since_epoch() / per; };
      std::uint64_t present = 0, previous = 0;
      for (const time_point t : tokens) {
        present += period(t) == period(at);
        previous += period(t) == period(at) - 1;
      }
      const auto length = static_cast<std::uint64_t>(per.count());
      const std::uint64_t left = length - static_cast<std::uint64_t>((at.time_since_epoch() % per).count());
      return (present + cost) * length + previous * left <= permits * length;
    };
    for (int i = 0; i < 2000; ++i) {
      if (random.below(3) == 0) now = move(now, newest, per, random);
      const auto cost = random.below(4) == 0 ? 1 + static_cast<std::uint32_t>(random.below(permits)) : 1u;
      auto permit = limiter.try_acquire({.now = now, .cost = cost});
      ASSERT_EQ(permit.has_value(), fits(cost, std::max(now, newest))) << i;
      if (!permit) {
        const time_point due = now + permit.error().retry_after();
        ASSERT_GT(due, std::max(now, newest));
        ASSERT_TRUE(fits(cost, due)) << i;
        ASSERT_FALSE(fits(cost, due - 1ns)) << i;
        ASSERT_EQ(limiter.next_available(cost, due), due);
        ASSERT_GT(limiter.next_available(cost, due - 1ns), due - 1ns);
        continue;
      }
      newest = permit->recorded_at();
      tokens.insert(tokens.end(), cost, newest);
      if (!undecided && cancels) {
        undecided.emplace(std::move(*permit));
      } else if (undecided && random.below(5) == 0) {
        const auto first = std::find(tokens.begin(), tokens.end(), undecided->recorded_at());
        if (first != tokens.end()) tokens.erase(first, first + undecided->cost());
        undecided->cancel();
        undecided.reset();
        ++cancelled;
      }
      while (!tokens.empty() && tokens.front() <= newest - 2 * per) tokens.pop_front();
      const auto in_window = static_cast<std::uint64_t>(
          std::count_if(tokens.begin(), tokens.end(), [&](time_point t) { return t > newest - per; }));
      ASSERT_LE(in_window, 2 * permits);
      worst = std::max(worst, in_window * 100 / permits);
    }
  }
  EXPECT_GT(cancelled, 1000u);
  EXPECT_GT(worst, 150u) << "the test has to find the bad cases";
}

}  // namespace
}  // namespace weir
