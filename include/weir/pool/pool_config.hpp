#pragma once
/// \file
/// What a connection pool is told. Every option, its default and its reason: docs/pools.md.

#include <weir/core/backoff.hpp>
#include <weir/core/config.hpp>
#include <weir/core/time.hpp>
#include <weir/queue/discipline.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace weir::inline v0 {

/// Which idle connection is used next.
enum class idle_order : std::uint8_t {
  lifo,  ///< the warmest; the others get old and are closed
  fifo,  ///< each in turn, for endpoints behind a load balancer
};

/// What those who ask get while nothing can be reached.
enum class when_down : std::uint8_t {
  fail_fast,  ///< errc::backend_down at once, with the cause
  wait,       ///< their turn, if the backend comes back before their deadline
};

/// Two users share no connection, and never is there more than `max_size` of them, whatever state they are in: also one
/// that is being closed is still one for the server.
struct pool_config {
  std::string name = "pool";
  std::uint32_t max_size = 10;       ///< 1 .. 10'000
  std::uint32_t min_size = 0;        ///< kept open, also without demand; <= max_size
  std::uint32_t min_idle = 0;        ///< kept ready beyond those in use, as far as max_size allows; <= max_size
  std::uint32_t max_connecting = 0;  ///< attempts to connect at a time, <= max_size; 0: a quarter of max_size, 1 .. 4
  std::uint32_t endpoints = 1;       ///< of the backend, 1 .. 64; those that fail are left alone for a while
  idle_order order = idle_order::lifo;

  duration acquire_timeout = std::chrono::seconds{5};  ///< caps every deadline, > 0; duration::max(): no cap
  std::optional<std::uint32_t> max_waiters{};          ///< 0 .. 1'000'000; nothing: ten times max_size
  queue_discipline waiting{};                          ///< who is served next; a connection costs 1
  bool predict = true;                                 ///< refuse at the door who would wait beyond its deadline

  duration connect_timeout = std::chrono::seconds{5};          ///< >= 1 ms; a budget of its own, not the waiter's
  duration validate_after_idle = std::chrono::seconds{1};      ///< >= 0; used without a question until then
  duration validate_timeout = std::chrono::milliseconds{500};  ///< >= 1 ms
  duration keepalive = std::chrono::seconds{30};               ///< >= 1 ms, +-10 %; duration::max(): off
  duration max_lifetime = std::chrono::minutes{30};            ///< >= 1 ms; duration::max(): none
  duration idle_timeout = std::chrono::minutes{10};            ///< >= 1 ms; down to min_size; duration::max(): none
  bool reset_on_return = true;                                 ///< if the backend can
  duration reset_timeout = std::chrono::seconds{1};            ///< >= 1 ms
  duration close_timeout = std::chrono::seconds{1};            ///< >= 1 ms

  when_down on_down = when_down::fail_fast;
  std::uint32_t down_after = 3;  ///< failures to connect in a row with nothing alive, >= 1
  backoff probe{.initial = std::chrono::milliseconds{100}, .cap = std::chrono::milliseconds{500}};
  std::uint32_t purge_after = 3;                    ///< connections found broken within purge_window, 0 .. 16; 0: never
  duration purge_window = std::chrono::seconds{1};  ///< > 0
  duration leak_after = std::chrono::seconds{30};   ///< in use for so long: reported; >= 1 ms; duration::max(): never
  /// In use for so long after it was reported: aborted, and another one may be opened in its place; >= 1 ms;
  /// duration::max(): never. Needs `leak_after`, and a backend with `abort`.
  duration leak_reclaim = duration::max();
  /// blocking_pool: a thread that would wait while it has all connections itself is told errc::self_deadlock at once. A few
  /// nanoseconds for each acquire: for debug builds and tests.
  bool detect_self_deadlock = false;
  std::uint64_t seed = 0;  ///< of lifetimes and backoffs

  [[nodiscard]] std::uint32_t waiters_at_most() const noexcept {
    return max_waiters.value_or(
        static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{10} * max_size, 1'000'000)));
  }
  [[nodiscard]] std::uint32_t connecting_at_most() const noexcept {
    return max_connecting != 0 ? max_connecting : std::clamp(max_size / 4, std::uint32_t{1}, std::uint32_t{4});
  }
};

