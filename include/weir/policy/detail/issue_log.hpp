#pragma once
/// \file
/// When the last N tokens were issued: what a strict window needs to know. No clock, no lock.
///
/// Token i may be issued at t if token i - N was issued at t - per or before, or was cancelled. So any interval (t, t +
/// per] holds at most N tokens that count: of N + 1, the first and the one N later were issued at least `per` apart. (If
/// the one N before the last was cancelled, the first of them lies before it, and its own successor by N not after the
/// last.) That successor must have been issued under the same N and `per`; so what is inherited is never cancelled.

#include <weir/core/config.hpp>
#include <weir/core/time.hpp>

#include <algorithm>
#include <cstdint>
#include <vector>

namespace weir::inline v0::detail {

/// Not thread-safe. Instants passed in must not decrease, and lie between the first and the last one.
class issue_log {
 public:
  /// 73 years from the clock's epoch; it leaves room for arithmetic with a `per`.
  static constexpr time_point last_instant{duration{(std::int64_t{1} << 61) - 1}};
  static constexpr time_point first_instant{-last_instant.time_since_epoch()};

  /// Allocates 8 bytes per permit.
  explicit issue_log(const rate& limit) : per_(limit.per), ring_(limit.permits, forgotten) {}

  [[nodiscard]] std::uint64_t size() const noexcept { return ring_.size(); }

  /// When `cost` tokens can be issued; `time_point::min()` if they always could. Precondition: 1 <= cost <= size().
  /// Complexity: O(1), plus the number of cancelled tokens among those whose places they would take.
  [[nodiscard]] time_point available(std::uint64_t cost) const noexcept {
    // The newest of the tokens that would be replaced decides, if it was not cancelled.
    for (std::uint64_t i = next_ + cost; i-- > next_;) {
      const std::int64_t old = ring_[place(i)];
      if (old == forgotten) return time_point::min();
      if (!cancelled(old)) return later(instant(old), per_);
    }
    return time_point::min();
  }

  /// Records `cost` tokens at `now`; returns the number of the first. Complexity: O(cost).
  std::uint64_t issue(std::uint64_t cost, time_point now) noexcept {
    const std::uint64_t first = next_;
    while (next_ != first + cost) {
      ring_[head_] = pack(now);
      head_ = head_ + 1 == size() ? 0 : head_ + 1;
      ++next_;
    }
    return first;
  }

  /// Takes back tokens. The newest are as if they had never been issued; older ones no longer count, but keep their places
  /// until the tokens before them have left the window. Nothing, if the places have been taken already. Precondition:
  /// issued by this log, not inherited. Complexity: O(cost), amortised.
  void cancel(std::uint64_t first, std::uint64_t cost) noexcept {
    for (std::uint64_t i = first; i != first + cost; ++i) {
      if (i < next_ && next_ - i <= size() && ring_[place(i)] != forgotten) ring_[place(i)] |= 1;
    }
    // What they replaced had left the window when they were issued, and time does not go back.
    while (next_ > first_ && cancelled(ring_[place(next_ - 1)])) {
      head_ = place(next_ - 1);
      ring_[head_] = forgotten;
      --next_;
    }
  }

  /// Places taken at `now`. Complexity: O(log size).
  [[nodiscard]] std::uint64_t used(time_point now) const noexcept {
    std::uint64_t low = 0, high = size();  // oldest first
    while (low < high) {
      const std::uint64_t middle = low + (high - low) / 2;
      const std::int64_t old = ring_[place(next_ + middle)];
      if (old == forgotten || later(instant(old), per_) <= now) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return size() - low;
  }

  /// Takes over what `before` knows; `newest`: the last instant that was passed to it. Tokens that it has forgotten are
  /// taken to be as new as they can have been, and cancelled ones count again. Complexity: O(size).
  void inherit(const issue_log& before, time_point newest) noexcept {
    next_ = first_ = before.next_;
    head_ = next_ % size();
    time_point no_later = newest;  // than the token after it
    for (std::uint64_t back = 1; back <= std::min(size(), next_); ++back) {
      const std::uint64_t i = next_ - back;
      std::int64_t entry = back <= before.size() ? before.ring_[before.place(i)] : forgotten;
      if (entry == forgotten) {
        // It had left the window when another took its place: one that was cancelled since, or the one N later.
        time_point bound = no_later;
        if (back <= before.size()) {
          bound = later(newest, -before.per_);
        } else if (i + before.size() >= before.first_) {
          bound = later(instant(ring_[place(i + before.size())]), -before.per_);
        }
        entry = pack(std::min(no_later, bound));
      }
      ring_[place(i)] = entry & ~std::int64_t{1};
      no_later = instant(entry);
    }
  }

 private:
  // {instant : 63 | cancelled : 1}
  static constexpr std::int64_t forgotten = INT64_MIN;

  static constexpr std::int64_t pack(time_point t) noexcept { return t.time_since_epoch().count() * 2; }
  static constexpr time_point instant(std::int64_t entry) noexcept { return time_point{duration{entry >> 1}}; }
  static constexpr bool cancelled(std::int64_t entry) noexcept { return (entry & 1) != 0; }

  /// Where token `i` is kept, or the one that it will replace. Precondition: next_ - size() <= i <= next_ + size().
  [[nodiscard]] std::uint64_t place(std::uint64_t i) const noexcept {
    if (i < next_) return head_ >= next_ - i ? head_ - (next_ - i) : head_ + size() - (next_ - i);
    return head_ + (i - next_) < size() ? head_ + (i - next_) : head_ + (i - next_) - size();
  }

  duration per_;
  std::uint64_t next_ = 0;   // number of the next token
  std::uint64_t head_ = 0;   // its place
  std::uint64_t first_ = 0;  // number of the first token that was issued under this limit
  std::vector<std::int64_t> ring_;
};

}  // namespace weir::inline v0::detail
