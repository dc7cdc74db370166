// Deadlines live on the steady time line: a wall-clock time is refused.
// expect: (could not convert|no viable conversion|cannot convert|no matching|no known conversion)
#include <weir/core/admission.hpp>

#ifdef WEIR_MISUSE
weir::call c{.deadline = std::chrono::system_clock::now()};
#else
weir::call c{.deadline = std::chrono::steady_clock::now()};
#endif
