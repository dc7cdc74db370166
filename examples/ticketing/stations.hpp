#pragma once
/// \file
/// Slow parts of the reports' systems, rebuilt as time that passes: what somebody asks of them is done in the end, also if
/// it has left, as it was there. They belong to the I/O thread.

#include "message.hpp"

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/wait_traits.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>

namespace ticketing {

/// One at a time, first come first served, and slower the more there are: `time * (1 + n / 12'000)` with n inside. The
/// second report's token issue: 2.2 ms alone, twice that when 12,000 wait.
class serial_station {
 public:
  /// `time` 0: takes none.
  serial_station(weir::duration time, executor_type executor) : time_(time), executor_(executor) {}

  task<void> visit() {
    if (time_ == weir::duration::zero()) co_return;
    ++inside_;
    const auto now = weir::time_point(clock::now());
    const auto takes = std::chrono::duration_cast<weir::duration>(time_ * (1 + static_cast<double>(inside_) / 12'000));
    free_at_ = std::max(free_at_, now) + takes;
    timer done{executor_, free_at_};
    boost::system::error_code cut;
    co_await done.async_wait(boost::asio::redirect_error(use_task, cut));
    --inside_;
  }

 private:
  using clock = std::chrono::steady_clock;
  using timer = boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor_type>;

  weir::duration time_;
  executor_type executor_;
  weir::time_point free_at_{};
  std::uint64_t inside_ = 0;
};

/// All at a time share it (processor sharing), and the more there are, the less it does in all: `rate / (1 + n / 107)` per
/// second with n inside. The third report's queue service: 83 per second alone; 40 and 25 with the 115 and 245 inside that
/// two and three gateways let in.
class shared_station {
 public:
  /// `rate`: per second; 0: takes no time.
  shared_station(double rate, executor_type executor) : rate_(rate), executor_(executor), wake_(executor) {}

  /// Who leaves while it waits leaves its work behind.
  task<void> visit() {
    ++visits_;
    if (rate_ == 0) co_return;
    settle();
    const auto mine = std::make_shared<timer>(executor_, clock::time_point::max());
    jobs_.emplace(done_ + 1, mine);
    plan();
    boost::system::error_code cut;
    co_await mine->async_wait(boost::asio::redirect_error(use_task, cut));
  }
  [[nodiscard]] std::uint64_t visits() const noexcept { return visits_; }
  /// What is left undone stays so: nothing keeps the io_context running.
  void end() noexcept { wake_.cancel(); }

 private:
  using clock = std::chrono::steady_clock;
  using timer = boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor_type>;

  /// Of one job, per second.
  [[nodiscard]] double speed() const noexcept {
    const auto n = static_cast<double>(jobs_.size());
    return rate_ / (1 + n / 107) / n;
  }
  /// Brings `done_` up to now, and lets go who is done.
  void settle() {
    // Each that leaves makes the others faster, and there may be several since the last time.
    const auto now = clock::now();
    auto left = std::chrono::duration<double>(now - as_of_).count();
    as_of_ = now;
    while (!jobs_.empty()) {
      const double takes = (jobs_.begin()->first - done_) / speed();
      if (takes > left) {
        done_ += left * speed();
        return;
      }
      left -= std::max(takes, 0.0);
      done_ = jobs_.begin()->first;
      jobs_.begin()->second->cancel();
      jobs_.erase(jobs_.begin());
    }
  }
  void plan() {
    if (jobs_.empty()) return;
    const std::chrono::duration<double> takes{std::max((jobs_.begin()->first - done_) / speed(), 0.0)};
    wake_.expires_after(std::chrono::ceil<std::chrono::microseconds>(takes));
    wake_.async_wait([this](const boost::system::error_code& ec) {
      if (ec) return;
      settle();
      plan();
    });
  }

  double rate_;
  executor_type executor_;
  timer wake_;
  std::multimap<double, std::shared_ptr<timer>> jobs_;  // by the work done on each of them at which it is done
  double done_ = 0;                                     // on a job that has been there since the beginning
  clock::time_point as_of_ = clock::now();
  std::uint64_t visits_ = 0;
};

}  // namespace ticketing
