#pragma once
// Workload: 64 coroutines want 8 connections, on one context. What they do with one is to come around once.

#include "coroutines.hpp"
#include "measure.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace weir_peers {

inline constexpr std::uint32_t hand_off_pool_size = 8;
inline constexpr std::uint32_t hand_off_coroutines = 64;

template <coroutine_pool Pool>
boost::asio::awaitable<void, typename Pool::executor_type> line_up_again(Pool& pool, bool with_deadline,
                                                                         std::atomic<bool>& stop,
                                                                         std::atomic<bool>& refused, progress& done) {
  while (!stop.load(std::memory_order_relaxed)) {
    const time_point deadline = with_deadline ? clock::now() + std::chrono::seconds{1} : no_deadline;
    auto held = co_await pool.co_acquire(deadline);
    if (!held) {
      refused = true;
      co_return;
    }
    co_await boost::asio::post(boost::asio::use_awaitable_t<typename Pool::executor_type>{});
    pool.release(std::move(held));
    done.add(1);
  }
}

/// `with_deadline`: each waits for a second at most, which never happens.
template <coroutine_pool Pool>
metrics run_hand_off(const settings& s, bool with_deadline) {
  boost::asio::io_context context(1);
  Pool pool(context, hand_off_pool_size);
  std::atomic<bool> stop{false};
  std::atomic<bool> refused{false};
  std::vector<progress> done(1);
  coroutine_group group(context, hand_off_coroutines);
  for (std::uint32_t i = 0; i < hand_off_coroutines; ++i) {
    group.spawn(line_up_again(pool, with_deadline, stop, refused, done[0]));
  }
  std::jthread thread([&] {
    pin_to(0);
    context.run();
  });
  const double rate = measure_rate(done, s.seconds);
  stop = true;
  thread.join();
  if (refused) throw std::runtime_error("somebody waited for more than a second");
  expect_all_back(pool.idle(), hand_off_pool_size);
  return {{"M hand-offs/s", rate / 1e6}, {"ns/hand-off", 1e9 / rate}};
}

}  // namespace weir_peers
