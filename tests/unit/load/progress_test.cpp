#include <load/progress.hpp>

#include <gtest/gtest.h>

namespace {

using namespace weir::load;
using namespace std::chrono_literals;

TEST(Progress, IsOneLine) {
  EXPECT_EQ(progress_line({36300ms, 120, 2000, 312, 0, 14, 0, 82ms}),
            "running (0m36.3s), 120/2000 VUs, 312 complete, 0 dropped | 14.0/s good, 0.0 % rejected, p95 82ms");
  EXPECT_EQ(progress_line({61s, 0, 1, 0, 7, 0, 0.881, std::nullopt}),
            "running (1m01.0s), 0/1 VUs, 0 complete, 7 dropped | 0.0/s good, 88.1 % rejected");
  EXPECT_EQ(progress_line({1s, 0, 1, 0, 0, 1, 0, 1250us}),
            "running (0m01.0s), 0/1 VUs, 0 complete, 0 dropped | 1.0/s good, 0.0 % rejected, p95 1.2ms");
  EXPECT_EQ(progress_line({1s, 0, 1, 0, 0, 1, 0, 15300ms}),
            "running (0m01.0s), 0/1 VUs, 0 complete, 0 dropped | 1.0/s good, 0.0 % rejected, p95 15.3s");
}

}  // namespace
