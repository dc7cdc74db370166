#include "storm_record.hpp"

#include <functional>

namespace weir_peers {
namespace {

constexpr double bin_seconds = 0.05;
constexpr std::size_t normal_bins = 5;  // in a row
// A pool has a clock of its own, which may differ from ours by some microseconds.
constexpr double clocks_agree = 20e-6;
constexpr double nothing = std::numeric_limits<double>::quiet_NaN();

/// Values of those arrivals that `of` does not give NaN for.
std::vector<double> values(const std::vector<storm_arrival>& arrivals,
                           const std::function<double(const storm_arrival&, double deadline, double intended)>& of,
                           const storm_plan& plan) {
  std::vector<double> found;
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    const double value = of(arrivals[i], plan.intended(i) + plan.given().deadline, plan.intended(i));
    if (!std::isnan(value)) found.push_back(value);
  }
  return found;
}

double most_waiting(const std::vector<storm_arrival>& arrivals) {
  std::vector<std::pair<double, int>> changes;
  for (const storm_arrival& a : arrivals) {
    if (a.answered < 0) continue;
    changes.emplace_back(a.asked, 1);
    changes.emplace_back(a.answered, -1);
  }
  std::sort(changes.begin(), changes.end());
  int waiting = 0;
  int most = 0;
  for (const auto& [at, change] : changes) most = std::max(most, waiting += change);
  return most;
}

/// Seconds of connections held within the storm.
double held_in_storm(const storm_arrival& a, const storm_plan& plan) {
  return std::max(0.0, std::min(a.released, plan.storm_ends()) - std::max(a.answered, plan.storm_begins()));
}

/// Milliseconds from the end of the storm until `is_normal` holds for several bins of arrivals in a row; NaN: never.
double until_normal(const storm_plan& plan, const std::function<bool(std::size_t from, std::size_t to)>& is_normal) {
  const auto arrival_at = [&plan](double seconds) {
    return static_cast<std::size_t>(std::ceil(seconds * plan.given().rate));
  };
  std::size_t in_a_row = 0;
  for (std::size_t bin = 0;; ++bin) {
    const double from = plan.storm_ends() + static_cast<double>(bin) * bin_seconds;
    const std::size_t end = arrival_at(from + bin_seconds);
    if (end > plan.count()) return nothing;
    in_a_row = is_normal(arrival_at(from), end) ? in_a_row + 1 : 0;
    if (in_a_row == normal_bins) return 1e3 * static_cast<double>(bin + 1 - normal_bins) * bin_seconds;
  }
}

}  // namespace

metrics evaluate_storm(const storm_plan& plan, std::vector<storm_arrival>& arrivals, std::size_t left) {
  const settings& s = plan.given();
  double started = 0, granted = 0, expired = 0, late = 0, useful = 0, in_time = 0, finished = 0, useful_held = 0;
  for (std::size_t i = 0; i < arrivals.size(); ++i) {
    const storm_arrival& a = arrivals[i];
    const double deadline = plan.intended(i) + s.deadline;
    if (a.asked >= 0) ++started;
    if (!a.granted) continue;
    ++granted;
    const bool is_expired = a.decided() > deadline + clocks_agree;
    if (is_expired) ++expired;
    if (!is_expired && a.answered > deadline) ++late;
    if (is_expired) continue;
    useful_held += held_in_storm(a, plan);
    if (a.answered < plan.storm_begins() || a.answered >= plan.storm_ends()) continue;
    ++useful;
    if (a.answered <= deadline) ++in_time;
    if (a.released <= deadline) ++finished;
  }
  const double storm_capacity =
      storm_pool_size / (s.hold_us * 1e-6 * s.factor) * s.storm;  // connections that could be used

  const auto served = [&](std::size_t i) {
    return arrivals[i].granted && arrivals[i].decided() <= plan.intended(i) + s.deadline + clocks_agree;
  };
  const auto waits_of = [&](std::size_t from, std::size_t to) {
    std::vector<double> waits;
    for (std::size_t i = from; i < to; ++i) waits.push_back(arrivals[i].answered - plan.intended(i));
    return waits;
  };
  auto calm = waits_of(static_cast<std::size_t>(s.rate * s.before / 2), static_cast<std::size_t>(s.rate * s.before));
  const double calm_p99 = percentile(calm, 0.99);
  const auto all_served = [&](std::size_t from, std::size_t to) {
    std::size_t count = 0;
    for (std::size_t i = from; i < to; ++i) count += served(i) ? 1 : 0;
    return static_cast<double>(count) >= 0.99 * static_cast<double>(to - from);
  };
  const auto waits_are_calm = [&](std::size_t from, std::size_t to) {
    auto waits = waits_of(from, to);
    return all_served(from, to) && percentile(waits, 0.99) <= std::max(2 * calm_p99, 0.005);
  };

  auto sent_late = values(arrivals, [](const auto& a, double, double intended) { return a.sent - intended; }, plan);
  auto asked_late = values(arrivals, [](const auto& a, double, double intended) { return a.asked - intended; }, plan);
  auto told_late = values(
      arrivals, [](const auto& a, double deadline, double) { return a.granted ? nothing : a.answered - deadline; }, plan);
  const auto offered = static_cast<double>(plan.count());
  const bool valid = started == offered && percentile(sent_late, 0.99) <= 0.05 * s.deadline;
  return {
      {"goodput %", 100 * useful / storm_capacity},
      {"received in time %", 100 * in_time / storm_capacity},
      {"given back in time %", 100 * finished / storm_capacity},
      {"usefully held %", 100 * useful_held / (storm_pool_size * s.storm)},
      {"expired grants", expired},
      {"late grants", late},
      {"served again after ms", until_normal(plan, all_served)},
      {"calm again after ms", until_normal(plan, waits_are_calm)},
      {"calm p99 ms", 1e3 * calm_p99},
      {"most waiting", most_waiting(arrivals)},
      {"refusals p99 after deadline ms", 1e3 * percentile(told_late, 0.99)},
      {"connections left", static_cast<double>(left)},
      {"offered", offered},
      {"started", started},
      {"granted", granted},
      {"sent late p50 us", 1e6 * percentile(sent_late, 0.5)},
      {"sent late p99 us", 1e6 * percentile(sent_late, 0.99)},
      {"sent late max ms", 1e3 * percentile(sent_late, 1)},
      {"asked late p99 ms", 1e3 * percentile(asked_late, 0.99)},
      {"valid", valid ? 1.0 : 0.0},
  };
}

}  // namespace weir_peers
