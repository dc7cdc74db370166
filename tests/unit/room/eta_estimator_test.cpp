#include <weir/room/eta_estimator.hpp>

#include <weir/core/random.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::eta_config;
using weir::eta_estimator;
using weir::random_stream;
using weir::time_point;

time_point at(double seconds) { return time_point{weir::duration{static_cast<std::int64_t>(1e12 + seconds * 1e9)}}; }
double seconds(weir::duration d) { return std::chrono::duration<double>{d}.count(); }

struct group {
  double at;
  std::uint64_t n;
};
/// Everybody who is admitted, in the order of time.
using departures = std::vector<group>;

/// Groups by a Poisson process, of geometric sizes.
departures poisson(double groups_per_s, double mean_size, double until, random_stream& random) {
  departures all;
  for (double t = random.exponential(1 / groups_per_s); t < until; t += random.exponential(1 / groups_per_s)) {
    std::uint64_t n = 1;
    while (mean_size > 1 && random.uniform() > 1 / mean_size) ++n;
    all.push_back({t, n});
  }
  return all;
}
/// A Poisson process that is switched on and off, for exponential times.
departures on_off(double per_s, double on, double off, double until, random_stream& random) {
  departures all;
  for (double t = 0; t < until; t += random.exponential(off)) {
    const double end = t + random.exponential(on);
    for (t += random.exponential(1 / per_s); t < end; t += random.exponential(1 / per_s)) all.push_back({t, 1});
    t = end;
  }
  return all;
}
/// So many every so often, each time a little late.
departures batches(std::uint64_t n, double every, double late, double until, random_stream& random) {
  departures all;
  for (double t = 3; t < until; t += every) all.push_back({t + late * random.uniform(), n});
  return all;
}

/// How many of the seats that asked waited no longer than promised.
struct coverage {
  int seats = 0, by_p50 = 0, by_p90 = 0;

  void add(const weir::room_eta& promised, double waited) {
    ++seats;
    by_p50 += waited <= seconds(promised.p50) ? 1 : 0;
    by_p90 += waited <= seconds(promised.p90) ? 1 : 0;
  }
  coverage& operator+=(const coverage& o) {
    seats += o.seats;
    by_p50 += o.by_p50;
    by_p90 += o.by_p90;
    return *this;
  }
  [[nodiscard]] double p50() const { return by_p50 * 100.0 / seats; }
  [[nodiscard]] double p90() const { return by_p90 * 100.0 / seats; }
};

/// How long who has so many ahead waits at `from`, in front of the group `next`; theta: each of those ahead gives up, per
/// second.
std::optional<double> wait_of(const departures& all, std::size_t next, double from, std::uint64_t ahead, double theta,
                              random_stream& random) {
  if (theta == 0) {
    for (; next < all.size(); ++next) {
      if (all[next].n > ahead) return all[next].at - from;
      ahead -= all[next].n;
    }
    return std::nullopt;
  }
  std::vector<double> patience(ahead);
  for (double& p : patience) p = random.exponential(1 / theta);
  std::size_t head = 0;
  for (; next < all.size(); ++next) {
    const double waited = all[next].at - from;
    for (std::uint64_t n = all[next].n; n > 0; --n) {
      while (head < ahead && patience[head] < waited) ++head;
      if (head++ == ahead) return waited;
    }
  }
  return std::nullopt;
}

/// Seats with so many ahead, that ask every 20 s in the mean, from ten minutes after the opening on.
coverage ask(const departures& all, eta_config config, std::uint64_t ahead, double theta = 0) {
  random_stream random{ahead, "seats"};
  eta_estimator eta{config};
  coverage seen;
  const std::uint64_t waiting = ahead + 1000;
  double leaves = theta > 0 ? 0 : 1e18;
  std::size_t next = 0;
  for (double now = 600;; now += random.exponential(20.0)) {
    while (next < all.size() && std::min(all[next].at, leaves) <= now) {
      if (all[next].at <= leaves) {
        eta.admitted(all[next].n, at(all[next].at));
        ++next;
      } else {
        eta.left(1, waiting, at(leaves));
        leaves += random.exponential(1 / (theta * static_cast<double>(waiting)));
      }
    }
    const auto waited = wait_of(all, next, now, ahead, theta, random);
    if (!waited) return seen;
    const auto promised = eta.estimate(ahead, at(now));
    EXPECT_TRUE(promised) << now;
    if (!promised) return seen;
    seen.add(*promised, *waited);
  }
}

