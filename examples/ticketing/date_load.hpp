#pragma once
/// \file
/// How slow the query for a concert's dates is: the second report's missing index, rebuilt as time that passes.

#include "message.hpp"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/wait_traits.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace ticketing {

/// The report's service got slower with each request inside of it, those that waited for a connection included: alone a
/// query takes `base`, with n inside `base * (1 + (n / 8)^3)`, at most 80 times `base` (0.15 s and 12 s there). Most are
/// answered per second with 6 inside. Belongs to the I/O thread.
class date_load {
 public:
  /// `base` 0: as fast as the database is.
  date_load(weir::duration base, executor_type executor) : base_(base), executor_(executor) {}

  /// Somebody is inside for as long as this lives.
  class visit {
   public:
    explicit visit(date_load& load) noexcept : load_(load) { ++load_.inside_; }
    ~visit() { --load_.inside_; }
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;

   private:
    date_load& load_;
  };

  /// The time that the database takes for the next query.
  [[nodiscard]] weir::duration next() const noexcept {
    const double crowd = std::pow(inside_ / 8.0, 3);
    return std::chrono::duration_cast<weir::duration>(base_ * std::min(1 + crowd, 80.0));
  }
  /// Lets it pass. false: cut short by a cancellation.
  task<bool> pass() const {
    if (base_ == weir::duration::zero()) co_return true;
    using clock = std::chrono::steady_clock;
    boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor_type> timer{executor_, next()};
    boost::system::error_code cut;
    co_await timer.async_wait(boost::asio::redirect_error(use_task, cut));
    co_return !cut;
  }

 private:
  weir::duration base_;
  executor_type executor_;
  std::uint32_t inside_ = 0;
};

}  // namespace ticketing
