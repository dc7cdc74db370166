#pragma once
/// \file
/// How a line predicts waits, and turns away who would wait in vain.

#include <weir/core/time.hpp>

#include <cstdint>

namespace weir::inline v0 {

/// Rejection at the door: a call is refused if its predicted wait, and a quarter of it more, does not fit before its
/// deadline: who is served with the last millisecond that he has, has no use for it (docs/adr/0011).
///
/// Predicted wait: cost ahead and own cost over the rate of hand-offs (detail::hand_off_rate); in order fifo, if nothing
/// has been handed off for `stale_after` mean spacings, at least as long as the oldest waiter has waited. In other orders
/// others may overtake: there it is the least that it can be, counting only who is ahead for certain, and refuses nobody
/// who might be served in time. One in `probe_every` of those who would be refused is let in, so that a wrong prediction
/// cannot confirm itself for ever.
struct wait_prediction {
  bool on = true;
  duration tau = std::chrono::seconds{5};  ///< memory of the rate, > 0

  static constexpr double margin = 1.25;  ///< times the predicted wait
  static constexpr std::uint32_t probe_every = 64;
  static constexpr int stale_after = 2;
};

}  // namespace weir::inline v0
