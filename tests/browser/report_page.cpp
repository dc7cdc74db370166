// Writes the page about two synthetic runs, or about one: report_page FILE [one|invalid]. For looking, and for the browser
// test.
#include "report/page.hpp"
#include "support/synthetic_runs.hpp"

#include <cstdio>
#include <fstream>
#include <string_view>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: report_page FILE [one|invalid]\n", stderr);
    return 2;
  }
  const std::string_view which = argc > 2 ? argv[2] : "";
  std::vector runs{weir::testing_support::synthetic_bare(), weir::testing_support::synthetic_protected()};
  if (which == "one") runs.pop_back();
  if (which == "invalid") {
    runs[1].generator.valid = false;
    runs[1].generator.reasons.push_back("12 journeys of 4600 dropped (0.26 %), limit 0.1 %");
    runs[1].seed = 43;
    runs[1].label = "</script><script>alert(1)</script>";
  }
  std::ofstream out(argv[1], std::ios::binary);
  out << weir::report::html(runs);
  return out.flush() ? 0 : 1;
}
