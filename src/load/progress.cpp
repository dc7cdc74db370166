#include "progress.hpp"

#include <cstdio>

namespace weir::load {

std::string progress_line(const progress& p) {
  const double seconds = std::chrono::duration<double>{p.elapsed}.count();
  const auto minutes = static_cast<long>(seconds / 60);
  char text[256];
  const int length =
      std::snprintf(text, sizeof text,
                    "running (%ldm%04.1fs), %llu/%llu VUs, %llu complete, %llu dropped | %.1f/s good, %.1f %% rejected",
                    minutes, seconds - 60.0 * static_cast<double>(minutes), static_cast<unsigned long long>(p.vus_busy),
                    static_cast<unsigned long long>(p.vus_max), static_cast<unsigned long long>(p.completed),
                    static_cast<unsigned long long>(p.dropped), p.good_per_s, p.rejected_share * 100);
  std::string out(text, static_cast<std::size_t>(length));
  if (p.p95) {
    const double ms = std::chrono::duration<double, std::milli>{*p.p95}.count();
    std::snprintf(text, sizeof text,
                  ms < 10       ? ", p95 %.1fms"
                  : ms < 10'000 ? ", p95 %.0fms"
                                : ", p95 %.1fs",
                  ms < 10'000 ? ms : ms / 1000);
    out += text;
  }
  return out;
}

}  // namespace weir::load