constexpr std::array<std::uint64_t, 4> depths{5, 50, 500, 5000};

TEST(EtaEstimator, KeepsItsPromiseOnPoissonDepartures) {
  for (const double per_s : {0.5, 5.0, 20.0}) {
    random_stream random{1, "poisson"};
    const departures all = poisson(per_s, 1, 24'000, random);
    for (const std::uint64_t ahead : depths) {
      SCOPED_TRACE(std::to_string(per_s) + " per s, ahead " + std::to_string(ahead));
      const coverage seen = ask(all, {}, ahead);
      EXPECT_GT(seen.seats, 400);
      EXPECT_NEAR(seen.p90(), 90, 5);
      EXPECT_NEAR(seen.p50(), 50, 10);
    }
  }
}

TEST(EtaEstimator, KeepsItsPromiseOnBursts) {
  random_stream random{1, "bursts"};
  const departures all = poisson(0.5, 10, 60'000, random);
  for (const std::uint64_t ahead : depths) {
    SCOPED_TRACE(ahead);
    const coverage seen = ask(all, {}, ahead);
    EXPECT_GT(seen.seats, 400);
    EXPECT_NEAR(seen.p90(), 90, 5);
    EXPECT_NEAR(seen.p50(), 50, 10);
  }
}

TEST(EtaEstimator, KeepsItsPromiseWhereAdmissionsStopAndGo) {
  for (const double phase : {2.0, 10.0}) {
    SCOPED_TRACE(phase);
    random_stream random{1, "on and off"};
    const departures all = on_off(20, phase, phase, 20'000, random);
    coverage sum;
    for (const std::uint64_t ahead : depths) {
      const coverage seen = ask(all, {}, ahead);
      EXPECT_NEAR(seen.p90(), 90, 6) << ahead;
      sum += seen;
    }
    EXPECT_NEAR(sum.p90(), 90, 5);
    // Of a short wait the median is either nothing or a pause, and no gamma's.
    EXPECT_NEAR(sum.p50(), 50, 10);
  }
}

TEST(EtaEstimator, KnowsWhenTheNextBatchComes) {
  for (const auto bin : {1s, 10s}) {
    for (const double late : {0.0, 0.1}) {
      random_stream random{1, "batches"};
      const departures all = batches(50, 10, late, 10'000, random);
      for (const std::uint64_t ahead : depths) {
        SCOPED_TRACE(std::to_string(bin.count()) + " s, late " + std::to_string(late) + ", ahead " + std::to_string(ahead));
        const coverage seen = ask(all, {.bin = bin}, ahead);
        EXPECT_GE(seen.p90(), 85);
      }
    }
  }
  // Sharply: 120 ahead of who comes 4 s after a batch wait 6 s and two batches more.
  eta_estimator eta{{.bin = 10s}};
  for (int k = 0; k <= 30; ++k) eta.admitted(50, at(10 * k));
  const auto wait = eta.estimate(120, at(304));
  ASSERT_TRUE(wait);
  EXPECT_NEAR(seconds(wait->p50), 26, 0.5);
  EXPECT_NEAR(seconds(wait->p90), 26, 1);
  EXPECT_NEAR(seconds(eta.estimate(20, at(304))->p50), 6, 0.2);
  EXPECT_NEAR(seconds(eta.estimate(20, at(314))->p50), 10, 3) << "overdue: may last as long again";
  // A little early and a little late by turns.
  eta_estimator uneven{{.bin = 10s}};
  for (int k = 0; k <= 60; ++k) {
    uneven.admitted(50, at(10 * k + (k % 3 == 1 ? -0.5 : 0.5)));
    if (k > 12) {
      ASSERT_NEAR(uneven.rate_per_s(at(10 * k + 2)), 5, 0.05) << k;
    }
  }
  // Of different sizes: who has 1000 ahead comes with the next group and between nine and ten groups of 100 after it.
  eta_estimator mixed;
  for (int k = 0; k <= 300; ++k) mixed.admitted(k % 2 == 0 ? 80 : 120, at(k));
  EXPECT_NEAR(seconds(mixed.estimate(1000, at(300))->p50), 10.5, 0.3);
}

TEST(EtaEstimator, KnowsAPauseByItsBeginning) {
  eta_estimator eta;
  double now = 0;
  for (int k = 0; k < 400; ++k) eta.admitted(1, at(now += k % 20 == 0 ? 100 : 2.5));
  EXPECT_NEAR(seconds(eta.estimate(0, at(now + 3.5))->p50), 96, 3) << "longer than usual: so it is one of the long gaps";
  EXPECT_LT(seconds(eta.estimate(0, at(now + 1))->p50), 10);
}

TEST(EtaEstimator, CountsOnThoseWhoGiveUp) {
  random_stream random{1, "leaving"};
  const departures steady = poisson(5, 1, 12'000, random);
  const departures bursts = poisson(0.5, 10, 12'000, random);
  for (const std::uint64_t ahead : {20u, 500u, 2000u}) {
    SCOPED_TRACE(ahead);
    coverage seen = ask(steady, {}, ahead, 0.002);
    EXPECT_NEAR(seen.p90(), 90, 5);
    EXPECT_NEAR(seen.p50(), 50, 10);
    seen = ask(bursts, {}, ahead, 0.002);
    EXPECT_NEAR(seen.p90(), 90, 5);
    EXPECT_NEAR(seen.p50(), 50, 10);
  }
}

/// One every so many seconds, from `from` to `to`.
void every(eta_estimator& eta, double gap, double from, double to) {
  for (double t = from; t < to; t += gap) eta.admitted(1, at(t));
}

TEST(EtaEstimator, KnowsNothingBeforeAnythingIsKnown) {
  eta_estimator eta;
  EXPECT_FALSE(eta.estimate(5, at(0)));
  EXPECT_EQ(eta.rate_per_s(at(0)), 0);
  eta.left(3, 10, at(1));
  EXPECT_FALSE(eta.estimate(5, at(2))) << "who leaves says nothing about admissions";
  eta.admitted(4, at(5));
  EXPECT_FALSE(eta.estimate(5, at(15))) << "one group makes no rate";
  EXPECT_EQ(eta.rate_per_s(at(15)), 0);
  eta.admitted(0, at(15));
  EXPECT_FALSE(eta.estimate(5, at(18)));
  eta.admitted(4, at(20));
  EXPECT_TRUE(eta.estimate(5, at(22)));
}

TEST(EtaEstimator, BeginsWithWhatItIsTold) {
  eta_estimator eta{{.prior_per_s = 5}};
  const auto first = eta.estimate(100, at(0));
  ASSERT_TRUE(first);
  EXPECT_EQ(eta.rate_per_s(at(0)), 5);
  EXPECT_NEAR(seconds(first->p50), 20, 2);
  EXPECT_GT(seconds(first->p90), 28) << "it may well be wrong";
  EXPECT_NEAR(seconds(eta.estimate(0, at(0))->p90), 0.46, 0.02);
  eta.left(1, 100, at(0));
  EXPECT_GT(seconds(eta.estimate(100, at(0))->p50), 17) << "one who leaves is not a rout";
  every(eta, 0.5, 0, 60);
  EXPECT_NEAR(eta.rate_per_s(at(60)), 2 + 3 * std::exp(-1), 0.05) << "after tau a share of 1/e is left of it";
  every(eta, 0.5, 60, 600);
  EXPECT_NEAR(eta.rate_per_s(at(600)), 2, 0.05);
  EXPECT_LT(seconds(eta.estimate(100, at(600))->p90), 62);
}

TEST(EtaEstimator, FollowsARateThatFalls) {
  eta_estimator eta;
  every(eta, 0.2, 0, 600);
  EXPECT_NEAR(eta.rate_per_s(at(600)), 5, 0.1);
  every(eta, 0.4, 600, 720);
  EXPECT_NEAR(eta.rate_per_s(at(720)), 2.5, 0.4) << "two tau later";
  EXPECT_GT(seconds(eta.estimate(500, at(720))->p90), 200) << "by then it is what they wait";
}

TEST(EtaEstimator, SilenceIsNews) {
  eta_estimator eta;
  every(eta, 0.2, 0, 300);
  const double before = seconds(eta.estimate(100, at(300))->p50);
  EXPECT_NEAR(before, 20, 1);
  EXPECT_NEAR(eta.rate_per_s(at(360)), 5 * std::exp(-1), 0.1);
  const double after = seconds(eta.estimate(100, at(360))->p50);
  EXPECT_GT(after, 2.5 * before);
  EXPECT_GT(seconds(eta.estimate(0, at(360))->p90), 60) << "as long as nothing has come, it may last again";
  EXPECT_NEAR(eta.rate_per_s(at(900)), 5 * std::exp(-10), 1e-4) << "more bins than are closed one by one";
  EXPECT_FALSE(eta.estimate(100, at(1e6))) << "nobody knows";
  every(eta, 0.2, 1e6, 1e6 + 300);
  EXPECT_NEAR(eta.rate_per_s(at(1e6 + 300)), 5, 0.1) << "and it recovers";
}

TEST(EtaEstimator, DoesNotObserveAPause) {
  eta_estimator eta;
  every(eta, 0.2, 0, 300);
  eta.pause(at(300));
  EXPECT_FALSE(eta.estimate(100, at(310)));
  EXPECT_NEAR(eta.rate_per_s(at(5000)), 5, 0.1);
  eta.admitted(500, at(400));
  eta.left(100, 100, at(400));
  eta.resume(at(5000));
  EXPECT_NEAR(eta.rate_per_s(at(5000)), 5, 0.1);
  EXPECT_NEAR(seconds(eta.estimate(100, at(5000))->p50), 20, 1);
  every(eta, 0.2, 5000, 5010);
  EXPECT_NEAR(seconds(eta.estimate(100, at(5010))->p90), 20, 1.5);
}

TEST(EtaEstimator, AnOlderNowIsTheLatestSeen) {
  eta_estimator eta, hostile;
  random_stream random{1, "hostile"};
  for (int k = 0; k < 3000; ++k) {
    eta.admitted(1, at(0.2 * k));
    hostile.admitted(1, at(0.2 * k));
    hostile.left(0, 5, at(0.2 * k - 1000 * random.uniform()));
    ASSERT_EQ(hostile.rate_per_s(time_point::min()), hostile.rate_per_s(at(0.2 * k)));
  }
  EXPECT_EQ(hostile.rate_per_s(at(600)), eta.rate_per_s(at(600)));
  EXPECT_EQ(hostile.estimate(50, at(600))->p90, eta.estimate(50, at(600))->p90);
  EXPECT_EQ(hostile.estimate(50, at(0))->p90, eta.estimate(50, at(599.8))->p90);
  EXPECT_FALSE(hostile.estimate(50, weir::never));
  hostile.admitted(1, weir::never);
  hostile.admitted(~std::uint64_t{0}, time_point::min());
  hostile.left(5, 0, weir::never);
  EXPECT_FALSE(hostile.estimate(~std::uint64_t{0}, weir::never));
}

TEST(EtaEstimator, FurtherBackIsNeverSooner) {
  random_stream random{1, "order"};
  for (const departures& all :
       {poisson(5, 1, 1000, random), poisson(0.5, 10, 1000, random), batches(50, 10, 0.1, 1000, random)}) {
    eta_estimator eta;
    for (const group& g : all) eta.admitted(g.n, at(g.at));
    for (int k = 0; k < 50; ++k) eta.left(1, 1000, at(1000));
    weir::room_eta before;
    for (std::uint64_t ahead = 0; ahead < 100'000; ahead += 1 + ahead / 20) {
      const auto now = eta.estimate(ahead, at(1001));
      ASSERT_TRUE(now);
      ASSERT_GE(now->p50, before.p50) << ahead;
      ASSERT_GE(now->p90, before.p90) << ahead;
      ASSERT_LE(now->p50, now->p90);
      before = *now;
    }
  }
}

}  // namespace
