// weir_clock_drift: how far default_clock is from steady_clock over a while, and whether it ever goes back.
//
// Usage: weir_clock_drift [--seconds N] [--migrate]
//   --seconds N   how long, 1 to 86400 (default 3)
//   --migrate     each thread moves to another processor before every reading
// Exit: 0 within the documented bounds, 1 beyond them, 2 bad arguments.
//
// Each reading lies between two of steady_clock; only those where the two are close to each other count, so that a thread
// that was put to sleep in between does no harm.

#include <weir/core/default_clock.hpp>
#include <weir/stats/histogram.hpp>

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::duration;
using weir::time_point;

// default_clock.hpp promises this; the first second is that of the calibration.
constexpr duration bound = 1ms, settling = 1s;
constexpr duration tight = 3us;  // between the two readings of steady_clock

struct arguments {
  int seconds = 3;
  bool migrate = false;
};

struct findings {
  std::uint64_t readings = 0, loose = 0;
  duration ahead{}, behind{};  // the worst, where the bracket leaves no doubt
  duration ahead_at_first{}, behind_at_first{};
  std::uint64_t went_back = 0;  // within the thread
  duration behind_others{};     // the worst: less than another thread had read before
  weir::histogram apart;
};

std::atomic<std::int64_t> latest{INT64_MIN};

void next_processor() {
  static const unsigned all = std::max(1u, std::thread::hardware_concurrency());
  thread_local unsigned here = 0;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(here++ % all, &set);
  sched_setaffinity(0, sizeof set, &set);
}

void watch(const arguments& how, time_point start, findings& out) {
  const weir::default_clock clock;
  time_point before = time_point::min();
  for (;;) {
    if (how.migrate) next_processor();
    const time_point a = std::chrono::steady_clock::now();
    const std::int64_t others = latest.load();
    const time_point c = clock.now();
    const time_point b = std::chrono::steady_clock::now();
    if (c < before) ++out.went_back;
    before = c;
    if (others != INT64_MIN)
      out.behind_others = std::max(out.behind_others, duration{others - c.time_since_epoch().count()});
    for (std::int64_t seen = others; seen < c.time_since_epoch().count();) {
      if (latest.compare_exchange_weak(seen, c.time_since_epoch().count())) break;
    }
    if (b - a > tight) {
      ++out.loose;
    } else {
      ++out.readings;
      const bool first = b - start < settling;
      auto& ahead = first ? out.ahead_at_first : out.ahead;
      auto& behind = first ? out.behind_at_first : out.behind;
      ahead = std::max(ahead, c - b);
      behind = std::max(behind, a - c);
      if (!first) out.apart.record(std::max({c - b, a - c, duration{}}));
    }
    if (b - start > std::chrono::seconds{how.seconds}) return;
    std::this_thread::sleep_for(500us);
  }
}

bool parse(int argc, char** argv, arguments& out) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--migrate") {
      out.migrate = true;
    } else if (word == "--seconds" && i + 1 < argc) {
      const char* text = argv[++i];
      const auto [end, error] = std::from_chars(text, text + std::strlen(text), out.seconds);
      if (error != std::errc{} || *end != '\0' || out.seconds < 1 || out.seconds > 86'400) {
        std::fprintf(stderr, "--seconds: must be a whole number in [1, 86400], is '%s'\n", text);
        return false;
      }
    } else {
      std::fprintf(stderr, "unknown argument '%s'; usage: weir_clock_drift [--seconds N] [--migrate]\n", argv[i]);
      return false;
    }
  }
  return true;
}

double us(duration d) { return static_cast<double>(d.count()) / 1e3; }

}  // namespace

int main(int argc, char** argv) {
  arguments how;
  if (!parse(argc, argv, how)) return 2;
  const time_point start = std::chrono::steady_clock::now();
  constexpr int threads = 2;
  std::vector<findings> found(threads);
  {
    std::vector<std::jthread> crew;
    for (auto& mine : found) crew.emplace_back([&] { watch(how, start, mine); });
  }
  findings all;
  for (const findings& f : found) {
    all.readings += f.readings;
    all.loose += f.loose;
    all.went_back += f.went_back;
    all.ahead = std::max(all.ahead, f.ahead);
    all.behind = std::max(all.behind, f.behind);
    all.ahead_at_first = std::max(all.ahead_at_first, f.ahead_at_first);
    all.behind_at_first = std::max(all.behind_at_first, f.behind_at_first);
    all.behind_others = std::max(all.behind_others, f.behind_others);
    all.apart.merge(f.apart);
  }
  std::printf("clock                            %s\n", weir::detail::tsc_clock::instance().source());
  std::printf("seconds, threads, processors     %d, %d%s, %u\n", how.seconds, threads, how.migrate ? " migrating" : "",
              std::thread::hardware_concurrency());
  std::printf("readings, left out as too loose  %llu, %llu\n", static_cast<unsigned long long>(all.readings),
              static_cast<unsigned long long>(all.loose));
  std::printf("first second: ahead, behind      %.3f, %.3f us\n", us(all.ahead_at_first), us(all.behind_at_first));
  std::printf("then: ahead, behind              %.3f, %.3f us\n", us(all.ahead), us(all.behind));
  std::printf("then: apart p50, p99, p99.9      %.3f, %.3f, %.3f us\n", us(all.apart.quantile(0.5)),
              us(all.apart.quantile(0.99)), us(all.apart.quantile(0.999)));
  std::printf("went back within a thread        %llu times\n", static_cast<unsigned long long>(all.went_back));
  std::printf("behind what another thread read  %.3f us at most\n", us(all.behind_others));
  const bool enough = all.readings >= static_cast<std::uint64_t>(how.seconds) * 10;
  const bool within = all.ahead <= bound && all.behind <= bound && all.went_back == 0;
  std::printf("%s\n", !enough  ? "too few readings"
                      : within ? "within the documented bounds"
                               : "BEYOND the documented bounds");
  return within && enough ? 0 : 1;
}
