#pragma once
/// \file
/// `std::mutex` with clang's thread-safety annotations (`-Wthread-safety`), and the macros for annotating what it guards.
/// std::mutex and not absl::Mutex: docs/adr/0002-std-mutex.md.

#ifdef WEIR_SYNC_HEADER  // see detail/atomic.hpp
#include WEIR_SYNC_HEADER
#else
#include <mutex>

namespace weir::inline v0::detail {

using plain_mutex = std::mutex;

}  // namespace weir::inline v0::detail
#endif

#if defined(__clang__)
#define WEIR_THREAD_ANNOTATION(x) __attribute__((x))
#else
#define WEIR_THREAD_ANNOTATION(x)
#endif

#define WEIR_GUARDED_BY(m) WEIR_THREAD_ANNOTATION(guarded_by(m))
#define WEIR_REQUIRES(...) WEIR_THREAD_ANNOTATION(requires_capability(__VA_ARGS__))
#define WEIR_EXCLUDES(...) WEIR_THREAD_ANNOTATION(locks_excluded(__VA_ARGS__))

namespace weir::inline v0::detail {

class WEIR_THREAD_ANNOTATION(capability("mutex")) mutex {
 public:
  void lock() WEIR_THREAD_ANNOTATION(acquire_capability()) { impl_.lock(); }
  void unlock() WEIR_THREAD_ANNOTATION(release_capability()) { impl_.unlock(); }
  bool try_lock() WEIR_THREAD_ANNOTATION(try_acquire_capability(true)) { return impl_.try_lock(); }

 private:
  plain_mutex impl_;
};

/// Locks for the length of a scope. The annotated twin of std::lock_guard.
class WEIR_THREAD_ANNOTATION(scoped_lockable) scoped_lock {
 public:
  explicit scoped_lock(mutex& m) WEIR_THREAD_ANNOTATION(acquire_capability(m)) : mutex_(m) { mutex_.lock(); }
  ~scoped_lock() WEIR_THREAD_ANNOTATION(release_capability()) { mutex_.unlock(); }
  scoped_lock(const scoped_lock&) = delete;
  scoped_lock& operator=(const scoped_lock&) = delete;

 private:
  mutex& mutex_;
};

}  // namespace weir::inline v0::detail
