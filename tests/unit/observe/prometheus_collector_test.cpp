// What dashboards and alerts hang on is the text: it is parsed here, by a parser that knows nothing of the library.
#include <weir/observe/prometheus_collector.hpp>
#include <weir/pool/blocking_pool.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <atomic>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

using label_values = std::map<std::string, std::string>;

struct family {
  std::string type;
  std::vector<std::pair<label_values, std::string>> samples;  // labels (with __name__), value
};

/// Of a text in which no label has quotes, commas or braces in it.
std::map<std::string, family> parse(const std::string& text) {
  std::map<std::string, family> all;
  std::string current;
  std::istringstream in{text};
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("# HELP ")) {
      current = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(all.try_emplace(current).second) << current << " twice";
    } else if (line.starts_with("# TYPE ")) {
      EXPECT_TRUE(line.starts_with("# TYPE " + current + ' ')) << line;
      all[current].type = line.substr(line.rfind(' ') + 1);
    } else {
      EXPECT_TRUE(line.starts_with(current)) << line << " is not of " << current;
      const auto open = line.find('{'), shut = line.find('}');
      label_values labels{{"__name__", line.substr(0, open)}};
      std::istringstream list{line.substr(open + 1, shut - open - 1)};
      for (std::string label; std::getline(list, label, ',');) {
        const auto equals = label.find('=');
        EXPECT_TRUE(labels.emplace(label.substr(0, equals), label.substr(equals + 2, label.size() - equals - 3)).second);
      }
      all[current].samples.emplace_back(std::move(labels), line.substr(shut + 2));
    }
  }
  return all;
}

/// "histogram name{pool, outcome=ok|failed} 0.1|0.5|+Inf" for each family.
std::vector<std::string> signatures(const std::map<std::string, family>& all) {
  std::vector<std::string> out;
  for (const auto& [name, f] : all) {
    std::map<std::string, std::string> values;
    std::map<std::string, std::set<std::string>> seen;
    for (const auto& [labels, value] : f.samples) {
      for (const auto& [label, of] : labels) {
        if (seen[label].insert(of).second) values[label] += (values[label].empty() ? "" : "|") + of;
      }
    }
    std::string text = f.type + ' ' + name + '{';
    for (const auto& [label, of] : values) {
      if (label != "__name__" && label != "le") text += (text.ends_with('{') ? "" : ", ") + label + '=' + of;
    }
    text += '}';
    if (f.type == "histogram") {
      text += ' ' + values["le"];
      EXPECT_EQ(seen["__name__"], (std::set<std::string>{name + "_bucket", name + "_count", name + "_sum"}));
    } else {
      EXPECT_EQ(seen["__name__"], std::set<std::string>{name});
    }
    out.push_back(std::move(text));
  }
  return out;
}

struct plain {
  struct connection {};
  connection connect(const connect_context&) { return {}; }
};
using manual_pool = basic_blocking_pool<plain, manual_clock>;

manual_pool make_pool(const manual_clock& clock, std::string name) {
  manual_pool pool{plain{}, {.name = std::move(name), .max_size = 2, .min_size = 1}, pool_threads{0}, {}, clock};
  pool.tick();
  return pool;
}

const std::string wait_bounds_text = "1e-05|0.0001|0.0005|0.001|0.0025|0.005|0.01|0.025|0.05|0.1|0.25|0.5|1|2.5|5|10|30|";

TEST(PrometheusCollector, NamesTypesLabelsAndBucketsOfAPoolAreTheDocumentedOnes) {
  manual_clock clock;
  const manual_pool pool = make_pool(clock, "p");
  prometheus_collector collector;
  const auto shown = collector.add(pool);
  EXPECT_THAT(
      signatures(parse(collector.text())),
      ElementsAre("counter pool_acquire_total{pool=p, result=immediate|waited|timeout|predicted|queue_full|codel|quota|"
                  "backend_down|cancelled|closed}",
                  "gauge pool_backend_state{pool=p}",  //
                  "histogram pool_connect_seconds{outcome=ok|error|timeout, pool=p} " + wait_bounds_text + "+Inf",
                  "gauge pool_connections{pool=p, state=idle|in_use|connecting|validating|resetting|closing}",
                  "counter pool_connections_closed_total{pool=p, reason=lifetime|idle|broken|validation|reset|invalidated|"
                  "discarded|shrink|shutdown|leak}",
                  "gauge pool_connections_max{pool=p}", "gauge pool_connections_min{pool=p}",
                  "counter pool_connections_opened_total{pool=p}", "counter pool_expired_handoffs_total{pool=p}",
                  "histogram pool_hold_seconds{pool=p} " + wait_bounds_text + "60|300|+Inf",
                  "counter pool_in_use_seconds_total{pool=p}", "counter pool_leaks_returned_total{pool=p}",
                  "counter pool_leaks_suspected_total{pool=p}", "gauge pool_oldest_wait_seconds{pool=p}",
                  "gauge pool_predicted_wait_seconds{pool=p}", "gauge pool_recommended_size{pool=p}",
                  "histogram pool_reset_seconds{outcome=ok|error, pool=p} " + wait_bounds_text + "+Inf",
                  "histogram pool_validate_seconds{outcome=ok|error, pool=p} " + wait_bounds_text + "+Inf",
                  "histogram pool_wait_seconds{outcome=ok|failed, pool=p} " + wait_bounds_text + "+Inf",
                  "counter pool_waiter_seconds_total{pool=p}", "gauge pool_waiters{pool=p}",
                  "gauge pool_waiters_max{pool=p}"));
  EXPECT_EQ(collector.left_out(), 0u);
}

