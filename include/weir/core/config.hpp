#pragma once
/// \file
/// What configurations share: `rate`, the form of an error, and the one way to refuse a wrong one.
///
/// Every policy has an aggregate `x_config` whose fields all have defaults, units in their types and stated ranges; a free
/// function `validate(const x_config&) -> std::optional<config_error>` that says what is wrong without throwing; and a
/// constructor that throws `std::invalid_argument` with the same words.

#include <weir/core/time.hpp>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace weir::inline v0 {

/// So many per so long: `rate{50, std::chrono::seconds{10}}`.
struct rate {
  std::uint64_t permits = 1;               ///< >= 1
  duration per = std::chrono::seconds{1};  ///< > 0

  friend bool operator==(const rate&, const rate&) = default;
};

/// Which field is wrong, and what it accepts.
struct config_error {
  std::string field;    ///< "circuit_breaker_config.probes.failure_rate"
  std::string problem;  ///< "must be in (0, 1], is 1.5"

  [[nodiscard]] std::string message() const { return field + ": " + problem; }
};

namespace detail {

/// "1 s", "250 ms": in the largest unit that it is a multiple of.
[[nodiscard]] inline std::string exact_text(duration d) {
  constexpr std::pair<duration::rep, const char*> units[] = {{1'000'000'000, " s"}, {1'000'000, " ms"}, {1'000, " us"}};
  for (const auto& [size, unit] : units) {
    if (d.count() % size == 0) return std::to_string(d.count() / size) + unit;
  }
  return std::to_string(d.count()) + " ns";
}

/// ", is 7": the end of a config_error's problem.
template <class Number>
[[nodiscard]] std::string is(Number found) {
  return ", is " + std::to_string(found);
}
[[nodiscard]] inline std::string is(duration found) { return ", is " + exact_text(found); }

}  // namespace detail

/// Throws std::invalid_argument with the error's words, if there is one.
inline void throw_if(const std::optional<config_error>& error) {
  if (error) throw std::invalid_argument(error->message());
}

/// Validates and passes on: for use in constructors' initialiser lists.
template <class Config>
[[nodiscard]] Config validated(Config config) {
  throw_if(validate(std::as_const(config)));
  return config;
}

}  // namespace weir::inline v0
