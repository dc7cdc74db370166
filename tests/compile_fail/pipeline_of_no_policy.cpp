// A pipeline is made of policies.
// expect: (constraint|no viable constructor|deduction failed|no matching)
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/concurrency_limiter.hpp>

#include <string>

void test(weir::concurrency_limiter& limiter) {
#ifdef WEIR_MISUSE
  std::string breaker;
  weir::pipeline protect{limiter, breaker};
#else
  weir::pipeline protect{limiter};
#endif
}