TEST(PrometheusCollector, OnRequestWithTheNamesOfOpenTelemetry) {
  manual_clock clock;
  const manual_pool pool = make_pool(clock, "p");
  prometheus_collector collector;
  const auto shown = collector.add(pool, otel_names::on);
  auto all = signatures(parse(collector.text()));
  std::erase_if(all, [](const std::string& s) { return s.find(" pool_") != std::string::npos; });
  const std::string label = "{db_client_connection_pool_name=p}";
  EXPECT_THAT(
      all, ElementsAre("gauge db_client_connection_count{db_client_connection_pool_name=p, "
                       "db_client_connection_state=idle|used}",
                       "histogram db_client_connection_create_time_seconds" + label + ' ' + wait_bounds_text + "+Inf",
                       "gauge db_client_connection_idle_max" + label, "gauge db_client_connection_idle_min" + label,
                       "gauge db_client_connection_max" + label, "gauge db_client_connection_pending_requests" + label,
                       "counter db_client_connection_timeouts_total" + label,
                       "histogram db_client_connection_use_time_seconds" + label + ' ' + wait_bounds_text + "60|300|+Inf",
                       "histogram db_client_connection_wait_time_seconds" + label + ' ' + wait_bounds_text + "+Inf"));
  EXPECT_THAT(collector.text(), HasSubstr("pool_waiters{pool=\"p\"} 0\n")) << "beside its own";
}

