#pragma once
/// \file
/// What a chain of policies says about itself: its layers as data (`layer`), and the text of `explain()`.
///
/// ```cpp
/// std::puts(protect.explain().c_str());
/// // 1. rate_limiter 'search': ...
/// // 2. circuit_breaker 'index': ...
/// ```
/// For people and start-up logs: it allocates, and the text may change.

#include <weir/core/admission.hpp>
#include <weir/core/config.hpp>
#include <weir/pipeline/waiting_policy.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0 {

// By these a policy is recognised and known by its parameters, without including every policy here.
struct circuit_breaker_snapshot;
struct rate_limiter_snapshot;
struct window_limiter_snapshot;
struct concurrency_limiter_snapshot;
struct wait_queue_snapshot;

enum class layer_kind : std::uint8_t {
  other,
  circuit_breaker,
  rate_limiter,
  window_limiter,
  concurrency_limiter,
  wait_queue,
  pipeline
};

[[nodiscard]] constexpr std::string_view to_string(layer_kind kind) noexcept {
  constexpr std::string_view words[] = {
      "policy", "circuit_breaker", "rate_limiter", "window_limiter", "concurrency_limiter", "wait_queue", "pipeline"};
  return words[static_cast<std::size_t>(kind)];
}

/// One layer of a chain. The text is a copy: it does not change with the policy.
struct layer {
  layer_kind kind = layer_kind::other;
  std::string name{};            ///< as configured; empty if it has none
  std::string parameters{};      ///< "50 per 1 s, burst 10"; empty if unknown
  bool waits = false;            ///< a call can wait in it
  const void* object = nullptr;  ///< which policy it is
  std::vector<layer> inner{};    ///< layers of a nested pipeline; the policy behind a queue
};

namespace detail {

/// The innermost layers of a chain in the order in which they are asked.
inline void flatten(const std::vector<layer>& chain, std::vector<const layer*>& out) {
  for (const layer& l : chain) {
    if (l.kind != layer_kind::pipeline) out.push_back(&l);
    flatten(l.inner, out);
  }
}

inline std::string quoted(const layer& l) { return l.name.empty() ? std::string{to_string(l.kind)} : "'" + l.name + "'"; }

/// What goes wrong when a call waits in `queue` while it holds a permit of `outer`; empty: nothing.
inline std::string waits_inside(const layer& outer, const layer& queue) {
  if (outer.waits) {
    return quoted(outer) + " outside " + quoted(queue) +
           ": calls would hold a place in one queue while waiting in the other";
  }
  switch (outer.kind) {
    case layer_kind::concurrency_limiter:
      return quoted(outer) + " outside " + quoted(queue) + ": its slots are held by calls that only wait";
    case layer_kind::rate_limiter:
    case layer_kind::window_limiter:
      return quoted(outer) + " outside " + quoted(queue) +
             ": tokens are taken before the wait, so that calls can leave the queue faster than the limit";
    case layer_kind::circuit_breaker:
      return quoted(outer) + " outside " + quoted(queue) + ": a probe can spend its lease waiting";
    default: return {};
  }
}

/// Orders that are known to hurt, one sentence each.
[[nodiscard]] inline std::vector<std::string> warnings_of(const std::vector<layer>& chain) {
  std::vector<const layer*> flat;
  flatten(chain, flat);
  std::vector<std::string> out;
  for (std::size_t inner = 0; inner < flat.size(); ++inner) {
    for (std::size_t outer = 0; outer < inner; ++outer) {
      const layer& a = *flat[outer];
      const layer& b = *flat[inner];
      if (a.object != nullptr && a.object == b.object) {
        out.push_back(quoted(a) + " stands in the chain twice: every call pays it twice");
      } else if (b.waits) {
        if (auto text = waits_inside(a, b); !text.empty()) out.push_back(std::move(text));
      }
    }
  }
  return out;
}

inline void print(const std::vector<layer>& chain, const std::string& indent, std::string& out) {
  std::size_t number = 0;
  for (const layer& l : chain) {
    out += indent + std::to_string(++number) + ". " + std::string{to_string(l.kind)};
    if (!l.name.empty()) out += " '" + l.name + "'";
    if (!l.parameters.empty()) out += ": " + l.parameters;
    out += '\n';
    print(l.inner, indent + "   ", out);
  }
}

[[nodiscard]] inline std::string explain_chain(const std::vector<layer>& chain) {
  std::string out;
  print(chain, "", out);
  for (const std::string& warning : warnings_of(chain)) out += "warning: " + warning + "\n";
  return out;
}

template <class Snapshot>
void describe_snapshot(const Snapshot& s, layer& out) {
  if constexpr (std::same_as<Snapshot, circuit_breaker_snapshot>) {
    out.kind = layer_kind::circuit_breaker;
    out.parameters = std::string{"now "} + to_string(s.state);
  } else if constexpr (std::same_as<Snapshot, rate_limiter_snapshot>) {
    out.kind = layer_kind::rate_limiter;
    out.parameters =
        std::to_string(s.limit.permits) + " per " + exact_text(s.limit.per) + ", burst " + std::to_string(s.burst);
  } else if constexpr (std::same_as<Snapshot, window_limiter_snapshot>) {
    out.kind = layer_kind::window_limiter;
    const std::string permits = std::to_string(s.limit.permits), per = exact_text(s.limit.per);
    out.parameters = s.precision == decltype(s.precision)::exact
                         ? permits + " in any " + per
                         : "about " + permits + " in " + per + ", up to twice as many";
  } else if constexpr (std::same_as<Snapshot, concurrency_limiter_snapshot>) {
    out.kind = layer_kind::concurrency_limiter;
    out.parameters = "at most " + std::to_string(s.limit) + " at once";
  } else if constexpr (std::same_as<Snapshot, wait_queue_snapshot>) {
    out.kind = layer_kind::wait_queue;
    out.parameters = "at most " + std::to_string(s.capacity) + " waiting";
  }
}

/// A chain describes itself; a policy of weir is known by its snapshot; of any other we know the name, if it has one.
template <class Policy>
[[nodiscard]] layer describe_layer(const Policy& policy) {
  layer l;
  if constexpr (requires { policy.describe(); }) {
    l = policy.describe();
  } else {
    if constexpr (requires { std::string_view{policy.name()}; }) {
      l.name = std::string_view{policy.name()};
    } else if constexpr (requires { policy.name().view(); }) {
      l.name = policy.name().view();
    }
    if constexpr (requires { policy.snapshot(); }) describe_snapshot(policy.snapshot(), l);
  }
  if (l.object == nullptr) l.object = &policy;
  if constexpr (requires { policy.waits(); }) {
    l.waits = policy.waits();  // put together at run time: its type does not tell
  } else {
    l.waits = waiting_policy<Policy>;
  }
  return l;
}

}  // namespace detail
}  // namespace weir::inline v0
