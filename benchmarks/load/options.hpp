#pragma once
// What the timed programs have in common: their options, and how numbers are printed.

#include <weir/core/time.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace weir_load {

/// A number that can be given on the command line; in [least, most].
struct number_option {
  std::string_view flag;
  double& value;
  double least, most;
  const char* text;
};

inline int usage(std::span<const number_option> options) {
  for (const number_option& o : options) {
    std::printf("  %-12s X  %s (%g to %g, default %g)\n", o.flag.data(), o.text, o.least, o.most, o.value);
  }
  return 2;
}

/// Errors: std::invalid_argument.
inline void parse(int count, char** words, std::span<const number_option> options) {
  for (int i = 1; i < count; i += 2) {
    const auto* const found =
        std::find_if(options.data(), options.data() + options.size(), [&](const auto& o) { return o.flag == words[i]; });
    if (found == options.data() + options.size()) throw std::invalid_argument(std::string{words[i]} + ": no such option");
    char* end = nullptr;
    const char* text = i + 1 < count ? words[i + 1] : "";
    const double value = std::strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= found->least && value <= found->most)) {
      throw std::invalid_argument(std::string{found->flag} + ": must be a number from " + std::to_string(found->least) +
                                  " to " + std::to_string(found->most));
    }
    found->value = value;
  }
}

/// What main() does: reads the options, and runs. Without a value after the first word: how it is used.
template <class Run>
int run_with(int count, char** words, std::span<const number_option> options, const char* program, Run&& run) {
  if (count == 2) return usage(options);
  try {
    parse(count, words, options);
    return run();
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s: %s\n", program, problem.what());
    return 2;
  }
}

inline weir::duration seconds(double s) {
  return std::chrono::duration_cast<weir::duration>(std::chrono::duration<double>(s));
}
inline double in_us(weir::duration d) { return std::chrono::duration<double, std::micro>(d).count(); }

/// Precondition: not empty.
inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// Whoever else needs the processors makes these numbers worse than they are.
inline void print_load() {
  double load[1];
  if (getloadavg(load, 1) == 1 && load[0] > 0.5) {
    std::printf("The machine was not idle: load average %.1f when this began.\n", load[0]);
  }
}

}  // namespace weir_load
