#pragma once
/// \file
/// The results of the last T, recorded by many threads without a lock. stats/time_window, with a word in front of it that
/// gathers the newest slice.
///
/// Recording is one compare-and-swap of that word. It carries an *era*, which ends whenever the slices change (the next
/// slice begins, the window is emptied, the word is full and is merged into its slice); a recorder whose
/// compare-and-swap succeeds has read the sums of the closed slices in the same era.

#include <weir/core/detail/atomic.hpp>
#include <weir/core/time.hpp>
#include <weir/policy/detail/trip_filter.hpp>
#include <weir/stats/time_window.hpp>

#include <cstdint>
#include <utility>

namespace weir::inline v0::detail {

/// `begin` and `record`: any thread. The others, called *exclusive*: one thread at a time; all but `set` end an era. It is
/// told from others by 15 bits; a thread that stops between two instructions for exactly 32'768 of them records into the
/// wrong slice.
class concurrent_time_window {
 public:
  concurrent_time_window(const time_slicing& how, const trip_thresholds& t, time_point now)
      : filter_(t), slices_(how, now) {
    open();
  }

  // --- any thread

  [[nodiscard]] std::uint64_t begin() const noexcept {
    // One transfer of the line between processors, not one to read and another to write.
    __builtin_prefetch(&newest_, 1);
    return newest_.load(acquire);
  }

  /// Successes and failures only. An older `now` counts into the newest slice.
  recorded record(std::uint64_t begun, bool failed, bool was_slow, time_point now) noexcept {
    if (changing(begun) || now.time_since_epoch().count() >= slice_end_.load(acquire)) return recorded::not_yet;
    const std::uint64_t one = pack({.calls = 1, .failures = failed, .slow = was_slow});
    std::uint64_t seen = begun;
    std::int64_t calls = 0, failures = 0, slow = 0;
    do {
      if ((seen ^ begun) >> era_shift != 0 || unpack(seen).calls == field_mask) return recorded::not_yet;
      // Acquire: with a sum of the next era the word is seen to have changed.
      calls = closed_calls_.load(acquire);
      failures = closed_failures_.load(acquire);
      slow = closed_slow_.load(acquire);
    } while (!newest_.compare_exchange_weak(seen, seen + one, acq_rel, acquire));
    const window_counts newest = unpack(seen + one);
    failures += static_cast<std::int64_t>(newest.failures);
    slow += static_cast<std::int64_t>(newest.slow);
    if (failures == 0 && slow == 0) return recorded::quietly;
    calls += static_cast<std::int64_t>(newest.calls);
    return filter_.suspects(calls, failures, slow) ? recorded::suspect : recorded::quietly;
  }

  // --- exclusive

  /// Records any result, overloads included.
  void record_alone(window_sample s, time_point now) noexcept {
    close();
    slices_.record(s, now);
    open();
  }

  /// What is in the window at `now`; forgets what is too old. Complexity: O(1) amortised.
  window_counts advance(time_point now) noexcept {
    close();
    slices_.advance(now);
    open();
    return slices_.counts();
  }

  /// What `advance(now)` would return, forgetting nothing. Complexity: O(slices).
  window_counts look(time_point now) noexcept {
    close();
    open();
    return slices_.counts_at(now);
  }

  /// Complexity: O(slices).
  void clear(time_point now) noexcept {
    close();
    slices_.clear(now);
    open();
  }

  void set(const trip_thresholds& t) noexcept { filter_.set(t); }

  /// Other slices, with what is in them.
  void reshape(time_window& other) noexcept {
    close();
    std::swap(slices_, other);
    open();
  }

 private:
  // {era : 16, odd while changing | calls : 16 | failures : 16 | slow : 16}
  static constexpr unsigned era_shift = 48, field_bits = 16;
  static constexpr std::uint64_t field_mask = (std::uint64_t{1} << field_bits) - 1;
  static constexpr std::uint64_t era_step = std::uint64_t{1} << era_shift;

  static constexpr bool changing(std::uint64_t word) noexcept { return (word & era_step) != 0; }
  static constexpr std::uint64_t pack(const window_counts& n) noexcept {
    return n.calls << 2 * field_bits | n.failures << field_bits | n.slow;
  }
  static constexpr window_counts unpack(std::uint64_t word) noexcept {
    return {.calls = (word >> 2 * field_bits) & field_mask,
            .failures = (word >> field_bits) & field_mask,
            .slow = word & field_mask};
  }

  /// Ends the era: what was gathered goes to its slice, and recorders wait for the lock.
  void close() noexcept {
    const std::uint64_t era = newest_.load(relaxed) >> era_shift << era_shift;
    slices_.merge(unpack(newest_.exchange(era + era_step, acq_rel)));
  }

  void open() noexcept {
    const window_counts& all = slices_.counts();
    closed_calls_.store(static_cast<std::int64_t>(all.calls), release);
    closed_failures_.store(static_cast<std::int64_t>(all.failures), release);
    closed_slow_.store(static_cast<std::int64_t>(all.slow), release);
    slice_end_.store(slices_.newest_until().time_since_epoch().count(), release);
    const std::uint64_t era = newest_.load(relaxed) >> era_shift << era_shift;
    newest_.store(changing(era) ? era + era_step : era, release);
  }

  trip_filter filter_;
  time_window slices_;

  // One line, which moves once per result.
  alignas(cache_line) atomic<std::uint64_t> newest_{0};
  atomic<std::int64_t> slice_end_{0};
  atomic<std::int64_t> closed_calls_{0}, closed_failures_{0}, closed_slow_{0};  // of all slices, without `newest_`
};

}  // namespace weir::inline v0::detail
