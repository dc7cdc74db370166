#pragma once
/// \file
/// `async_run`: any Asio operation under a policy, with the operation's own completion signature and any token.
///
/// ```cpp
/// auto read = socket.async_read_some(buffer, boost::asio::deferred);
/// weir::async_run<void(error_code, std::size_t)>(limiter, std::move(read), [](error_code ec, std::size_t n) { ... });
/// ```

#include <weir/asio/async_acquire.hpp>
#include <weir/core/admission.hpp>

#include <boost/asio/associated_allocator.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/system/error_code.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {
namespace detail {

/// The operation's handler: reports how the call ended, then goes on with the user's.
template <class Handler, class Permit>
struct releasing_handler {
  Handler handler;
  Permit permit;

  template <class... Args>
  void operator()(const boost::system::error_code& error, Args&&... args) {
    permit.release(outcome_traits<boost::system::error_code>::of(error));
    std::move(handler)(error, std::forward<Args>(args)...);
  }
};

/// The user's handler, with what it gets when the operation was never begun.
template <class Handler, class... Args>
struct refused_delivery {
  using allocator_type = boost::asio::associated_allocator_t<Handler>;

  Handler handler;
  boost::system::error_code why;

  void operator()() { std::move(handler)(why, Args{}...); }
  [[nodiscard]] allocator_type get_allocator() const noexcept { return boost::asio::get_associated_allocator(handler); }
};

/// Between the wait and the operation: begins it, or passes the refusal on. Runs on the handler's executor.
template <class Handler, class Operation, class... Args>
struct run_when_granted {
  Handler handler;
  Operation operation;

  template <class Permit>
  void operator()(result<Permit> permit) {
    if (!permit) return std::move(handler)(permit.error().code(), Args{}...);
    std::move(operation)(releasing_handler<Handler, Permit>{std::move(handler), std::move(*permit)});
  }
};

template <class... Args>
struct run_initiation {
  template <class Handler, class Policy, class Operation>
  void operator()(Handler&& handler, Policy* policy, const call& c, Operation&& operation) const {
    using handler_type = std::decay_t<Handler>;
    using permit_type = typename Policy::permit;
    auto permit = [&] {
      if constexpr (waiting_queue<Policy>) {
        return policy->try_first(c);
      } else {
        return policy->try_acquire(c);
      }
    }();
    if (permit) {
      std::forward<Operation>(operation)(
          releasing_handler<handler_type, permit_type>{std::forward<Handler>(handler), std::move(*permit)});
      return;
    }
    if constexpr (waiting_queue<Policy>) {
      if (waiting_helps(permit.error())) {
        async_wait_in_line(*policy, c,
                           run_when_granted<handler_type, std::decay_t<Operation>, Args...>{
                               std::forward<Handler>(handler), std::forward<Operation>(operation)});
        return;
      }
    }
    auto executor = boost::asio::get_associated_executor(handler);
    boost::asio::post(executor,
                      refused_delivery<handler_type, Args...>{std::forward<Handler>(handler), permit.error().code()});
  }
};

template <class Signature>
struct run_signature;
template <class... Args>
struct run_signature<void(boost::system::error_code, Args...)> {
  using initiation = run_initiation<std::decay_t<Args>...>;
};

}  // namespace detail

/// Asks `policy` and, if it admits, begins `operation`: anything that can be called with a completion token, such as what
/// `boost::asio::deferred` makes. `Signature`: `void(error_code, T...)`; if the call is refused, the handler is posted
/// `rejection.code()` and `T{}...`, without the operation having been begun. A `wait_queue` is waited in.
///
/// The policy is told the outcome that `outcome_traits<error_code>` sees in the operation's code, before the handler runs.
/// Executor, allocator and cancellation slot of the handler apply to the wait and then to the operation, which is not begun
/// once the slot has been told. After a wait it is begun on the handler's executor; that of a plain function is Asio's
/// system context, another thread: use `bind_executor`. Where the handler is destroyed instead of called, the permit comes
/// back: refunded if the operation had not begun, else as ignored.
template <class Signature, admission_policy Policy, class Operation, class Token>
auto async_run(Policy& policy, const call& c, Operation&& operation, Token&& token) {
  return boost::asio::async_initiate<Token, Signature>(typename detail::run_signature<Signature>::initiation{}, token,
                                                       &policy, c, std::forward<Operation>(operation));
}
template <class Signature, admission_policy Policy, class Operation, class Token>
  requires(!std::same_as<std::remove_cvref_t<Operation>, call>)
auto async_run(Policy& policy, Operation&& operation, Token&& token) {
  return async_run<Signature>(policy, call{}, std::forward<Operation>(operation), std::forward<Token>(token));
}

}  // namespace weir::inline v0

namespace boost::asio {

/// Whatever is associated with the user's handler is associated with the handlers that stand in for it.
template <template <class, class> class Associator, class Handler, class Permit, class Default>
struct associator<Associator, weir::detail::releasing_handler<Handler, Permit>, Default> : Associator<Handler, Default> {
  static auto get(const weir::detail::releasing_handler<Handler, Permit>& h) noexcept {
    return Associator<Handler, Default>::get(h.handler);
  }
  static auto get(const weir::detail::releasing_handler<Handler, Permit>& h, const Default& d) noexcept {
    return Associator<Handler, Default>::get(h.handler, d);
  }
};

template <template <class, class> class Associator, class Handler, class Operation, class... Args, class Default>
struct associator<Associator, weir::detail::run_when_granted<Handler, Operation, Args...>, Default>
    : Associator<Handler, Default> {
  static auto get(const weir::detail::run_when_granted<Handler, Operation, Args...>& h) noexcept {
    return Associator<Handler, Default>::get(h.handler);
  }
  static auto get(const weir::detail::run_when_granted<Handler, Operation, Args...>& h, const Default& d) noexcept {
    return Associator<Handler, Default>::get(h.handler, d);
  }
};

}  // namespace boost::asio
