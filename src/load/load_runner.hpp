#pragma once
/// \file
/// One [[load]] of a scenario: starts journeys as its executor says, on virtual users that it owns.

#include "virtual_user.hpp"

#include "scenario/arrivals.hpp"

#include <deque>
#include <functional>
#include <optional>
#include <vector>

namespace weir::load {

/// Pinned; one thread. `done` is called once, when the load and its last journey have ended.
class load_runner {
 public:
  load_runner(surroundings& around, const scenario::load& load, const scenario::journey& journey, std::uint64_t seed,
              std::uint64_t first_number, std::function<void()> done);
  load_runner(const load_runner&) = delete;
  load_runner& operator=(const load_runner&) = delete;

  void start();
  /// No more journeys; running ones have what is left of graceful_stop, counted from here if the load had not ended.
  void stop();
  /// No more journeys, and running ones are interrupted.
  void interrupt();

  [[nodiscard]] std::uint64_t busy() const noexcept { return busy_; }
  [[nodiscard]] std::uint64_t busy_peak() const noexcept { return busy_peak_; }
  /// The most virtual users this load can have.
  [[nodiscard]] std::uint64_t vus_max() const noexcept;
  /// When the load ended, journeys that still ran excepted: as planned, or earlier if it was stopped or if a counting
  /// executor had done its journeys.
  [[nodiscard]] duration length() const noexcept { return length_; }

 private:
  task<void> arrive();
  task<void> run_once(virtual_user&, duration intended);
  task<void> loop(virtual_user&, std::uint64_t place);
  task<void> follow_stages();
  task<void> end_at(duration at);
  /// Whether the user in this place may begin another journey.
  [[nodiscard]] bool may_begin(std::uint64_t place, std::uint64_t begun) const noexcept;

  virtual_user* free_user();
  void begin(duration intended);
  /// Of the arrivals from `next` on, counts those that were due and found the load ended.
  void drop_overdue(std::optional<duration> next);
  void spawn(task<void>);
  void enter() noexcept;
  /// Waits; false: the load was stopped.
  task<bool> sleep_until(duration at);

  surroundings& around_;
  const scenario::load& load_;
  const scenario::journey& journey_;
  scenario::arrival_plan plan_;
  std::uint64_t first_number_;
  std::function<void()> done_;
  duration length_;
  std::deque<virtual_user> users_;
  std::vector<virtual_user*> free_;  // the last one used is on top
  std::vector<bool> looping_;        // closed loop: by place
  timer wake_, end_;
  std::uint64_t tasks_ = 0;  // running coroutines, the one that ends the load excepted
  std::uint64_t begun_ = 0;  // journeys
  std::uint64_t busy_ = 0, busy_peak_ = 0;
  bool stopped_ = false;
  bool ending_ = false;  // graceful_stop runs
};

}  // namespace weir::load
