// The rate limiter under every schedule: no token is made, lost or told wrongly while lines and origins change under it.
#include "world.hpp"

#include <weir/policy/rate_limiter.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace {

using namespace std::chrono_literals;
using weir::errc;
using weir::outcome;
using limiter = weir::basic_rate_limiter<model::clock>;

// So long that the line in force is used up at any rate.
constexpr auto a_leap = 24h * 365;

/// What one thread has seen.
struct seen {
  std::uint64_t issued = 0, refused = 0, cancelled = 0;  // calls
  std::uint64_t tokens = 0;                              // kept

  seen operator+(const seen& o) const {
    return {issued + o.issued, refused + o.refused, cancelled + o.cancelled, tokens + o.tokens};
  }
};

/// A limiter whose clock stands still: what is in the bucket changes by what the threads do only.
struct bucket {
  explicit bucket(weir::rate rate, std::uint64_t burst)
      : limiter_{{.limit = rate, .burst = burst}, {}, time_}, config_{.limit = rate, .burst = burst} {}

  /// Takes tokens, and puts them back if `cancel`.
  bool take(seen& mine, std::uint32_t cost = 1, bool cancel = false) {
    auto permit = limiter_.try_acquire({.cost = cost});
    if (!permit) {
      ++mine.refused;
      return false;
    }
    if (cancel) {
      ++mine.cancelled;
      permit->cancel();
    } else {
      ++mine.issued;
      mine.tokens += cost;
      permit->release(outcome::success);
    }
    return true;
  }
  [[nodiscard]] std::uint64_t tokens() const { return limiter_.snapshot().tokens_approx; }

  void expect_books(const seen& all) const {
    const auto s = limiter_.snapshot();
    EXPECT_EQ(s.admitted, all.issued);
    EXPECT_EQ(s.rejected(), all.refused);
    EXPECT_EQ(s.cancelled, all.cancelled);
    EXPECT_FALSE(s.waiting);
  }

  model::clock time_;
  limiter limiter_;
  weir::rate_limiter_config config_;
};

constexpr weir::rate slow{1, 1h}, fast{1'000'000, 1s};

TEST(model_rate_limiter, two_takers_and_a_refund) {
  model::explore([](model::run& run) {
    bucket b{slow, 2};
    run.name(b.limiter_, "limiter");
    seen before, one, two;
    auto earlier = b.limiter_.try_acquire();  // 1 left
    run.threads({[&] { b.take(one); }, [&] { b.take(two, 1, true); }, [&] { earlier->cancel(); }});
    EXPECT_EQ(b.tokens(), 2 - one.tokens);
    b.expect_books(one + two + seen{.cancelled = 1});
  });
}

TEST(model_rate_limiter, the_last_token_goes_once) {
  model::explore([](model::run& run) {
    bucket b{slow, 2};
    run.name(b.limiter_, "limiter");
    seen one, two, three;
    EXPECT_TRUE(b.take(one));
    run.threads({[&] { b.take(one); }, [&] { b.take(two); }, [&] { b.take(three, 2); }});
    EXPECT_EQ((one + two + three).tokens, 2u);
    EXPECT_EQ(b.tokens(), 0u);
    b.expect_books(one + two + three);
  });
}

// The first calls of all find a line that is used up, and move its origin.
TEST(model_rate_limiter, two_first_calls_at_once) {
  model::explore([](model::run& run) {
    bucket b{slow, 2};
    run.name(b.limiter_, "limiter");
    seen one, two;
    run.threads({[&] { EXPECT_TRUE(b.take(one)); },
                 [&] {
                   EXPECT_TRUE(b.take(two));
                   b.take(two, 2);
                 }});
    EXPECT_EQ(b.tokens(), 0u);
    b.expect_books(one + two);
  });
}

TEST(model_rate_limiter, the_origin_moves_under_a_late_refund_and_two_takers) {
  model::explore([](model::run& run) {
    bucket b{slow, 2};
    run.name(b.limiter_, "limiter");
    seen one, two;
    auto earlier = b.limiter_.try_acquire({.cost = 2});
    b.time_.advance(a_leap);
    run.threads({[&] { b.take(one, 2); }, [&] { earlier->cancel(); }, [&] { b.take(two, 1); }});
    // A refund that comes after they have taken is one of a bucket that is not full.
    EXPECT_LE((one + two).tokens, 3u);
    EXPECT_GE((one + two).tokens, 1u);
    EXPECT_LE(b.tokens(), 2u);
    EXPECT_LE(b.tokens() + (one + two).tokens, 4u);
    b.expect_books(one + two + seen{.cancelled = 1});
  });
}

