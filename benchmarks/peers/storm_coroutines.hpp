#pragma once
// Workload storm for coroutines: one context in one thread, a coroutine for each arrival; another thread sends them.

#include "coroutines.hpp"
#include "storm_record.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/prctl.h>

namespace weir_peers {

template <coroutine_pool Pool>
boost::asio::awaitable<void, typename Pool::executor_type> arrive(const storm_plan& plan, storm_run& run, Pool& pool,
                                                                  boost::asio::io_context& context, std::size_t index) {
  using executor = typename Pool::executor_type;
  using timer = boost::asio::basic_waitable_timer<clock, boost::asio::wait_traits<clock>, executor>;
  storm_arrival& a = run.arrivals[index];
  a.asked = run.now();
  auto held = co_await pool.co_acquire(run.at(plan.intended(index) + plan.given().deadline));
  run.template answered<Pool>(a, held);
  if (!held) co_return;
  timer until(executor{context.get_executor()}, run.at(a.answered + plan.hold(a.answered)));
  co_await until.async_wait(boost::asio::use_awaitable_t<executor>{});
  run.template releasing<Pool>(a, held);
  pool.release(std::move(held));
}

template <coroutine_pool Pool>
metrics run_storm_coroutines(const settings& s) {
  prctl(PR_SET_TIMERSLACK, 1UL);
  const storm_plan plan(s);
  storm_run run(plan);
  boost::asio::io_context context(1);
  Pool pool(context, storm_pool_size);
  coroutine_group group(context, plan.count());
  const auto busy = boost::asio::make_work_guard(context);
  run.begin(clock::now() + std::chrono::milliseconds{100});
  std::jthread generator([&] {
    for (std::size_t i = 0; i < plan.count(); ++i) {
      const time_point at = run.at(plan.intended(i));
      if (at > clock::now()) std::this_thread::sleep_until(at);
      run.arrivals[i].sent = run.now();
      boost::asio::post(context, [&, i] { group.spawn(arrive(plan, run, pool, context, i)); });
    }
  });
  context.run();
  generator.join();
  return evaluate_storm(plan, run.arrivals, pool.idle());
}

}  // namespace weir_peers
