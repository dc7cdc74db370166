#pragma once
/// \file
/// A policy that obeys orders and writes down what happens to it, for tests of whatever composes policies.

#include <weir/core/admission.hpp>
#include <weir/testing/manual_clock.hpp>

#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace weir::testing_support {

/// Every event of a test's policies in the order in which it happened: "a+" asked and admitted, "a-" refused, "a."
/// released, "a~" cancelled.
using journal = std::vector<std::string>;

/// Admits while `refuse_with` is empty. Not thread-safe.
class recording_policy {
 public:
  class [[nodiscard]] permit {
   public:
    explicit permit(recording_policy& owner) noexcept : owner_(&owner) {}
    permit(permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    permit& operator=(permit&& other) noexcept {
      if (this == &other) return *this;
      release(weir::outcome::ignored);
      owner_ = std::exchange(other.owner_, nullptr);
      return *this;
    }
    ~permit() { release(weir::outcome::ignored); }
    void release(const weir::completion& c) noexcept {
      if (auto* owner = std::exchange(owner_, nullptr)) owner->completed(c);
    }
    void release(weir::outcome o) noexcept { release(weir::completion{.result = o}); }
    void cancel() noexcept {
      if (auto* owner = std::exchange(owner_, nullptr)) owner->cancelled();
    }

   private:
    recording_policy* owner_;
  };

  recording_policy(std::string label, journal& events, weir::manual_clock clock = {})
      : label_(std::move(label)), name_(label_), events_(events), clock_(std::move(clock)) {}
  recording_policy(const recording_policy&) = delete;
  recording_policy& operator=(const recording_policy&) = delete;

  weir::result<permit> try_acquire(const weir::call& c = {}) noexcept {
    ++arrivals;
    asked.push_back(c);
    if (refuse_with) {
      ++rejected;
      events_.push_back(label_ + "-");
      return weir::rejection{*refuse_with, name_, retry_after};
    }
    ++admitted;
    ++in_flight;
    events_.push_back(label_ + "+");
    return weir::result<permit>{boost::system::in_place_value, *this};
  }
  [[nodiscard]] weir::time_point now() const noexcept {
    ++clock_reads;
    return clock_.now();
  }
  [[nodiscard]] std::string_view name() const noexcept { return label_; }

  std::optional<weir::errc> refuse_with;
  weir::duration retry_after{};

  mutable int clock_reads = 0;
  int arrivals = 0, admitted = 0, rejected = 0, cancelled_calls = 0, in_flight = 0;
  std::vector<weir::call> asked;
  std::vector<weir::completion> completions;

 private:
  void completed(const weir::completion& c) noexcept {
    --in_flight;
    completions.push_back(c);
    events_.push_back(label_ + ".");
  }
  void cancelled() noexcept {
    --in_flight;
    --admitted;
    ++cancelled_calls;
    events_.push_back(label_ + "~");
  }

  std::string label_;
  weir::name name_;
  journal& events_;
  weir::manual_clock clock_;
};
static_assert(weir::admission_policy<recording_policy>);

/// As `recording_policy`, with an `acquire` in which time passes: `wait` on the clock.
class waiting_recording_policy : public recording_policy {
 public:
  waiting_recording_policy(std::string label, journal& events, weir::manual_clock clock)
      : recording_policy(std::move(label), events, clock), clock_(clock) {}

  weir::result<permit> acquire(const weir::call& c, std::stop_token) {
    clock_.advance(wait);
    return try_acquire(c);
  }

  weir::duration wait{};

 private:
  weir::manual_clock clock_;
};

}  // namespace weir::testing_support
