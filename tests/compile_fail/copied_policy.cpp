// Policies are pinned: a copy would admit the same capacity a second time.
// expect: (deleted)
#include <weir/policy/concurrency_limiter.hpp>

#ifdef WEIR_MISUSE
void test(weir::concurrency_limiter& limiter) { weir::concurrency_limiter copy{limiter}; }
#else
void test() { weir::concurrency_limiter limiter{{.limit = 3}}; }
#endif
