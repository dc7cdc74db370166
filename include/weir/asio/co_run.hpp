#pragma once
/// \file
/// `co_run`: a coroutine under a policy.
///
/// ```cpp
/// auto fetch = [&](std::string key) -> boost::asio::awaitable<page> { ... };
/// weir::result<page> r = co_await weir::co_run(pipeline, fetch, key);           // or a wait_queue, a limiter, a breaker
/// if (!r) co_return too_busy(r.error());
/// ```
/// g++ 12 destroys capturing lambdas twice that are temporaries of a `co_await` expression: name them first, as above.

#include <boost/asio/detail/config.hpp>

#if defined(BOOST_ASIO_HAS_CO_AWAIT)

#include <weir/asio/async_acquire.hpp>
#include <weir/core/admission.hpp>
#include <weir/pipeline/detail/run.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <concepts>
#include <functional>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {
namespace detail {

template <class T>
struct awaitable_traits {};
template <class T, class Executor>
struct awaitable_traits<boost::asio::awaitable<T, Executor>> {
  using value = T;
  template <class U>
  using same_executor = boost::asio::awaitable<U, Executor>;
};

template <class F, class... Args>
using awaitable_of = awaitable_traits<std::invoke_result_t<F, Args...>>;

template <class F, class... Args>
concept coroutine_function = std::invocable<F, Args...> && requires { typename awaitable_of<F, Args...>::value; };

template <class F, class... Args>
using co_run_result =
    typename awaitable_of<F, Args...>::template same_executor<run_result_t<typename awaitable_of<F, Args...>::value>>;

}  // namespace detail

/// Asks `policy` and, if it admits, awaits `f(args...)`. Returns what `f` returned or who refused and why (where `f`
/// returns a `weir::result` itself, that one); the policy is told the outcome by `outcome_traits`, an exception's by
/// `outcome_of_current_exception`, and the exception propagates.
///
/// A policy that admits at once costs no suspension. A `wait_queue` is waited in (until `c.deadline`; cancelling the
/// coroutine ends the wait with errc::cancelled); every other policy, pipelines with a queue inside included, is only
/// asked: put the queue outside, `co_run(queue, c, [&] { return co_run(pipeline, ...); })`. If the coroutine is destroyed
/// while it is suspended, the permit comes back: refunded if `f` had not begun, else as ignored. `policy` must outlive the
/// coroutine; `f` and `args` are moved into it.
template <admission_policy Policy, class F, class... Args>
  requires detail::coroutine_function<F, Args...>
auto co_run(Policy& policy, call c, F f, Args... args) -> detail::co_run_result<F, Args...> {
  using traits = detail::awaitable_of<F, Args...>;
  using out = detail::run_result_t<typename traits::value>;
  const auto ask = [&] {
    if constexpr (waiting_queue<Policy>) {
      return policy.try_first(c);
    } else {
      return policy.try_acquire(c);
    }
  };
  auto permit = ask();
  if constexpr (waiting_queue<Policy>) {
    if (!permit && waiting_helps(permit.error())) {
      detail::wait_room<Policy> room;
      detail::wait_in_line<Policy, call> wait{policy, c, room};
      permit = co_await std::move(wait);
    }
  }
  if (!permit) co_return out{boost::system::in_place_error, permit.error()};
  try {
    if constexpr (std::is_void_v<typename traits::value>) {
      co_await std::invoke(std::move(f), std::move(args)...);
      permit->release(outcome::success);
      co_return out{boost::system::in_place_value};
    } else {
      auto value = co_await std::invoke(std::move(f), std::move(args)...);
      permit->release(detail::as_completion(detail::by_outcome_traits{}(value)));
      if constexpr (detail::is_weir_result<typename traits::value>) {
        co_return std::move(value);
      } else {
        co_return out{boost::system::in_place_value, std::move(value)};
      }
    }
  } catch (...) {
    permit->release(outcome_of_current_exception());
    throw;
  }
}

template <admission_policy Policy, class F, class... Args>
  requires(!std::same_as<F, call> && detail::coroutine_function<F, Args...>)
auto co_run(Policy& policy, F f, Args... args) -> detail::co_run_result<F, Args...> {
  return co_run(policy, call{}, std::move(f), std::move(args)...);
}

}  // namespace weir::inline v0

#endif
