#pragma once
/// \file
/// Threads for what must not run on the I/O thread: `co_await pool.run(f)` runs `f` there and comes back with its result.
///
/// The queue is unbounded on purpose: without protection it is what grows, with protection weir bounds it from outside.

#include "message.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <condition_variable>
#include <exception>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace ticketing {

/// Thread-safe, except for `run`, which belongs to the I/O thread. The executor must outlive the pool.
class worker_pool {
 public:
  struct load {
    std::size_t queued = 0, running = 0;
    std::uint64_t done = 0;     ///< ran to the end
    std::uint64_t dropped = 0;  ///< taken out of the queue before they began
  };

  worker_pool(unsigned threads, executor_type executor);
  /// Finishes what runs, drops what is queued.
  ~worker_pool();
  worker_pool(const worker_pool&) = delete;
  worker_pool& operator=(const worker_pool&) = delete;

  /// Runs `f` on a worker. nullopt: it never began, because the coroutine was cancelled or the pool abandoned it. What `f`
  /// throws is thrown here. Cancellation: takes a queued job out; a running one is finished first.
  template <class F>
  task<std::optional<std::invoke_result_t<F&>>> run(F f) {
    co_return co_await async_run(std::move(f), use_task);
  }
  /// The same for any completion token; completes on the I/O thread.
  template <class F, class Token>
  auto async_run(F f, Token&& token);

  /// Drops everything that is queued, and all that comes later.
  void abandon();
  [[nodiscard]] load snapshot() const;

 private:
  struct job {
    virtual ~job() = default;
    virtual void execute() noexcept = 0;              ///< on a worker
    virtual void finish() noexcept = 0;               ///< on any thread, once: hands the result to the I/O thread
    std::list<std::shared_ptr<job>>::iterator place;  ///< while queued
    bool queued = false;                              ///< guarded by mutex_
  };
  template <class F>
  struct job_of;

  void submit(std::shared_ptr<job>);
  void drop(const std::shared_ptr<job>&);
  void work();

  executor_type executor_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::list<std::shared_ptr<job>> queue_;  // guarded by mutex_, like the rest
  load load_;
  bool abandoned_ = false;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

template <class F>
struct worker_pool::job_of final : worker_pool::job, std::enable_shared_from_this<job_of<F>> {
  using value = std::invoke_result_t<F&>;
  using handler = boost::asio::any_completion_handler<void(std::exception_ptr, std::optional<value>)>;

  job_of(F f, handler done, executor_type ex) : f_(std::move(f)), done_(std::move(done)), executor_(ex), working_(ex) {}

  void execute() noexcept override {
    try {
      result_.emplace(f_());
    } catch (...) {
      error_ = std::current_exception();
    }
  }
  void finish() noexcept override {
    boost::asio::post(executor_, [self = this->shared_from_this()] {
      self->working_.reset();
      std::move(self->done_)(self->error_, std::move(self->result_));
    });
  }

  F f_;
  handler done_;
  executor_type executor_;
  boost::asio::executor_work_guard<executor_type> working_;  // the I/O thread must not end while a job is out
  std::optional<value> result_;
  std::exception_ptr error_;
};

template <class F, class Token>
auto worker_pool::async_run(F f, Token&& token) {
  using value = std::invoke_result_t<F&>;
  auto initiate = [this](auto handler, F job_body) {
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    const auto queued = std::make_shared<job_of<F>>(std::move(job_body), std::move(handler), executor_);
    if (slot.is_connected()) {
      slot.assign([this, weak = std::weak_ptr<job>(queued)](boost::asio::cancellation_type) {
        if (const auto alive = weak.lock()) drop(alive);
      });
    }
    submit(queued);
  };
  return boost::asio::async_initiate<Token, void(std::exception_ptr, std::optional<value>)>(std::move(initiate), token,
                                                                                            std::move(f));
}

}  // namespace ticketing
