#pragma once
// What is measured, by the clock and by counting instructions: configurations, and how calls end.

#include <weir/core/admission.hpp>
#include <weir/policy/circuit_breaker_config.hpp>
#include <weir/policy/rate_limiter_config.hpp>

#include <cstdint>

namespace weir_bench {

/// How calls end where all is well.
struct all_succeed {
  weir::outcome operator()() const noexcept { return weir::outcome::success; }
};

/// Every tenth call fails, in a fixed pattern: two threads put at most two failures into ten results in a row, so that no
/// breaker here trips.
class every_tenth_fails {
 public:
  weir::outcome operator()() noexcept {
    if (++calls_ < 10) return weir::outcome::success;
    calls_ = 0;
    return weir::outcome::failure;
  }

 private:
  unsigned calls_ = 0;
};

/// So fast that no benchmark empties it: the admitting path never meets the limit.
inline weir::rate_limiter_config plenty() {
  return {.name = "bench", .limit = {.permits = 1'000'000'000, .per = std::chrono::seconds{1}}, .burst = 1'000'000'000'000};
}

/// One token a day, so that all but the first call are refused.
inline weir::rate_limiter_config one_a_day() {
  return {.name = "bench", .limit = {.permits = 1, .per = std::chrono::hours{24}}, .burst = 1};
}

/// Judged by the last `size` results alone.
inline weir::circuit_breaker_config last_results(std::uint32_t size) {
  weir::circuit_breaker_config config{.name = "bench"};
  config.over_time.slicing.length = {};
  config.over_calls = {.size = size, .trip = {.minimum_calls = size < 20 ? size : 20}};
  return config;
}

/// Judged by the last `slices` times `each` alone.
inline weir::circuit_breaker_config last_slices(std::uint32_t slices, weir::duration each) {
  return {.name = "bench", .over_time = {.slicing = {.length = each * slices, .slices = slices}}};
}

/// Calls are measured: the clock is read at admission and at the end. None is slow.
inline weir::circuit_breaker_config timed(weir::circuit_breaker_config config) {
  config.slow_threshold = std::chrono::hours{1};
  return config;
}

/// Open for longer than any benchmark takes.
inline weir::circuit_breaker_config opened() {
  return {.name = "bench",
          .open_for = {.initial = std::chrono::hours{24}, .cap = std::chrono::hours{24}},
          .initial_state = weir::breaker_state::open};
}

}  // namespace weir_bench
