// The names are what dashboards and alerts hang on: none may change unnoticed.
#include <weir/pool/blocking_pool.hpp>
#include <weir/pool/pool_metrics.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>

namespace weir {
namespace {

using namespace std::chrono_literals;

struct plain {
  struct connection {};
  connection connect(const connect_context&) { return {}; }
};

const metric_point* find(const std::vector<metric_family>& all, const std::string& name, const std::string& value = {}) {
  for (const auto& family : all) {
    if (family.name != name) continue;
    for (const auto& p : family.points) {
      if (value.empty() || p.labels.back().second == value) return &p;
    }
  }
  return nullptr;
}

TEST(PoolMetrics, TheNamesTypesAndLabelsAreTheDocumentedOnes) {
  const auto all = pool_metrics({}, {}, {});
  std::map<std::string, metric_type> types;
  std::map<std::string, std::set<std::string>> values;
  for (const auto& family : all) {
    EXPECT_TRUE(types.emplace(family.name, family.type).second) << family.name << " twice";
    EXPECT_FALSE(family.help.empty());
    for (const auto& p : family.points) {
      EXPECT_EQ(p.labels.at(0).first, "pool");
      if (p.labels.size() > 1) values[family.name + '/' + p.labels[1].first].insert(p.labels[1].second);
    }
  }
  using enum metric_type;
  EXPECT_EQ(types, (std::map<std::string, metric_type>{{"pool_connections", gauge},
                                                       {"pool_connections_max", gauge},
                                                       {"pool_connections_min", gauge},
                                                       {"pool_waiters", gauge},
                                                       {"pool_waiters_max", gauge},
                                                       {"pool_oldest_wait_seconds", gauge},
                                                       {"pool_acquire_total", counter},
                                                       {"pool_wait_seconds", metric_type::histogram},
                                                       {"pool_hold_seconds", metric_type::histogram},
                                                       {"pool_connect_seconds", metric_type::histogram},
                                                       {"pool_validate_seconds", metric_type::histogram},
                                                       {"pool_reset_seconds", metric_type::histogram},
                                                       {"pool_connections_opened_total", counter},
                                                       {"pool_connections_closed_total", counter},
                                                       {"pool_in_use_seconds_total", counter},
                                                       {"pool_waiter_seconds_total", counter},
                                                       {"pool_expired_handoffs_total", counter},
                                                       {"pool_leaks_suspected_total", counter},
                                                       {"pool_leaks_returned_total", counter},
                                                       {"pool_backend_state", gauge},
                                                       {"pool_recommended_size", gauge},
                                                       {"pool_predicted_wait_seconds", gauge}}));
  using set = std::set<std::string>;
  EXPECT_EQ(values["pool_connections/state"], (set{"idle", "in_use", "connecting", "validating", "resetting", "closing"}));
  EXPECT_EQ(values["pool_acquire_total/result"], (set{"immediate", "waited", "timeout", "predicted", "queue_full", "codel",
                                                      "quota", "backend_down", "cancelled", "closed"}));
  EXPECT_EQ(
      values["pool_connections_closed_total/reason"],
      (set{"lifetime", "idle", "broken", "validation", "reset", "invalidated", "discarded", "shrink", "shutdown", "leak"}));
  EXPECT_EQ(values["pool_wait_seconds/outcome"], (set{"ok", "failed"}));
  EXPECT_EQ(values["pool_connect_seconds/outcome"], (set{"ok", "error", "timeout"}));
}

TEST(PoolMetrics, EveryAcquireIsInOneResultAndZeroWaitsAreInTheFirstBucket) {
  manual_clock clock;
  basic_blocking_pool<plain, manual_clock> pool{
      plain{}, {.name = "orders", .max_size = 1, .min_size = 1}, pool_threads{0}, {}, clock};
  pool.tick();
  for (int i = 0; i < 3; ++i) {
    auto lease = pool.try_acquire();
    clock.advance(40ms);
  }
  auto lease = pool.try_acquire();
  EXPECT_FALSE(pool.try_acquire());
  const auto all = metrics_of(pool);
  double acquires = 0;
  for (const auto& family : all) {
    if (family.name != "pool_acquire_total") continue;
    for (const auto& p : family.points) acquires += p.value;
  }
  EXPECT_EQ(acquires, 5);
  EXPECT_EQ(find(all, "pool_connections", "in_use")->value, 1);
  EXPECT_EQ(find(all, "pool_connections_max")->labels.at(0).second, "orders");
  const metric_point* wait = find(all, "pool_wait_seconds", "ok");
  EXPECT_EQ(wait->count, 4u);
  EXPECT_EQ(wait->buckets.front(), (std::pair<double, std::uint64_t>{1e-5, 4}));
  const metric_point* hold = find(all, "pool_hold_seconds");
  EXPECT_EQ(hold->count, 3u);
  EXPECT_NEAR(hold->value, 0.12, 0.01);
  EXPECT_EQ(hold->buckets.size(), 19u);
  std::map<double, std::uint64_t> below(hold->buckets.begin(), hold->buckets.end());
  EXPECT_EQ(below[.025], 0u);
  EXPECT_EQ(below[.05], 3u);
  EXPECT_EQ(below[300], 3u);
}

// A dashboard adds them up: nobody is counted twice, and there are never more than 65 of them.
TEST(PoolMetrics, TenantsHaveLabelsOfTheirOwn) {
  manual_clock clock;
  queue_discipline fair{.order = queue_order::tenants};
  for (std::uint32_t i = 1; i <= 70; ++i) fair.tenants.push_back({.tenant = 100 * i, .max_in_use = 1});
  const pool_config config{
      .name = "orders", .max_size = 3, .min_size = 3, .max_connecting = 3, .waiting = fair, .predict = false};
  basic_blocking_pool<plain, manual_clock> pool{plain{}, config, pool_threads{0}, {}, clock};
  while (pool.tick()) {
  }
  {
    const auto one = pool.try_acquire({.tenant = 100});
  }
  auto held = pool.try_acquire({.tenant = 100});
  auto past_the_64th = pool.try_acquire({.tenant = 7000});
  auto unlisted = pool.try_acquire({.tenant = 1});
  std::thread waits{[&] { static_cast<void>(pool.acquire({.tenant = 100})); }};
  while (pool.snapshot().now.waiting != 1) std::this_thread::yield();
  const auto value = [&](const char* name, const char* tenant, const char* outcome) {
    std::uint64_t found = 0;
    double all = 0;
    for (const auto& family : metrics_of(pool)) {
      if (family.name != name) continue;
      EXPECT_EQ(family.points.size(), (outcome[0] == '\0' ? 1 : 2) * 65u);
      for (const auto& p : family.points) {
        all += outcome[0] == '\0' ? p.value : static_cast<double>(p.count);
        if (p.labels.back() != std::pair<std::string, std::string>{"tenant", tenant}) continue;
        if (outcome[0] != '\0' && p.labels[1].second != outcome) continue;
        found = outcome[0] == '\0' ? static_cast<std::uint64_t>(p.value) : p.count;
      }
    }
    return std::pair{found, all};
  };
  EXPECT_EQ(value("pool_waiters", "100", ""), (std::pair{std::uint64_t{1}, 1.0}));
  EXPECT_EQ(value("pool_waiters", "other", "").first, 0u);
  EXPECT_EQ(value("pool_wait_seconds", "100", "ok"), (std::pair{std::uint64_t{2}, 4.0}));
  EXPECT_EQ(value("pool_wait_seconds", "other", "ok").first, 2u);
  clock.advance(3ms);
  held->release();
  waits.join();
  EXPECT_EQ(value("pool_wait_seconds", "100", "ok"), (std::pair{std::uint64_t{3}, 5.0}));
  EXPECT_FALSE(pool.reconfigure(config));
  EXPECT_EQ(value("pool_wait_seconds", "100", "ok").first, 3u) << "carries over";
  pool.close();
  const auto tenants = pool.tenants();
  ASSERT_EQ(tenants.size(), 65u);
  EXPECT_TRUE(tenants[0].is_other && !tenants[1].is_other);
  EXPECT_EQ(tenants[0].in_use, 2u);
  EXPECT_EQ(tenants[1].wait_ok.count(), 1u);
  EXPECT_EQ(pool.snapshot().waited, 1u);
}

}  // namespace
}  // namespace weir
