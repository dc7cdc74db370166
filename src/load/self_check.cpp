#include "self_check.hpp"

#include <cstdio>
#include <fstream>
#include <system_error>

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>

namespace weir::load {
namespace {

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g %%", share * 100);
  return text;
}

std::string milliseconds(duration d) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g ms", std::chrono::duration<double, std::milli>{d}.count());
  return text;
}

std::string first_failure(const run_result& run) {
  for (const step_result& s : run.steps) {
    if (!s.failures.empty()) return ": " + s.failures.begin()->first;
  }
  return {};
}

}  // namespace

void judge_validity(run_result& run, const validity_limits& limits) {
  validity& v = run.generator;
  const auto invalid = [&](std::string why) { v.reasons.push_back(std::move(why)); };

  if (const duration late = v.lateness.quantile(0.99); late > limits.lateness_p99) {
    invalid("Journeys started late: p99 " + milliseconds(late) + ", limit " + milliseconds(limits.lateness_p99) + ".");
  }
  if (const duration lag = v.loop_lag.quantile(0.99); lag > limits.loop_lag_p99) {
    invalid("The driver's event loop lagged: p99 " + milliseconds(lag) + ", limit " + milliseconds(limits.loop_lag_p99) +
            ".");
  }
  const auto share = [](std::uint64_t part, std::uint64_t whole) {
    return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
  };
  // Over the whole run: a drop in the warm-up changes the state that the measured part begins in.
  std::uint64_t dropped = 0, intended = 0;
  for (const second_result& s : run.seconds) {
    dropped += s.dropped;
    intended += s.intended;
  }
  if (share(dropped, intended) > limits.dropped) {
    invalid("Journeys were dropped for want of a free VU: " + std::to_string(dropped) + " of " + std::to_string(intended) +
            " (" + percent(share(dropped, intended)) + "), limit " + percent(limits.dropped) + "; raise max_vus.");
  }
  if (v.own_cpu_peak > limits.cpu) {
    invalid("The driver was short of processor time: " + percent(v.own_cpu_peak) +
            " of a core in its worst second, limit " + percent(limits.cpu) + ".");
  }
  if (share(v.connections_per_minute_peak, v.ports_available) > limits.ports) {
    invalid("Local ports ran low: " + std::to_string(v.connections_per_minute_peak) + " connections within a minute, " +
            std::to_string(v.ports_available) + " ports.");
  }
  if (share(v.descriptors_peak, v.descriptors_limit) > limits.descriptors) {
    invalid("File descriptors ran low: " + std::to_string(v.descriptors_peak) + " of " +
            std::to_string(v.descriptors_limit) + ".");
  }
  // Refusals are quick: without this, thresholds on latency would pass.
  std::uint64_t attempts = 0;
  for (const step_result& s : run.steps) attempts += s.attempts;
  if (attempts > 0 && v.connections_opened == 0 && v.own_errors.empty()) {
    invalid("Not one connection to " + run.target + " came about" + first_failure(run) + "; is the server running?");
  }
  for (const auto& [what, count] : v.own_errors) {
    invalid("Errors on the driver's side: " + what + ", " + std::to_string(count) + " times.");
  }
  v.valid = v.reasons.empty();
}

std::uint64_t raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
  (void)getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

std::uint64_t open_descriptors() noexcept {
  DIR* folder = opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  std::uint64_t n = 0;
  while (readdir(folder) != nullptr) ++n;
  closedir(folder);
  return n < 3 ? 0 : n - 3;  // ".", "..", and the folder's own
}

std::uint64_t local_ports() noexcept {
  std::ifstream file{"/proc/sys/net/ipv4/ip_local_port_range"};
  std::uint64_t low = 0, high = 0;
  if (!(file >> low >> high) || high < low) return 0;
  return high - low + 1;
}

duration own_cpu_time() noexcept {
  timespec t{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) return {};
  return std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec};
}

}  // namespace weir::load
