#pragma once
/// \file
/// A virtual user: the place in which one journey at a time runs, with its own connection. Executes the steps, polls,
/// retries, captures and checks of a journey, and tells the recorder.

#include "answer_check.hpp"
#include "http_session.hpp"
#include "recorder.hpp"
#include "scenario_clock.hpp"
#include "task.hpp"

#include "scenario/definition.hpp"

#include <weir/core/random.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace weir::load {

struct destination {
  boost::asio::ip::tcp::endpoint endpoint;
  std::string authority;  ///< for the Host header
};

/// What the virtual users of a driver share.
struct surroundings {
  boost::asio::io_context& io;
  std::vector<destination> targets;  ///< not empty; taken in turn by the numbers of the users
  scenario_clock clock;              ///< every `duration` since the start is the scenario's
  recorder& record;
  traffic& bytes;
  random_stream jitter, think, uuids;

  [[nodiscard]] duration now() const noexcept { return clock.now(); }
};

/// Pinned; one thread.
class virtual_user {
 public:
  /// `number`: {vu}, from 1. `around` must outlive it.
  virtual_user(surroundings& around, std::uint64_t number);
  virtual_user(const virtual_user&) = delete;
  virtual_user& operator=(const virtual_user&) = delete;

  /// Runs the journey to its end and records how it ended. `iteration`: {iteration}.
  [[nodiscard]] task<void> run(const scenario::journey&, duration intended, std::uint64_t iteration);

  /// Ends the journey that runs: it is recorded as interrupted. Nothing can be run after it.
  void interrupt() noexcept;
  [[nodiscard]] bool is_interrupted() const noexcept { return interrupted_; }

 private:
  enum class call_result : std::uint8_t { as_expected, failed, interrupted };
  /// The journey that runs.
  struct context {
    const scenario::journey& journey;
    journey_run times;
    std::uint64_t iteration;
    std::map<std::string, std::string, std::less<>> captured;
  };

  /// How a call ended. `says` is of one that polls; `again`: how long the answer asks to wait, before the next poll or
  /// after the step.
  struct called {
    call_result result = call_result::failed;
    poll_answer::word says = poll_answer::word::done;
    duration end{}, again{};
  };

  /// `patience_ends`: no attempt is begun after it.
  task<called> call(context&, const scenario::step&, step_index, duration due, duration patience_ends = duration::max());
  /// Polls until the answer says that the wait is over.
  task<called> wait(context&, const scenario::step&, const scenario::poll&, step_index, duration begin);
  /// What an answer with an expected status comes to; records the call.
  called conclude(context&, const scenario::step&, const call_end&, const exchange& answer);
  /// How long after this answer it is tried again; nullopt: it is not.
  std::optional<duration> retry_in(const scenario::retry&, const exchange& answer, std::uint64_t attempts);
  task<exchange> attempt(context&, const scenario::step&, step_index, const std::string& request);
  /// False: interrupted.
  task<bool> pause_until(duration at);
  std::string render(const context&, const scenario::step&) const;

  surroundings& around_;
  std::uint64_t number_;
  const destination& target_;
  http_session session_;
  timer pause_;
  bool interrupted_ = false;
};

}  // namespace weir::load