TEST(PrometheusCollector, TheTextHasTheValues) {
  manual_clock clock;
  const manual_pool pool_of_others = make_pool(clock, "others");
  manual_pool pool = make_pool(clock, "orders");
  prometheus_collector collector;
  const auto shown = collector.add(pool);
  for (int i = 0; i < 3; ++i) {
    auto lease = pool.try_acquire();
    clock.advance(40ms);
  }
  auto long_one = pool.try_acquire();
  clock.advance(100s);
  pool.tick();
  long_one->release();
  auto lease = pool.try_acquire();
  clock.advance(500ms);

  const std::string text = collector.text();
  for (const char* line :
       {"pool_connections{pool=\"orders\",state=\"in_use\"} 1\n", "pool_connections_max{pool=\"orders\"} 2\n",
        "pool_acquire_total{pool=\"orders\",result=\"immediate\"} 5\n",
        "pool_wait_seconds_bucket{pool=\"orders\",outcome=\"ok\",le=\"1e-05\"} 5\n",
        "pool_wait_seconds_count{pool=\"orders\",outcome=\"ok\"} 5\n",
        "pool_hold_seconds_bucket{pool=\"orders\",le=\"0.025\"} 0\n",
        "pool_hold_seconds_bucket{pool=\"orders\",le=\"0.05\"} 3\n",
        "pool_hold_seconds_bucket{pool=\"orders\",le=\"60\"} 3\n",
        "pool_hold_seconds_bucket{pool=\"orders\",le=\"300\"} 4\n",
        "pool_hold_seconds_bucket{pool=\"orders\",le=\"+Inf\"} 4\n", "pool_in_use_seconds_total{pool=\"orders\"} 100.62\n",
        "pool_leaks_suspected_total{pool=\"orders\"} 1\n", "pool_leaks_returned_total{pool=\"orders\"} 1\n",
        "pool_expired_handoffs_total{pool=\"orders\"} 0\n", "pool_backend_state{pool=\"orders\"} 0\n",
        "# TYPE pool_waiters gauge\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("others")));
}

TEST(PrometheusCollector, TenantsAreLabels) {
  manual_clock clock;
  const manual_pool pool{plain{},
                         {.name = "p", .waiting = {.order = queue_order::tenants, .tenants = {{.tenant = 7}}}},
                         pool_threads{0},
                         {},
                         clock};
  prometheus_collector collector;
  const auto shown = collector.add(pool);
  EXPECT_THAT(signatures(parse(collector.text())),
              ::testing::IsSupersetOf(std::vector<std::string>{
                  "gauge pool_waiters{pool=p, tenant=other|7}", "gauge pool_waiters_max{pool=p}",
                  "histogram pool_wait_seconds{outcome=ok|failed, pool=p, tenant=other|7} " + wait_bounds_text + "+Inf"}));
  EXPECT_EQ(collector.left_out(), 0u);
}

metric_family gauge(std::string name, std::vector<std::pair<std::string, std::string>> labels, double value) {
  return {
      .name = std::move(name), .help = "Help.", .type = metric_type::gauge, .points = {{std::move(labels), value, 0, {}}}};
}

TEST(PrometheusCollector, FamiliesOfAllSourcesAreMergedByName) {
  prometheus_collector collector;
  const auto a = collector.add([] { return std::vector{gauge("size", {{"pool", "a"}}, 1), gauge("age", {}, 7)}; });
  {
    const auto b = collector.add([] { return std::vector{gauge("size", {{"pool", "b"}}, 2)}; });
    EXPECT_EQ(collector.text(),
              "# HELP age Help.\n# TYPE age gauge\nage 7\n"
              "# HELP size Help.\n# TYPE size gauge\nsize{pool=\"a\"} 1\nsize{pool=\"b\"} 2\n");
  }
  EXPECT_THAT(collector.text(), Not(HasSubstr("\"b\""))) << "gone with its registration";
  EXPECT_EQ(collector.left_out(), 0u);
}

TEST(PrometheusCollector, WhateverStandsInALabelOrAHelpStaysOnItsLine) {
  prometheus_collector collector;
  const auto shown = collector.add([] {
    auto family = gauge("size", {{"pool", "a\"b\\c\nd"}}, 1);
    family.help = "One\\two\nthree";
    return std::vector{std::move(family)};
  });
  EXPECT_EQ(collector.text(), "# HELP size One\\\\two\\nthree\n# TYPE size gauge\nsize{pool=\"a\\\"b\\\\c\\nd\"} 1\n");
}

TEST(PrometheusCollector, WhatWouldSpoilTheWholeScrapeIsLeftOutAndCounted) {
  prometheus_collector collector;
  const auto good = collector.add([] { return std::vector{gauge("size", {{"pool", "a"}}, 1)}; });
  const auto same = collector.add([] { return std::vector{gauge("size", {{"pool", "a"}}, 2)}; });
  EXPECT_THAT(collector.text(), HasSubstr("size{pool=\"a\"} 1\n"));
  EXPECT_EQ(collector.left_out(), 1u) << "two sources with one name";
  const auto other_type = collector.add([] {
    auto family = gauge("size", {{"pool", "c"}}, 3);
    family.type = metric_type::counter;
    return std::vector{std::move(family)};
  });
  const auto no_name = collector.add([] { return std::vector{gauge("what a size", {}, 4)}; });
  const auto no_label = collector.add([] { return std::vector{gauge("size", {{"in-use", "d"}}, 5)}; });
  const auto throwing = collector.add([]() -> std::vector<metric_family> { throw std::runtime_error("not now"); });
  EXPECT_EQ(collector.text(), "# HELP size Help.\n# TYPE size gauge\nsize{pool=\"a\"} 1\n");
  EXPECT_EQ(collector.left_out(), 6u);
}

TEST(PrometheusCollector, AnExposerGetsTheSame) {
  std::weak_ptr<prometheus::Collectable> exposed;
  prometheus_collector::registration shown;
  {
    prometheus_collector collector;
    shown = collector.add([] { return std::vector{gauge("size", {{"pool", "a"}}, 1)}; });
    const prometheus_collector copy = collector;
    exposed = copy.collectable();
    const auto families = exposed.lock()->Collect();
    ASSERT_EQ(families.size(), 1u);
    EXPECT_EQ(families[0].name, "size");
    EXPECT_EQ(families[0].metric.at(0).gauge.value, 1);
  }
  EXPECT_TRUE(exposed.expired());
  shown.remove();
  shown.remove();
  EXPECT_THROW(static_cast<void>(prometheus_collector{}.add(nullptr)), std::invalid_argument);
}

TEST(PrometheusCollector, RemovingASourceWaitsForWhoIsInIt) {
  prometheus_collector collector;
  std::atomic<bool> inside{false}, removing{false}, alive{true}, was_alive{false};
  auto shown = collector.add([&] {
    inside = true;
    while (!removing) std::this_thread::yield();
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();  // time for a removal that does not wait
    was_alive = alive.load();
    return std::vector<metric_family>{};
  });
  std::thread reader{[&] { static_cast<void>(collector.text()); }};
  while (!inside) std::this_thread::yield();
  removing = true;
  shown.remove();
  alive = false;
  reader.join();
  EXPECT_TRUE(was_alive);
  inside = false;
  EXPECT_THAT(collector.text(), IsEmpty());
  EXPECT_FALSE(inside) << "called after it was removed";
}

TEST(PrometheusCollector, PoolsComeAndGoWhileOthersRead) {
  manual_clock clock;
  prometheus_collector collector;
  std::atomic<bool> stop{false};
  std::thread readers[2];
  for (auto& reader : readers) {
    reader = std::thread{[&] {
      while (!stop) static_cast<void>(collector.text());
    }};
  }
  for (int i = 0; i < 20; ++i) {
    manual_pool pool = make_pool(clock, "p");
    const auto shown = collector.add(pool);
    EXPECT_THAT(collector.text(), HasSubstr("pool_connections{pool=\"p\",state=\"idle\"} 1\n"));
  }
  stop = true;
  for (auto& reader : readers) reader.join();
  EXPECT_THAT(collector.text(), IsEmpty());
}

}  // namespace
}  // namespace weir
