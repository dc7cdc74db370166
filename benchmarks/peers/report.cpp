#include "report.hpp"

#include <fstream>
#include <iomanip>
#include <ostream>
#include <sstream>

namespace weir_peers {
namespace {

struct spread {
  double median, least, greatest;
};

/// NaN counts as greater than everything: "never" is the longest time.
spread spread_of(std::vector<double> values) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (double& each : values) each = std::isnan(each) ? infinity : each;
  std::sort(values.begin(), values.end());
  const double lower = values[(values.size() - 1) / 2];
  const double upper = values[values.size() / 2];
  return {lower == upper ? lower : (lower + upper) / 2, values.front(), values.back()};
}

std::string shown(double value) {
  if (std::isinf(value)) return "-";
  const double size = std::abs(value);
  std::ostringstream out;
  out << std::fixed
      << std::setprecision(size == std::floor(size) || size >= 1000 ? 0
                           : size >= 100                            ? 1
                           : size >= 1                              ? 2
                                                                    : 3)
      << value;
  return out.str();
}

std::string json_number(double value) {
  if (std::isinf(value)) return "null";
  std::ostringstream out;
  out << std::setprecision(9) << value;
  return out.str();
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return out + '"';
}

std::string processor() {
  std::ifstream in("/proc/cpuinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  }
  return "unknown processor";
}

std::string cell(const std::vector<double>& values) {
  const spread s = spread_of(values);
  if (values.size() == 1) return shown(s.median);
  return shown(s.median) + " [" + shown(s.least) + " " + shown(s.greatest) + "]";
}

}  // namespace

std::size_t order_of(const row& r) {
  const auto found =
      std::find_if(workloads.begin(), workloads.end(), [&r](const workload& w) { return w.name == r.workload; });
  return static_cast<std::size_t>(found - workloads.begin());
}

report::column& report::column_of(const row& r) {
  for (column& each : columns_) {
    if (each.workload == r.workload && each.pool == r.pool) return each;
  }
  return columns_.emplace_back(column{r.workload, r.pool, {}, {}});
}

void report::add(const row& r, const metrics& found) {
  column& c = column_of(r);
  for (const metric& m : found) {
    auto at = std::find_if(c.rows.begin(), c.rows.end(), [&m](const series& s) { return s.metric == m.name; });
    if (at == c.rows.end()) at = c.rows.insert(at, series{m.name, {}});
    at->values.push_back(m.value);
  }
}

void report::add_failure(const row& r, const std::string& why) { column_of(r).failures.push_back(why); }

bool report::failed() const {
  return std::any_of(columns_.begin(), columns_.end(), [](const column& c) { return !c.failures.empty(); });
}

void report::print(std::ostream& out) const {
  out << processor() << ", " << std::thread::hardware_concurrency() << " processors; " << processes_
      << (processes_ == 1 ? " process" : " processes") << " for each column"
      << (processes_ == 1 ? "" : ": median [least greatest]") << '\n';
  for (const workload& w : workloads) print_workload(out, w);
}

void report::print_workload(std::ostream& out, const workload& w) const {
  std::vector<const column*> shown_columns;
  std::vector<std::string> metric_names;
  for (const column& c : columns_) {
    if (c.workload != w.name) continue;
    shown_columns.push_back(&c);
    for (const series& s : c.rows) {
      if (std::find(metric_names.begin(), metric_names.end(), s.metric) == metric_names.end())
        metric_names.push_back(s.metric);
    }
  }
  if (shown_columns.empty()) return;
  const auto text = [](const column& c, const std::string& metric) -> std::string {
    const auto at = std::find_if(c.rows.begin(), c.rows.end(), [&](const series& s) { return s.metric == metric; });
    return at == c.rows.end() ? "" : cell(at->values);
  };
  out << '\n' << w.name << ": " << w.text << '\n' << std::left << std::setw(32) << "";
  std::vector<int> widths;
  for (const column* c : shown_columns) {
    std::size_t width = c->pool.size();
    for (const std::string& m : metric_names) width = std::max(width, text(*c, m).size());
    widths.push_back(static_cast<int>(width));
    out << "  " << std::right << std::setw(widths.back()) << c->pool;
  }
  out << '\n';
  for (const std::string& m : metric_names) {
    out << "  " << std::left << std::setw(30) << m;
    for (std::size_t i = 0; i < shown_columns.size(); ++i) {
      out << "  " << std::right << std::setw(widths[i]) << text(*shown_columns[i], m);
    }
    out << '\n';
  }
  for (const column* c : shown_columns) {
    for (const std::string& why : c->failures) out << "  FAILED: " << c->pool << ": " << why << '\n';
  }
}

void report::write_json(std::ostream& out) const {
  out << "{\"processor\": " << quoted(processor()) << ", \"processors\": " << std::thread::hardware_concurrency()
      << ", \"processes\": " << processes_ << ", \"rows\": [";
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const column& c = columns_[i];
    out << (i == 0 ? "\n" : ",\n") << "{\"workload\": " << quoted(c.workload) << ", \"pool\": " << quoted(c.pool)
        << ", \"failures\": " << c.failures.size() << ", \"metrics\": {";
    for (std::size_t m = 0; m < c.rows.size(); ++m) {
      const spread s = spread_of(c.rows[m].values);
      out << (m == 0 ? "" : ", ") << quoted(c.rows[m].metric) << ": {\"median\": " << json_number(s.median)
          << ", \"least\": " << json_number(s.least) << ", \"greatest\": " << json_number(s.greatest) << "}";
    }
    out << "}}";
  }
  out << "\n]}\n";
}

}  // namespace weir_peers
