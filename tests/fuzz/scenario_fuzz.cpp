// Any bytes as a scenario file: no crash, no exception, and either errors or a definition that keeps its promises.

#include <scenario/arrivals.hpp>
#include <scenario/parse.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const weir::scenario::parsed p = weir::scenario::parse(text, "fuzz");
  for (const weir::scenario::diagnostic& d : p.errors) {
    if (d.message.empty()) std::abort();
  }
  if (!p.ok()) return 0;
  const auto& d = p.definition;
  if (d.loads.empty() || d.journeys.empty()) std::abort();
  for (const weir::scenario::load& l : d.loads) {
    if (d.find_journey(l.journey) == nullptr) std::abort();
    if (weir::scenario::length_of(l) <= weir::duration{0}) std::abort();
    weir::scenario::arrival_plan plan{weir::scenario::rate_profile{l}, l.arrivals, weir::random_stream{d.seed, l.name}};
    weir::duration last{};
    for (int i = 0; i < 100; ++i) {
      const auto at = plan.next();
      if (!at) break;
      if (*at < last || *at > weir::scenario::length_of(l)) std::abort();
      last = *at;
    }
  }
  for (const weir::scenario::journey& j : d.journeys) {
    for (const weir::scenario::step& s : j.steps) {
      if (s.poll && (s.repeat != 1 || s.poll->every <= weir::duration{0} || s.poll->max_wait <= weir::duration{0})) {
        std::abort();
      }
    }
  }
  return 0;
}
