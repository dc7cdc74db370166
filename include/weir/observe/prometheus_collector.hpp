#pragma once
/// \file
/// `prometheus_collector`: metrics of pools, and of whatever else gives `metric_family`s, for Prometheus. Compiled part
/// over prometheus-cpp: link weir::prometheus.
///
/// When to use: to serve /metrics. Metrics as data need no library: `metrics_of(pool)`.
///
/// ```cpp
/// weir::prometheus_collector collector;
/// auto shown = collector.add(pool);              // until `shown` goes
/// respond(collector.content_type, collector.text());                          // from a server of your own, or:
/// prometheus::Exposer exposer{"127.0.0.1:9464"};                              // prometheus-cpp's
/// exposer.RegisterCollectable(collector.collectable());
/// ```
/// Families of the same name are merged, whichever source they come from. Thread-safe: sources may come and go while
/// somebody reads.

#include <weir/pool/pool_metrics.hpp>
#include <weir/stats/metric.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace prometheus {
class Collectable;  // NOLINT: that is its name
}

namespace weir::inline v0 {

/// Copies share their sources.
class prometheus_collector {
  class exposition;
  struct entry;

 public:
  /// Called by whoever reads, on their thread; by one at a time. What it throws leaves this source out, once.
  using source = std::function<std::vector<metric_family>()>;

  /// Shows a source until it goes. May outlive the collector.
  class [[nodiscard]] registration {
   public:
    registration() noexcept = default;
    registration(registration&&) noexcept = default;
    registration& operator=(registration&& other) noexcept;
    ~registration() { remove(); }

    /// When it returns the source is not called any more; waits while somebody is in it. Not from inside of the source, and
    /// under no lock that the source takes.
    void remove() noexcept;

   private:
    friend class prometheus_collector;
    std::weak_ptr<exposition> from_;
    std::shared_ptr<entry> entry_;
  };

  /// The content type of `text()`.
  static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

  /// Errors: std::bad_alloc.
  prometheus_collector();

  /// Errors: std::invalid_argument (an empty function), std::bad_alloc.
  registration add(source give);
  /// A `pool` or `blocking_pool`, which must neither move nor go before the registration does.
  template <class Pool>
    requires requires(const Pool& p) { metrics_of(p); }
  registration add(const Pool& pool, otel_names otel = otel_names::off) {
    return add(source{[&pool, otel] { return metrics_of(pool, otel); }});
  }

  /// All sources in Prometheus's text format, families in order of their names. Errors: std::bad_alloc. Complexity:
  /// O(points log points), and what the sources take.
  [[nodiscard]] std::string text() const;

  /// For `prometheus::Exposer` and `Gateway`, which hold it weakly: the same for as long as a copy of this collector lives.
  [[nodiscard]] std::shared_ptr<prometheus::Collectable> collectable() const;

  /// How often something was not shown since Prometheus could not read it, or nothing beside it: a family without a valid
  /// name, or of another type than the one of that name before it; a point with an invalid label, or with the labels of
  /// another one (two pools of the same name); also sources that threw.
  [[nodiscard]] std::uint64_t left_out() const noexcept;

 private:
  std::shared_ptr<exposition> exposition_;
};

}  // namespace weir::inline v0
