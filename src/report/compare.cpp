#include "report/findings.hpp"
#include "report/text.hpp"
#include "report/wording.hpp"

#include <algorithm>
#include <sstream>

namespace weir::report {

std::string compare_text(const load::run_result& a, const load::run_result& b) {
  const auto before = key_figures(a);
  const auto after = key_figures(b);
  const std::string left = terminal_safe(label_of(a));
  const std::string right = terminal_safe(label_of(b));
  std::size_t names = 0;
  std::size_t lefts = display_width(left);
  std::size_t rights = display_width(right);
  for (std::size_t i = 0; i < before.size(); ++i) {
    names = std::max(names, display_width(before[i].label));
    lefts = std::max(lefts, display_width(before[i].text));
    rights = std::max(rights, display_width(after[i].text));
  }
  std::ostringstream out;
  out << "\n  " << terminal_safe(verdict_sentence(a)) << "\n  " << terminal_safe(verdict_sentence(b)) << "\n\n";
  const auto row = [&](const std::string& name, const std::string& x, const std::string& y, const std::string& change) {
    std::string text = "  " + padded(name, names) + "  " + padded_left(x, lefts) + "  " + padded_left(y, rights);
    if (!change.empty()) text += "  " + change;
    out << text << '\n';
  };
  row("", left, right, "change");
  for (std::size_t i = 0; i < before.size(); ++i) {
    row(before[i].label, before[i].text, after[i].text, delta_text(before[i], after[i]));
  }
  const auto notes = comparability(a, b);
  if (!notes.empty()) {
    out << "\n  NOT COMPARABLE:\n";
    for (const auto& note : notes) out << "    - " << note << '\n';
  }
  return std::move(out).str();
}

}  // namespace weir::report
