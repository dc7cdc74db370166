#pragma once
/// \file
/// `wait_queue_storage`: what a `wait_queue_core` is given when it changes, so that it allocates nothing under a lock.

#include <weir/queue/detail/deadlines.hpp>
#include <weir/queue/detail/tenant_lanes.hpp>
#include <weir/queue/discipline.hpp>

#include <cstdint>
#include <memory>

namespace weir::inline v0 {

/// What a core keeps for those who wait: allocated before locking, freed after unlocking.
class wait_queue_storage {
 public:
  /// Errors: std::bad_alloc. Precondition: the discipline is valid.
  wait_queue_storage(std::uint32_t capacity, const queue_discipline& discipline) : deadlines_(capacity) {
    if (discipline.order == queue_order::tenants) tenants_ = std::make_unique<detail::tenant_lanes>(discipline);
  }

 private:
  friend class wait_queue_core;

  detail::deadlines deadlines_;
  std::unique_ptr<detail::tenant_lanes> tenants_;  // if there are
};

}  // namespace weir::inline v0
