#pragma once
/// \file
/// Times on a command line: "800ms", "10s", "2min"; the unit may not be left out.

#include <CLI/CLI.hpp>

#include <chrono>
#include <map>
#include <string>

namespace ticketing {

/// In milliseconds.
[[nodiscard]] const std::map<std::string, double>& time_units();

/// An option for a time of `least` milliseconds to a day; 0: none at all, or 1ms and more.
void add_time(CLI::App& app, const std::string& name, std::chrono::milliseconds& value, const std::string& help,
              double least = 1);

}  // namespace ticketing
