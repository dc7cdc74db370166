#pragma once
/// \file
/// What lies behind a room says how many it can take: gates from a circuit breaker, from anything that is overloaded at
/// times, and from several of them.
///
/// ```cpp
/// weir::aimd_gate orders;                                  // halves the admissions while the pool is slow, and feels its
/// way back room.gate_by([&] {
///   return weir::tightest({weir::gate_by_breaker(payment_breaker),
///                          orders.see(pool.snapshot().now.oldest_wait > 100ms, "orders pool is slow", room.now())});
/// });
/// ```

#include <weir/core/config.hpp>
#include <weir/core/time.hpp>
#include <weir/policy/circuit_breaker_events.hpp>

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace weir::inline v0 {

/// What lies behind the room, as seen by who is asked about it before every step.
struct gate_reading {
  double part = 1;       ///< [0, 1] of what is configured; 0: nobody
  std::string reason{};  ///< in a few words, for the operator; empty: nothing to say
};

/// The smallest of them. Precondition: not empty. Errors: std::bad_alloc.
[[nodiscard]] inline gate_reading tightest(std::initializer_list<gate_reading> gates) {
  return *std::min_element(gates.begin(), gates.end(),
                           [](const gate_reading& a, const gate_reading& b) { return a.part < b.part; });
}

/// Open: nobody, since whoever came in would be refused there. Once it would let a call try again, and while it is half
/// open: a tenth, or nobody would ever try. Recovering: what it admits. `breaker`: a circuit_breaker. Errors:
/// std::bad_alloc.
template <class Breaker>
[[nodiscard]] gate_reading gate_by_breaker(const Breaker& breaker) {
  const circuit_breaker_snapshot s = breaker.snapshot();
  switch (s.state) {
    case breaker_state::forced_open: return {0, "circuit_open"};
    case breaker_state::open:
      if (!s.probes_due) return {0, "circuit_open"};
      [[fallthrough]];
    case breaker_state::half_open: return {0.1, "circuit_half_open"};
    default: return {s.admitted_share, s.admitted_share < 1 ? "circuit_recovers" : ""};
  }
}

struct aimd_config {
  double least = 0.05;                       ///< it never takes less, or it could not see that it goes better; (0, 1]
  double shrink = 0.7;                       ///< times this while overloaded; (0, 1)
  double grow = 0.05;                        ///< so much more while not; (0, 1]
  duration every = std::chrono::seconds{1};  ///< at most one step in this time, > 0
};
[[nodiscard]] inline std::optional<config_error> validate(const aimd_config& c) {
  const auto wrong = [](const char* field, const char* range, double value) {
    return config_error{"aimd_config." + std::string{field}, std::string{"must be in "} + range + detail::is(value)};
  };
  if (!(c.least > 0 && c.least <= 1)) return wrong("least", "(0, 1]", c.least);
  if (!(c.shrink > 0 && c.shrink < 1)) return wrong("shrink", "(0, 1)", c.shrink);
  if (!(c.grow > 0 && c.grow <= 1)) return wrong("grow", "(0, 1]", c.grow);
  if (c.every <= duration::zero()) return config_error{"aimd_config.every", "must be > 0" + detail::is(c.every)};
  return std::nullopt;
}

/// Additive increase, multiplicative decrease (Chiu and Jain 1989): gives way at once, comes back slowly. Not thread-safe:
/// a room asks its gate on one thread at a time.
class aimd_gate {
 public:
  /// Errors: std::invalid_argument.
  explicit aimd_gate(const aimd_config& config = {}) : config_(validated(config)) {}

  /// `overloaded`: now; `why`: what to tell the operator meanwhile. Errors: std::bad_alloc.
  [[nodiscard]] gate_reading see(bool overloaded, std::string_view why, time_point now) {
    if (now >= next_) {
      part_ = overloaded ? std::max(part_ * config_.shrink, config_.least) : std::min(part_ + config_.grow, 1.0);
      next_ = later(now, config_.every);
    }
    return {part_, part_ < 1 ? std::string{why} : std::string{}};
  }
  [[nodiscard]] double part() const noexcept { return part_; }

 private:
  aimd_config config_;
  double part_ = 1;
  time_point next_ = time_point::min();
};

}  // namespace weir::inline v0
