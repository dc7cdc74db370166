// What a thread keeps of the memory of finished operations: used again, not without limit, and not by other threads.
#include <weir/asio/detail/spare_memory.hpp>

#include "support/counting_allocator.hpp"

#include <gtest/gtest.h>

#include <array>
#include <thread>

namespace weir::detail {
namespace {

using testing_support::allocation_scope;

template <std::size_t Size>
struct of_size {
  char bytes[Size];
};

TEST(SpareMemory, AThreadUsesAgainWhatItHasFreed) {
  spare_allocator<of_size<250>> first;
  spare_allocator<of_size<200>> second;  // of the same class of sizes
  first.deallocate(first.allocate(1), 1);
  const allocation_scope scope;
  for (int i = 0; i < 10; ++i) {
    auto* a = first.allocate(1);
    first.deallocate(a, 1);
    auto* b = second.allocate(1);
    EXPECT_EQ(static_cast<void*>(a), b);
    second.deallocate(b, 1);
  }
  EXPECT_EQ(scope.count(), 0u);
}

TEST(SpareMemory, KeepsAFewAndThoseOfTheThreadThatFreed) {
  spare_allocator<of_size<1000>> memory;
  std::array<of_size<1000>*, 100> blocks{};
  for (auto*& b : blocks) b = memory.allocate(1);
  std::uint64_t allocated = 0;
  std::thread{[&] {
    for (auto* b : blocks) memory.deallocate(b, 1);
    const allocation_scope scope;
    for (auto*& b : blocks) b = memory.allocate(1);
    allocated = scope.count();
  }}.join();
  EXPECT_EQ(allocated, blocks.size() - spare_blocks<1024>::most);
  {
    const allocation_scope scope;
    memory.deallocate(memory.allocate(1), 1);
    EXPECT_EQ(scope.count(), 1u);
  }
  for (auto* b : blocks) memory.deallocate(b, 1);
}

}  // namespace
}  // namespace weir::detail
