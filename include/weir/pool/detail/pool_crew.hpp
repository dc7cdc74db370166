#pragma once
/// \file
/// The threads of a blocking pool: they do its jobs, and one of them keeps the time.

#include <weir/core/time.hpp>
#include <weir/pool/pool_slot.hpp>

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

/// Shared by its owner and its threads: who stops it on one of these, which cannot wait for itself, leaves it to that.
class pool_crew : public std::enable_shared_from_this<pool_crew> {
 public:
  /// 0: no threads; `run_all` does the jobs.
  explicit pool_crew(std::uint32_t most) noexcept : has_no_threads_(most == 0), most_(most) {}
  pool_crew(const pool_crew&) = delete;
  pool_crew& operator=(const pool_crew&) = delete;

  /// Once. Errors: std::system_error.
  template <class Clock>
  void start(std::function<void(pool_slot&)> job, std::function<void()> due, Clock clock) {
    job_ = std::move(job);
    due_ = std::move(due);
    work_ = [this, clock = std::move(clock)] { work(clock); };
    if (has_no_threads_) return;
    std::lock_guard lock{mutex_};
    hire();
  }
  /// How many threads there may be, > 0; those that there are stay. Of a crew that has any.
  void set_most(std::uint32_t most) noexcept {
    std::lock_guard lock{mutex_};
    most_ = most;
    if (idle_ < jobs()) hire_as_needed(jobs() - idle_);
  }

  /// false: nobody is there to do it any more.
  bool add(pool_slot& slot) noexcept {
    std::lock_guard lock{mutex_};
    if (stopped_) return false;
    jobs_.push_back(slot);
    hire_as_needed(1);
    woken_.notify_one();
    return true;
  }
  void wake_at(time_point t) noexcept {
    std::lock_guard lock{mutex_};
    wake_at_ = std::min(wake_at_, t);
    if (keeper_waits_) woken_.notify_all();
  }

  [[nodiscard]] bool has_no_threads() const noexcept { return has_no_threads_; }

  /// Waits for what has been begun, but by this thread itself; the rest is done on this thread, and whatever comes later by
  /// who brings it.
  void stop() noexcept {
    {
      std::lock_guard lock{mutex_};
      stopped_ = true;
      woken_.notify_all();
    }
    for (std::thread& thread : threads_) {
      if (thread.get_id() == std::this_thread::get_id()) {
        thread.detach();
      } else if (thread.joinable()) {
        thread.join();
      }
    }
    threads_.clear();
    run_all();
  }

  /// true: there was one.
  bool run_all() noexcept {
    bool any = false;
    for (std::unique_lock lock{mutex_}; !jobs_.empty(); any = true) {
      pool_slot& slot = *jobs_.pop_front();
      lock.unlock();
      job_(slot);
      lock.lock();
    }
    return any;
  }

 private:
  [[nodiscard]] std::uint32_t jobs() const noexcept {
    std::uint32_t n = 0;
    for (const pool_slot* slot = jobs_.front(); slot != nullptr; slot = jobs_.after(*slot)) ++n;
    return n;
  }

  void hire() {
    threads_.emplace_back([crew = shared_from_this()] { crew->work_(); });
    ++hands_;
  }
  void hire_as_needed(std::uint32_t at_most) noexcept {
    try {
      for (; at_most != 0 && !stopped_ && idle_ < jobs() && hands_ < most_; --at_most) hire();
    } catch (...) {
      // Fewer hands.
    }
  }

  template <class Clock>
  void work(Clock clock) {
    std::unique_lock lock{mutex_};
    for (;;) {
      if (!jobs_.empty()) {
        pool_slot& slot = *jobs_.pop_front();
        if (!keeper_waits_) let_another_keep_time();
        lock.unlock();
        job_(slot);
        lock.lock();
      } else if (stopped_) {
        return;
      } else if (!keeper_waits_) {
        keep_time(clock, lock);
      } else {
        ++idle_;
        woken_.wait(lock);
        --idle_;
      }
    }
  }

  void let_another_keep_time() noexcept {
    if (idle_ != 0) return woken_.notify_one();
    if (wake_at_ == never || stopped_ || hands_ >= most_) return;
    try {
      hire();  // a job may hang
    } catch (...) {
      // Time waits for a job to end.
    }
  }

  template <class Clock>
  void keep_time(Clock& clock, std::unique_lock<std::mutex>& lock) {
    keeper_waits_ = true;
    ++idle_;
    clock.wait_until(woken_, lock, wake_at_);
    --idle_;
    keeper_waits_ = false;
    if (wake_at_ == never || clock.now() < wake_at_) return;
    wake_at_ = never;
    lock.unlock();
    due_();
    lock.lock();
  }

  const bool has_no_threads_;
  std::uint32_t most_;
  std::function<void(pool_slot&)> job_;
  std::function<void()> due_;
  std::function<void()> work_;
  std::mutex mutex_;
  std::condition_variable woken_;
  intrusive_list<pool_slot> jobs_;
  std::vector<std::thread> threads_;
  std::uint32_t hands_ = 0, idle_ = 0;
  time_point wake_at_ = never;
  bool keeper_waits_ = false;
  bool stopped_ = false;
};

}  // namespace weir::inline v0::detail