// Here a taker knows an older time than the one who moves the origin.
TEST(model_rate_limiter, the_origin_moves_under_one_who_comes_from_before) {
  model::explore([](model::run& run) {
    bucket b{slow, 2};
    run.name(b.limiter_, "limiter");
    seen one, two;
    EXPECT_TRUE(b.take(one, 1));
    run.threads({[&] { b.take(one, 1), b.take(one, 1); },
                 [&] {
                   b.time_.advance(a_leap);
                   b.take(two, 2);
                 }});
    // Two from before the leap, two after it.
    EXPECT_LE((one + two).tokens, 4u);
    EXPECT_LE(b.tokens(), 2u);
    b.expect_books(one + two);
  });
}

// Another rate, counted in units of another size, comes into force: tokens stay tokens.
TEST(model_rate_limiter, a_reconfiguration_between_two_takers_keeps_the_tokens) {
  model::explore([](model::run& run) {
    bucket b{slow, 3};
    run.name(b.limiter_, "limiter");
    seen zero, one, two;
    EXPECT_TRUE(b.take(zero));  // 2 left
    run.threads({[&] { b.take(one); }, [&] { b.take(two); },
                 [&] { EXPECT_FALSE(b.limiter_.reconfigure({.limit = fast, .burst = 1000})); }});
    EXPECT_EQ((one + two).tokens, 2u);
    EXPECT_EQ(b.tokens(), 0u);
    b.expect_books(zero + one + two);
  });
}

TEST(model_rate_limiter, a_reconfiguration_to_a_slower_rate_keeps_the_tokens) {
  model::explore([](model::run& run) {
    bucket b{fast, 1000};
    run.name(b.limiter_, "limiter");
    seen zero, one;
    EXPECT_TRUE(b.take(zero, 998));  // 2 left
    run.threads({[&] { b.take(one), b.take(one), b.take(one); },
                 [&] { EXPECT_FALSE(b.limiter_.reconfigure({.limit = slow, .burst = 5})); }});
    EXPECT_EQ(one.tokens, 2u);
    EXPECT_EQ(b.tokens(), 0u);
    b.expect_books(zero + one);
  });
}

TEST(model_rate_limiter, two_reconfigurations_and_a_taker) {
  model::explore([](model::run& run) {
    bucket b{slow, 3};
    run.name(b.limiter_, "limiter");
    seen zero, one;
    EXPECT_TRUE(b.take(zero));
    run.threads({[&] { b.take(one), b.take(one, 2); },
                 [&] { EXPECT_FALSE(b.limiter_.reconfigure({.limit = fast, .burst = 1000})); },
                 [&] { EXPECT_FALSE(b.limiter_.reconfigure({.limit = {7, 1min}, .burst = 50})); }});
    EXPECT_EQ(one.tokens, 1u);
    EXPECT_EQ(b.tokens(), 1u);
    b.expect_books(zero + one);
  });
}

TEST(model_rate_limiter, a_smaller_burst_binds_at_once) {
  model::explore([](model::run& run) {
    bucket b{slow, 4};
    run.name(b.limiter_, "limiter");
    seen one, two;
    EXPECT_TRUE(b.take(one, 0));
    run.threads({[&] { b.take(one); }, [&] { b.take(two); },
                 [&] { EXPECT_FALSE(b.limiter_.reconfigure({.limit = slow, .burst = 1})); }});
    const auto ended = std::pair{(one + two).tokens, b.tokens()};
    EXPECT_TRUE(ended == std::pair(2ul, 1ul) || ended == std::pair(2ul, 0ul) || ended == std::pair(1ul, 0ul))
        << ended.first << " taken, " << ended.second << " left";
    b.expect_books(one + two);
  });
}

// A permit from before a reconfiguration gets no refund; one cancelled before it has had it.
TEST(model_rate_limiter, a_refund_goes_into_its_own_bucket_or_none) {
  model::explore([](model::run& run) {
    bucket b{slow, 3};
    run.name(b.limiter_, "limiter");
    seen one;
    auto earlier = b.limiter_.try_acquire({.cost = 2});  // 1 left
    run.threads({[&] { earlier->cancel(); }, [&] { EXPECT_FALSE(b.limiter_.reconfigure({.limit = fast, .burst = 1000})); },
                 [&] { EXPECT_TRUE(b.take(one)); }});
    EXPECT_TRUE(b.tokens() == 0 || b.tokens() == 2) << b.tokens();
    b.expect_books(one + seen{.cancelled = 1});
  });
}

// Both put a line into force, one with the same configuration and one with another.
TEST(model_rate_limiter, the_origin_moves_while_another_configuration_comes) {
  model::explore([](model::run& run) {
    bucket b{slow, 2};
    run.name(b.limiter_, "limiter");
    seen zero, one, two;
    EXPECT_TRUE(b.take(zero, 2));
    b.time_.advance(a_leap);  // full again
    run.threads({[&] { b.take(one); }, [&] { b.take(two, 2); },
                 [&] { EXPECT_FALSE(b.limiter_.reconfigure({.limit = fast, .burst = 1000})); }});
    EXPECT_EQ(b.tokens() + (one + two).tokens, 2u);
    EXPECT_GE((one + two).tokens, 1u);
    b.expect_books(zero + one + two);
  });
}

