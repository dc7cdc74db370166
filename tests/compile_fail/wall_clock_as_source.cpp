// A standard clock type is no clock source: clocks are values with a const now().
// expect: (constraint|constraints not satisfied)
#include <weir/core/default_clock.hpp>

#include <chrono>

struct wall_clock {
  auto now() const noexcept { return std::chrono::system_clock::now(); }
};

void use(weir::clock_source auto clock);
#ifdef WEIR_MISUSE
void test() { use(wall_clock{}); }
#else
void test() { use(weir::default_clock{}); }
#endif
