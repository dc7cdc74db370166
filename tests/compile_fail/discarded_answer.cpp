// Nobody asks and then ignores the answer: the permit would be given back at once, and the call made without it.
// expect: (nodiscard)
#include <weir/policy/concurrency_limiter.hpp>

void test(weir::concurrency_limiter& limiter) {
#ifdef WEIR_MISUSE
  limiter.try_acquire();
#else
  auto permit = limiter.try_acquire();
#endif
}
