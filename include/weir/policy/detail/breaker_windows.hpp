#pragma once
/// \file
/// The evidence of a closed circuit: one window, the other, or both, the failures in a row, and their verdict.
///
/// Most results are recorded without the breaker's lock, by `record`. Who may do so is said by one word, the *owner*: the
/// generation whose results the windows hold now. It is withdrawn before the windows are emptied and given back after, and
/// a recorder reads it after it has read the windows' eras: if it finds its own generation, those eras are its own.

#include <weir/core/detail/atomic.hpp>
#include <weir/policy/circuit_breaker_config.hpp>
#include <weir/policy/circuit_breaker_events.hpp>
#include <weir/policy/detail/concurrent_count_window.hpp>
#include <weir/policy/detail/concurrent_time_window.hpp>

#include <memory>
#include <optional>
#include <utility>

namespace weir::inline v0::detail {

/// Why a circuit should open, and by which rates.
struct breach {
  open_reason reason{};
  double failure_rate = 0;
  double slow_rate = 0;
};

[[nodiscard]] constexpr double share(std::uint64_t part, std::uint64_t whole) noexcept {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

/// What is left to do for a result, under the lock.
struct unfinished {
  // In which windows it is not yet recorded,
  static constexpr std::uint32_t over_calls = 1, over_time = 2, in_a_row = 4, parts = over_calls | over_time | in_a_row;
  // that the counts want to be judged, and that it took an index which is not its own.
  static constexpr std::uint32_t suspect = 8, misplaced = 16;

  std::uint32_t what = parts;
  std::uint64_t claim = 0;  ///< the index

  [[nodiscard]] bool has(std::uint32_t bits) const noexcept { return (what & bits) != 0; }
};

/// `record` and `owned_by`: any thread. The others: under the breaker's lock. Every operation costs the same whatever the
/// size of the windows.
class breaker_windows {
 public:
  breaker_windows(const circuit_breaker_config& c, time_point now)
      : in_a_row_limit_(c.consecutive_failures),
        over_calls_(c.over_calls.size, c.over_calls.trip),
        over_time_(slicing(c), c.over_time.trip, now) {
    configure(c);
  }

  // --- any thread

  /// Whether results of this generation are recorded without the lock.
  [[nodiscard]] bool owned_by(std::uint64_t generation) const noexcept {
    return owner_.load(acquire) >> part_bits == generation;
  }

  /// Whether `record` needs to know the time.
  [[nodiscard]] bool by_time() const noexcept { return by_time_.load(relaxed); }

  /// A success or a failure. `now`: read_clock if `by_time()` said no.
  [[gnu::always_inline]] unfinished record(std::uint64_t generation, bool failure, bool slow, time_point now) noexcept {
    const std::uint64_t calls_begun = over_calls_.begin(), time_begun = by_time() ? over_time_.begin() : 0;
    const std::uint64_t owner = owner_.load(acquire);
    if (owner >> part_bits != generation) [[unlikely]]
      return {};
    unfinished left{.what = static_cast<std::uint32_t>(owner) & unfinished::parts};
    if (left.has(unfinished::over_time)) {
      if (now == read_clock || time_begun == 0) [[unlikely]]
        return {};  // only now by time
      left.what = after(left.what, unfinished::over_time, over_time_.record(time_begun, failure, slow, now));
    }
    if (left.has(unfinished::over_calls)) {
      const auto [what, claim] = over_calls_.record(calls_begun, failure, slow);
      left.what = after(left.what, unfinished::over_calls, what);
      left.claim = claim;
    }
    if (left.has(unfinished::in_a_row)) left.what = after(left.what, unfinished::in_a_row, count_row(generation, failure));
    return left;
  }

  // --- under the lock

  /// The windows hold results of `generation`, and may be recorded into without the lock; none: not so now.
  void give_to(std::optional<std::uint64_t> generation) noexcept {
    const std::uint64_t owner = generation ? *generation << part_bits | parts_ : nobody;
    if (owner_.load(relaxed) != owner) owner_.store(owner, release);
  }

  /// What `record` has left undone.
  void finish(const unfinished& left, window_sample s, time_point now) noexcept {
    if (left.has(unfinished::over_calls) && uses(unfinished::over_calls)) over_calls_.record_alone(s);
    if (left.has(unfinished::over_time) && uses(unfinished::over_time)) over_time_.record_alone(s, now);
    if (left.has(unfinished::in_a_row) && uses(unfinished::in_a_row) && !s.overload) count_row(generation_, s.failure);
  }

  /// Before anything else under the lock: a result must leave no trace in an era that is not its own.
  void mend(const unfinished& left) noexcept {
    if (left.has(unfinished::misplaced)) over_calls_.put_aside(left.claim);
  }

  /// Empties everything, for the results of `generation`.
  void clear(std::uint64_t generation, time_point now) noexcept {
    owner_.store(nobody, seq_cst);
    generation_ = generation;
    row_.store(first_of_row(), seq_cst);
    if (uses(unfinished::over_calls)) over_calls_.clear();
    if (uses(unfinished::over_time)) over_time_.clear(now);
  }

  /// `running_slow` calls have not ended, but count as slow ones already.
  [[nodiscard]] std::optional<breach> judge(std::uint64_t running_slow, time_point now) noexcept {
    std::optional<breach> found;
    if (uses(unfinished::over_calls)) found = judge(over_calls_.counts(), calls_trip_, running_slow);
    if (uses(unfinished::over_time)) {
      const window_counts counts = over_time_.advance(now);
      if (!found) found = judge(counts, time_trip_, running_slow);
    }
    if (!found && uses(unfinished::in_a_row) && length(row_.load(seq_cst)) >= in_a_row_limit_.load(relaxed)) {
      found = breach{.reason = open_reason::consecutive_failures};
    }
    return found;
  }

  /// What another configuration needs to allocate.
  struct replacement {
    std::unique_ptr<concurrent_count_window::room> room;
    time_window slices;
  };
  [[nodiscard]] replacement prepare(const circuit_breaker_config& c, time_point now) const {
    return {over_calls_.room_for(c.over_calls.size), time_window{slicing(c), now}};
  }

  /// Goes over to another configuration: a window keeps its contents if its own shape stays.
  void reshape(const circuit_breaker_config& old, const circuit_breaker_config& c, replacement& r) noexcept {
    owner_.store(nobody, seq_cst);
    if (old.over_calls.size != c.over_calls.size) over_calls_.reshape(c.over_calls.size, std::move(r.room));
    if (!(old.over_time.slicing == c.over_time.slicing)) over_time_.reshape(r.slices);
    if (old.consecutive_failures == 0) row_.store(first_of_row(), seq_cst);  // it was not kept
    configure(c);
  }

  [[nodiscard]] window_view over_calls() const noexcept {
    return uses(unfinished::over_calls) ? view(over_calls_.counts(), calls_trip_.minimum_calls) : window_view{};
  }
  [[nodiscard]] window_view over_time(time_point now) noexcept {
    return uses(unfinished::over_time) ? view(over_time_.look(now), time_trip_.minimum_calls) : window_view{};
  }

  [[nodiscard]] static window_view view(const window_counts& n, std::uint64_t minimum) noexcept {
    window_view v{.counts = n};
    if (n.calls > 0 && n.calls >= minimum) {
      v.failure_rate = share(n.failures, n.calls);
      v.slow_rate = share(n.slow, n.calls);
    }
    return v;
  }

 private:
  static constexpr unsigned part_bits = 3;
  static constexpr std::uint64_t nobody = ~std::uint64_t{0};

  static time_slicing slicing(const circuit_breaker_config& c) noexcept {
    return c.over_time.slicing.length > duration::zero() ? c.over_time.slicing : time_slicing{duration{1}, 1};
  }

  void configure(const circuit_breaker_config& c) noexcept {
    calls_trip_ = c.over_calls.trip;
    time_trip_ = c.over_time.trip;
    over_calls_.set(calls_trip_);
    over_time_.set(time_trip_);
    in_a_row_limit_.store(c.consecutive_failures, relaxed);
    const bool by_time = c.over_time.slicing.length > duration::zero();
    parts_ = (c.over_calls.size > 0 ? unfinished::over_calls : 0) | (by_time ? unfinished::over_time : 0) |
             (c.consecutive_failures > 0 ? unfinished::in_a_row : 0);
    by_time_.store(by_time, relaxed);
  }

  [[nodiscard]] bool uses(std::uint32_t part) const noexcept { return (parts_ & part) != 0; }

  /// `unfinished::what`, once `part` has given its answer.
  static constexpr std::uint32_t after(std::uint32_t what, std::uint32_t part, recorded answer) noexcept {
    switch (answer) {
      case recorded::quietly: return what & ~part;
      case recorded::suspect: return (what & ~part) | unfinished::suspect;
      case recorded::misplaced: return what | unfinished::misplaced;
      case recorded::not_yet: break;
    }
    return what;
  }

  /// A row is broken by a success of its own generation only, and lengthened likewise.
  recorded count_row(std::uint64_t generation, bool failure) noexcept {
    std::uint64_t seen = row_.load(acquire), next = 0;
    do {
      if (seen >> 32 != (generation & 0xffff'ffff)) return recorded::quietly;  // overtaken: nothing to break
      if (!failure && length(seen) == 0) return recorded::quietly;
      if (failure && length(seen) == UINT32_MAX) return recorded::suspect;
      next = failure ? seen + 1 : seen >> 32 << 32;
    } while (!row_.compare_exchange_weak(seen, next, seq_cst, relaxed));
    return length(next) >= in_a_row_limit_.load(relaxed) ? recorded::suspect : recorded::quietly;
  }
  static constexpr std::uint32_t length(std::uint64_t row) noexcept { return static_cast<std::uint32_t>(row); }
  [[nodiscard]] std::uint64_t first_of_row() const noexcept { return generation_ << 32; }

  // Rates are compared as quotients: both sides are correctly rounded, so equal fractions compare equal.
  [[nodiscard]] static std::optional<breach> judge(const window_counts& n, const trip_thresholds& t,
                                                   std::uint64_t running_slow) noexcept {
    if (n.failures == 0 && n.slow + running_slow == 0) return std::nullopt;
    const double failure_rate = share(n.failures, n.calls);
    const double slow_rate = share(n.slow + running_slow, n.calls + running_slow);
    if (n.calls >= t.minimum_calls && t.failure_rate > 0 && failure_rate >= t.failure_rate) {
      return breach{open_reason::failure_rate, failure_rate, slow_rate};
    }
    if (n.calls + running_slow >= t.minimum_calls && t.slow_rate > 0 && slow_rate >= t.slow_rate) {
      return breach{open_reason::slow_rate, failure_rate, slow_rate};
    }
    return std::nullopt;
  }

  // Read by every recorder, written when the state or the configuration changes.
  alignas(cache_line) atomic<std::uint64_t> owner_{nobody};  // {generation : 61 | parts in use : 3}
  atomic<bool> by_time_{false};
  atomic<std::uint32_t> in_a_row_limit_{0};
  std::uint32_t parts_ = 0;
  std::uint64_t generation_ = 0;
  trip_thresholds calls_trip_, time_trip_;

  concurrent_count_window over_calls_;
  concurrent_time_window over_time_;
  alignas(cache_line) atomic<std::uint64_t> row_{0};  // {generation : 32 | failures in a row : 32}
};

}  // namespace weir::inline v0::detail
