#pragma once
// Medians of several processes, as a table for people and as JSON.

#include "rows.hpp"

#include <iosfwd>
#include <map>
#include <string>
#include <vector>

namespace weir_peers {

/// Place of its workload among the workloads.
std::size_t order_of(const row& r);

class report {
 public:
  explicit report(int processes) : processes_(processes) {}

  /// One process of that row.
  void add(const row& r, const metrics& found);
  void add_failure(const row& r, const std::string& why);
  [[nodiscard]] bool failed() const;

  /// A part for each workload: a line for each metric, a column for each pool; median, and [least greatest].
  void print(std::ostream& out) const;
  void write_json(std::ostream& out) const;

 private:
  struct series {
    std::string metric;
    std::vector<double> values;  ///< one per process; NaN: it had none
  };
  struct column {
    std::string workload;
    std::string pool;
    std::vector<series> rows;
    std::vector<std::string> failures;
  };
  column& column_of(const row& r);
  void print_workload(std::ostream& out, const workload& w) const;

  int processes_;
  std::vector<column> columns_;
};

}  // namespace weir_peers
