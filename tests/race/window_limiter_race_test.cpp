// The window limiter under threads: the strict promise over what was recorded, and exact books.
#include <weir/policy/window_limiter.hpp>

#include <weir/core/random.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <latch>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;
using limiter_type = basic_window_limiter<manual_clock>;

// 50 in 10 seconds from eight threads whose clocks disagree; some cancel, at once or after others have been let in; one
// sets the limit again all the time.
TEST(WindowLimiterRace, FiftyInTenSecondsFromEightThreads) {
  constexpr unsigned threads = 8;
  constexpr int arrivals = 130'000;  // each
  limiter_type limiter{{.limit = {50, 10s}}};
  std::atomic<duration::rep> time{duration{1h}.count()};
  std::vector<std::vector<time_point>> kept(threads);
  std::vector<std::uint64_t> cancelled(threads), refused(threads);
  {
    std::latch together{threads};
    std::vector<std::jthread> crew;
    for (unsigned me = 0; me < threads; ++me) {
      crew.emplace_back([&, me] {
        random_stream random{me, "window_limiter_race"};
        std::optional<limiter_type::permit> earlier;
        const auto end_earlier = [&] {
          if (!earlier) return;
          if (random.below(5) == 0) {
            earlier->cancel();
            ++cancelled[me];
          } else {
            kept[me].push_back(earlier->recorded_at());
          }
          earlier.reset();
        };
        together.arrive_and_wait();
        for (int i = 0; i < arrivals; ++i) {
          const duration lag{static_cast<std::int64_t>(random.below(20'000'000'000) * (random.below(4) == 0))};
          const time_point now{duration{time.fetch_add(static_cast<std::int64_t>(random.below(150'000'000)))} - lag};
          auto permit = limiter.try_acquire({.now = now});
          if (!permit) {
            ++refused[me];
          } else if (random.below(5) == 0) {
            permit->cancel();
            ++cancelled[me];
          } else {
            end_earlier();
            earlier.emplace(std::move(*permit));
          }
          if (me == 0 && i % 1000 == 0) limiter.reconfigure({.limit = {50, 10s}});
        }
        end_earlier();
      });
    }
  }
  std::vector<time_point> all;
  std::uint64_t gone = 0, turned_away = 0;
  for (unsigned me = 0; me < threads; ++me) {
    all.insert(all.end(), kept[me].begin(), kept[me].end());
    gone += cancelled[me];
    turned_away += refused[me];
  }
  std::sort(all.begin(), all.end());
  ASSERT_GT(all.size(), 5000u);
  for (std::size_t k = 50; k < all.size(); ++k) ASSERT_GE(all[k] - all[k - 50], 10s) << "a 51st at " << k;
  const auto s = limiter.snapshot();
  EXPECT_EQ(s.admitted, all.size());
  EXPECT_EQ(s.cancelled, gone);
  EXPECT_EQ(s.rate_limited, turned_away);
  EXPECT_EQ(s.arrivals(), threads * static_cast<std::uint64_t>(arrivals));
}

}  // namespace
}  // namespace weir
