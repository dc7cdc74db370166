#pragma once
/// \file
/// What the static and the dynamic pipeline share: running a function under a permit, and telling its outcome.

#include <weir/core/admission.hpp>

#include <concepts>
#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {

namespace detail {

[[nodiscard]] constexpr completion as_completion(outcome o) noexcept { return {.result = o}; }
[[nodiscard]] constexpr completion as_completion(const completion& c) noexcept { return c; }

/// The classifier that `run` uses: `outcome_traits` of the returned type.
struct by_outcome_traits {
  template <class T>
  auto operator()(const T& value) const {
    return outcome_traits<T>::of(value);
  }
};

template <class T>
inline constexpr bool is_weir_result = false;
template <class T>
inline constexpr bool is_weir_result<result<T>> = true;

template <class Returned>
struct run_result {
  static_assert(!std::is_reference_v<Returned>, "return a value, a pointer or a std::reference_wrapper");
  using type = result<Returned>;
};
template <class T>
struct run_result<result<T>> {
  using type = result<T>;
};

/// What running a function of this return type gives: `result<R>`; a `weir::result` is not wrapped a second time.
template <class Returned>
using run_result_t = typename run_result<std::remove_cv_t<Returned>>::type;

/// What an attempt to get all permits of a chain holds. If it ends early, by a refusal or an exception, that is refunded;
/// what has been moved on is not.
template <class Permit>
struct refund_unless_moved {
  Permit& held;
  ~refund_unless_moved() { held.cancel(); }
};

/// Precondition: called from a catch block.
template <class Classify>
[[nodiscard]] completion completion_of_exception(Classify& classify) {
  if constexpr (requires { classify.of_exception(std::current_exception()); }) {
    return as_completion(classify.of_exception(std::current_exception()));
  } else {
    return as_completion(outcome_of_current_exception());
  }
}

/// Runs `f(args...)` under a permit of `policy`, or returns the rejection.
template <class Policy, class Classify, class F, class... Args>
auto run_under(Policy& policy, const call& c, Classify& classify, F&& f, Args&&... args)
    -> run_result_t<std::invoke_result_t<F, Args...>> {
  using returned = std::remove_cv_t<std::invoke_result_t<F, Args...>>;
  using out = run_result_t<returned>;
  auto permit = policy.try_acquire(c);
  if (!permit) return out{boost::system::in_place_error, permit.error()};

  // What f throws is told before the stack unwinds further; what the classifier throws drops the permit: ignored.
  const auto invoke = [&]() -> returned {
    try {
      return std::invoke(std::forward<F>(f), std::forward<Args>(args)...);
    } catch (...) {
      permit->release(completion_of_exception(classify));
      throw;
    }
  };
  if constexpr (std::is_void_v<returned>) {
    invoke();
    permit->release(outcome::success);
    return out{boost::system::in_place_value};
  } else {
    returned value = invoke();
    permit->release(as_completion(std::invoke(classify, std::as_const(value))));
    if constexpr (is_weir_result<returned>) {
      return value;
    } else {
      return out{boost::system::in_place_value, std::move(value)};
    }
  }
}

/// The `run` functions of a pipeline.
template <class Pipeline>
class runs_calls {
 public:
  /// Asks every layer and, if all admit, runs `f(args...)` on this thread.
  ///
  /// Returns `result<R>`: what `f` returned, or who refused and why; where `f` itself returns a `weir::result<T>`, that
  /// one. The layers are told the outcome: `outcome_traits<R>::of(value)`, which may be an `outcome` or a `completion`
  /// (with retry_after); for `void` success; for an exception `outcome_of_current_exception()`. Exceptions of `f`
  /// propagate. A rejection by one of weir's layers inside `f` is `ignored` for the layers here.
  /// Thread-safe; allocates nothing; reads the clock once before and once after `f`.
  template <class F, class... Args>
    requires std::invocable<F, Args...>
  [[nodiscard]] auto run(F&& f, Args&&... args) {
    return run(call{}, std::forward<F>(f), std::forward<Args>(args)...);
  }
  template <class F, class... Args>
    requires std::invocable<F, Args...>
  [[nodiscard]] auto run(const call& c, F&& f, Args&&... args) {
    by_outcome_traits classify;
    return run_under(static_cast<Pipeline&>(*this), c, classify, std::forward<F>(f), std::forward<Args>(args)...);
  }

  /// As `run`, with the caller's own idea of outcomes: `classify(const R&)` returns an `outcome` or a `completion`. If it
  /// has a member `of_exception(std::exception_ptr)`, that one tells about exceptions. What a classifier throws
  /// propagates, and the call counts as ignored.
  template <class Classify, class F, class... Args>
    requires std::invocable<F, Args...>
  [[nodiscard]] auto run_classified(Classify&& classify, const call& c, F&& f, Args&&... args) {
    return run_under(static_cast<Pipeline&>(*this), c, classify, std::forward<F>(f), std::forward<Args>(args)...);
  }

 private:
  friend Pipeline;
  runs_calls() = default;
};

}  // namespace detail
}  // namespace weir::inline v0
