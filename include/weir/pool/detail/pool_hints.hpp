#pragma once
/// \file
/// What a thread remembers of the pools that it uses.

#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/per_thread.hpp>
#include <weir/pool/pool_slot.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace weir::inline v0::detail {

/// Which connection this thread gave back last, of each of a few pools: it is still warm.
struct pool_hint {
  std::uint64_t pool = 0;  // 0: none
  pool_slot* slot = nullptr;
};
struct pool_hints {
  static constexpr std::size_t kept = 4;
  std::array<pool_hint, kept> of{};

  pool_hint& operator[](std::uint64_t pool) noexcept { return of[pool % kept]; }
};
/// Pools are told apart by number, and a slot lives as long as its pool, so that a hint of a pool that is gone is never
/// followed.
using my_hints = per_thread<pool_hints, pool_hints, pool_hints{}>;
inline std::uint64_t next_pool_number() noexcept {
  static constinit std::atomic<std::uint64_t> last{0};
  return last.fetch_add(1, relaxed) + 1;
}

}  // namespace weir::inline v0::detail
