#pragma once
/// \file
/// `scripted_callee`: a stand-in for whatever your code calls, which answers as the test says and counts its calls.
///
/// ```cpp
/// weir::manual_clock clock;
/// weir::scripted_callee database{clock};
/// database.then({.latency = 5ms}, 3)                                   // three good answers of 5 ms, then
///     .then({.result = weir::outcome::overload, .retry_after = 2s})    // one 503, then
///     .usually({.result = weir::outcome::failure});                    // failures for ever
///
/// auto r = protect.run(database);   // the pipeline understands its replies
/// assert(database.calls() == 1);
/// ```
/// Thread-safe.

#include <weir/core/admission.hpp>
#include <weir/testing/manual_clock.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <utility>

namespace weir::inline v0 {

/// One answer of a script.
struct scripted_answer {
  outcome result = outcome::success;
  duration latency{};          ///< how far the clock moves while it is being made
  duration retry_after{};      ///< told with the reply
  std::exception_ptr error{};  ///< thrown instead of a reply, if set
};

/// What the callee replies.
struct scripted_reply {
  outcome result = outcome::success;
  duration retry_after{};
  std::uint64_t number = 0;  ///< of the call, from 1
};

template <>
struct outcome_traits<scripted_reply> {
  static completion of(const scripted_reply& reply) noexcept {
    return {.result = reply.result, .retry_after = reply.retry_after};
  }
};

/// Answers with what is scripted next; where the script has ended, with what is due every n-th call; else as usual.
class scripted_callee {
 public:
  /// A call that has begun and not ended, for tests in which calls overlap. Move-only; must be finished, or is dropped: the
  /// callee then counts it as ended.
  class [[nodiscard]] running {
   public:
    running(running&& other) noexcept
        : callee_(std::exchange(other.callee_, nullptr)), answer_(std::move(other.answer_)), number_(other.number_) {}
    running& operator=(running&&) = delete;
    ~running() {
      if (callee_ != nullptr) callee_->ended();
    }

    [[nodiscard]] duration latency() const noexcept { return answer_.latency; }

    /// The reply, or throws what the script says. Does not move the clock. Once.
    scripted_reply finish() {
      std::exchange(callee_, nullptr)->ended();
      if (answer_.error) std::rethrow_exception(answer_.error);
      return {answer_.result, answer_.retry_after, number_};
    }

   private:
    friend class scripted_callee;
    running(scripted_callee& callee, scripted_answer answer, std::uint64_t number)
        : callee_(&callee), answer_(std::move(answer)), number_(number) {}

    scripted_callee* callee_;
    scripted_answer answer_;
    std::uint64_t number_;
  };

  explicit scripted_callee(manual_clock clock = {}) : clock_(std::move(clock)) {}
  scripted_callee(const scripted_callee&) = delete;
  scripted_callee& operator=(const scripted_callee&) = delete;

  /// The next `times` (>= 1) answers that are not scripted yet.
  scripted_callee& then(const scripted_answer& answer, std::uint64_t times = 1) {
    std::lock_guard lock{mutex_};
    for (; times > 0; --times) script_.push_back(answer);
    return *this;
  }
  /// Every n-th call (n >= 1; counted from the first call of all); of several the one with the largest n.
  scripted_callee& every(std::uint64_t n, scripted_answer answer) {
    std::lock_guard lock{mutex_};
    periodic_.insert_or_assign(std::max<std::uint64_t>(n, 1), std::move(answer));
    return *this;
  }
  /// All other answers. At first: success in no time.
  scripted_callee& usually(scripted_answer answer) {
    std::lock_guard lock{mutex_};
    usual_ = std::move(answer);
    return *this;
  }

  /// A whole call: begins, moves the clock by the latency, ends.
  scripted_reply operator()() {
    running call = begin();
    clock_.advance(call.latency());
    return call.finish();
  }

  /// Begins a call that the test ends.
  running begin() {
    std::lock_guard lock{mutex_};
    const std::uint64_t number = ++calls_;
    most_in_progress_ = std::max(most_in_progress_, ++in_progress_);
    return running{*this, next(number), number};
  }

  /// Calls begun so far.
  [[nodiscard]] std::uint64_t calls() const {
    std::lock_guard lock{mutex_};
    return calls_;
  }
  /// Calls that run now.
  [[nodiscard]] std::uint64_t in_progress() const {
    std::lock_guard lock{mutex_};
    return in_progress_;
  }
  /// The most calls that ever ran at once.
  [[nodiscard]] std::uint64_t most_in_progress() const {
    std::lock_guard lock{mutex_};
    return most_in_progress_;
  }

 private:
  scripted_answer next(std::uint64_t number) {
    if (!script_.empty()) {
      scripted_answer answer = std::move(script_.front());
      script_.pop_front();
      return answer;
    }
    for (const auto& [n, answer] : periodic_) {
      if (number % n == 0) return answer;
    }
    return usual_;
  }
  void ended() {
    std::lock_guard lock{mutex_};
    --in_progress_;
  }

  manual_clock clock_;
  mutable std::mutex mutex_;
  std::deque<scripted_answer> script_;
  std::map<std::uint64_t, scripted_answer, std::greater<>> periodic_;  // largest n first
  scripted_answer usual_;
  std::uint64_t calls_ = 0, in_progress_ = 0, most_in_progress_ = 0;
};

}  // namespace weir::inline v0
