// A function of a backend that would never be called, for want of a word, is no function of a backend.
// expect: is_broken would never be called
#include <weir/pool/blocking_pool.hpp>

struct backend {
  struct connection {};
  connection connect(const weir::connect_context&) { return {}; }
#ifdef WEIR_MISUSE
  bool is_broken(const connection&) const { return false; }
#else
  bool is_broken(const connection&) const noexcept { return false; }
#endif
};

void test() { weir::blocking_pool<backend> pool{backend{}}; }
