#pragma once
/// \file
/// Memory for operations whose handlers bring no allocator: each thread keeps a few blocks of what it has freed.

#include <weir/core/detail/per_thread.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace weir::inline v0::detail {

/// Blocks of `Size` bytes. Asio's own recycling keeps two blocks of any size, and none from one `poll_one` to the next:
/// with waits that begin and end in turns it allocates for each.
template <std::size_t Size>
class spare_blocks {
 public:
  static constexpr std::uint32_t most = 32;  // of one thread

  static void* take() {
    kept_blocks& kept = mine::mine();
    if (kept.first == nullptr) return ::operator new(Size);
    --kept.count;
    block* taken = kept.first;
    kept.first = taken->next;
    return taken;
  }
  static void give(void* memory) noexcept {
    kept_blocks& kept = mine::mine();
    if (kept.count == most || kept.ended) return ::operator delete(memory);
    if (!kept.will_end) end_with_thread(kept);
    kept.first = ::new (memory) block{kept.first};
    ++kept.count;
  }

 private:
  struct block {
    block* next;
  };
  /// Without a destructor: operations are also freed by what is destroyed after it.
  struct kept_blocks {
    block* first = nullptr;
    std::uint32_t count = 0;
    bool will_end = false, ended = false;
  };
  using mine = per_thread<spare_blocks, kept_blocks, kept_blocks{}>;

  [[gnu::noinline]] static void end_with_thread(kept_blocks& kept) noexcept {
    struct last_act {
      ~last_act() {
        kept_blocks& all = mine::mine();
        all.ended = true;
        while (block* b = all.first) {
          all.first = b->next;
          ::operator delete(b);
        }
      }
    };
    static thread_local const last_act at_end;
    static_cast<void>(&at_end);
    kept.will_end = true;
  }
};

/// For one object at a time.
template <class T>
struct spare_allocator {
  using value_type = T;

  T* allocate(std::size_t) {
    static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    return static_cast<T*>(blocks<T>::take());
  }
  void deallocate(T* memory, std::size_t) noexcept { blocks<T>::give(memory); }

 private:
  // In few sizes.
  template <class U>
  using blocks = spare_blocks<(sizeof(U) + 63) / 64 * 64>;
};

}  // namespace weir::inline v0::detail
