// A policy whose try_acquire may throw does not model the concept.
// expect: (constraint|constraints not satisfied)
#include <weir/core/admission.hpp>

struct permit {
  permit() = default;
  permit(permit&&) = default;
  permit& operator=(permit&&) = default;
  void release(const weir::completion&) noexcept;
  void release(weir::outcome) noexcept;
  void cancel() noexcept;
};

struct policy {
  using permit = ::permit;
  weir::time_point now() const noexcept;
#ifdef WEIR_MISUSE
  weir::result<permit> try_acquire(const weir::call&);
#else
  weir::result<permit> try_acquire(const weir::call&) noexcept;
#endif
};

void use(weir::admission_policy auto& p);
void test(policy& p) { use(p); }
