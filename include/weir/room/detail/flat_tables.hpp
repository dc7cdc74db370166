#pragma once
/// \file
/// Hash tables of a room.

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstddef>
#include <memory>
#include <utility>

namespace weir::inline v0::detail {

/// abseil's tables are broken when they cannot grow: without memory for it, the process ends.
template <class T>
struct ending_allocator {
  using value_type = T;

  ending_allocator() noexcept = default;
  template <class U>
  ending_allocator(const ending_allocator<U>&) noexcept {}  // NOLINT(google-explicit-constructor): as allocators are

  [[nodiscard]] T* allocate(std::size_t n) noexcept { return std::allocator<T>{}.allocate(n); }
  void deallocate(T* memory, std::size_t n) noexcept { std::allocator<T>{}.deallocate(memory, n); }
  friend bool operator==(ending_allocator, ending_allocator) noexcept { return true; }
};

template <class Key, class Value>
using flat_map =
    absl::flat_hash_map<Key, Value, typename absl::flat_hash_map<Key, Value>::hasher,
                        typename absl::flat_hash_map<Key, Value>::key_equal, ending_allocator<std::pair<const Key, Value>>>;
template <class Key>
using flat_set = absl::flat_hash_set<Key, typename absl::flat_hash_set<Key>::hasher,
                                     typename absl::flat_hash_set<Key>::key_equal, ending_allocator<Key>>;

}  // namespace weir::inline v0::detail