[[nodiscard]] inline std::optional<config_error> validate(const pool_config& config) {
  const auto wrong = [](std::string_view field, std::string problem) {
    return config_error{"pool_config." + std::string{field}, std::move(problem)};
  };
  const auto within = [&](std::string_view field, std::uint32_t value, std::uint32_t low,
                          std::uint32_t high) -> std::optional<config_error> {
    if (value >= low && value <= high) return std::nullopt;
    return wrong(field, "must be in [" + std::to_string(low) + ", " + std::to_string(high) + "]" + detail::is(value));
  };
  if (auto e = within("max_size", config.max_size, 1, 10'000)) return e;
  if (auto e = within("min_size", config.min_size, 0, config.max_size)) return e;
  if (auto e = within("min_idle", config.min_idle, 0, config.max_size)) return e;
  if (auto e = within("max_connecting", config.max_connecting, 0, config.max_size)) return e;
  if (auto e = within("endpoints", config.endpoints, 1, 64)) return e;
  if (auto e = within("max_waiters", config.max_waiters.value_or(0), 0, 1'000'000)) return e;
  if (auto e = within("down_after", config.down_after, 1, 1'000'000)) return e;
  if (auto e = within("purge_after", config.purge_after, 0, 16)) return e;
  if (config.order > idle_order::fifo) return wrong("order", "must be lifo or fifo");
  if (config.on_down > when_down::wait) return wrong("on_down", "must be fail_fast or wait");
  for (const auto& [field, value] :
       {std::pair{"acquire_timeout", config.acquire_timeout}, {"purge_window", config.purge_window}}) {
    if (value <= duration::zero()) return wrong(field, "must be > 0" + detail::is(value));
  }
  // What the pool looks at no more often than that.
  const std::pair<std::string_view, duration> coarse[] = {{"connect_timeout", config.connect_timeout},
                                                          {"validate_timeout", config.validate_timeout},
                                                          {"keepalive", config.keepalive},
                                                          {"max_lifetime", config.max_lifetime},
                                                          {"idle_timeout", config.idle_timeout},
                                                          {"reset_timeout", config.reset_timeout},
                                                          {"close_timeout", config.close_timeout},
                                                          {"leak_after", config.leak_after},
                                                          {"leak_reclaim", config.leak_reclaim}};
  for (const auto& [field, value] : coarse) {
    if (value < std::chrono::milliseconds{1}) return wrong(field, "must be >= 1 ms" + detail::is(value));
  }
  if (config.leak_reclaim != duration::max() && config.leak_after == duration::max()) {
    return wrong("leak_reclaim", "needs leak_after");
  }
  if (config.validate_after_idle < duration::zero()) {
    return wrong("validate_after_idle", "must be >= 0" + detail::is(config.validate_after_idle));
  }
  if (auto e = validate(config.probe, "pool_config.probe")) return e;
  return validate(config.waiting, "pool_config.waiting", config.max_size);
}

namespace detail {

/// Of a pool that exists. Both are valid.
[[nodiscard]] inline std::optional<config_error> what_cannot_change(const pool_config& was, const pool_config& now) {
  const auto refuse = [](const char* field) {
    return config_error{std::string{"pool_config."} + field, "cannot be changed while the pool exists"};
  };
  if (now.name != was.name) return refuse("name");
  if (now.endpoints != was.endpoints) return refuse("endpoints");
  if (now.order != was.order) return refuse("order");
  if (now.detect_self_deadlock != was.detect_self_deadlock) return refuse("detect_self_deadlock");
  const bool by_tenants = now.waiting.order == queue_order::tenants;
  if (by_tenants != (was.waiting.order == queue_order::tenants)) return refuse("waiting.tenants");
  if (!by_tenants) return std::nullopt;
  const auto& a = now.waiting.tenants;
  const auto& b = was.waiting.tenants;
  const auto same = [](const tenant_share& x, const tenant_share& y) { return x.tenant == y.tenant; };
  if (!std::equal(a.begin(), a.end(), b.begin(), b.end(), same)) return refuse("waiting.tenants");
  return std::nullopt;
}

}  // namespace detail
}  // namespace weir::inline v0
