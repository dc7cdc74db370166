#pragma once
/// \file
/// The clock behind `default_clock`. One line `ns = base_ns + (tsc - base_tsc) * slope`, published through a sequence lock,
/// bent a little once a second so that it meets steady_clock a second later.
///
/// - Until `calibration` has passed since the first reading, steady_clock answers; there is no start-up cost.
/// - A correction changes the slope, never the value: the clock cannot step, and cannot go back.
/// - If the two clocks are found more than `tolerance` apart (suspend, live migration, a counter that jumped), the counter
/// is
///   given up for good. If it was ahead, readings hold still until steady_clock has caught up.

#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/int128.hpp>
#include <weir/core/time.hpp>

#include <cstdint>
#include <cstdio>
#include <cstring>

#if defined(__x86_64__) && defined(__linux__)
#define WEIR_HAS_TSC 1
#include <x86intrin.h>
#else
#define WEIR_HAS_TSC 0
#endif

namespace weir::inline v0::detail {

class tsc_clock {
 public:
  static tsc_clock& instance() noexcept { return instance_; }

  [[nodiscard]] time_point now() noexcept {
#if WEIR_HAS_TSC
    const std::uint64_t before = sequence_.load(acquire);
    const std::uint64_t base_tsc = base_tsc_.load(acquire);
    const std::int64_t base_ns = base_ns_.load(acquire);
    const std::uint64_t slope = slope_.load(acquire);
    const std::uint64_t valid_ticks = valid_ticks_.load(acquire);
    const std::uint64_t ticks = __rdtsc() - base_tsc;
    // A due correction, a torn reading, no calibration yet (validity 0) and a counter behind its base all leave the fast
    // path.
    if (ticks < valid_ticks && before == sequence_.load(relaxed)) [[likely]] {
      return at(base_ns, slope, ticks);
    }
    return slow_now();
#else
    return steady();
#endif
  }

  /// Which clock answers: "tsc", "calibrating" or "steady".
  [[nodiscard]] const char* source() const noexcept {
    switch (mode_.load(relaxed)) {
      case mode::tsc: return "tsc";
      case mode::steady: return "steady";
      default: return "calibrating";
    }
  }

 private:
  enum class mode : int { unknown, calibrating, tsc, steady };

  static constexpr std::int64_t calibration_ns = 20'000'000;
  static constexpr std::int64_t correction_ns = 1'000'000'000;
  static constexpr std::int64_t tolerance_ns = 1'000'000;
  static constexpr int slope_bits = 32;

  static std::int64_t steady_ns() noexcept { return std::chrono::steady_clock::now().time_since_epoch().count(); }
  static time_point steady() noexcept { return std::chrono::steady_clock::now(); }
  static time_point at(std::int64_t base_ns, std::uint64_t slope, std::uint64_t ticks) noexcept {
    return time_point{duration{base_ns + static_cast<std::int64_t>((uint128{ticks} * slope) >> slope_bits)}};
  }

#if WEIR_HAS_TSC
  struct reading {
    std::uint64_t tsc;
    std::int64_t ns;
  };

  /// Both clocks at one instant: the tightest of a few attempts, so that an interrupt between the two does not count.
  static reading read_both() noexcept {
    reading best{};
    std::uint64_t tightest = ~std::uint64_t{0};
    for (int i = 0; i < 5; ++i) {
      const std::uint64_t a = __rdtsc();
      const std::int64_t ns = steady_ns();
      const std::uint64_t b = __rdtsc();
      if (b - a < tightest) {
        tightest = b - a;
        best = {a + (b - a) / 2, ns};
      }
    }
    return best;
  }

  /// The kernel compares the counter with other clocks all the time; if it does not use it, neither do we.
  static bool kernel_trusts_tsc() noexcept {
    char name[16] = {};
    if (std::FILE* file = std::fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re")) {
      const bool read = std::fgets(name, sizeof name, file) != nullptr;
      std::fclose(file);
      return read && std::strncmp(name, "tsc", 3) == 0;
    }
    return false;
  }

