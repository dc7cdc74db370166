// Lesson 8: a chain that configuration describes.
//
// A static pipeline has its layers in its type. This one is put together at run time, and means the same.
#include <weir/pipeline/dynamic_pipeline.hpp>
#include <weir/policy/circuit_breaker.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

// One line per layer, outermost first: "rate NAME PERMITS", "slots NAME LIMIT", "breaker NAME".
std::vector<weir::any_policy> read_chain(const std::string& text) {
  std::vector<weir::any_policy> stages;
  std::istringstream in{text};
  for (std::string kind, name; in >> kind >> name;) {
    std::uint32_t number = 0;
    if (kind == "rate" && in >> number) {
      const weir::rate_limiter_config config{.name = name, .limit = {number, 1s}};
      stages.emplace_back(std::make_shared<weir::rate_limiter>(config));
    } else if (kind == "slots" && in >> number) {
      const weir::concurrency_limiter_config config{.name = name, .limit = number};
      stages.emplace_back(std::make_shared<weir::concurrency_limiter>(config));
    } else if (kind == "breaker") {
      const weir::circuit_breaker_config config{.name = name};
      stages.emplace_back(std::make_shared<weir::circuit_breaker>(config));
    } else {
      throw std::invalid_argument{"no such layer: " + kind};
    }
  }
  return stages;
}

int main() {
  weir::dynamic_pipeline protect{read_chain("rate search 50\nslots workers 2\nbreaker index\n")};
  std::fputs(protect.explain().c_str(), stdout);

  auto answer = protect.run([](int x) { return 2 * x; }, 21);
  std::printf("%d\n", *answer);

  auto first = protect.try_acquire(), second = protect.try_acquire(), third = protect.try_acquire();
  std::printf("%s\n", third.error().message().c_str());

  // Wrong configuration is refused before it does harm.
  try {
    static_cast<void>(read_chain("slots workers 0\n"));
  } catch (const std::invalid_argument& e) {
    std::printf("%s\n", e.what());
  }
}
