// Capacity of a breaker does not come back: nothing to wait for.
// expect: (constraint)
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#ifdef WEIR_MISUSE
void test(weir::circuit_breaker& policy) { weir::basic_wait_queue<weir::circuit_breaker> queue{policy}; }
#else
void test(weir::concurrency_limiter& policy) { weir::basic_wait_queue<weir::concurrency_limiter> queue{policy}; }
#endif
