// A result is no value: the refusal has to be looked at.
// expect: (cannot convert|no viable conversion)
#include <weir/core/error.hpp>

int used(weir::result<int> r) {
#ifdef WEIR_MISUSE
  const int value = r;
#else
  const int value = r.value();
#endif
  return value;
}
