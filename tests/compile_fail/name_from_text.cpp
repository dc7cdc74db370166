// Interning takes a lock and lives for ever: it does not happen by an implicit conversion.
// expect: (could not convert|no viable|cannot convert|no matching|no known conversion)
#include <weir/core/error.hpp>

#ifdef WEIR_MISUSE
weir::rejection r{weir::errc::closed, "search"};
#else
weir::rejection r{weir::errc::closed, weir::name{"search"}};
#endif
