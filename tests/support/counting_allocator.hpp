#pragma once
/// \file
/// Counts what the running thread allocates. For programs that link tests/support/counting_allocator.cpp, which replaces
/// the global operator new (tests/alloc).
///
/// ```cpp
/// const weir::testing_support::allocation_scope scope;
/// limiter.try_acquire();
/// EXPECT_EQ(scope.count(), 0u);
/// ```

#include <cstdint>

namespace weir::testing_support {

/// Calls of any operator new by this thread since it began. That it counts at all is itself tested in tests/alloc.
[[nodiscard]] std::uint64_t allocation_count() noexcept;

/// Counts from its construction on. For one thread.
class allocation_scope {
 public:
  allocation_scope() noexcept : before_(allocation_count()) {}
  [[nodiscard]] std::uint64_t count() const noexcept { return allocation_count() - before_; }

 private:
  std::uint64_t before_;
};

}  // namespace weir::testing_support
