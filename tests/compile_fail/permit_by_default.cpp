// A permit that nobody granted would make an empty result an admission.
// expect: (no matching function|no matching constructor)
#include <weir/policy/rate_limiter.hpp>

bool test(weir::rate_limiter& limiter) {
#ifdef WEIR_MISUSE
  weir::result<weir::rate_limiter::permit> permit;
#else
  weir::result<weir::rate_limiter::permit> permit = limiter.try_acquire();
#endif
  return permit.has_value();
}
