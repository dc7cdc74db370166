#pragma once
/// \file
/// `pipeline`: several policies asked as one, outermost first.
///
/// When to use: whenever a call passes more than one policy. The chain is part of the type and costs what its parts cost:
/// one clock reading on entry and one on exit, no allocation, no indirection. For a chain that a configuration file
/// describes, use `dynamic_pipeline`.
///
/// ```cpp
/// weir::rate_limiter limiter{{.name = "search", .limit = {500, 1s}, .burst = 50}};
/// weir::circuit_breaker breaker{{.name = "index"}};
/// weir::pipeline protect{limiter, breaker};
///
/// weir::result<page> r = protect.run([&] { return index.search(query); });
/// if (!r) return too_busy(r.error().retry_after());
/// ```
/// Thread-safe, if its policies are. Policies are referred to and must outlive the pipeline and its permits.

#include <weir/core/admission.hpp>
#include <weir/pipeline/detail/run.hpp>
#include <weir/pipeline/explain.hpp>
#include <weir/pipeline/waiting_policy.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {

/// A chain of policies; itself a policy.
///
/// `Policies` are `P&` for lvalues (the usual case: policies are pinned and shared) and `P` for rvalues (views, other
/// pipelines). If a layer refuses, the permits of the layers outside it are cancelled, innermost first: their tokens and
/// slots are refunded as if nobody had asked. All layers must live on one time line; it is read from the outermost layer
/// that is held by reference (from the outermost of all, if there is none; the pipeline must then outlive its permits).
/// Copies refer to the same policies.
template <class... Policies>
  requires(sizeof...(Policies) > 0 && (admission_policy<std::remove_reference_t<Policies>> && ...))
class pipeline : public detail::runs_calls<pipeline<Policies...>> {
  static constexpr std::size_t size = sizeof...(Policies);
  static constexpr std::size_t clock_layer = [] {
    constexpr bool referred[] = {std::is_lvalue_reference_v<Policies>...};
    const auto* found = std::find(std::begin(referred), std::end(referred), true);
    return found == std::end(referred) ? std::size_t{0} : static_cast<std::size_t>(found - std::begin(referred));
  }();
  using clock_policy = std::remove_reference_t<std::tuple_element_t<clock_layer, std::tuple<Policies...>>>;
  static constexpr std::size_t waiting_layers = (std::size_t{waiting_policy<std::remove_reference_t<Policies>>} + ...);

 public:
  class permit;

  explicit pipeline(Policies&&... policies) : policies_(std::forward<Policies>(policies)...) {}

  /// Asks the layers from the outside in; the first refusal is returned as it is (it says which layer refused).
  /// Never waits. Complexity: the sum of the layers'. Thread-safe.
  [[nodiscard]] result<permit> try_acquire(const call& c = {}) noexcept {
    if (c.now != read_clock) return acquire_from<0>(try_each{c});
    call timed = c;
    timed.now = now();
    return acquire_from<0>(try_each{timed});
  }

  /// As `try_acquire`, but waits in the one layer that can wait, until `c.deadline` or `stop`. What lies outside of that
  /// layer is held meanwhile; what lies inside is asked afterwards, at the time that it is then. Blocks this thread.
  /// Only for chains with exactly one waiting layer: with two, calls would hold a place in one queue while standing in
  /// the other.
  [[nodiscard]] result<permit> acquire(const call& c = {}, std::stop_token stop = {})
    requires(waiting_layers == 1)
  {
    call timed = c;
    if (timed.now == read_clock) timed.now = now();
    return acquire_from<0>(wait_in_turn{timed, stop, clock()});
  }

  /// The clock of the chain.
  [[nodiscard]] time_point now() const noexcept { return clock().now(); }

  /// The layers, one a line, outermost first, with their parameters, and warnings of orders that are known to hurt.
  /// For people: the text may change.
  [[nodiscard]] std::string explain() const { return detail::explain_chain(describe().inner); }

  /// What `explain` prints, as data.
  [[nodiscard]] layer describe() const {
    layer self{.kind = layer_kind::pipeline};
    std::apply([&](const auto&... policy) { (self.inner.push_back(detail::describe_layer(policy)), ...); }, policies_);
    return self;
  }

