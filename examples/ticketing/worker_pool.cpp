#include "worker_pool.hpp"

namespace ticketing {

worker_pool::worker_pool(unsigned threads, executor_type executor) : executor_(executor) {
  threads_.reserve(threads);
  for (unsigned i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

worker_pool::~worker_pool() {
  abandon();
  {
    std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void worker_pool::submit(std::shared_ptr<job> j) {
  {
    std::lock_guard lock{mutex_};
    if (!abandoned_) {
      queue_.push_back(j);
      j->place = std::prev(queue_.end());
      j->queued = true;
      ++load_.queued;
    } else {
      ++load_.dropped;
    }
    if (j->queued) j = nullptr;
  }
  if (j != nullptr) {
    j->finish();
  } else {
    wake_.notify_one();
  }
}

void worker_pool::drop(const std::shared_ptr<job>& j) {
  {
    std::lock_guard lock{mutex_};
    if (!j->queued) return;
    queue_.erase(j->place);
    j->queued = false;
    --load_.queued;
    ++load_.dropped;
  }
  j->finish();
}

void worker_pool::abandon() {
  std::list<std::shared_ptr<job>> dropped;
  {
    std::lock_guard lock{mutex_};
    abandoned_ = true;
    dropped.swap(queue_);
    for (const auto& j : dropped) j->queued = false;
    load_.dropped += dropped.size();
    load_.queued = 0;
  }
  for (const auto& j : dropped) j->finish();
}

worker_pool::load worker_pool::snapshot() const {
  std::lock_guard lock{mutex_};
  return load_;
}

void worker_pool::work() {
  std::unique_lock lock{mutex_};
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::shared_ptr<job> j = std::move(queue_.front());
    queue_.pop_front();
    j->queued = false;
    --load_.queued;
    ++load_.running;
    lock.unlock();
    j->execute();
    lock.lock();
    // Counted before the result is out: who has its answer finds itself among the done.
    --load_.running;
    ++load_.done;
    lock.unlock();
    j->finish();
    j.reset();
    lock.lock();
  }
}

}  // namespace ticketing
