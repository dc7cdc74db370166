#pragma once
/// \file
/// The shell of `pool_core` on Asio: its jobs are coroutines, its time is one timer.

#include <weir/asio/detail/acquire_operation.hpp>
#include <weir/asio/detail/wait_registry.hpp>
#include <weir/asio/pool_backend.hpp>
#include <weir/pool/detail/failure_cause.hpp>
#include <weir/pool/detail/pool_shell.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/wait_traits.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace weir::inline v0::detail {

/// To `acquire_operation`, those who wait for a pool as a whole stand in a line, too.
template <class Shell, class Operation>
class watch_line {
 public:
  struct request {
    time_point deadline = never;
    std::uint32_t wanted = 0;
  };
  using operation = Operation;
  using answer = typename Operation::answer;

  explicit watch_line(Shell& shell) noexcept : shell_(shell) {}

  std::optional<answer> wait(operation& op, const request& r) noexcept {
    shell_.begin_watch(op, r.wanted, r.deadline);
    return std::nullopt;
  }
  bool cancel(operation& op) noexcept { return shell_.cancel(op); }
  [[nodiscard]] bool withdraw(operation& op) noexcept { return shell_.withdraw(op); }

 private:
  Shell& shell_;
};

template <class Line, class Token>
auto async_watch(Line& line, const typename Line::request& request, Token&& token) {
  return boost::asio::async_initiate<Token, void(typename Line::answer)>(acquire_initiation<false>{}, token, &line, request,
                                                                         std::shared_ptr<cancellable_wait>{});
}

