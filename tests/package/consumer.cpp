// What a user's program looks like: built and run against weir as found by find_package, pkg-config and add_subdirectory.
#include <weir/weir.hpp>

#include <chrono>
#include <cstdio>

#ifdef WITH_OBSERVE
#include <weir/observe/spdlog_observer.hpp>
#endif

int main() {
  const weir::rejection refused{weir::errc::rate_limited, weir::name{"search"}, std::chrono::milliseconds{20}};
  if (refused != weir::condition::rejected) return 1;
  const auto now = weir::default_clock{}.now();
  if (weir::later(now, std::chrono::seconds{1}) <= now) return 1;
  std::printf("weir %s: %s\n", WEIR_VERSION_STRING, refused.message().c_str());
}
