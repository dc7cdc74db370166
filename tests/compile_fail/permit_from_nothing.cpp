// Only a policy makes a permit that holds something.
// expect: (private)
#include <weir/policy/concurrency_limiter.hpp>

void test(weir::concurrency_limiter& limiter) {
#ifdef WEIR_MISUSE
  weir::concurrency_limiter::permit permit{&limiter, 1};
#else
  auto permit = limiter.try_acquire();
#endif
}
