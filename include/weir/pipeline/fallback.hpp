#pragma once
/// \file
/// `fallback`: something else to answer with when a call was refused or failed.
///
/// When to use: where a stale, default or smaller answer is better than none. It stands around the policies, so the failure
/// still reaches the breaker, and what the substitute does is never taken for the callee's work. It is no policy itself
/// (it answers calls, it does not admit them), so it cannot be put inside a pipeline by mistake.
///
/// ```cpp
/// weir::fallback stale{{.name = "prices"}};
/// weir::pipeline protect{limiter, breaker};
///
/// price p = stale.run(protect, [&] { return fetch(item); },
///                     [&](const weir::fallback_reason& why) { return cache.last_known(item); });
/// ```
/// Thread-safe, if the policies and the functions are.

#include <weir/core/admission.hpp>
#include <weir/core/name.hpp>
#include <weir/core/observer.hpp>
#include <weir/pipeline/detail/run.hpp>
#include <weir/stats/counter.hpp>

#include <concepts>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {

enum class fallback_cause : std::uint8_t {
  rejected,  ///< one of weir's policies refused: ours, or one inside the function
  failed,    ///< the function returned a failure or an overload
  threw,     ///< the function threw
};

/// Why the substitute is asked.
struct fallback_reason {
  fallback_cause cause = fallback_cause::rejected;
  rejection why{};                    ///< rejected: by whom, and when to come back; else the error of a weir::result
  outcome result = outcome::ignored;  ///< failed, threw: failure or overload
  std::exception_ptr error{};         ///< threw: what; std::rethrow_exception(error) declines to substitute
};

/// A substitute is about to be used.
struct fallback_used {
  weir::name name;
  std::uint64_t sequence;
  fallback_cause cause;
  boost::system::error_code code;  ///< of `fallback_reason::why`
};

struct fallback_config {
  std::string name = "fallback";
};

/// How often the substitute was used since construction, by cause, and how often it threw itself.
struct fallback_snapshot {
  std::uint64_t rejected, failed, threw;
  std::uint64_t substitute_threw;
};

namespace detail {

template <class Substitute>
decltype(auto) substituted(Substitute&& substitute, const fallback_reason& why) {
  if constexpr (std::invocable<Substitute, const fallback_reason&>) {
    return std::invoke(std::forward<Substitute>(substitute), why);
  } else if constexpr (std::invocable<Substitute>) {
    return std::invoke(std::forward<Substitute>(substitute));
  } else {
    return std::decay_t<Substitute>(std::forward<Substitute>(substitute));
  }
}

template <class Returned, class Substitute>
struct fallback_result {
  using given = decltype(substituted(std::declval<Substitute>(), std::declval<const fallback_reason&>()));
  using type = std::conditional_t<is_weir_result<std::decay_t<given>>, run_result_t<Returned>, std::remove_cv_t<Returned>>;
};

/// A run's result without its wrapping, where the caller gets the bare value. Precondition: it is a value.
template <class Out, class Result>
Out unwrapped(Result&& r) {
  if constexpr (std::same_as<Out, std::remove_cvref_t<Result>>) {
    return std::forward<Result>(r);
  } else if constexpr (!std::is_void_v<Out>) {
    return *std::forward<Result>(r);
  }
}

}  // namespace detail

/// Pinned.
template <class Observer = null_observer>
class basic_fallback {
 public:
  explicit basic_fallback(fallback_config config = {}, Observer observer = {})
      : name_(config.name), publisher_(std::move(observer)) {}
  basic_fallback(const basic_fallback&) = delete;
  basic_fallback& operator=(const basic_fallback&) = delete;

