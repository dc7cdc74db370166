#pragma once
/// \file
/// What the driver saw, added up into a `run_result`. No clock and no I/O: every time is an offset from the start of the
/// run, so that each rule of counting can be tested.
///
/// Warm-up: a journey belongs to the summary, with all its calls, if it was intended to start after the warm-up. The
/// per-second series has everything.

#include "run_result.hpp"

#include "scenario/definition.hpp"

#include <string_view>

namespace weir::load {

/// A step of the scenario: index into run_result::steps.
using step_index = std::size_t;

/// One journey, from its intended start.
struct journey_run {
  duration intended{}, started{};
};

/// One call that has ended.
struct call_end {
  step_index step = 0;
  duration due{}, end{};
  verdict result = verdict::good;
  duration timeout{};  ///< of the step; used where the verdict is timeout
};

/// One HTTP request that has ended. Without an answer `status` is 0 and `failure` says why.
struct attempt_end {
  step_index step = 0;
  duration sent{}, end{};
  unsigned status = 0;
  std::string_view failure{};
  bool expected = false;
};

/// Not thread-safe.
class recorder {
 public:
  explicit recorder(const scenario::definition&);

  /// The index of a journey's first step; its others follow.
  [[nodiscard]] step_index first_step(std::string_view journey) const;

  void intended(duration at);
  void dropped(duration at);
  void started(const journey_run&);
  void completed(const journey_run&, duration now);
  void failed(const journey_run&, duration now);
  void interrupted(const journey_run&, duration now);

  void call_begun(const journey_run&, step_index);
  void attempt_ended(const journey_run&, const attempt_end&);
  /// `checks`: how many held, how many did not.
  void call_ended(const journey_run&, const call_end&, std::uint64_t checks_passed, std::uint64_t checks_failed);

  /// A call that the end of the run cut off. If it had already waited longer than the SLO allows it is a timeout, censored
  /// at what it had waited: a server that never answers must not look better than one that answers late.
  void call_cut(const journey_run&, step_index, duration due, duration now);

  /// A step that polls: its beginning, its good end, and an answer that it had asked too early.
  void wait_begun(const journey_run&, step_index);
  void wait_ended(const journey_run&, step_index, duration waited);
  void polled_too_early(const journey_run&, step_index);

  /// The verdict on an answer as expected: in time or not. Only the steps under the SLO can be slow.
  [[nodiscard]] verdict judge_expected(step_index, duration latency) const noexcept;

  /// Journeys that run now.
  [[nodiscard]] std::uint64_t in_flight() const noexcept { return in_flight_; }
  [[nodiscard]] const run_result& so_far() const noexcept { return result_; }
  /// The whole. `load_ended`: no journey was to start after it; `total`: when the last one had ended. The recorder is used
  /// up.
  [[nodiscard]] run_result finish(duration load_ended, duration total);

 private:
  [[nodiscard]] bool measured(const journey_run& j) const noexcept { return j.intended >= result_.warmup; }
  [[nodiscard]] bool under_slo(step_index) const noexcept;
  second_result& second(duration at);
  void leave(duration now);

  run_result result_;
  std::vector<std::uint64_t> left_;  // journeys that ended, any way, by second
  std::uint64_t in_flight_ = 0;
  bool has_slo_ = false;
};

}  // namespace weir::load