 private:
  struct try_each {
    const call& c;

    template <class Policy>
    auto operator()(Policy& policy) const noexcept {
      return policy.try_acquire(c);
    }
  };
  struct wait_in_turn {
    call& c;
    const std::stop_token& stop;
    const clock_policy& clock;

    template <class Policy>
    auto operator()(Policy& policy) const {
      if constexpr (waiting_policy<Policy>) {
        auto permit = policy.acquire(c, stop);
        c.now = clock.now();
        return permit;
      } else {
        return policy.try_acquire(c);
      }
    }
  };

  [[nodiscard]] const clock_policy& clock() const noexcept { return std::get<clock_layer>(policies_); }

  // `held` are the permits of the layers before I. If a layer further in refuses, each layer takes back its own, after
  // those inside of it have; if all admit, what it holds has moved on into the permit, which is built once and in place.
  template <std::size_t I, class Ask, class... Held>
  result<permit> acquire_from(const Ask& ask, Held&... held) {
    if constexpr (I == size) {
      return result<permit>{boost::system::in_place_value, permit{clock(), ask.c.now, std::move(held)...}};
    } else {
      auto own = ask(std::get<I>(policies_));
      if (!own) return result<permit>{boost::system::in_place_error, own.error()};
      const detail::refund_unless_moved<std::remove_reference_t<decltype(*own)>> undo{*own};
      return acquire_from<I + 1>(ask, held..., *own);
    }
  }

  std::tuple<Policies...> policies_;
};

template <class... Policies>
pipeline(Policies&&...) -> pipeline<Policies...>;

/// The right to make one call, under every layer of the chain. Empty after a move, a report or a cancellation; functions of
/// an empty permit do nothing.
template <class... Policies>
  requires(sizeof...(Policies) > 0 && (admission_policy<std::remove_reference_t<Policies>> && ...))
class [[nodiscard]] pipeline<Policies...>::permit {
 public:
  permit(permit&& other) noexcept
      : held_(std::move(other.held_)), clock_(std::exchange(other.clock_, nullptr)), admitted_(other.admitted_) {}
  permit& operator=(permit&& other) noexcept {
    if (this == &other) return *this;
    release(outcome::ignored);
    held_ = std::move(other.held_);
    clock_ = std::exchange(other.clock_, nullptr);
    admitted_ = other.admitted_;
    return *this;
  }
  ~permit() { release(outcome::ignored); }

  /// Tells every layer, innermost first, the same completion. The clock is read once, if `now` is not given; an unmeasured
  /// `took` is the time since the admission was complete: waiting in our own queue is not the callee's slowness.
  void release(completion c) noexcept {
    const clock_policy* clock = std::exchange(clock_, nullptr);
    if (clock == nullptr) return;
    if constexpr (!(std::is_trivially_destructible_v<typename std::remove_reference_t<Policies>::permit> && ...)) {
      if (c.now == read_clock) c.now = clock->now();
      if (c.took == completion::unmeasured) c.took = std::max(duration::zero(), elapsed(admitted_, c.now));
    }
    inside_out([&](auto& permit) { permit.release(c); });
  }
  void release(outcome o) noexcept { release(completion{.result = o}); }

  /// The call was not started: every layer refunds what it took, innermost first.
  void cancel() noexcept {
    if (std::exchange(clock_, nullptr) != nullptr) inside_out([](auto& permit) { permit.cancel(); });
  }

 private:
  friend class pipeline;

  template <class... Held>
  permit(const clock_policy& clock, time_point admitted, Held&&... held) noexcept
      : held_(std::move(held)...), clock_(&clock), admitted_(admitted) {}

  // Explicit, because the order in which std::tuple destroys its elements differs between libraries.
  template <class Tell>
  void inside_out(const Tell& tell) noexcept {
    [&]<std::size_t... I>(std::index_sequence<I...>) {
      (tell(std::get<size - 1 - I>(held_)), ...);
    }(std::make_index_sequence<size>{});
  }

  // Permits that hold nothing take no room.
  [[no_unique_address]] std::tuple<typename std::remove_reference_t<Policies>::permit...> held_;
  const clock_policy* clock_;
  time_point admitted_;
};

}  // namespace weir::inline v0
