#pragma once
/// \file
/// A reference clock shown by a cheaper counter. One line `ns = base_ns + (ticks - base_ticks) * slope`, published through
/// a sequence lock, bent a little once a second so that it meets the reference a second later.
///
/// - Until `calibration` has passed since the first reading, the reference answers; there is no start-up cost.
/// - A correction changes the slope, never the value: the clock does not step back, and goes back within no thread, as long
///   as the counter does not. The bend lasts one second; a line that nobody corrects because nobody reads it goes on
///   unbent.
/// - If the two are found more than `tolerance` apart (suspend, live migration, a counter that jumped), the counter is
///   given up for good. Where it was ahead, readings hold still until the reference has caught up: two seconds at most,
///   since no reading is shown that lies further beyond the last correction.
///
/// Not for signal handlers: one that interrupts a correction may wait for it for ever.

#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/int128.hpp>
#include <weir/core/time.hpp>

#include <algorithm>
#include <cstdint>

namespace weir::inline v0::detail {

/// `Source`: ticks() and ns(), the counter and the reference, and trusted(), asked once; all static and noexcept; and
/// `name`. `Atomic`: for tests that stop a thread between two stores. One object per process, constant-initialised.
/// Thread-safe; takes no lock and never waits, but for the few stores of a correction.
template <class Source, template <class> class Atomic = atomic>
class slewed_clock {
 public:
  constexpr slewed_clock() noexcept = default;
  slewed_clock(const slewed_clock&) = delete;
  slewed_clock& operator=(const slewed_clock&) = delete;

  [[nodiscard]] time_point now() noexcept {
    const std::uint64_t before = sequence_.load(acquire);
    const std::uint64_t base_ticks = base_ticks_.load(acquire);
    const std::int64_t base_ns = base_ns_.load(acquire);
    const std::uint64_t slope = slope_.load(acquire);
    const std::uint64_t valid_ticks = valid_ticks_.load(acquire);
    const std::uint64_t ticks = Source::ticks() - base_ticks;
    // A due correction, no line yet (validity 0), a counter behind its base, a line that has been replaced meanwhile or is
    // being replaced (odd) all leave the fast path.
    if (ticks < valid_ticks && before == sequence_.load(relaxed) && (before & 1) == 0) [[likely]] {
      return as_time(base_ns + scaled(ticks, slope));
    }
    return slow_now();
  }

  /// Which clock answers: Source::name, "calibrating" or "steady".
  [[nodiscard]] const char* source() const noexcept {
    switch (mode_.load(relaxed)) {
      case mode::counter: return Source::name;
      case mode::steady: return "steady";
      default: return "calibrating";
    }
  }

 private:
  enum class mode : int { unknown, calibrating, counter, steady };

  static constexpr std::int64_t calibration_ns = 20'000'000;
  static constexpr std::int64_t correction_ns = 1'000'000'000;
  static constexpr std::int64_t tolerance_ns = 1'000'000;
  // The line begins so much ahead of the reference: readings of the reference that were already shown are not undercut by
  // what calibration is off.
  static constexpr std::int64_t lead_ns = 1'000;
  static constexpr int slope_bits = 32;

  struct reading {
    std::uint64_t ticks;
    std::int64_t ns;
  };

  struct line {
    std::uint64_t base_ticks;
    std::int64_t base_ns;
    std::uint64_t slope, slope_after;  // bent; true, from valid_ticks on
    std::uint64_t valid_ticks;

    /// A counter behind the base counts as being there: another processor's may be, by a few ticks.
    [[nodiscard]] std::uint64_t since(std::uint64_t ticks) const noexcept {
      return ticks > base_ticks ? ticks - base_ticks : 0;
    }
    [[nodiscard]] std::int64_t value(std::uint64_t since_base) const noexcept {
      const std::uint64_t bent = std::min(since_base, valid_ticks);
      return base_ns + scaled(bent, slope) + scaled(since_base - bent, slope_after);
    }
    /// What readers are shown while a correction is overdue.
    [[nodiscard]] std::int64_t shown(std::uint64_t ticks) const noexcept {
      return value(std::min(since(ticks), 2 * valid_ticks));
    }
  };

  static time_point as_time(std::int64_t ns) noexcept { return time_point{duration{ns}}; }
  static std::int64_t scaled(std::uint64_t ticks, std::uint64_t slope) noexcept {
    return static_cast<std::int64_t>((uint128{ticks} * slope) >> slope_bits);
  }
  static std::uint64_t slope_between(const reading& a, const reading& b) noexcept {
    return static_cast<std::uint64_t>((uint128{static_cast<std::uint64_t>(b.ns - a.ns)} << slope_bits) /
                                      (b.ticks - a.ticks));
  }

  /// Both clocks at one instant: the tightest of a few attempts, so that an interrupt between the two does not count.
  static reading read_both() noexcept {
    reading best{};
    std::uint64_t tightest = ~std::uint64_t{0};
    for (int i = 0; i < 5; ++i) {
      const std::uint64_t a = Source::ticks();
      const std::int64_t ns = Source::ns();
      const std::uint64_t b = Source::ticks();
      if (b - a < tightest) {
        tightest = b - a;
        best = {a + (b - a) / 2, ns};
      }
    }
    return best;
  }

