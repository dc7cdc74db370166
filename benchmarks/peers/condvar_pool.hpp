#pragma once
// What most services that have no pool write: a mutex, a condition variable and a deque.

#include "connection.hpp"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <vector>

namespace weir_peers {

/// Whoever gets the mutex first after a return has the connection: a newcomer overtakes those who wait.
class condvar_pool {
 public:
  static constexpr std::string_view name = "condvar";

  explicit condvar_pool(std::uint32_t size) : connections_(size) {
    for (std::uint32_t i = 0; i < size; ++i) {
      connections_[i].id = i;
      idle_.push_back(&connections_[i]);
    }
  }

  [[nodiscard]] connection* acquire(time_point deadline) {
    std::unique_lock lock(mutex_);
    if (!returned_.wait_until(lock, deadline, [this] { return !idle_.empty(); })) return nullptr;
    connection* const taken = idle_.front();
    idle_.pop_front();
    return taken;
  }

  void release(connection* held) {
    {
      const std::lock_guard lock(mutex_);
      idle_.push_back(held);
    }
    returned_.notify_one();
  }

  [[nodiscard]] static std::uint32_t id_of(const connection* held) { return held->id; }

  [[nodiscard]] std::size_t idle() {
    const std::lock_guard lock(mutex_);
    return idle_.size();
  }

 private:
  std::vector<connection> connections_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::deque<connection*> idle_;
};
static_assert(thread_pool<condvar_pool>);

}  // namespace weir_peers
