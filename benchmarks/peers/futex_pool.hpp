#pragma once
// A strictly fair pool without anything else: each waiter sleeps on a word of its own, and gets its connection handed over.

#include "connection.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <vector>

namespace weir_peers {

/// First come, first served; nobody overtakes. Wakes outside of its lock. Whose deadline has passed gets a connection
/// nevertheless, if it is handed over before the thread has run again.
class futex_pool {
 public:
  static constexpr std::string_view name = "futex";

  explicit futex_pool(std::uint32_t size) : connections_(size) {
    idle_.reserve(size);
    for (std::uint32_t i = 0; i < size; ++i) {
      connections_[i].id = i;
      idle_.push_back(&connections_[i]);
    }
  }

  [[nodiscard]] connection* acquire(time_point deadline) {
    waiter self;
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {  // then nobody waits
        connection* const taken = idle_.back();
        idle_.pop_back();
        return taken;
      }
      append(self);
    }
    while (self.granted.load(std::memory_order_acquire) == 0) {
      if (sleep_on(self.granted, deadline)) continue;
      const std::lock_guard lock(mutex_);
      if (self.granted.load(std::memory_order_relaxed) != 0) break;
      unlink(self);
      return nullptr;
    }
    return self.given;
  }

  void release(connection* held) {
    std::atomic<std::uint32_t>* word = nullptr;
    {
      const std::lock_guard lock(mutex_);
      waiter* const next = first_;
      if (next == nullptr) {
        idle_.push_back(held);
        return;
      }
      unlink(*next);
      next->given = held;
      word = &next->granted;
      word->store(1, std::memory_order_release);
    }
    // Its thread may have gone on by now: only the address is used, and waking nobody is harmless.
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }

  [[nodiscard]] static std::uint32_t id_of(const connection* held) { return held->id; }

  [[nodiscard]] std::size_t idle() {
    const std::lock_guard lock(mutex_);
    return idle_.size();
  }

 private:
  struct waiter {
    waiter* next = nullptr;
    waiter* previous = nullptr;
    connection* given = nullptr;
    std::atomic<std::uint32_t> granted{0};
  };

  void append(waiter& w) {
    w.previous = last_;
    (last_ != nullptr ? last_->next : first_) = &w;
    last_ = &w;
  }

  void unlink(waiter& w) {
    (w.previous != nullptr ? w.previous->next : first_) = w.next;
    (w.next != nullptr ? w.next->previous : last_) = w.previous;
  }

  /// false: the deadline has passed.
  static bool sleep_on(std::atomic<std::uint32_t>& word, time_point deadline) {
    const auto since_boot = deadline.time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    const timespec until{.tv_sec = seconds.count(), .tv_nsec = (since_boot - seconds).count()};
    const bool limited = deadline != no_deadline;
    return syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, limited ? &until : nullptr, nullptr,
                   FUTEX_BITSET_MATCH_ANY) == 0 ||
           errno != ETIMEDOUT;
  }

  std::vector<connection> connections_;
  std::mutex mutex_;
  std::vector<connection*> idle_;
  waiter* first_ = nullptr;
  waiter* last_ = nullptr;
};
static_assert(thread_pool<futex_pool>);

}  // namespace weir_peers
