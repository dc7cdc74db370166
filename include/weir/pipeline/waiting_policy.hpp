#pragma once
/// \file
/// `waiting_policy`: what a pipeline asks of a layer in which calls can wait.

#include <weir/core/admission.hpp>

#include <concepts>
#include <stop_token>

namespace weir::inline v0 {

/// A policy in which a call can wait for its turn by blocking its thread, until `call::deadline` or until it is told to
/// stop; `wait_queue` is the one of weir. Its `try_acquire` never waits, as everywhere. A type that learns only at run time
/// whether calls can wait in it says so with a member `waits()`.
template <class P>
concept waiting_policy = admission_policy<P> && requires(P& p, const call& c, std::stop_token stop) {
  { p.acquire(c, stop) } -> std::same_as<result<typename P::permit>>;
};

}  // namespace weir::inline v0
