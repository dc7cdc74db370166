#include <weir/core/config.hpp>

#include <gtest/gtest.h>

namespace example {

struct tank_config {
  int depth = 1;
};

std::optional<weir::config_error> validate(const tank_config& c) {
  if (c.depth >= 1) return std::nullopt;
  return weir::config_error{"tank_config.depth", "must be >= 1, is " + std::to_string(c.depth)};
}

}  // namespace example

namespace {

TEST(config, a_wrong_field_is_named_in_the_exception) {
  try {
    static_cast<void>(weir::validated(example::tank_config{.depth = -3}));
    FAIL() << "no exception";
  } catch (const std::invalid_argument& e) {
    EXPECT_STREQ(e.what(), "tank_config.depth: must be >= 1, is -3");
  }
}

TEST(config, a_right_one_passes_unchanged) { EXPECT_EQ(weir::validated(example::tank_config{.depth = 4}).depth, 4); }

TEST(config, throw_if_nothing_does_nothing) { EXPECT_NO_THROW(weir::throw_if(std::nullopt)); }

TEST(config, rate_defaults_to_one_per_second) {
  EXPECT_EQ(weir::rate{}, (weir::rate{1, std::chrono::seconds{1}}));
  EXPECT_NE(weir::rate{}, (weir::rate{.permits = 2}));
}

}  // namespace
