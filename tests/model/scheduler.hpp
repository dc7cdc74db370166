#pragma once
/// \file
/// A stateless model checker: runs a small program of 2 to 4 threads under *every* schedule, by running it again and again.
///
/// ```cpp
/// model::explore([](model::run& run) {
///   weir::concurrency_limiter limiter{{.limit = 1}};             // made anew for each schedule
///   run.threads({[&] { ... }, [&] { ... }});                     // returns when all have ended
///   EXPECT_EQ(limiter.snapshot().slots_in_use, 0u);              // at the end of each schedule
/// });
/// ```
/// - The threads are fibers of one thread of the system. Each operation on a `detail::atomic`, each lock and unlock of a
///   `detail::mutex` is a *step*; what lies between two steps of a thread happens at once. So tests share data between
///   threads through atomics, clocks and events of model/, or not at all before the end; and what a thread does before its
///   first step it does before everything else.
/// - The model is *sequential consistency*. Whether a relaxed or acquire access is strong enough is not found out here;
/// that
///   is left to ThreadSanitizer (tests/race) and to argument. A compare_exchange_weak fails only if the value is another
///   one.
/// - *All* schedules means: of those that differ only in the order of steps that do not conflict (other places, or loads of
///   one place), at least one is run. Every value that a thread can read, every deadlock and every end state is reached.
///   Dynamic partial-order reduction with source sets and sleep sets: Abdulla, Aronis, Jonsson, Sagonas, "Optimal Dynamic
///   Partial Order Reduction", POPL 2014; Flanagan, Godefroid, POPL 2005. scheduler_test.cpp compares it with the run of
///   literally all schedules.
/// - A property of two places at one instant is no value that a thread reads. Let threads keep an atomic of their own (how
///   many are inside), and look at what its fetch_add returns.
///
/// A failure is a failed expectation, a failed assertion, a deadlock (nobody can go on: also a lost wake-up), or too many
/// steps (a livelock). It prints the schedule as a list of steps, and as a line that repeats it:
/// `WEIR_MODEL_SCHEDULE=0*12,1*3 weir_model --gtest_filter=...`.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>

namespace model {

inline constexpr unsigned max_threads = 4;

enum class op : std::uint8_t { load, store, modify, compare_exchange, lock, unlock, wait, set };

/// What a thread is about to do.
struct access {
  op what = op::load;
  std::uint8_t size = 0;
  const void* where = nullptr;
  std::uint64_t expected = 0;  ///< compare_exchange: it succeeds if this is found
};

/// Waits until it is the calling thread's turn to do it. Outside of a run: nothing.
void step(const access& next) noexcept;
/// For the list of steps: what the last step found and what it left.
void step_done(std::uint64_t before, std::uint64_t after) noexcept;
/// 1..max_threads within a run, 0 outside.
[[nodiscard]] unsigned current_thread() noexcept;

class run {
 public:
  /// Runs them to their ends. Once per run.
  void threads(std::initializer_list<std::function<void()>> bodies);
  /// What to call steps on places inside of `object` in the list of steps.
  template <class T>
  void name(const T& object, const char* name) {
    add_name(&object, sizeof object, name);
  }

 private:
  void add_name(const void* begin, std::size_t size, const char* name);
};

struct options {
  bool reduced = true;                      ///< false: literally all schedules
  std::uint64_t max_schedules = 3'000'000;  ///< more are a failure: the test would not be exhaustive
  std::uint32_t max_steps = 20'000;         ///< of one schedule; more are taken for a livelock
  bool quiet = false;
};

struct explored {
  std::uint64_t schedules = 0;  ///< run to the end, no two of them equivalent
  std::uint64_t redundant = 0;  ///< found to be equivalent to another one after some steps
  std::uint32_t longest = 0;    ///< steps
};

/// Calls `program`, which calls `run.threads` once, for every schedule, or until a test fails. Must do the same each time
/// but for the schedule. Prints the number of schedules.
explored explore(const std::function<void(run&)>& program, const options& how = {});

/// True once `set` was called; a thread can sleep until then. Setting it twice is a failure.
class event {
 public:
  void set() noexcept;
  void wait() noexcept;
  /// No step: for the end of a schedule.
  [[nodiscard]] bool is_set() const noexcept { return set_ != 0; }

 private:
  std::uint8_t set_ = 0;
};

}  // namespace model
