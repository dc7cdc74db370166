#pragma once
/// \file
/// The clock behind `default_clock`: steady_clock shown by the processor's time stamp counter, where there is one and the
/// kernel itself trusts it; else steady_clock.

#include <weir/core/detail/slewed_clock.hpp>
#include <weir/core/time.hpp>

#include <cstdint>
#include <string_view>

#if defined(__x86_64__) && defined(__linux__)
#define WEIR_HAS_TSC 1
#include <fcntl.h>
#include <unistd.h>
#include <x86intrin.h>
#else
#define WEIR_HAS_TSC 0
#endif

namespace weir::inline v0::detail {

#if WEIR_HAS_TSC

struct tsc_source {
  static constexpr const char* name = "tsc";

  static std::uint64_t ticks() noexcept { return __rdtsc(); }
  static std::int64_t ns() noexcept { return std::chrono::steady_clock::now().time_since_epoch().count(); }

  /// The kernel compares the counter with other clocks all the time; if it does not use it, neither do we. No stdio, which
  /// would allocate.
  static bool trusted() noexcept {
    const int file = ::open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    char text[16];
    const ::ssize_t read = ::read(file, text, sizeof text);
    ::close(file);
    return read > 0 && std::string_view{text, static_cast<std::size_t>(read)} == "tsc\n";
  }
};

class tsc_clock : public slewed_clock<tsc_source> {
 public:
  static tsc_clock& instance() noexcept { return instance_; }

 private:
  constexpr tsc_clock() noexcept = default;
  static tsc_clock instance_;
};

inline constinit tsc_clock tsc_clock::instance_{};

#else

struct tsc_clock {
  static tsc_clock instance() noexcept { return {}; }
  [[nodiscard]] static time_point now() noexcept { return std::chrono::steady_clock::now(); }
  [[nodiscard]] static const char* source() noexcept { return "steady"; }
};

#endif

}  // namespace weir::inline v0::detail
