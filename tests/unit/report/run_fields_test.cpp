// That no member of a run is forgotten in its file. A structured binding names as many members as there are, or does not
// compile: whoever adds one is led here, and to src/report/run_fields.hpp.
#include "report/run_fields.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace weir::report {
namespace {

struct counting_archive {
  template <class T>
  using ref = const T&;

  template <class T>
  void operator()(std::string_view, const T&) {
    ++count;
  }
  std::size_t count = 0;
};

template <class T>
std::size_t fields_of(const T& structure) {
  counting_archive archive;
  fields(archive, structure);
  return archive.count;
}

template <class... T>
constexpr std::size_t number_of(const T&...) {
  return sizeof...(T);
}

TEST(RunFields, OfJourneys) {
  const load::journey_counts s;
  const auto& [a, b, c, d, e, f] = s;
  EXPECT_EQ(fields_of(s), number_of(a, b, c, d, e, f));
}

TEST(RunFields, OfASecond) {
  const load::second_result s;
  const auto& [a, b, c, d, e, f, g, h, i, j] = s;
  EXPECT_EQ(fields_of(s), number_of(a, b, c, d, e, f, g, h, i, j));
}

TEST(RunFields, OfAThreshold) {
  const load::threshold_result s;
  const auto& [a, b, c, d, e] = s;
  EXPECT_EQ(fields_of(s), number_of(a, b, c, d, e));
}

TEST(RunFields, OfTheGenerator) {
  const load::validity s;
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l] = s;
  EXPECT_EQ(fields_of(s), number_of(a, b, c, d, e, f, g, h, i, j, k, l));
}

TEST(RunFields, OfTheOverload) {
  const load::overload_summary s;
  const auto& [a, b, c, d, e, f] = s;
  EXPECT_EQ(fields_of(s), number_of(a, b, c, d, e, f));
}

TEST(RunFields, OfAStep) {
  const load::step_result s;
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, t, u] = s;
  EXPECT_EQ(fields_of(s), number_of(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, t, u));
}

TEST(RunFields, OfARun) {
  const load::run_result s;
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, t, u, v, w, x, y] = s;
  EXPECT_EQ(fields_of(s), number_of(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, t, u, v, w, x, y));
}

}  // namespace
}  // namespace weir::report
