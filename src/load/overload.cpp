#include "overload.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

namespace weir::load {
namespace {

constexpr std::size_t goodput_window = 5;
constexpr std::size_t recovery_window = 3;

std::uint64_t good(const second_result& s) noexcept { return s.by_end[static_cast<std::size_t>(verdict::good)]; }

struct ending {
  std::uint64_t served = 0, unserved = 0;
};

ending endings(std::span<const second_result> seconds) noexcept {
  ending out;
  for (const second_result& s : seconds) {
    const std::uint64_t served = good(s) + s.by_end[static_cast<std::size_t>(verdict::slow)];
    out.served += served;
    out.unserved += std::accumulate(s.by_end.begin(), s.by_end.end(), std::uint64_t{0}) - served;
  }
  return out;
}

/// One unserved call, or fewer than 1 %.
bool few_unserved(const ending& e) noexcept {
  return e.unserved <= 1 || static_cast<double>(e.unserved) < 0.01 * static_cast<double>(e.served + e.unserved);
}

bool window_is_fine(std::span<const second_result> seconds, duration slo) {
  const ending e = endings(seconds);
  if (e.served + e.unserved == 0) return seconds.back().in_flight == 0;
  if (!few_unserved(e)) return false;
  histogram admitted;
  for (const second_result& s : seconds) admitted.merge(s.admitted);
  return admitted.empty() || slo == duration{0} || admitted.quantile(0.95) <= slo;
}

std::optional<double> recovery(const run_result& r, std::size_t peak_end) {
  const std::span all{r.seconds};
  // What ended before its time, stopped or with nobody left to come, shows nothing of the time behind it.
  const auto planned_end = static_cast<std::size_t>(std::ceil(std::chrono::duration<double>{r.length}.count()));
  const std::size_t load_end = std::min(planned_end, all.size());
  if (peak_end >= load_end) return std::nullopt;
  // From the back: the earliest second from which every window is fine.
  std::size_t recovered = all.size();
  for (std::size_t k = all.size(); k-- > peak_end;) {
    if (!window_is_fine(all.subspan(k, std::min(recovery_window, all.size() - k)), r.slo)) break;
    recovered = k;
  }
  while (recovered < load_end && !few_unserved(endings(all.subspan(recovered)))) ++recovered;
  if (recovered >= load_end) return std::nullopt;
  return static_cast<double>(recovered - peak_end);
}

double worst_window(const run_result& r, const std::vector<std::uint32_t>& overloaded, double mean) {
  double worst = -1;
  for (std::size_t i = 0; i + goodput_window <= overloaded.size(); ++i) {
    if (overloaded[i + goodput_window - 1] != overloaded[i] + goodput_window - 1) continue;
    std::uint64_t sum = 0;
    for (std::size_t k = 0; k < goodput_window; ++k) sum += good(r.seconds[overloaded[i + k]]);
    const double per_s = static_cast<double>(sum) / static_cast<double>(goodput_window);
    if (worst < 0 || per_s < worst) worst = per_s;
  }
  return worst < 0 ? mean : worst;  // an overload shorter than the window is one window
}

}  // namespace

overload_summary summarise_overload(const run_result& r, double capacity_per_s, std::optional<duration> peak_end) {
  overload_summary out;
  out.capacity_per_s = capacity_per_s;
  if (!(capacity_per_s > 0)) return out;

  const auto limit =
      peak_end ? static_cast<std::size_t>(std::ceil(std::chrono::duration<double>{*peak_end}.count())) : r.seconds.size();
  std::uint64_t good_calls = 0;
  for (std::size_t i = 0; i < std::min(limit, r.seconds.size()); ++i) {
    if (static_cast<double>(r.seconds[i].intended) <= capacity_per_s) continue;
    out.overloaded_seconds.push_back(static_cast<std::uint32_t>(i));
    good_calls += good(r.seconds[i]);
  }
  if (out.overloaded_seconds.empty()) return out;
  out.goodput_per_s = static_cast<double>(good_calls) / static_cast<double>(out.overloaded_seconds.size());
  out.worst_5s_goodput_per_s = worst_window(r, out.overloaded_seconds, out.goodput_per_s);
  const std::size_t end = peak_end ? limit : out.overloaded_seconds.back() + std::size_t{1};
  out.peak_end_s = static_cast<double>(end);
  out.recovered_after_s = recovery(r, end);
  return out;
}

}  // namespace weir::load
