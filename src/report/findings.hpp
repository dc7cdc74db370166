#pragma once
/// \file
/// What the reports derive from a run: merged latencies that know their censoring, totals, the mean rates, the key figures
/// and the notes on comparability. The text, the comparison and the page all draw from here, so that they never disagree.

#include "load/run_result.hpp"

#include <string>
#include <vector>

namespace weir::report {

using load::run_result;
using load::verdict;

/// A point of a distribution. `at_least`: the true value is this or more, because censored samples are involved.
struct estimate {
  duration value{};
  bool at_least = false;
};

/// Latencies of which some are only known to be longer than recorded. Every censored sample is recorded at its time-out,
/// which is `censored_at` or more; so recorded quantiles are lower bounds, and exact ones as long as they lie below it.
struct latency {
  histogram samples;
  std::uint64_t censored = 0;
  duration censored_at{};

  void merge(const latency&);
  [[nodiscard]] bool empty() const noexcept { return samples.count() == 0; }
  [[nodiscard]] double censored_share() const noexcept;
  [[nodiscard]] estimate quantile(double q) const;
  [[nodiscard]] estimate mean() const;
  [[nodiscard]] estimate max() const;
};

/// "710ms", or "≥10s (censored, 37 %)" with the share of all samples; "–" when `of` is empty.
[[nodiscard]] std::string quantile_text(const latency& of, double q);
/// "710ms" or "≥10s": for columns that say elsewhere what the sign means.
[[nodiscard]] std::string short_text(estimate);

/// `part` of `whole`, in [0, 1]; 0 of nothing.
[[nodiscard]] double share_of(std::uint64_t part, std::uint64_t whole) noexcept;

/// Sums over some steps of a run.
struct totals {
  std::uint64_t calls = 0, attempts = 0, checks_passed = 0, checks_failed = 0;
  load::verdict_counts verdicts{};
  latency all;       ///< every call
  latency admitted;  ///< calls that were let in: good, slow, and timed out (these censored). Leaving the last out flatters
  latency rejected;  ///< attempts that were refused
  latency request;   ///< attempts from their sending on, as k6 measures
  histogram request_expected;
  [[nodiscard]] std::uint64_t of(verdict v) const noexcept { return verdicts[static_cast<std::size_t>(v)]; }
  [[nodiscard]] std::uint64_t failures() const noexcept {
    return of(verdict::timeout) + of(verdict::error) + of(verdict::broken);
  }
};
[[nodiscard]] totals sum_of(const load::step_result&);
[[nodiscard]] totals sum_of_steps(const run_result&);
/// Of the steps named `run.slo_step`; of all steps if none is.
[[nodiscard]] totals sum_of_slo_step(const run_result&);

/// A step's line of the funnel: calls, or whole waits where each poll is a call.
struct funnel_row {
  std::uint64_t reached = 0, ok = 0;
};
[[nodiscard]] funnel_row funnel_of(const load::step_result&) noexcept;

/// Of the measured part: from the end of the warm-up to the end of the last stage, and to the end of the last journey.
[[nodiscard]] double measured_seconds(const run_result&) noexcept;
[[nodiscard]] double total_seconds(const run_result&) noexcept;
/// Journeys in flight, mean over the measured seconds, and the largest.
[[nodiscard]] double mean_in_flight(const run_result&) noexcept;
[[nodiscard]] std::uint64_t peak_in_flight(const run_result&) noexcept;

enum class better : std::uint8_t { higher, lower, neither };
enum class unit : std::uint8_t { count, per_second, time, ratio };

/// One line of the key table.
struct key_figure {
  std::string label;
  std::string text;  ///< as printed; "–" when the run has no such number
  double value = 0;  ///< seconds for times; meaningless unless `known`
  bool known = false;
  unit in = unit::count;
  better direction = better::neither;
  bool headline = false;  ///< shown large on the page
  bool at_least = false;  ///< `value` is a lower bound
};
/// Same lines in the same order for every run.
[[nodiscard]] std::vector<key_figure> key_figures(const run_result&);
/// "×24", "+61.2 points", "-22.5s", "=": what happened from `a` to `b`; empty where that is not known. "≥÷14" when `a` is
/// only a lower bound; empty when it cannot be told because `b` is.
[[nodiscard]] std::string delta_text(const key_figure& a, const key_figure& b);
/// The same for people in a hurry: "at least 14.8 times shorter".
[[nodiscard]] std::string delta_words(const key_figure& a, const key_figure& b);

/// What a threshold saw, in its unit: times in ms as k6's expressions, rates in percent.
[[nodiscard]] std::string observed_text(const load::threshold_result&);

/// Why the numbers of `a` and `b` cannot be held against each other; empty: they can.
[[nodiscard]] std::vector<std::string> comparability(const run_result& a, const run_result& b);

/// "bare: 0.7/s served in time, 4 % of what the machine can do." One sentence per run.
[[nodiscard]] std::string verdict_sentence(const run_result&);
/// The run's label, or "run" where it has none.
[[nodiscard]] std::string label_of(const run_result&);

}  // namespace weir::report
