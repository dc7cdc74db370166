#pragma once
/// \file
/// How a thread waits for its turn in a blocking pool: awake while it is nearly its turn, asleep before.

#include <weir/core/detail/atomic.hpp>
#include <weir/core/time.hpp>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace weir::inline v0::detail {

/// What a thread sleeps on. Never freed, but used again by other threads: who wakes one may do so at any time, also when
/// the thread that he meant has gone; to whom it comes then it is a spurious wake-up.
class sleeper {
 public:
  /// This thread's.
  static sleeper& mine() noexcept {
    static thread_local lease of_thread;
    return *of_thread.taken;
  }

  /// To be called after what the sleeper waits for has been set.
  void wake() noexcept {
    // With the fence in `sleep`: either the sleeper sees what was set, or this sees that it sleeps.
    std::atomic_thread_fence(seq_cst);
    if (!asleep_.load(relaxed)) return;
    std::lock_guard lock{mutex_};
    woken_ = true;
    condition_.notify_one();
  }
  /// It is nearly its turn.
  void come_on_deck() noexcept {
    on_deck_.store(true, relaxed);
    wake();
  }

  /// Until `done()`, or `t`, or something wakes it.
  template <class Clock, class Done>
  void sleep(Clock& clock, time_point t, Done&& done) {
    std::unique_lock lock{mutex_};
    woken_ = false;
    asleep_.store(true, relaxed);
    std::atomic_thread_fence(seq_cst);
    if (!done() && !on_deck_.load(relaxed)) {
      while (!woken_) {
        clock.wait_until(condition_, lock, t);
        if (t != never && clock.now() >= t) break;
      }
    }
    asleep_.store(false, relaxed);
  }
  [[nodiscard]] bool is_on_deck() const noexcept { return on_deck_.load(relaxed); }
  void set_on_deck(bool on) noexcept { on_deck_.store(on, relaxed); }

 private:
  struct lease {
    lease() : taken(take()) {}
    ~lease() { give(taken); }
    sleeper* taken;
  };
  struct store {
    std::mutex mutex;
    sleeper* free = nullptr;
  };
  static store& all() {
    static store& s = *new store;  // leaked on purpose: threads may end after static objects
    return s;
  }
  static sleeper* take() {
    std::lock_guard lock{all().mutex};
    sleeper* s = all().free;
    if (s == nullptr) return new sleeper;
    all().free = s->next_;
    return s;
  }
  static void give(sleeper* s) noexcept {
    std::lock_guard lock{all().mutex};
    s->next_ = all().free;
    all().free = s;
  }

  std::mutex mutex_;
  std::condition_variable condition_;
  bool woken_ = false;  // guarded by mutex_
  atomic<bool> asleep_{false}, on_deck_{false};
  sleeper* next_ = nullptr;
};

}  // namespace weir::inline v0::detail
