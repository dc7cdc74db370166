#include <weir/core/detail/mutex.hpp>
#include <weir/observe/prometheus_collector.hpp>

#include <prometheus/check_names.h>
#include <prometheus/client_metric.h>
#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <stdexcept>
#include <utility>

namespace weir::inline v0 {

namespace {

using labels = std::vector<prometheus::ClientMetric::Label>;

prometheus::MetricType type_of(metric_type type) {
  switch (type) {
    case metric_type::gauge: return prometheus::MetricType::Gauge;
    case metric_type::counter: return prometheus::MetricType::Counter;
    case metric_type::histogram: return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

/// The library escapes the values of labels, but not this.
std::string escaped(const std::string& help) {
  std::string text;
  for (const char c : help) {
    if (c == '\\') text += '\\';
    text += c == '\n' ? "\\n" : std::string(1, c);
  }
  return text;
}

prometheus::ClientMetric to_client_metric(const metric_point& p, metric_type type) {
  prometheus::ClientMetric m;
  for (const auto& [name, value] : p.labels) m.label.push_back({name, value});
  switch (type) {
    case metric_type::gauge: m.gauge.value = p.value; break;
    case metric_type::counter: m.counter.value = p.value; break;
    case metric_type::histogram:
      m.histogram.sample_count = p.count;
      m.histogram.sample_sum = p.value;
      for (const auto& [bound, count] : p.buckets) m.histogram.bucket.push_back({count, bound});
      break;
  }
  return m;
}

/// Families by name, and what of them can be shown together.
class merged_families {
 public:
  void add(const std::vector<metric_family>& families) {
    for (const metric_family& f : families) add(f);
  }
  [[nodiscard]] std::vector<prometheus::MetricFamily> take() && {
    std::vector<prometheus::MetricFamily> all;
    all.reserve(by_name_.size());
    for (auto& [name, f] : by_name_) all.push_back(std::move(f.shown));
    return all;
  }
  [[nodiscard]] std::uint64_t left_out() const noexcept { return left_out_; }

 private:
  struct family {
    prometheus::MetricFamily shown;
    std::set<labels> seen;
  };

  void add(const metric_family& f) {
    if (!prometheus::CheckMetricName(f.name)) {
      ++left_out_;
      return;
    }
    const auto [at, is_new] = by_name_.try_emplace(f.name);
    prometheus::MetricFamily& shown = at->second.shown;
    if (is_new) {
      shown.name = f.name;
      shown.help = escaped(f.help);
      shown.type = type_of(f.type);
    } else if (shown.type != type_of(f.type)) {
      ++left_out_;
      return;
    }
    for (const metric_point& p : f.points) {
      auto m = to_client_metric(p, f.type);
      labels key = m.label;
      std::sort(key.begin(), key.end());
      const bool valid =
          std::all_of(key.begin(), key.end(), [](const auto& l) { return prometheus::CheckLabelName(l.name); });
      if (valid && at->second.seen.insert(std::move(key)).second) {
        shown.metric.push_back(std::move(m));
      } else {
        ++left_out_;
      }
    }
  }

  std::map<std::string, family> by_name_;
  std::uint64_t left_out_ = 0;
};

}  // namespace

/// A source. Its lock is held while it is called, so that removing it waits for that; nobody else wants it.
struct prometheus_collector::entry {
  explicit entry(source f) : give(std::move(f)) {}

  detail::mutex reading;
  source give WEIR_GUARDED_BY(reading);  // empty: removed
};

class prometheus_collector::exposition final : public prometheus::Collectable {
 public:
  std::vector<prometheus::MetricFamily> Collect() const override {
    merged_families all;
    for (const auto& e : entries()) {
      try {
        all.add(read(*e));
      } catch (...) {
        left_out_.fetch_add(1, std::memory_order_relaxed);
      }
    }
    left_out_.fetch_add(all.left_out(), std::memory_order_relaxed);
    return std::move(all).take();
  }

  void add(std::shared_ptr<entry> e) {
    const detail::scoped_lock lock{mutex_};
    entries_.push_back(std::move(e));
  }
  void remove(const std::shared_ptr<entry>& e) noexcept {
    const detail::scoped_lock lock{mutex_};
    std::erase(entries_, e);
  }
  [[nodiscard]] std::uint64_t left_out() const noexcept { return left_out_.load(std::memory_order_relaxed); }

 private:
  [[nodiscard]] std::vector<std::shared_ptr<entry>> entries() const {
    const detail::scoped_lock lock{mutex_};
    return entries_;
  }
  static std::vector<metric_family> read(entry& e) {
    const detail::scoped_lock lock{e.reading};
    return e.give ? e.give() : std::vector<metric_family>{};
  }

  mutable detail::mutex mutex_;
  std::vector<std::shared_ptr<entry>> entries_ WEIR_GUARDED_BY(mutex_);
  mutable std::atomic<std::uint64_t> left_out_{0};
};

prometheus_collector::prometheus_collector() : exposition_(std::make_shared<exposition>()) {}

prometheus_collector::registration prometheus_collector::add(source give) {
  if (!give) throw std::invalid_argument{"prometheus_collector::add: an empty function"};
  registration r;
  r.entry_ = std::make_shared<entry>(std::move(give));
  r.from_ = exposition_;
  exposition_->add(r.entry_);
  return r;
}

std::string prometheus_collector::text() const { return prometheus::TextSerializer{}.Serialize(exposition_->Collect()); }

std::shared_ptr<prometheus::Collectable> prometheus_collector::collectable() const { return exposition_; }

std::uint64_t prometheus_collector::left_out() const noexcept { return exposition_->left_out(); }

prometheus_collector::registration& prometheus_collector::registration::operator=(registration&& other) noexcept {
  if (this == &other) return *this;
  remove();
  from_ = std::move(other.from_);
  entry_ = std::move(other.entry_);
  return *this;
}

void prometheus_collector::registration::remove() noexcept {
  const auto gone = std::exchange(entry_, nullptr);
  if (gone == nullptr) return;
  source last;  // destroyed after unlocking
  {
    const detail::scoped_lock lock{gone->reading};
    last.swap(gone->give);
  }
  if (const auto from = from_.lock()) from->remove(gone);
}

}  // namespace weir::inline v0