  time_point slow_now() noexcept {
    const mode current = mode_.load(acquire);
    if (current == mode::steady) return held(steady());
    // One thread corrects; the others go on with the line that they have, or with steady_clock while there is none.
    if (!correcting_.exchange(true, acquire)) {
      correct();
      correcting_.store(false, release);
    }
    if (mode_.load(acquire) != mode::tsc) return held(steady());
    for (;;) {
      const std::uint64_t before = sequence_.load(acquire);
      const std::uint64_t base_tsc = base_tsc_.load(acquire);
      const std::int64_t base_ns = base_ns_.load(acquire);
      const std::uint64_t slope = slope_.load(acquire);
      const std::uint64_t tsc = __rdtsc();
      if ((before & 1) == 0 && before == sequence_.load(relaxed)) {
        // Another processor's counter may be a few ticks behind the base.
        return at(base_ns, slope, tsc > base_tsc ? tsc - base_tsc : 0);
      }
    }
  }

  void correct() noexcept {
    const mode current = mode_.load(relaxed);
    if (current == mode::steady) return;
    if (current == mode::unknown) {
      first_ = read_both();
      mode_.store(kernel_trusts_tsc() ? mode::calibrating : mode::steady, release);
      return;
    }
    const reading here = read_both();
    if (current == mode::calibrating) {
      if (here.ns - first_.ns < calibration_ns) return;
      if (here.tsc <= first_.tsc) return give_up(here.ns);
      publish(here, here.ns, slope_between(first_, here));
      mode_.store(mode::tsc, release);
      return;
    }
    const std::uint64_t base_tsc = base_tsc_.load(relaxed);
    if (here.tsc <= base_tsc) return give_up(here.ns);
    const std::uint64_t ticks = here.tsc - base_tsc;
    if (ticks < valid_ticks_.load(relaxed)) return;  // another thread was first
    const std::int64_t line = at(base_ns_.load(relaxed), slope_.load(relaxed), ticks).time_since_epoch().count();
    const std::int64_t ahead = line - here.ns;
    if (ahead > tolerance_ns || ahead < -tolerance_ns) return give_up(line);
    // True slope over the whole run so far, bent so that the error is gone one correction later.
    const std::uint64_t true_slope = slope_between(first_, here);
    const auto bend = static_cast<std::int64_t>((static_cast<int128>(true_slope) * -ahead) / correction_ns);
    publish(here, line, true_slope + static_cast<std::uint64_t>(bend));
  }

  static std::uint64_t slope_between(const reading& a, const reading& b) noexcept {
    return static_cast<std::uint64_t>((static_cast<uint128>(static_cast<std::uint64_t>(b.ns - a.ns)) << slope_bits) /
                                      (b.tsc - a.tsc));
  }

  void publish(const reading& here, std::int64_t ns, std::uint64_t slope) noexcept {
    const std::uint64_t sequence = sequence_.load(relaxed);
    // Release stores: who sees a new field also sees that the sequence is odd.
    sequence_.store(sequence + 1, relaxed);
    base_tsc_.store(here.tsc, release);
    base_ns_.store(ns, release);
    slope_.store(slope, release);
    valid_ticks_.store(static_cast<std::uint64_t>((static_cast<uint128>(correction_ns) << slope_bits) / slope), release);
    sequence_.store(sequence + 2, release);
  }

  void give_up(std::int64_t reached_ns) noexcept {
    floor_ns_.store(reached_ns, relaxed);
    valid_ticks_.store(0, relaxed);
    mode_.store(mode::steady, release);
  }

  /// Nothing earlier than what the counter had already shown.
  time_point held(time_point t) const noexcept {
    const time_point reached{duration{floor_ns_.load(relaxed)}};
    return t < reached ? reached : t;
  }

  reading first_{};  // guarded by correcting_
#endif

  atomic<std::uint64_t> sequence_{0};
  atomic<std::uint64_t> base_tsc_{0};
  atomic<std::int64_t> base_ns_{0};
  atomic<std::uint64_t> slope_{0};
  atomic<std::uint64_t> valid_ticks_{0};
  atomic<std::int64_t> floor_ns_{INT64_MIN};
  atomic<bool> correcting_{false};
  atomic<mode> mode_{mode::unknown};

  static tsc_clock instance_;
};

inline constinit tsc_clock tsc_clock::instance_{};

}  // namespace weir::inline v0::detail
