#include <weir/core/observer.hpp>

#include <gtest/gtest.h>

#include <stdexcept>
#include <vector>

namespace {

struct something_happened {
  std::uint64_t sequence;
};
struct something_else_happened {
  std::uint64_t sequence;
};

struct recorder {
  std::vector<std::uint64_t>* seen;
  void on(const something_happened& e) { seen->push_back(e.sequence); }
};
struct thrower {
  void on(const something_happened&) { throw std::runtime_error{"observer"}; }
};

TEST(observer, the_concept_is_per_event) {
  static_assert(weir::observes<recorder, something_happened>);
  static_assert(!weir::observes<recorder, something_else_happened>);
  static_assert(!weir::observes<weir::null_observer, something_happened>);
}

TEST(observer, events_are_numbered_from_one) {
  std::vector<std::uint64_t> seen;
  weir::detail::publisher<recorder> publisher{recorder{&seen}};
  for (int i = 0; i < 3; ++i) publisher.publish([](std::uint64_t n) { return something_happened{n}; });
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 2, 3}));
  EXPECT_EQ(publisher.swallowed(), 0u);
}

TEST(observer, an_event_that_nobody_wants_is_neither_built_nor_counted) {
  std::vector<std::uint64_t> seen;
  weir::detail::publisher<recorder> publisher{recorder{&seen}};
  int built = 0;
  publisher.publish([&built](std::uint64_t n) { return ++built, something_else_happened{n}; });
  publisher.publish([](std::uint64_t n) { return something_happened{n}; });
  EXPECT_EQ(built, 0);
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1}));
}

TEST(observer, what_it_throws_is_swallowed_and_counted) {
  weir::detail::publisher<thrower> publisher;
  for (int i = 0; i < 2; ++i) publisher.publish([](std::uint64_t n) { return something_happened{n}; });
  EXPECT_EQ(publisher.swallowed(), 2u);
}

TEST(observer, none_takes_no_room_and_runs_no_code) {
  weir::detail::publisher<weir::null_observer> publisher;
  static_assert(std::is_empty_v<decltype(publisher)>);
  bool built = false;
  publisher.publish([&built](std::uint64_t n) { return built = true, something_happened{n}; });
  EXPECT_FALSE(built);
  EXPECT_EQ(publisher.swallowed(), 0u);
}

}  // namespace
