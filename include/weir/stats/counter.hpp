#pragma once
/// \file
/// Counters that only report: `counter_set<N>` is N counters that every thread may add to without a locked instruction.
/// For what a policy shows (admitted, rejected); what a policy decides by is a word of its own.
///
/// Each thread owns one slot of the process; a thread adds to its own line with a load and a store (< 1 ns, where a shared
/// fetch_add costs 5 ns alone and 50 ns contended). Reading sums all slots.
///
/// ```cpp
/// weir::counter_set<2> counters;   // 0: admitted, 1: completed
/// counters.add(0);
/// const auto completed = counters.read(1);                 // completions first, see read()
/// const auto in_flight = counters.read(0) - completed;     // never negative
/// ```
/// Thread-safe. Memory: 33 lines of 64 bytes per 8 counters (2112 bytes up to N = 8, 4224 up to 16).

#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/per_thread.hpp>

#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace weir::inline v0 {
namespace detail {

/// Which slot of every striped structure the running thread owns. A slot belongs to at most one thread at a time and goes
/// back when that thread ends; threads that find none left share the last one, and add to it with fetch_add.
///
/// Visible across shared objects, even where everything else is hidden: two registries would give one slot to two threads.
class __attribute__((visibility("default"))) thread_slots {
 public:
  static constexpr unsigned exclusive = 32;  ///< slots with one owner
  static constexpr unsigned shared = exclusive;
  static constexpr unsigned count = exclusive + 1;

  /// 0..exclusive-1: this thread's own; `shared`: no slot was free when this thread first asked.
  static unsigned mine() noexcept {
    const unsigned slot = assigned::mine();
    if (slot == unassigned) [[unlikely]]
      return take();
    return slot;
  }

 private:
  static constexpr unsigned unassigned = ~0u;
  using assigned = per_thread<thread_slots, unsigned, unassigned>;

  struct lease {
    // Destructors of other thread-local objects may still count after this one: they share.
    ~lease() {
      const unsigned slot = std::exchange(assigned::mine(), shared);
      // release: the next owner must see our last stores, it continues from them.
      if (slot < exclusive) taken_.fetch_and(~(std::uint32_t{1} << slot), release);
    }
  };

  [[gnu::cold, gnu::noinline]] static unsigned take() noexcept {
    static thread_local lease returned_at_exit;
    static_cast<void>(returned_at_exit);
    std::uint32_t taken = taken_.load(relaxed);
    while (taken != ~std::uint32_t{0}) {
      const auto slot = static_cast<unsigned>(std::countr_one(taken));
      if (taken_.compare_exchange_weak(taken, taken | std::uint32_t{1} << slot, acquire, relaxed))
        return assigned::mine() = slot;
    }
    return assigned::mine() = shared;
  }

  static inline constinit std::atomic<std::uint32_t> taken_{0};
  static_assert(exclusive == 32, "one bit of taken_ each");
};

}  // namespace detail

/// N counters, all zero at first. Pinned.
template <std::size_t N>
class counter_set {
 public:
  counter_set() noexcept = default;
  counter_set(const counter_set&) = delete;
  counter_set& operator=(const counter_set&) = delete;

  /// Adds `n` to counter `i` < N. Wraps at 2^64. Complexity: one load and one store; in the 33rd and later simultaneous
  /// threads one fetch_add.
  void add(std::size_t i, std::uint64_t n = 1) noexcept {
    assert(i < N);
    const unsigned mine = detail::thread_slots::mine();
    auto& counter = slots_[mine].counters[i];
    if (mine != detail::thread_slots::shared) [[likely]] {
      counter.store(counter.load(detail::relaxed) + n, detail::release);
    } else {
      counter.fetch_add(n, detail::release);
    }
  }

  /// The sum of everything added to counter `i`. Exact when nobody is adding; otherwise between the sums before and after.
  ///
  /// An effect is never shown without its cause: if every add to `completed` comes after (happens-after) its add to
  /// `admitted`, then a reader that reads `completed` first and `admitted` second finds completed <= admitted. Because: all
  /// stores to a slot are releases in the order of their additions (of one thread, or handed on with the slot; or a chain
  /// of RMWs), so a load that sees a sum acquires every addition in that sum, hence also the admissions before them, and
  /// the later load of `admitted` cannot miss those. Complexity: O(33).
  [[nodiscard]] std::uint64_t read(std::size_t i) const noexcept {
    assert(i < N);
    std::uint64_t sum = 0;
    for (const slot& s : slots_) sum += s.counters[i].load(detail::acquire);
    return sum;
  }

 private:
  struct alignas(detail::cache_line) slot {
    std::array<detail::atomic<std::uint64_t>, N> counters{};
  };
  std::array<slot, detail::thread_slots::count> slots_{};
};

}  // namespace weir::inline v0
