// Writes the page about two synthetic runs, or about one, or about hours: report_page FILE [one|invalid|long]. For looking,
// and for the browser test.
#include "report/page.hpp"
#include "support/synthetic_runs.hpp"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string_view>

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: report_page FILE [one|invalid|long]\n", stderr);
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
  if (which == "long") {
    weir::load::second_result busy;  // a dozen cells of the heatmap: more than a call in JavaScript may have arguments
    for (int i = 0; i < 12; ++i) busy.admitted.record(std::chrono::microseconds{1000 << i}, 5);
    for (auto& run : runs) run.seconds.resize(2 * 3600, busy);
  }
  std::ofstream out(argv[1], std::ios::binary);
  out << weir::report::html(runs);
  return out.flush() ? 0 : 1;
}
