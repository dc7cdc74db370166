// A pool on a real PostgreSQL: in use, killed and started again, paused. Times are printed and not judged, but for bounds
// that a busy machine keeps, too.
#include <weir/asio/pool.hpp>
#include <weir/backend/postgres.hpp>

#include "coroutine_test.hpp"
#include "support/postgres_server.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace boost::asio::experimental::awaitable_operators;
using asio::awaitable;
using weir::errc;
using weir::time_point;

class pool_test : public weir::testing_support::coroutine_test {
 protected:
  using pool_type = weir::basic_pool<weir::postgres_backend, asio::any_io_executor, weir::steady_clock_source>;

  /// How one user fared.
  struct visit {
    time_point began, answered, deadline;  // `answered`: granted or refused
    weir::rejection why{};                 // none: granted
    std::string cause;                     // with backend_down
    bool granted = false;
    bool served = false;  // the query came back
  };

  [[nodiscard]] awaitable<void> sleep(weir::duration d) {
    asio::steady_timer timer{co_await asio::this_coro::executor, d};
    co_await timer.async_wait(asio::use_awaitable);
  }

  /// Takes a connection, asks the server something, gives up at the deadline.
  awaitable<void> use(pool_type& pool, std::size_t number, weir::duration patience) {
    visits[number].began = pool.now();
    visits[number].deadline = visits[number].began + patience;
    auto lease = co_await pool.co_acquire({.deadline = visits[number].deadline, .tag = "visit"});
    visit& v = visits[number];
    v.answered = pool.now();
    if (!lease) {
      v.why = lease.error();
      if (const auto* e = lease.error().evidence(); e != nullptr && e->last_failure) v.cause = e->last_failure->text;
      co_return;
    }
    v.granted = true;
    asio::steady_timer limit{co_await asio::this_coro::executor, v.deadline};
    const auto done = co_await (answers(**lease) || limit.async_wait(asio::use_awaitable));
    visits[number].served = done.index() == 0 && std::get<0>(done);
  }
  /// Ends with false, since `||` goes on waiting for the other where one ends with an exception. Whether the connection can
  /// be used again, the backend knows.
  static awaitable<bool> answers(weir::postgres_connection& db) {
    try {
      co_await db.query("SELECT 1");
      co_return true;
    } catch (const weir::postgres_error&) {
      co_return false;
    }
  }

  /// 200 users a second from now on, for so long.
  awaitable<void> arrive(pool_type& pool, weir::duration length, weir::duration patience) {
    const time_point until = pool.now() + length;
    time_point next = pool.now();
    while (next < until) {
      visits.emplace_back();
      asio::co_spawn(context_, use(pool, visits.size() - 1, patience), asio::detached);
      if (pool.snapshot().now.down) {
        most_probes = std::max(most_probes, pool.snapshot().now.connecting);
      }
      next += 5ms;
      if (next > pool.now()) co_await sleep(next - pool.now());
    }
  }

  static double milliseconds(weir::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

  weir::testing_support::postgres_server server;
  std::vector<visit> visits;
  std::uint32_t most_probes = 0;
};

TEST_F(pool_test, an_outage_is_told_at_once_and_ends_soon_after_the_server_is_back) {
  const weir::duration dark = std::getenv("WEIR_TEST_SCALE") != nullptr ? 10s : 1s;
  pool_type pool{
      context_.get_executor(), weir::postgres_backend{server.conninfo()}, {.name = "orders", .max_size = 8}, {}, {}};
  time_point killed, accepts, end;
  run([&]() -> awaitable<void> {
    co_await (arrive(pool, dark + 2500ms, 2s) && [&]() -> awaitable<void> {
      co_await sleep(500ms);
      server.kill();
      killed = pool.now();
      co_await sleep(dark);
      server.launch();
      while (!server.ready()) co_await sleep(5ms);
      accepts = pool.now();
    }());
    co_await sleep(200ms);
    end = pool.now();
    const auto shown = pool.snapshot();
    EXPECT_EQ(shown.now.in_use, 0U) << "nothing is leaked";
    EXPECT_LE(shown.now.total(), 8U);
    EXPECT_FALSE(shown.now.down);
    EXPECT_EQ(shown.expired_handoffs, 0U);
    EXPECT_EQ(shown.arrivals(), visits.size());
    {
      auto lease = co_await pool.co_acquire();
      EXPECT_TRUE(lease.has_value());
      if (lease) {
        const auto rows =
            co_await (*lease)->query("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'");
        EXPECT_LE(rows.get<unsigned>(0, 0), 8U) << "as the server counts them";
      }
    }
    pool.close();
  });
  time_point first_told = weir::never, last_refused = killed;
  weir::duration slowest{};
  std::size_t told = 0;
  for (const visit& v : visits) {
    if (v.began < killed) continue;
    if (!v.served) last_refused = std::max(last_refused, v.began);
    if (!(v.why == errc::backend_down)) continue;
    ++told;
    first_told = std::min(first_told, v.answered);
    if (v.began > first_told) slowest = std::max(slowest, v.answered - v.began);
    EXPECT_FALSE(v.cause.empty());
  }
  std::printf(
      "outage of %.0f ms: down after %.1f ms, %zu told so (within %.2f ms), all served again %.1f ms after it accepts\n",
      milliseconds(accepts - killed), milliseconds(first_told - killed), told, milliseconds(slowest),
      milliseconds(last_refused - accepts));
  EXPECT_GT(told, 50U);
  EXPECT_LE(most_probes, 1U);
  EXPECT_LT(slowest, 1s);
  EXPECT_LT(last_refused - accepts, 3s);
  for (const visit& v : visits) {
    EXPECT_TRUE(v.granted || v.answered >= killed) << "refused before anything had happened";
  }
}

TEST_F(pool_test, deadlines_hold_while_the_server_is_paused) {
  pool_type pool{
      context_.get_executor(), weir::postgres_backend{server.conninfo()}, {.name = "orders", .max_size = 4}, {}, {}};
  time_point paused, resumed;
  run([&]() -> awaitable<void> {
    co_await (arrive(pool, 2s, 300ms) && [&]() -> awaitable<void> {
      co_await sleep(300ms);
      server.pause();
      paused = pool.now();
      co_await sleep(800ms);
      server.resume();
      resumed = pool.now();
    }());
    co_await sleep(500ms);
    EXPECT_EQ(pool.snapshot().now.in_use, 0U);
    pool.close();
  });
  weir::duration latest{};
  std::size_t timed_out = 0;
  for (const visit& v : visits) {
    latest = std::max(latest, v.answered - v.deadline);
    timed_out += v.why == errc::wait_timeout ? 1 : 0;
  }
  std::printf("paused for 0.8 s: %zu waited in vain, answered at most %.2f ms after their deadline\n", timed_out,
              milliseconds(latest));
  EXPECT_GT(timed_out, 10U);
  EXPECT_LT(latest, 500ms);
  EXPECT_TRUE(visits.back().served) << "it works again";
}

}  // namespace
