// A permit that could be copied would be given back twice.
// expect: (deleted|implicitly deleted)
#include <weir/policy/concurrency_limiter.hpp>

#include <utility>

void test(weir::concurrency_limiter::permit& permit) {
#ifdef WEIR_MISUSE
  weir::concurrency_limiter::permit other = permit;
#else
  weir::concurrency_limiter::permit other = std::move(permit);
#endif
}
