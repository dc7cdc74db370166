// A bare number has no unit: it is no duration.
// expect: (could not convert|no viable conversion|cannot convert|no matching|no known conversion)
#include <weir/core/config.hpp>

#include <chrono>

#ifdef WEIR_MISUSE
weir::rate limit{.permits = 50, .per = 10};
#else
weir::rate limit{.permits = 50, .per = std::chrono::seconds{10}};
#endif
