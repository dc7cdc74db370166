#pragma once
/// \file
/// The only names under which weir's algorithms use atomics, so that tests/model can run the real code under every
/// interleaving by substituting them.

#include <atomic>
#include <cstddef>

#ifdef WEIR_SYNC_HEADER  // tests/model only: the same names, made of steps of a schedule
#include WEIR_SYNC_HEADER
#else
namespace weir::inline v0::detail {

template <class T>
using atomic = std::atomic<T>;

}  // namespace weir::inline v0::detail
#endif

namespace weir::inline v0::detail {

inline constexpr auto relaxed = std::memory_order_relaxed;
inline constexpr auto acquire = std::memory_order_acquire;
inline constexpr auto release = std::memory_order_release;
inline constexpr auto acq_rel = std::memory_order_acq_rel;
inline constexpr auto seq_cst = std::memory_order_seq_cst;

/// Size that keeps two hot words off one line. A constant of ours: the standard's value changes with compiler flags.
inline constexpr std::size_t cache_line = 64;

}  // namespace weir::inline v0::detail
