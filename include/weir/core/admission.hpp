#pragma once
/// \file
/// The seam between a call and whatever may refuse it: what a caller says (`call`), what it gets (a permit), what it
/// reports back (`completion`), and the concepts that policies, queues, pools and pipelines meet in.

#include <weir/core/error.hpp>
#include <weir/core/time.hpp>

#include <concepts>
#include <cstdint>
#include <string_view>
#include <system_error>
#include <type_traits>

namespace weir::inline v0 {

/// How an admitted call ended. Four kinds, kept apart end to end, so that breaker, limiter and budget never punish each
/// other.
enum class outcome : std::uint8_t {
  success,   ///< the callee did its work
  failure,   ///< the callee's fault: error, time-out
  overload,  ///< the callee said "too much": its 429 or 503
  ignored,   ///< says nothing about the callee: cancelled by the caller, or refused by one of our own layers
};

/// What a caller says when it asks. Everything has a default: `policy.try_acquire()` is a complete call.
struct call {
  time_point now = read_clock;  ///< when it asks; `read_clock`: the policy reads its clock
  time_point deadline = never;  ///< absolute; waiting ends here, and is not begun if it would exceed it
  std::uint32_t cost = 1;       ///< tokens or slots it needs; 0 takes nothing
  std::uint32_t tenant = 0;     ///< whose share it uses, where shares exist
  std::uint64_t session = 0;    ///< user or journey, for decisions that must be the same for all its calls
  std::uint8_t priority = 0;    ///< 0 is the most important
  std::string_view tag{};       ///< for reports; must outlive the permit
};

/// What is reported when an admitted call has ended.
struct completion {
  outcome result = outcome::success;
  time_point now = read_clock;  ///< when it ended; `read_clock`: the policy reads its clock
  duration took = unmeasured;   ///< `unmeasured`: from the admission until `now`
  duration retry_after{};       ///< from the callee's 429/503; zero: none

  static constexpr duration unmeasured = duration::min();
};

/// A permit is the right to make one call. Move-only; a moved-from permit is empty and its functions do nothing.
///
/// - `release(completion)`, `release(outcome)`: the call has ended; the first report counts.
/// - `cancel()`: the call was never started; what the admission took is refunded as if it had not asked.
/// - `~permit()`: `release(outcome::ignored)`.
///
/// Only a policy makes one; give it no default constructor, or `result<permit>{}` is an admission that nobody granted.
/// Not thread-safe by itself: one owner at a time. All are noexcept and cheap.
template <class P>
concept permit_type = std::movable<P> && !std::copyable<P> && requires(P& p, const completion& c, outcome o) {
  { p.release(c) } noexcept;
  { p.release(o) } noexcept;
  { p.cancel() } noexcept;
};

/// Something that admits or refuses a call at once. `try_acquire` never waits, is noexcept and thread-safe.
template <class P>
concept admission_policy = permit_type<typename P::permit> && requires(P& p, const P& cp, const call& c) {
  { p.try_acquire(c) } noexcept -> std::same_as<result<typename P::permit>>;
  { cp.now() } noexcept -> std::same_as<time_point>;
};

/// Told that capacity may have come back while somebody waits for it. `wait_queue` implements it.
class capacity_listener {
 public:
  /// Called outside of every lock of the policy, from whichever thread released.
  virtual void on_capacity() noexcept = 0;

 protected:
  ~capacity_listener() = default;
};

/// A policy whose capacity comes back, so that a queue can stand in front of it.
///
/// The policy keeps "somebody waits" in its own decision word. While it is set, `try_acquire` refuses newcomers and every
/// release tells the listener; the queue then acquires for its head with `try_acquire_for_waiter`. Because setting the flag
/// and releasing are read-modify-writes of one word, a release is either seen by the queue's next attempt or reported to
/// it: no wake-up is lost, and nobody overtakes.
///
/// - `attach(listener)`: one listener at a time, else std::logic_error; nullptr detaches. Not concurrent with calls that
/// wait.
/// - `set_waiting(bool)`: by the listener only.
/// - `try_acquire_for_waiter(c)`: as `try_acquire`, without regard to the flag. Called under the listener's lock, again and
///   again: it publishes nothing, and a refusal, which is an answer to nobody, is not counted.
/// - `next_available(cost, now)`: when `cost` could be granted by the passing of time; `never`: only a release brings it.
/// - `refill_time(std::uint64_t cost) -> duration`, noexcept: where time alone brings capacity, how long it takes to bring
/// so
///   much, at least. Optional: with it, a queue knows at the door who would miss his deadline behind the others.
template <class P>
concept waitable_policy = admission_policy<P> && requires(P& p, const P& cp, const call& c, capacity_listener* listener,
                                                          std::uint32_t cost, time_point now, bool waiting) {
  p.attach(listener);
  { p.set_waiting(waiting) } noexcept;
  { p.try_acquire_for_waiter(c) } noexcept -> std::same_as<result<typename P::permit>>;
  { cp.next_available(cost, now) } noexcept -> std::same_as<time_point>;
};

/// What a value that a call returned says about the callee. Specialise it for your own types. `of` returns an outcome or,
/// where the value tells more (the Retry-After of a 429), a completion.
template <class T>
struct outcome_traits {
  static outcome of(const T&) noexcept { return outcome::success; }
};

template <>
struct outcome_traits<boost::system::error_code> {
  static outcome of(const boost::system::error_code& ec) noexcept {
    if (!ec) return outcome::success;
    // Our own refusals say nothing about the callee, and neither does a caller that gave up.
    if (ec.category() == category() || ec == boost::system::errc::operation_canceled) return outcome::ignored;
    return outcome::failure;
  }
};

template <>
struct outcome_traits<std::error_code> {
  static outcome of(const std::error_code& ec) noexcept {
    if (!ec) return outcome::success;
    return ec == std::errc::operation_canceled ? outcome::ignored : outcome::failure;
  }
};

// A value inside says what it would say alone: `run` inside of `run` tells both pipelines the same.
template <class T, class E>
struct outcome_traits<boost::system::result<T, E>> {
  static auto of(const boost::system::result<T, E>& r) noexcept {
    if constexpr (std::is_void_v<T>) {
      return r.has_value() ? outcome::success : of_error(r.error());
    } else {
      using told = decltype(outcome_traits<T>::of(*r));
      if (r.has_value()) return outcome_traits<T>::of(*r);
      if constexpr (std::same_as<told, outcome>) {
        return of_error(r.error());
      } else {
        return told{.result = of_error(r.error())};
      }
    }
  }

 private:
  static outcome of_error(const E& error) noexcept {
    if constexpr (std::same_as<E, rejection>) {
      return outcome_traits<boost::system::error_code>::of(error.code());
    } else if constexpr (std::same_as<E, boost::system::error_code>) {
      return outcome_traits<E>::of(error);
    } else {
      return outcome::failure;
    }
  }
};

/// What the exception being handled says about the callee. Precondition: called from a catch block.
[[nodiscard]] inline outcome outcome_of_current_exception() noexcept {
  try {
    throw;
  } catch (const boost::system::system_error& e) {
    return outcome_traits<boost::system::error_code>::of(e.code());
  } catch (const std::system_error& e) {
    return outcome_traits<std::error_code>::of(e.code());
  } catch (...) {
    return outcome::failure;
  }
}

}  // namespace weir::inline v0
