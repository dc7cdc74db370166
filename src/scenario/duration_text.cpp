#include "duration_text.hpp"

#include <charconv>
#include <cmath>
#include <utility>

namespace weir::scenario {
namespace {

using unit = std::pair<std::string_view, double>;
// Longer names first: "ms" before "m".
constexpr unit units[] = {{"ms", 1e6}, {"us", 1e3}, {"ns", 1}, {"h", 3600e9}, {"m", 60e9}, {"s", 1e9}};

}  // namespace

std::optional<duration> parse_duration(std::string_view text) noexcept {
  if (text == "0") return duration{0};
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    // from_chars would also take "inf", "nan" and a sign.
    if (text.front() < '0' || text.front() > '9') return std::nullopt;
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    const unit* found = nullptr;
    for (const unit& u : units) {
      if (text.starts_with(u.first)) {
        found = &u;
        break;
      }
    }
    if (found == nullptr) return std::nullopt;
    total += value * found->second;
    text.remove_prefix(found->first.size());
  }
  if (!(total < 9.2e18)) return std::nullopt;
  return duration{std::llround(total)};
}

std::string to_text(duration d) {
  if (d == duration{0}) return "0s";
  std::string out;
  auto rest = d.count();
  for (const auto& [name, size] : {std::pair{"h", 3600'000'000'000},
                                   {"m", 60'000'000'000},
                                   {"s", 1'000'000'000},
                                   {"ms", 1'000'000},
                                   {"us", 1'000},
                                   {"ns", 1}}) {
    if (const auto whole = rest / size; whole != 0) {
      out += std::to_string(whole) + name;
      rest %= size;
    }
  }
  return out;
}

}  // namespace weir::scenario