  /// Runs `f()` under `policy` (a pipeline or a single policy); if it is refused or fails, gives what `substitute` gives:
  /// a value, or a function of `const fallback_reason&` or of nothing.
  ///
  /// Returns what `f` returns, R; no rejection is left over. A substitute that wants to decline returns `result<R>`, and
  /// so does `run` then. A failure is a value that `outcome_traits<R>` calls `failure` or `overload`, or an exception. Not
  /// substituted is what is `ignored`: the caller has given up. Exceptions of the substitute propagate.
  template <admission_policy Policy, std::invocable F, class Substitute>
  auto run(Policy& policy, const call& c, F&& f, Substitute&& substitute) ->
      typename detail::fallback_result<std::invoke_result_t<F>, Substitute>::type {
    using returned = std::remove_cv_t<std::invoke_result_t<F>>;
    using out = typename detail::fallback_result<returned, Substitute>::type;

    fallback_reason why;
    try {
      detail::by_outcome_traits classify;
      auto r = detail::run_under(policy, c, classify, std::forward<F>(f));
      if (!r) why.why = r.error();
      if constexpr (detail::is_weir_result<out>) {
        if (!r && has_given_up(why.why)) return out{boost::system::in_place_error, why.why};
      }
      if constexpr (detail::is_weir_result<returned>) {  // it may carry an error that is not weir's: a failure of f
        why.result = detail::as_completion(outcome_traits<returned>::of(r)).result;
      } else if constexpr (!std::is_void_v<returned>) {
        if (r) why.result = detail::as_completion(outcome_traits<returned>::of(*r)).result;
      }
      if (why.result == outcome::failure || why.result == outcome::overload) {
        why.cause = fallback_cause::failed;
      } else if (r) {
        return detail::unwrapped<out>(std::move(r));
      }
    } catch (const rejected_error& e) {
      if (has_given_up(e.why())) throw;
      why.why = e.why();
      why.result = outcome_of_current_exception();
      if (why.result != outcome::ignored) {  // thrown by `value()` of a result with an error that is not weir's
        why.cause = fallback_cause::threw;
        why.error = std::current_exception();
      }
    } catch (...) {
      why.result = outcome_of_current_exception();
      if (why.result == outcome::ignored) throw;
      why.cause = fallback_cause::threw;
      why.error = std::current_exception();
    }
    return substitute_for<out>(why, std::forward<Substitute>(substitute));
  }
  template <admission_policy Policy, std::invocable F, class Substitute>
  auto run(Policy& policy, F&& f, Substitute&& substitute) {
    return run(policy, call{}, std::forward<F>(f), std::forward<Substitute>(substitute));
  }

  [[nodiscard]] std::string_view name() const noexcept { return name_.view(); }

  /// Racy while calls run: each number is right, their sum may miss calls of this moment.
  [[nodiscard]] fallback_snapshot snapshot() const noexcept {
    const auto of = [&](fallback_cause cause) { return used_.read(static_cast<std::size_t>(cause)); };
    return {of(fallback_cause::rejected), of(fallback_cause::failed), of(fallback_cause::threw), used_.read(own_exception)};
  }

 private:
  static constexpr std::size_t own_exception = 3;

  static bool has_given_up(const rejection& r) noexcept {
    return r == condition::cancelled || r.code() == boost::system::errc::operation_canceled;
  }

  template <class Out, class Substitute>
  Out substitute_for(const fallback_reason& why, Substitute&& substitute) {
    used_.add(static_cast<std::size_t>(why.cause));
    publisher_.publish([&](std::uint64_t sequence) { return fallback_used{name_, sequence, why.cause, why.why.code()}; });
    try {
      if constexpr (std::is_same_v<Out, result<void>> &&
                    !std::convertible_to<decltype(detail::substituted(std::forward<Substitute>(substitute), why)), Out>) {
        detail::substituted(std::forward<Substitute>(substitute), why);
        return Out{boost::system::in_place_value};
      } else {
        return detail::substituted(std::forward<Substitute>(substitute), why);
      }
    } catch (...) {
      used_.add(own_exception);
      throw;
    }
  }

  weir::name name_;
  counter_set<4> used_;
  detail::publisher<Observer> publisher_;
};
using fallback = basic_fallback<>;

}  // namespace weir::inline v0
