#pragma once
/// \file
/// A variable of which each thread has its own. By a name of ours, so that tests/model can give one to each of its threads,
/// which are no threads of the system.

#ifdef WEIR_SYNC_HEADER  // see detail/atomic.hpp
#include WEIR_SYNC_HEADER
#else

namespace weir::inline v0::detail {

/// `First` is its value in a new thread. Constant initialisation and no destructor: reading it needs no guard. `Owner`
/// tells variables of equal types apart, and is visible across shared objects if the variable shall be.
template <class Owner, class T, T First>
class __attribute__((visibility("default"))) per_thread {
 public:
  static T& mine() noexcept { return value_; }

 private:
  static inline constinit thread_local T value_ = First;
};

}  // namespace weir::inline v0::detail
#endif
