// A result holds values: a function that returns a reference would have its object copied, or dangle.
// expect: (return a value, a pointer or a std::reference_wrapper)
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/concurrency_limiter.hpp>

int used(weir::concurrency_limiter& limiter, int& counter) {
#ifdef WEIR_MISUSE
  auto r = weir::pipeline{limiter}.run([&]() -> int& { return counter; });
#else
  auto r = weir::pipeline{limiter}.run([&]() -> int* { return &counter; });
#endif
  return r ? *r.value() : 0;
}
