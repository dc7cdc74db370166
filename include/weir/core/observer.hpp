#pragma once
/// \file
/// Observers: user code that is told what a policy did. No observer, no code.
///
/// An observer is any type with `on(const Event&)` for the events that it wants; other events cost nothing, not even being
/// built. Events are small structs in the past tense; each carries `name` (the policy's) and `sequence`, which counts the
/// events of one policy from 1. Events are published after the policy's lock is released, so two threads may deliver out of
/// order: `sequence` restores it. What an observer throws is swallowed and counted (`swallowed()`).
///
/// ```cpp
/// struct counting {
///   std::atomic<int>* trips;
///   void on(const weir::circuit_opened&) { ++*trips; }
/// };
/// weir::basic_circuit_breaker<weir::default_clock, counting> breaker{{.name = "db"}, counting{&trips}};
/// ```

#include <weir/core/detail/atomic.hpp>

#include <cstdint>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {

/// Observes nothing, occupies nothing.
struct null_observer {};

/// Whether `Observer` wants `Event`.
template <class Observer, class Event>
concept observes = requires(Observer& o, const Event& e) { o.on(e); };

namespace detail {

/// What a policy holds: the observer, the event counter, and the rule that user code can neither throw into a policy nor
/// run when nobody listens. Thread-safe if the observer is.
template <class Observer>
class publisher {
 public:
  explicit publisher(Observer observer = {}) : observer_(std::move(observer)) {}

  /// `make(sequence)` builds the event and is called only if the observer wants it. Call without any lock held.
  template <class Make>
  void publish(Make&& make) noexcept {
    using event = std::remove_cvref_t<std::invoke_result_t<Make, std::uint64_t>>;
    if constexpr (observes<Observer, event>) {
      const std::uint64_t sequence = sequence_.fetch_add(1, relaxed) + 1;
      try {
        observer_.on(make(sequence));
      } catch (...) {
        swallowed_.fetch_add(1, relaxed);
      }
    }
  }

  /// Exceptions that the observer threw.
  [[nodiscard]] std::uint64_t swallowed() const noexcept { return swallowed_.load(relaxed); }

 private:
  [[no_unique_address]] Observer observer_;
  atomic<std::uint64_t> sequence_{0};
  atomic<std::uint64_t> swallowed_{0};
};

template <>
class publisher<null_observer> {
 public:
  explicit publisher(null_observer = {}) noexcept {}
  template <class Make>
  void publish(Make&&) noexcept {}
  [[nodiscard]] static constexpr std::uint64_t swallowed() noexcept { return 0; }
};

}  // namespace detail
}  // namespace weir::inline v0
