#include "arrivals.hpp"

#include <algorithm>
#include <cmath>

namespace weir::scenario {
namespace {

double seconds(duration d) noexcept { return static_cast<double>(d.count()) * 1e-9; }

}  // namespace

rate_profile::rate_profile(const load& l) {
  if (!is_open_loop(l.executor)) return;
  const double per_second = 1.0 / seconds(l.time_unit);
  const auto append = [&](duration length, double from, double to) {
    if (length <= duration{0}) return;
    const segment s{end_s_, seconds(length), from * per_second, to * per_second, total_};
    segments_.push_back(s);
    end_s_ += s.length_s;
    total_ += s.length_s * (s.from + s.to) / 2;
  };
  if (l.executor == executor::constant_arrival_rate) {
    append(l.length, l.rate, l.rate);
    return;
  }
  double from = l.start_rate;
  for (const stage& s : l.stages) {
    append(s.length, from, s.target);
    from = s.target;
  }
}

double rate_profile::rate_at(duration t) const noexcept {
  const double at = seconds(t);
  if (at < 0) return 0;
  for (const segment& s : segments_) {
    if (at < s.begin_s + s.length_s) return s.from + (s.to - s.from) * (at - s.begin_s) / s.length_s;
  }
  return 0;
}

double rate_profile::integral(duration t) const noexcept {
  const double at = seconds(t);
  double area = 0;
  for (const segment& s : segments_) {
    const double inside = std::clamp(at - s.begin_s, 0.0, s.length_s);
    area += inside * (s.from + (s.to - s.from) * inside / s.length_s / 2);
  }
  return area;
}

std::optional<duration> rate_profile::inverse(double area) const noexcept {
  // Sums of stages are not exact in binary: the 3500th of 3500 arrivals must not be lost to the last bit.
  const double tolerance = 1e-9 * (1 + total_);
  for (const segment& s : segments_) {
    const double wanted = area - s.area_before;
    const double within = s.length_s * (s.from + s.to) / 2;
    const bool last = &s == &segments_.back();
    if (wanted > within + (last ? tolerance : 0)) continue;
    // from x + slope x² / 2 = wanted, in the form that neither divides by a zero slope nor cancels.
    const double slope = (s.to - s.from) / s.length_s;
    const double root = std::sqrt(std::max(0.0, s.from * s.from + 2 * slope * wanted));
    const double divisor = s.from + root;
    const double x = divisor > 0 ? 2 * wanted / divisor : 0.0;
    const double at = s.begin_s + std::clamp(x, 0.0, s.length_s);
    return duration{std::llround(at * 1e9)};
  }
  return std::nullopt;
}

std::optional<duration> rate_profile::last_above(double per_second) const noexcept {
  for (auto s = segments_.rbegin(); s != segments_.rend(); ++s) {
    if (s->to > per_second) return duration{std::llround((s->begin_s + s->length_s) * 1e9)};
    if (s->from > per_second) {
      const double x = s->length_s * (s->from - per_second) / (s->from - s->to);
      return duration{std::llround((s->begin_s + x) * 1e9)};
    }
  }
  return std::nullopt;
}

std::optional<duration> arrival_plan::next() noexcept {
  area_ += kind_ == arrivals::uniform ? 1.0 : random_.exponential(1.0);
  return profile_.inverse(area_);
}

std::uint64_t vus_at(const load& l, duration t) noexcept {
  double from = static_cast<double>(l.vus);
  duration begin{};
  for (const stage& s : l.stages) {
    if (t < begin + s.length) {
      const double share = seconds(t - begin) / seconds(s.length);
      return static_cast<std::uint64_t>(from + (s.target - from) * share + 1e-9);
    }
    begin += s.length;
    from = s.target;
  }
  return static_cast<std::uint64_t>(from);
}

}  // namespace weir::scenario
