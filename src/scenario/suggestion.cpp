#include "suggestion.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

namespace weir::scenario {
namespace {

bool same(char a, char b) noexcept {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; };
  return lower(a) == lower(b);
}

/// Edits (insert, delete, replace, swap of neighbours) between two words, but for the case of letters: optimal string
/// alignment.
std::size_t edits(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  std::iota(cost[0].begin(), cost[0].end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = cost[i - 1][j - 1] + (same(a[i - 1], b[j - 1]) ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replace});
      if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::string suggestion(std::string_view wrong, std::span<const std::string_view> known) {
  std::string_view nearest;
  std::size_t fewest = std::clamp<std::size_t>(wrong.size() / 3, 1, 4);
  if (wrong.size() <= 64) {  // no square of a hostile length
    for (const std::string_view name : known) {
      if (const std::size_t n = edits(wrong, name); n <= fewest && (nearest.empty() || n < fewest)) {
        nearest = name;
        fewest = n;
      }
    }
  }
  if (!nearest.empty()) return "; did you mean '" + std::string{nearest} + "'?";
  if (known.empty()) return {};
  std::string out = "; known: ";
  for (const std::string_view name : known) out += std::string{name} + ", ";
  out.resize(out.size() - 2);
  return out;
}

}  // namespace weir::scenario