  [[gnu::noinline]] time_point slow_now() noexcept {
    if (mode_.load(acquire) == mode::steady) return held();
    // One thread corrects; the others go on with the line that they have, or with the reference while there is none.
    if (!correcting_.exchange(true, acquire)) {
      correct();
      correcting_.store(false, release);
    }
    for (;;) {
      const std::uint64_t before = sequence_.load(acquire);
      const line seen = present();
      const mode current = mode_.load(acquire);
      const time_point shown = current == mode::counter ? as_time(seen.shown(Source::ticks())) : held();
      if ((before & 1) == 0 && before == sequence_.load(relaxed)) return shown;
    }
  }

  void correct() noexcept {
    const mode current = mode_.load(relaxed);
    if (current == mode::steady) return;
    if (current == mode::unknown) {
      last_ = read_both();
      mode_.store(Source::trusted() ? mode::calibrating : mode::steady, release);
      return;
    }
    if (current == mode::calibrating && Source::ns() - last_.ns < calibration_ns) return;
    const reading here = read_both();
    if (current == mode::calibrating) {
      if (here.ticks <= last_.ticks) return mode_.store(mode::steady, release);
      const std::uint64_t slope = slope_between(last_, here);
      last_ = here;
      begin_change();
      return publish({here.ticks, here.ns + lead_ns, slope, slope, ticks_of(correction_ns, slope)});
    }
    const line old = present();
    const std::uint64_t ticks = old.since(here.ticks);
    if (ticks < old.valid_ticks) {
      // Another thread was first; on another processor, whose counter may show a little more.
      if (here.ticks + old.valid_ticks / 1000 > old.base_ticks) return;
      return give_up(old, here);
    }
    const std::int64_t ahead = old.value(ticks) - here.ns;
    if (ahead > tolerance_ns || ahead < -tolerance_ns) return give_up(old, here);
    // The slope of the time since the last correction, bent so that the error is gone one correction later.
    const std::uint64_t slope = slope_between(last_, here);
    const auto bend = static_cast<std::int64_t>(static_cast<int128>(slope) * -ahead / correction_ns);
    const std::uint64_t bent = slope + static_cast<std::uint64_t>(bend);
    last_ = here;
    begin_change();
    // Only now: until then others were shown the old line.
    const std::uint64_t from = std::max(Source::ticks(), here.ticks);
    publish({from, old.value(from - old.base_ticks), bent, slope, ticks_of(correction_ns, bent)});
  }

  static std::uint64_t ticks_of(std::int64_t ns, std::uint64_t slope) noexcept {
    return static_cast<std::uint64_t>((uint128{static_cast<std::uint64_t>(ns)} << slope_bits) / slope);
  }

  [[nodiscard]] line present() const noexcept {
    return {base_ticks_.load(acquire), base_ns_.load(acquire), slope_.load(acquire), slope_after_.load(acquire),
            valid_ticks_.load(acquire)};
  }

  /// From here until the sequence is even again no reading is taken from the line.
  void begin_change() noexcept { sequence_.fetch_add(1, acq_rel); }
  void end_change() noexcept { sequence_.fetch_add(1, release); }

  // Release stores: who sees a new field also sees that the sequence is odd.
  void publish(const line& next) noexcept {
    base_ticks_.store(next.base_ticks, release);
    base_ns_.store(next.base_ns, release);
    slope_.store(next.slope, release);
    slope_after_.store(next.slope_after, release);
    valid_ticks_.store(next.valid_ticks, release);
    mode_.store(mode::counter, release);
    end_change();
  }

  void give_up(const line& old, const reading& here) noexcept {
    begin_change();
    const std::uint64_t ticks = Source::ticks();
    // Of a counter that has jumped back it is not known what it had shown; it was right within the tolerance.
    floor_ns_.store(ticks > old.base_ticks ? old.shown(ticks) : here.ns + tolerance_ns, relaxed);
    valid_ticks_.store(0, release);
    mode_.store(mode::steady, release);
    end_change();
  }

  /// The reference, but nothing earlier than what the counter had already shown.
  [[nodiscard]] time_point held() const noexcept { return as_time(std::max(Source::ns(), floor_ns_.load(relaxed))); }

  Atomic<std::uint64_t> sequence_{0};
  Atomic<std::uint64_t> base_ticks_{0};
  Atomic<std::int64_t> base_ns_{0};
  Atomic<std::uint64_t> slope_{0}, slope_after_{0};
  Atomic<std::uint64_t> valid_ticks_{0};
  Atomic<std::int64_t> floor_ns_{INT64_MIN};
  Atomic<bool> correcting_{false};
  Atomic<mode> mode_{mode::unknown};
  reading last_{};  // guarded by correcting_
};

}  // namespace weir::inline v0::detail