TEST(model_rate_limiter, a_drained_bucket_is_empty) {
  model::explore([](model::run& run) {
    bucket b{slow, 3};
    run.name(b.limiter_, "limiter");
    seen one, two;
    EXPECT_TRUE(b.take(one, 0));
    run.threads({[&] { b.take(one); }, [&] { b.take(two, 2); }, [&] { b.limiter_.drain(); }});
    EXPECT_EQ(b.tokens(), 0u);
    b.expect_books(one + two);
  });
}

// A refusal writes nothing, so nothing but the count of changes proves that it was read off one line.
TEST(model_rate_limiter, a_refusal_tells_the_time_of_one_line_or_the_other) {
  model::explore([](model::run& run) {
    bucket b{slow, 2};
    run.name(b.limiter_, "limiter");
    seen one;
    EXPECT_TRUE(b.take(one, 2));
    const auto now = b.time_.now();
    run.threads({[&] {
                   auto permit = b.limiter_.try_acquire();
                   ASSERT_FALSE(permit);
                   EXPECT_EQ(permit.error(), errc::rate_limited);
                   const auto wait = permit.error().retry_after();
                   EXPECT_TRUE(wait == 1h || wait == 1us) << wait.count();
                   const auto next = b.limiter_.next_available(1, now);
                   EXPECT_TRUE(next == now + 1us || (next == now + 1h && wait == 1h)) << (next - now).count();
                 },
                 [&] { EXPECT_FALSE(b.limiter_.reconfigure({.limit = fast, .burst = 1000})); }});
    EXPECT_EQ(b.tokens(), 0u);
  });
}

TEST(model_rate_limiter, what_never_fits_is_told_by_one_line_or_the_other) {
  model::explore([](model::run& run) {
    bucket b{slow, 2};
    run.name(b.limiter_, "limiter");
    seen one;
    EXPECT_TRUE(b.take(one, 0));
    run.threads({[&] {
                   auto permit = b.limiter_.try_acquire({.cost = 3});
                   ASSERT_FALSE(permit);
                   const bool other = permit.error() == errc::rate_limited;
                   EXPECT_TRUE(other || permit.error() == errc::never_admissible);
                   const auto wait = permit.error().retry_after();
                   EXPECT_TRUE(other ? wait == 1us || wait == 2us : wait == 0us) << wait.count();
                 },
                 [&] { EXPECT_FALSE(b.limiter_.reconfigure({.limit = fast, .burst = 1000})); },
                 [&] { b.limiter_.reconfigure({.limit = {2, 1s}, .burst = 1}, weir::inherit::as_is); }});
  });
}

// --- tokens taken in advance, and costs told afterwards

TEST(model_rate_limiter, no_two_reservations_are_for_the_same_token) {
  model::explore([](model::run& run) {
    bucket b{slow, 2};
    run.name(b.limiter_, "limiter");
    seen one, three;
    EXPECT_TRUE(b.take(one, 2));
    const auto now = b.time_.now();
    weir::time_point first, second;
    const auto reserve = [&](weir::time_point& due, bool cancel) {
      auto taken = b.limiter_.reserve();
      ASSERT_TRUE(taken);
      due = taken->due;
      if (cancel) taken->permit.cancel();
    };
    run.threads({[&] { reserve(first, false); }, [&] { reserve(second, true); }, [&] { b.take(three); }});
    EXPECT_TRUE(first == now + 1h || first == now + 2h);
    EXPECT_TRUE(second == now + 1h || second == now + 2h);
    EXPECT_FALSE(first == second && first == now + 2h);
    EXPECT_EQ(three.refused, 1u);
    EXPECT_EQ(b.limiter_.next_available(1, now), now + 2h) << "one reservation is left";
    b.expect_books(one + three + seen{.issued = 1, .cancelled = 1});
  });
}

TEST(model_rate_limiter, a_settled_cost_is_taken_once_whatever_comes_between) {
  model::explore([](model::run& run) {
    bucket b{slow, 6};
    run.name(b.limiter_, "limiter");
    seen one;
    auto dearer = b.limiter_.try_acquire(), cheaper = b.limiter_.try_acquire({.cost = 2});  // 3 left
    run.threads({[&] { dearer->settle(3); }, [&] { cheaper->settle(1); }, [&] { EXPECT_TRUE(b.take(one)); }});
    EXPECT_EQ(b.tokens(), 1u);
    b.expect_books(one + seen{.issued = 2});
  });
}

}  // namespace
