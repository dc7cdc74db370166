#include "support/counting_allocator.hpp"

#include <gtest/gtest.h>

#include <new>
#include <string>
#include <thread>

namespace {

using weir::testing_support::allocation_scope;

// Functions that are called through these cannot be optimised away.
void* (*volatile plain_new)(std::size_t) = [](std::size_t n) { return ::operator new(n); };
void* (*volatile aligned_new)(std::size_t) = [](std::size_t n) { return ::operator new(n, std::align_val_t{64}); };

TEST(counting_allocator, counts_every_form_of_new) {
  const allocation_scope scope;
  EXPECT_EQ(scope.count(), 0u);
  ::operator delete(plain_new(10));
  EXPECT_EQ(scope.count(), 1u);
  ::operator delete(aligned_new(100), std::align_val_t{64});
  EXPECT_EQ(scope.count(), 2u);
  const std::string text(100, 'x');
  EXPECT_EQ(scope.count(), 3u);
}

TEST(counting_allocator, counts_the_running_thread_only) {
  std::uint64_t there = 0;
  std::jthread other;
  const allocation_scope here;
  other = std::jthread{[&] {
    const allocation_scope scope;
    for (int i = 0; i < 50; ++i) ::operator delete(plain_new(10));
    there = scope.count();
  }};
  other.join();
  EXPECT_EQ(there, 50u);
  EXPECT_LT(here.count(), 10u) << "what starting a thread takes";
}

}  // namespace
