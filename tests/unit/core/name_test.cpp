#include <weir/core/name.hpp>

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <type_traits>
#include <vector>

namespace {

TEST(name, is_one_pointer) {
  static_assert(std::is_trivially_copyable_v<weir::name>);
  static_assert(sizeof(weir::name) == sizeof(void*));
}

TEST(name, default_and_empty_text_are_the_empty_name) {
  EXPECT_EQ(weir::name{}, weir::name{""});
  EXPECT_EQ(weir::name{}.view(), "");
}

TEST(name, equal_text_is_equal_and_keeps_its_own_copy) {
  std::string text = "search";
  const weir::name first{text};
  text = "orders";
  EXPECT_EQ(first.view(), "search");
  EXPECT_EQ(first, weir::name{"search"});
  EXPECT_NE(first, weir::name{text});
  EXPECT_EQ(first.view().data(), weir::name{"search"}.view().data());
}

TEST(name, text_with_a_zero_byte_is_kept_whole) {
  const std::string text{"a\0b", 3};
  EXPECT_EQ(weir::name{text}.view(), text);
  EXPECT_NE(weir::name{text}, weir::name{"a"});
}

TEST(name, threads_that_intern_the_same_text_get_the_same_name) {
  constexpr int threads = 4;
  constexpr int names = 200;
  std::vector<std::vector<weir::name>> seen(threads);
  {
    std::vector<std::jthread> pool;
    for (auto& mine : seen) {
      pool.emplace_back([&mine] {
        for (int i = 0; i < names; ++i) mine.emplace_back("thread name " + std::to_string(i));
      });
    }
  }
  for (const auto& mine : seen) EXPECT_EQ(mine, seen.front());
}

}  // namespace