template <class Backend, class Executor, class Clock, class Observer>
class asio_pool_state final
    : public pool_shell<asio_pool_state<Backend, Executor, Clock, Observer>, Backend, Clock, Observer> {
  using base = pool_shell<asio_pool_state, Backend, Clock, Observer>;
  using timer_type = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                       boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

 public:
  using slot_type = typename base::slot_type;

  static_assert(async_validate_fits<Backend>, "a pool's validate must be `asio::awaitable<void> validate(connection&)`");
  static_assert(async_reset_fits<Backend>, "a pool's reset must be `asio::awaitable<void> reset(connection&)`");
  static_assert(async_close_fits<Backend>, "a pool's close must be `asio::awaitable<void> close(connection&)`");

  asio_pool_state(const Executor& executor, Backend backend, const pool_config& config, Observer observer, Clock clock)
      : base(std::move(backend), config, std::move(observer), std::move(clock)),
        executor_(executor),
        timer_(executor),
        context_(wait_registry::of(executor)) {}

  void begin() { base::begin(); }
  void end() noexcept {
    base::orphan();
    std::lock_guard lock{timer_mutex_};
    ended_ = true;
    if (!needs_timer()) disarm();
  }
  /// Drains have been told how they ended.
  void told_watchers() noexcept {
    std::lock_guard lock{timer_mutex_};
    if (ended_ && !needs_timer()) disarm();
  }
  [[nodiscard]] Executor get_executor() const noexcept { return executor_; }
  [[nodiscard]] auto& drains() noexcept { return drains_; }
  [[nodiscard]] auto& readies() noexcept { return readies_; }

  // Of pool_shell.
  void start(slot_type& slot) noexcept {
    // A strand of a context that goes down would never run the job, nor drop it.
    if (context_is_gone_.load(acquire) || context_->is_down.load(acquire)) return give_up_without_context(slot);
    // Of its own, so that a late cancellation of the last job does not meet the next one.
    std::shared_ptr<running_job> job;
    bool ended = false, unwanted = false;
    try {
      job = std::make_shared<running_job>(this->shared_from_this(), slot);
      {
        std::lock_guard lock{timer_mutex_};
        known_job& known = job_of(slot);
        known.job = job;
        unwanted = known.unwanted == job->number;
        ended = ended_;
      }
      boost::asio::co_spawn(
          job->strand, [job] { return run(*job); },
          boost::asio::bind_cancellation_slot(job->signal.slot(), [job](const std::exception_ptr&) {}));
      if (job->listens() || unwanted) stop(job);
    } catch (...) {
      if (job != nullptr) job->reported = true;
      failed(slot, std::current_exception());
    }
    if (ended) rung();  // what was planned before this job ran has been ignored
  }
  /// `number`: of the job, which may have ended by now, or not have come to `start` yet.
  void give_up(slot_type& slot, std::uint64_t number) noexcept {
    std::shared_ptr<running_job> job;
    {
      std::lock_guard lock{timer_mutex_};
      known_job& known = job_of(slot);
      known.unwanted = number;
      job = known.job.lock();
    }
    if (job != nullptr && job->number == number && job->is_unwanted()) stop(std::move(job));
  }
  void wake_at(time_point t) noexcept {
    const duration rest = std::clamp<duration>(elapsed(this->now(), t), duration::zero(), std::chrono::hours{24});
    std::lock_guard lock{timer_mutex_};
    // Only ever earlier: jobs may end, and plan, before the call that began them comes to this.
    if (t >= armed_for_ || (ended_ && !needs_timer())) return;
    armed_for_ = t;
    timer_.expires_after(rest);
    timer_.async_wait([self = this->shared_from_this()](const boost::system::error_code& error) {
      if (error) return;
      {
        std::lock_guard relock{self->timer_mutex_};
        self->armed_for_ = never;
      }
      self->rung();
    });
  }

 private:
  /// Of one slot, from its start to its report. Dropped without having run to its end: the context is gone.
  struct running_job {
    running_job(std::shared_ptr<asio_pool_state> p, slot_type& s)
        : pool(std::move(p)), slot(s), number(s.job), strand(boost::asio::make_strand(pool->executor_)) {
      std::lock_guard lock{pool->timer_mutex_};
      ++pool->running_;
    }
    ~running_job() {
      pool->one_less_runs();
      if (reported) return;
      pool->context_is_gone_.store(true, release);
      pool->give_up_without_context(slot);
    }

    std::shared_ptr<asio_pool_state> pool;
    slot_type& slot;
    const std::uint64_t number;  // pool_slot::job
    boost::asio::strand<Executor> strand;
    boost::asio::cancellation_signal signal;
    bool reported = false;

    // Until co_spawn has returned, nobody else may touch the signal: whoever of the two comes last has to stop the job.
    [[nodiscard]] bool listens() noexcept { return (phase_.fetch_or(listening, acq_rel) & unwanted) != 0; }
    [[nodiscard]] bool is_unwanted() noexcept { return (phase_.fetch_or(unwanted, acq_rel) & listening) != 0; }

   private:
    static constexpr unsigned listening = 1, unwanted = 2;
    atomic<unsigned> phase_{0};
  };

  void rung() noexcept {
    this->woke();
    this->see_time();
  }
  /// Under timer_mutex_.
  void disarm() {
    timer_.cancel();
    armed_for_ = never;
  }
  /// Without a handle: for jobs that take too long, and for drains, but not to keep the context running. Under
  /// timer_mutex_, which comes before the pool's.
  [[nodiscard]] bool needs_timer() const noexcept { return running_ != 0 || this->is_timed(); }
  void one_less_runs() noexcept {
    std::lock_guard lock{timer_mutex_};
    --running_;
    if (ended_ && !needs_timer()) disarm();
  }

  void stop(std::shared_ptr<running_job> job) noexcept {
    if (context_is_gone_.load(acquire) || context_->is_down.load(acquire)) return;
    const auto strand = job->strand;
    boost::asio::post(strand, [job = std::move(job)] { job->signal.emit(boost::asio::cancellation_type::terminal); });
  }

  static boost::asio::awaitable<void> run(running_job& job) {
    const auto& pool = job.pool;
    slot_type& slot = job.slot;
    std::exception_ptr failure;
    try {
      switch (slot.state()) {
        case slot_state::connecting:
          slot.conn.emplace(co_await pool->backend_.connect(
              connect_context{.deadline = slot.due, .endpoint = slot.endpoint, .attempt = slot.attempt}));
          break;
        case slot_state::validating:
          if constexpr (validates<Backend>) co_await pool->backend_.validate(*slot.conn);
          break;
        case slot_state::resetting:
          if constexpr (resets<Backend>) co_await pool->backend_.reset(*slot.conn);
          break;
        default:
          if constexpr (closes<Backend>) co_await pool->backend_.close(*slot.conn);
          break;
      }
    } catch (...) {
      failure = std::current_exception();
    }
    job.reported = true;
    if (failure) {
      pool->failed(slot, failure);
    } else {
      pool->done(slot);
    }
  }

  void done(slot_type& slot) noexcept {
    const slot_state s = slot.state();
    if (s == slot_state::closing || s == slot_state::lost) slot.conn.reset();
    this->with_core([&](pool_core& core, time_point now, pool_effects& fx) {
      switch (s) {
        case slot_state::connecting: return core.connected(slot, now, fx);
        case slot_state::validating: return core.validated(slot, true, now, fx);
        case slot_state::resetting: return core.was_reset(slot, true, now, fx);
        default: return core.was_closed(slot, now, fx);
      }
    });
  }
  void failed(slot_type& slot, const std::exception_ptr& why) noexcept {
    const slot_state s = slot.state();
    std::shared_ptr<const connect_failure> cause;
    if (s == slot_state::connecting) cause = cause_of(why, this->now());
    if (s != slot_state::validating && s != slot_state::resetting) slot.conn.reset();
    this->with_core([&](pool_core& core, time_point now, pool_effects& fx) {
      switch (s) {
        case slot_state::connecting: return core.connect_failed(slot, std::move(cause), now, fx);
        case slot_state::validating: return core.validated(slot, false, now, fx);
        case slot_state::resetting: return core.was_reset(slot, false, now, fx);
        default: return core.was_closed(slot, now, fx);
      }
    });
  }
  /// There is nobody to run coroutines any more: what is left is dropped.
  void give_up_without_context(slot_type& slot) noexcept {
    base::close();
    failed(slot, nullptr);
  }

  struct known_job {
    std::weak_ptr<running_job> job;
    std::uint64_t unwanted = 0;  // the last one that was to be given up
  };
  /// Under timer_mutex_.
  known_job& job_of(const slot_type& slot) {
    if (jobs_.size() <= slot.id) jobs_.resize(slot.id + 1);
    return jobs_[slot.id];
  }

  watch_line<base, typename base::drain_operation> drains_{*this};
  watch_line<base, typename base::ready_operation> readies_{*this};
  Executor executor_;
  std::mutex timer_mutex_;
  timer_type timer_;              // guarded by timer_mutex_
  time_point armed_for_ = never;  // guarded by timer_mutex_
  bool ended_ = false;            // guarded by timer_mutex_
  std::uint32_t running_ = 0;     // guarded by timer_mutex_; jobs
  std::deque<known_job> jobs_;    // guarded by timer_mutex_
  atomic<bool> context_is_gone_{false};
  const std::shared_ptr<context_waits> context_;
};

}  // namespace weir::inline v0::detail
