#pragma once
/// \file
/// `queue_discipline`: who of those who wait is served next, and who is taken out for the sake of the others. What each
/// order is for: docs/queues.md.
///
/// ```cpp
/// weir::queue_discipline calm{.order = weir::queue_order::adaptive_lifo, .codel = {.on = true}};
/// weir::queue_discipline fair{.order = weir::queue_order::tenants,
///                             .tenants = {{.tenant = 1, .weight = 3}, {.tenant = 2, .reserved = 2, .max_in_use = 6}}};
/// ```
/// Values; thread-safe as such.

#include <weir/core/config.hpp>
#include <weir/core/time.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0 {

/// Who is next. "Older": enqueued earlier.
enum class queue_order : std::uint8_t {
  fifo,           ///< the oldest
  lifo,           ///< the newest
  adaptive_lifo,  ///< the oldest; while overloaded, the newest, who can still be served in time
  priority,       ///< the most important, and whoever has waited for long enough to be it
  tenants,        ///< the tenants in turn, in proportion to their weights; the oldest of each
};

/// Controlled delay. Once per `interval` the line is found slow if even the shortest wait that was granted in it was longer
/// than `target`, or, if nothing was, if the oldest has waited for longer; while it is slow, whoever has waited for more
/// than twice the target is shed. Source: K. Nichols, V. Jacobson, "Controlling Queue Delay", ACM Queue 10(5), 2012, in the
/// simpler form for servers of B. Maurer, "Fail at Scale", ACM Queue 13(8), 2015.
struct codel_config {
  bool on = false;
  duration target = std::chrono::milliseconds{20};     ///< > 0, <= 1 h; adaptive_lifo uses it, too
  duration interval = std::chrono::milliseconds{200};  ///< > 0, <= 1 h; adaptive_lifo uses it, too
};

/// What one tenant gets, in `call::cost`.
struct tenant_share {
  static constexpr std::uint32_t unlimited = std::numeric_limits<std::uint32_t>::max();

  std::uint32_t tenant = 0;               ///< `call::tenant`
  std::uint32_t weight = 1;               ///< of its turns, 1 .. 1000
  std::uint32_t reserved = 0;             ///< never lent to others, <= max_in_use
  std::uint32_t max_in_use = unlimited;   ///< >= 1; at it, its waiters are passed over
  std::uint32_t max_waiting = unlimited;  ///< calls in line; who is too many gets errc::quota; 0: it never waits
};

struct queue_discipline {
  queue_order order = queue_order::fifo;
  codel_config codel{};  ///< with every order
  /// order priority: how long a waiter of priority p + 1 waits to be worth as much as a newcomer of priority p, 0 .. 1 h;
  /// 0: priorities do not count.
  duration aging = std::chrono::milliseconds{100};
  std::vector<tenant_share> tenants{};  ///< order tenants: at most 10'000, each once
  tenant_share others{};                ///< order tenants: all that are not listed, together; its `tenant` is not used

  /// Priorities above are taken as the last one.
  static constexpr std::uint32_t priorities = 8;
};

namespace detail {

[[nodiscard]] inline std::optional<config_error> validate_share(const tenant_share& share, const std::string& field) {
  if (share.weight < 1 || share.weight > 1000) {
    return config_error{field + ".weight", "must be in [1, 1000]" + is(share.weight)};
  }
  if (share.max_in_use < 1) return config_error{field + ".max_in_use", "must be >= 1" + is(share.max_in_use)};
  if (share.reserved > share.max_in_use) {
    return config_error{field + ".reserved", "must be <= max_in_use" + is(share.reserved)};
  }
  return std::nullopt;
}

[[nodiscard]] inline bool counts_what_is_in_use(const tenant_share& share) noexcept {
  return share.reserved != 0 || share.max_in_use != tenant_share::unlimited;
}

}  // namespace detail

/// All that the tenants have reserved.
[[nodiscard]] inline std::uint64_t reserved_by_all(const queue_discipline& config) noexcept {
  std::uint64_t all = config.others.reserved;
  for (const tenant_share& share : config.tenants) all += share.reserved;
  return all;
}

/// `field`: what the config is called in errors. `slots`: what the owner of the line can hand out, for whom reservations
/// must leave room.
[[nodiscard]] inline std::optional<config_error> validate(const queue_discipline& config,
                                                          std::string_view field = "queue_discipline",
                                                          std::uint32_t slots = tenant_share::unlimited) {
  const std::string prefix = std::string{field} + '.';
  constexpr duration hour = std::chrono::hours{1};
  if (config.order > queue_order::tenants) {
    return config_error{prefix + "order", "must be fifo, lifo, adaptive_lifo, priority or tenants"};
  }
  for (const auto& [name, value] :
       {std::pair{"codel.target", config.codel.target}, {"codel.interval", config.codel.interval}}) {
    if (value > duration::zero() && value <= hour) continue;
    return config_error{prefix + name, "must be > 0 and <= 1 h" + detail::is(value)};
  }
  if (config.aging < duration::zero() || config.aging > hour) {
    return config_error{prefix + "aging", "must be in [0, 1 h]" + detail::is(config.aging)};
  }
  if (config.tenants.size() > 10'000) {
    return config_error{prefix + "tenants", "must be at most 10000" + detail::is(config.tenants.size())};
  }
  if (auto wrong = detail::validate_share(config.others, prefix + "others")) return wrong;
  std::vector<std::uint32_t> listed;
  for (std::size_t i = 0; i < config.tenants.size(); ++i) {
    if (auto wrong = detail::validate_share(config.tenants[i], prefix + "tenants[" + std::to_string(i) + "]")) return wrong;
    listed.push_back(config.tenants[i].tenant);
  }
  std::sort(listed.begin(), listed.end());
  if (const auto twice = std::adjacent_find(listed.begin(), listed.end()); twice != listed.end()) {
    return config_error{prefix + "tenants", "must list each tenant once, lists " + std::to_string(*twice) + " twice"};
  }
  if (const std::uint64_t all = reserved_by_all(config); config.order == queue_order::tenants && all > slots) {
    return config_error{prefix + "tenants",
                        "must not reserve more than " + std::to_string(slots) + " together" + detail::is(all)};
  }
  return std::nullopt;
}

/// Who hands out permits of a policy learns that one comes back, but not whose it was.
[[nodiscard]] inline std::optional<config_error> validate_without_owner(const queue_discipline& config,
                                                                        std::string_view field) {
  if (auto wrong = validate(config, field)) return wrong;
  const auto refuse = [&](const std::string& share) {
    return config_error{std::string{field} + '.' + share,
                        "reserved and max_in_use need an owner that reports what comes back: the pool"};
  };
  if (detail::counts_what_is_in_use(config.others)) return refuse("others");
  for (std::size_t i = 0; i < config.tenants.size(); ++i) {
    if (detail::counts_what_is_in_use(config.tenants[i])) return refuse("tenants[" + std::to_string(i) + "]");
  }
  return std::nullopt;
}

}  // namespace weir::inline v0
