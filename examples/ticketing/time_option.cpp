#include "time_option.hpp"

#include <algorithm>
#include <cstdint>

namespace ticketing {

const std::map<std::string, double>& time_units() {
  static const std::map<std::string, double> units{{"ms", 1}, {"s", 1000}, {"min", 60'000}};
  return units;
}

void add_time(CLI::App& app, const std::string& name, std::chrono::milliseconds& value, const std::string& help,
              double least) {
  const auto assign = [&value, name, least](const double& milliseconds) {
    const bool too_short = milliseconds < std::max(least, 1.0) && !(least == 0 && milliseconds == 0);
    if (too_short || !(milliseconds <= 86'400'000)) {
      throw CLI::ValidationError(name, std::string{"must be "} + (least == 0 ? "0ms, or " : "") + "from " +
                                           (least > 1 ? "1s" : "1ms") + " to 1440min");
    }
    value = std::chrono::milliseconds{static_cast<std::int64_t>(milliseconds)};
  };
  app.add_option_function<double>(name, assign, help)
      ->transform(CLI::AsNumberWithUnit(time_units(), CLI::AsNumberWithUnit::UNIT_REQUIRED, "TIME"))
      ->default_str(std::to_string(value.count()) + "ms");
}

}  // namespace ticketing
