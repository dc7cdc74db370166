#pragma once
/// \file
/// What the threads of a model test share: time, and how many of them are inside of something.

#include "scheduler.hpp"

#include <weir/core/detail/atomic.hpp>
#include <weir/core/time.hpp>

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <memory>

namespace model {

using namespace std::chrono_literals;

/// Stands still until a thread moves it; reading and moving it are steps. Copies show the same time.
class clock {
 public:
  [[nodiscard]] weir::time_point now() const noexcept { return weir::time_point{weir::duration{ns_->load()}}; }
  void advance(weir::duration by) noexcept { ns_->fetch_add(by.count()); }
  void set(weir::time_point t) noexcept { ns_->store(t.time_since_epoch().count()); }

 private:
  using ns = weir::detail::atomic<std::int64_t>;
  std::shared_ptr<ns> ns_ = std::make_shared<ns>(std::chrono::nanoseconds{1h}.count());
};
static_assert(weir::clock_source<clock>);

/// Slots held as the test sees them, from outside.
class occupancy {
 public:
  explicit occupancy(std::int64_t limit) : limit_(limit) {}
  void enter(std::int64_t cost = 1) noexcept { EXPECT_LE(held_.fetch_add(cost) + cost, limit_) << "above the limit"; }
  void leave(std::int64_t cost = 1) noexcept { held_.fetch_sub(cost); }

 private:
  weir::detail::atomic<std::int64_t> held_{0};
  std::int64_t limit_;
};

}  // namespace model
