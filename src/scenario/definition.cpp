#include "definition.hpp"

#include <algorithm>

namespace weir::scenario {

const char* to_string(executor e) noexcept {
  switch (e) {
    case executor::constant_arrival_rate: return "constant-arrival-rate";
    case executor::ramping_arrival_rate: return "ramping-arrival-rate";
    case executor::constant_vus: return "constant-vus";
    case executor::ramping_vus: return "ramping-vus";
    case executor::shared_iterations: return "shared-iterations";
    case executor::per_vu_iterations: return "per-vu-iterations";
  }
  return "unknown";
}

const char* to_string(arrivals a) noexcept { return a == arrivals::poisson ? "poisson" : "uniform"; }

duration length_of(const load& l) noexcept {
  if (l.stages.empty()) return l.length;
  duration total{};
  for (const stage& s : l.stages) total += s.length;
  return total;
}

bool step::expects(unsigned status) const noexcept {
  if (expect.empty()) return status >= 200 && status < 400;
  return std::find(expect.begin(), expect.end(), status) != expect.end();
}

const journey* definition::find_journey(std::string_view wanted) const noexcept {
  const auto found = std::find_if(journeys.begin(), journeys.end(), [&](const journey& j) { return j.name == wanted; });
  return found == journeys.end() ? nullptr : &*found;
}

duration definition::length() const noexcept {
  duration longest{};
  for (const load& l : loads) longest = std::max(longest, length_of(l));
  return longest;
}

void scale_rates(definition& d, double factor) {
  for (load& l : d.loads) {
    if (!is_open_loop(l.executor)) continue;
    l.start_rate *= factor;
    l.rate *= factor;
    for (stage& s : l.stages) s.target *= factor;
  }
}

}  // namespace weir::scenario
