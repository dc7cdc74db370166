#pragma once
/// \file
/// Waiting for a connection of one's own context, and after a while for one of another context as well.

#include <weir/asio/detail/acquire_operation.hpp>
#include <weir/core/error.hpp>
#include <weir/core/time.hpp>
#include <weir/pool/pool_rejection.hpp>

#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/wait_traits.hpp>

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace weir::inline v0::detail {

/// A call that waits in the line of its own context, and from `steal_at` on also in that of one other. It keeps its place
/// in the first. Whichever serves it first counts; what the other one brings after that goes to whoever is next there.
///
/// `Homes` knows the pools of all contexts, and whether they are still there. Its steps run on the handler's executor,
/// which several threads may run.
template <class Homes, class Request, class Handler>
class wait_in_two_lines : public std::enable_shared_from_this<wait_in_two_lines<Homes, Request, Handler>> {
  using state = typename Homes::state_type;
  using answer = typename state::answer;
  using executor = boost::asio::associated_executor_t<Handler>;
  using timer_type = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                       boost::asio::wait_traits<std::chrono::steady_clock>, executor>;

 public:
  wait_in_two_lines(std::shared_ptr<Homes> homes, std::size_t home, const Request& request, Handler&& handler)
      : homes_(std::move(homes)),
        home_(home),
        request_(request),
        handler_(std::move(handler)),
        executor_(boost::asio::get_associated_executor(handler_)),
        timer_(executor_) {}

  /// Once. Nobody has a connection to be had at once.
  void begin(time_point steal_at) {
    steal_at_ = steal_at;
    if (auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected()) {
      slot.assign([weak = this->weak_from_this()](boost::asio::cancellation_type type) {
        const auto self = weak.lock();
        if (self != nullptr && type != boost::asio::cancellation_type::none) self->give_up();
      });
    }
    const auto self = this->shared_from_this();
    wait_in(home_, own_, [self](answer a) { self->own_line_said(std::move(a)); });
    if (homes_->state(home_).now() < steal_at_) {
      sleep_until_theft();
    } else {
      join_another_line();
    }
  }

 private:
  template <class F>
  void wait_in(std::size_t line, cancellable_wait& handle, F&& then) {
    acquire_initiation<false>{}(boost::asio::bind_executor(executor_, std::forward<F>(then)), &homes_->state(line),
                                request_, std::shared_ptr<cancellable_wait>{this->shared_from_this(), &handle});
  }

  void sleep_until_theft() {
    const std::lock_guard lock{mutex_};
    if (done_ || unwanted_) return;
    timer_.expires_after(elapsed(homes_->state(home_).now(), steal_at_));
    timer_.async_wait([self = this->shared_from_this()](const boost::system::error_code& error) {
      if (error) return;
      const typename Homes::visit pools{*self->homes_};
      if (!pools) return;
      if (self->homes_->state(self->home_).now() < self->steal_at_) return self->sleep_until_theft();  // not the same clock
      self->steal();
    });
  }

  void steal() {
    if (auto found = homes_->take_elsewhere(home_, request_)) return finish(std::move(*found));
    join_another_line();
  }

  void join_another_line() {
    bool abandoned = false;
    {
      const std::lock_guard lock{mutex_};
      if (done_ || joined_) return;
      abandoned = unwanted_;
      // Who still waits at home is told there.
      if (abandoned && !own_refusal_) return;
      joined_ = !abandoned;
    }
    if (abandoned) return finish(homes_->refusal(errc::cancelled));
    const auto self = this->shared_from_this();
    wait_in(homes_->best_line_but(home_), other_, [self](answer a) { self->other_line_said(std::move(a)); });
    // Who ended this meanwhile may have come too early to end that wait.
    bool late = false;
    {
      const std::lock_guard lock{mutex_};
      late = done_ || unwanted_;
    }
    if (late) other_.cancel();
  }

  void own_line_said(answer a) {
    if (a || !another_line_may_help(a.error())) return finish(std::move(a));
    bool is_last = false;
    {
      const std::lock_guard lock{mutex_};
      is_last = other_ended_ || unwanted_;
      if (!is_last) own_refusal_.emplace(std::move(a));
    }
    if (is_last) return finish(std::move(a));
    const typename Homes::visit pools{*homes_};
    if (pools) return steal();
    finish(homes_->refusal(errc::closed));
  }
  void other_line_said(answer a) {
    std::optional<answer> last;
    {
      const std::lock_guard lock{mutex_};
      other_ended_ = true;
      if (a) {
        last.emplace(std::move(a));
      } else if (own_refusal_) {
        last.emplace(std::move(*own_refusal_));
      }
    }
    if (last) finish(std::move(*last));
  }
  /// The own line is too long, or too slow.
  static bool another_line_may_help(const pool_rejection& why) noexcept {
    return why == errc::queue_full || why == errc::would_miss_deadline || why == errc::shed;
  }

  /// By the handler's cancellation slot.
  void give_up() {
    {
      const std::lock_guard lock{mutex_};
      if (done_) return;
      unwanted_ = true;
      timer_.cancel();
    }
    other_.cancel();
    own_.cancel();  // says so; what it has brought already is refunded
  }

  /// The first answer counts.
  void finish(answer a) {
    bool too_late = false, unwanted = false;
    {
      const std::lock_guard lock{mutex_};
      too_late = std::exchange(done_, true);
      unwanted = unwanted_;
      if (!too_late) timer_.cancel();
    }
    if (a && (too_late || unwanted)) a->cancel();
    if (too_late) return;
    own_.cancel();
    other_.cancel();
    if (unwanted && (a || a.error() != errc::cancelled)) a = homes_->refusal(errc::cancelled);
    if (auto slot = boost::asio::get_associated_cancellation_slot(handler_); slot.is_connected()) slot.clear();
    Handler handler = std::move(handler_);
    std::move(handler)(std::move(a));
  }

  const std::shared_ptr<Homes> homes_;
  const std::size_t home_;
  const Request request_;
  Handler handler_;
  const executor executor_;
  time_point steal_at_{};
  cancellable_wait own_, other_;
  std::mutex mutex_;
  timer_type timer_;                   // guarded by mutex_
  std::optional<answer> own_refusal_;  // guarded by mutex_, as the rest
  bool joined_ = false, other_ended_ = false, unwanted_ = false, done_ = false;
};

}  // namespace weir::inline v0::detail
