#include <weir/backend/postgres.hpp>

#include "coroutine_test.hpp"
#include "support/postgres_server.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>

#include <gmock/gmock.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>

namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using boost::asio::awaitable;
using ::testing::HasSubstr;
using weir::postgres_error;
using weir::postgres_statement;
using weir::testing_support::failure;
using weir::testing_support::in;
using weir::testing_support::soon;

static_assert(weir::pool_backend<weir::postgres_backend>);
static_assert(weir::detail::validates<weir::postgres_backend> && weir::detail::resets<weir::postgres_backend> &&
              weir::detail::knows_broken<weir::postgres_backend> && weir::detail::aborts<weir::postgres_backend>);

class postgres_test : public weir::testing_support::coroutine_test {
 protected:
  static weir::testing_support::postgres_server& server() {
    static weir::testing_support::postgres_server one;
    return one;
  }
  [[nodiscard]] awaitable<weir::postgres_connection> open() { return backend_.connect({.deadline = in(10s)}); }
  /// Waits, up to five seconds, until no statement of `pid` runs; how many do.
  awaitable<int> running(weir::postgres_connection& observer, int pid) {
    int found = 1;
    for (const auto give_up = in(5s); found > 0 && std::chrono::steady_clock::now() < give_up;) {
      const auto rows =
          co_await observer.query("SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", pid);
      found = rows.get<int>(0, 0);
    }
    co_return found;
  }

  weir::postgres_backend backend_{server().conninfo()};
};

TEST_F(postgres_test, values_come_back_as_they_went_in) {
  run([this]() -> awaitable<void> {
    auto db = co_await open();
    const std::string hostile = "'; DROP TABLE x; --\\ \"$1\" \n\xc3\xa4 \xf0\x9f\x8e\xab";
    const auto row = co_await db.query(
        "SELECT $1::text AS t, $2::bigint, $3::double precision, $4::bool, $5::text, $6::int, $7::text, $8::numeric",
        hostile, std::numeric_limits<std::int64_t>::min(), 0.1, true, nullptr, std::optional<int>{}, "", 12);
    EXPECT_EQ(row.rows(), 1U);
    EXPECT_EQ(row.columns(), 8U);
    EXPECT_EQ(row.name(0), "t");
    EXPECT_EQ(row.column("t"), 0U);
    EXPECT_EQ(row.get<std::string>(0, 0), hostile);
    EXPECT_EQ(row.get<std::int64_t>(0, 1), std::numeric_limits<std::int64_t>::min());
    EXPECT_EQ(row.get<double>(0, 2), 0.1);
    EXPECT_TRUE(row.get<bool>(0, 3));
    EXPECT_TRUE(row.is_null(0, 4));
    EXPECT_EQ(row.get<std::optional<int>>(0, 5), std::nullopt);
    EXPECT_EQ(row.get<std::optional<std::string>>(0, 6), "");
    EXPECT_EQ(row.get<unsigned>(0, 7), 12U);
    EXPECT_THROW((void)row.get<int>(0, 1), postgres_error);  // does not fit
    EXPECT_THROW((void)row.get<int>(0, 5), postgres_error);  // NULL
    EXPECT_THROW((void)row.get<bool>(0, 0), postgres_error);
    EXPECT_THROW((void)row.text(1, 0), std::out_of_range);
    EXPECT_THROW((void)row.text(0, 8), std::out_of_range);
    EXPECT_THROW((void)row.column("none"), std::out_of_range);
    EXPECT_TRUE(co_await failure<std::invalid_argument>(db.query("SELECT $1::text", "a\0b"s)));
    EXPECT_TRUE(co_await failure<std::invalid_argument>(db.query("SELECT 1\0"s)));
    const auto infinite = co_await db.query("SELECT 'Infinity'::float8");
    EXPECT_TRUE(std::isinf(infinite.get<double>(0, 0)));
  });
}

TEST_F(postgres_test, ten_thousand_rows) {
  run([this]() -> awaitable<void> {
    auto db = co_await open();
    const auto rows = co_await db.query("SELECT i, repeat('x', 100) FROM generate_series(1, $1) AS i", 10'000);
    EXPECT_EQ(rows.rows(), 10'000U);
    EXPECT_EQ(rows.affected(), 10'000U);
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < rows.rows(); ++i) sum += rows.get<int>(i, 0);
    EXPECT_EQ(sum, 50'005'000);
    // A statement that is larger than any buffer.
    const auto large = co_await db.query("SELECT length($1)", std::string(20'000'000, 'y'));
    EXPECT_EQ(large.get<int>(0, 0), 20'000'000);
  });
}

TEST_F(postgres_test, a_wrong_statement_says_why_and_the_next_one_works) {
  run([this]() -> awaitable<void> {
    auto db = co_await open();
    co_await db.query("CREATE TEMPORARY TABLE t (x int UNIQUE)");
    const auto added = co_await db.query("INSERT INTO t VALUES (1), (2)");
    EXPECT_EQ(added.affected(), 2U);
    const auto twice = co_await failure<postgres_error>(db.query("INSERT INTO t VALUES ($1)", 1));
    EXPECT_TRUE(twice);
    EXPECT_EQ(twice ? twice->sqlstate() : "", "23505");
    EXPECT_THAT(twice ? twice->what() : "", HasSubstr("t_x_key"));
    const auto unknown = co_await failure<postgres_error>(db.query("SELECT nonsense"));
    EXPECT_EQ(unknown ? unknown->sqlstate() : "", "42703");
    const auto type = co_await failure<postgres_error>(db.query("SELECT $1::int", "text"));
    EXPECT_EQ(type ? type->sqlstate() : "", "22P02");
    EXPECT_FALSE(db.is_broken());
    const auto rows = co_await db.query("SELECT count(*) FROM t");
    EXPECT_EQ(rows.get<int>(0, 0), 2);
    const auto copy = co_await failure<postgres_error>(db.query("COPY t FROM STDIN"));
    EXPECT_EQ(copy ? copy->sqlstate() : "", "0A000");
    EXPECT_TRUE(db.is_broken());
  });
}

TEST_F(postgres_test, a_pipeline_is_all_or_nothing) {
  run([this]() -> awaitable<void> {
    auto db = co_await open();
    co_await db.query("CREATE TEMPORARY TABLE t (x int UNIQUE)");
    std::vector<postgres_statement> good;
    for (int i = 0; i < 100; ++i) good.emplace_back("INSERT INTO t VALUES ($1) RETURNING x", i);
    const auto results = co_await db.pipeline(good);
    EXPECT_EQ(results.size(), 100U);
    EXPECT_EQ(results.at(42).get<int>(0, 0), 42);

    std::vector<postgres_statement> bad;
    bad.emplace_back("INSERT INTO t VALUES ($1)", 100);
    bad.emplace_back("INSERT INTO t VALUES ($1)", 7);
    bad.emplace_back("INSERT INTO t VALUES ($1)", 101);
    const auto error = co_await failure<postgres_error>(db.pipeline(bad));
    EXPECT_EQ(error ? error->sqlstate() : "", "23505");
    EXPECT_EQ(error ? error->statement() : 0, 1U);
    EXPECT_FALSE(db.is_broken());
    const auto rows = co_await db.query("SELECT count(*) FROM t");
    EXPECT_EQ(rows.get<int>(0, 0), 100);
    const auto nothing = co_await db.pipeline({});
    EXPECT_TRUE(nothing.empty());
    bad.back() = postgres_statement{"SELECT $1::text", "\0"s};
    EXPECT_TRUE(co_await failure<std::invalid_argument>(db.pipeline(bad)));

    // More than fits into both sockets' buffers, in both directions.
    std::vector<postgres_statement> large;
    for (int i = 0; i < 20; ++i) large.emplace_back("SELECT $1::text", std::string(500'000, 'x'));
    const auto echoes = co_await db.pipeline(std::move(large));
    EXPECT_EQ(echoes.at(19).text(0, 0).size(), 500'000U);
  });
}

TEST_F(postgres_test, cancelling_cancels_on_the_server_and_keeps_the_connection) {
  std::optional<weir::postgres_connection> db, observer;
  for (const bool pipelined : {false, true}) {
    run([&]() -> awaitable<void> {
      db = co_await open();
      observer = co_await open();
    });
    const auto end = finish(
        [&]() -> awaitable<void> {
          std::vector<postgres_statement> statements;
          statements.emplace_back("SELECT pg_sleep(10)");
          statements.emplace_back("SELECT 2");
          if (pipelined) {
            co_await db->pipeline(std::move(statements));
          } else {
            co_await db->query("SELECT pg_sleep(10)");
          }
        },
        50ms);
    EXPECT_TRUE(end.cancelled());
    EXPECT_LT(end.took, soon);
    EXPECT_FALSE(db->is_broken());
    run([&]() -> awaitable<void> {
      const auto left = co_await running(*observer, db->backend_pid());
      EXPECT_EQ(left, 0);
      co_await backend_.reset(*db);
      const auto next = co_await db->query("SELECT 3");
      EXPECT_EQ(next.get<int>(0, 0), 3);
    });
  }
}

TEST_F(postgres_test, a_statement_that_is_abandoned_with_its_connection_is_cancelled_too) {
  std::optional<weir::postgres_connection> opened;
  run([&]() -> awaitable<void> { opened = co_await open(); });
  const int pid = opened->backend_pid();
  const auto end = finish(
      [&]() -> awaitable<void> {
        auto db = std::move(*opened);
        co_await db.query("SELECT pg_sleep(10)");
      },
      50ms);
  EXPECT_TRUE(end.cancelled());
  run([&]() -> awaitable<void> {
    auto observer = co_await open();
    const auto left = co_await running(observer, pid);
    EXPECT_EQ(left, 0);
  });
}

// A request to cancel that arrives late must not hit the next statement.
TEST_F(postgres_test, only_the_cancelled_statement_is_cancelled) {
  std::optional<weir::postgres_connection> db;
  run([&]() -> awaitable<void> { db = co_await open(); });
  int cancelled = 0;
  for (int i = 0; i < 60; ++i) {
    const std::chrono::milliseconds moment{1 + i % 4};
    const auto end = finish([&]() -> awaitable<void> { co_await db->query("SELECT pg_sleep(0.002)"); }, moment);
    EXPECT_TRUE(!end.error || end.cancelled());
    cancelled += end.cancelled();
    run([&]() -> awaitable<void> {
      for (int next = 0; next < 3; ++next) co_await db->query("SELECT pg_sleep(0.0005)");
    });
  }
  RecordProperty("cancelled", cancelled);
  EXPECT_FALSE(db->is_broken());
}

TEST_F(postgres_test, coroutines_that_are_destroyed_give_up_their_statements) {
  int pid = 0;
  {
    boost::asio::io_context context;
    const auto forget = [&]() -> awaitable<void> {
      auto db = co_await open();
      pid = db.backend_pid();
      co_await db.query("SELECT pg_sleep(10)");
    };
    boost::asio::co_spawn(context, forget(), [](std::exception_ptr) {});
    while (pid == 0) context.run_one();
    context.run_for(20ms);
  }
  run([&]() -> awaitable<void> {
    auto observer = co_await open();
    const auto left = co_await running(observer, pid);
    EXPECT_EQ(left, 0);
  });
}

TEST_F(postgres_test, reset_leaves_nothing_behind_and_asks_only_when_needed) {
  run([this]() -> awaitable<void> {
    auto db = co_await open();
    co_await db.query("BEGIN");
    co_await db.query("CREATE TABLE left_behind (x int)");
    EXPECT_TRUE(db.in_transaction());
    co_await failure<postgres_error>(db.query("SELECT nonsense"));
    EXPECT_TRUE(db.in_transaction());
    co_await backend_.reset(db);
    EXPECT_FALSE(db.in_transaction());
    EXPECT_TRUE(co_await failure<postgres_error>(db.query("SELECT * FROM left_behind")));

    co_await db.query("SET work_mem = '123kB'");
    co_await backend_.reset(db);
    const auto setting = co_await db.query("SHOW work_mem");
    EXPECT_NE(setting.text(0, 0), "123kB");

    co_await backend_.reset(db);
    co_await db.query("SELECT set_config('work_mem', '124kB', false)");
    co_await backend_.reset(db);  // a SELECT: it does not look
    const auto unseen = co_await db.query("SELECT current_setting('work_mem')");
    EXPECT_EQ(unseen.text(0, 0), "124kB");
    db.session_changed();
    co_await backend_.reset(db);
    const auto reset = co_await db.query("SELECT current_setting('work_mem')");
    EXPECT_NE(reset.text(0, 0), "124kB");
    co_await backend_.validate(db);
  });
}

TEST_F(postgres_test, what_can_not_be_reached_is_said) {
  run([]() -> awaitable<void> {
    weir::postgres_backend nowhere{"host=/nowhere dbname=x"};
    const auto refused = co_await failure<postgres_error>(nowhere.connect({.deadline = in(5s)}));
    EXPECT_THAT(refused ? refused->what() : "", HasSubstr("No such file"));
    weir::postgres_backend closed{"hostaddr=127.0.0.1 port=1 dbname=x"};
    const auto nobody = co_await failure<postgres_error>(closed.connect({.deadline = in(5s)}));
    EXPECT_THAT(nobody ? nobody->what() : "", HasSubstr("Connection refused"));
    weir::postgres_backend wrong{"nonsense"};
    EXPECT_TRUE(co_await failure<postgres_error>(wrong.connect({.deadline = in(5s)})));
  });
  run([]() -> awaitable<void> {
    weir::postgres_backend backend{std::vector{server().conninfo("no_such_db"), server().conninfo()}};
    const auto error = co_await failure<postgres_error>(backend.connect({.deadline = in(5s)}));
    EXPECT_THAT(error ? error->what() : "", HasSubstr("database \"no_such_db\" does not exist"));
    auto second = co_await backend.connect({.deadline = in(5s), .endpoint = 1});
    co_await backend.validate(second);
    EXPECT_TRUE(co_await failure<std::out_of_range>(backend.connect({.deadline = in(5s), .endpoint = 2})));
    // The second host, after one that does not answer.
    weir::postgres_backend hosts{"host=/nowhere," + server().conninfo().substr(5)};
    auto found = co_await hosts.connect({.deadline = in(5s)});
    co_await hosts.validate(found);
  });
}

TEST_F(postgres_test, a_terminated_session_gives_the_servers_words) {
  run([this]() -> awaitable<void> {
    auto db = co_await open();
    auto killer = co_await open();
    co_await killer.query("SELECT pg_terminate_backend($1)", db.backend_pid());
    const auto error = co_await failure<postgres_error>(db.query("SELECT 1"));
    EXPECT_THAT(error ? error->what() : "", HasSubstr("terminating connection due to administrator command"));
    EXPECT_TRUE(db.is_broken());
    EXPECT_TRUE(co_await failure<postgres_error>(backend_.validate(db)));
  });
}

TEST_F(postgres_test, an_aborted_statement_fails_at_once) {
  run([this]() -> awaitable<void> {
    auto db = co_await open();
    auto observer = co_await open();
    bool ended = false;
    const auto abort_when_it_runs = [&]() -> awaitable<void> {
      for (int found = 0; found == 0 && !ended;) {
        const auto rows = co_await observer.query(
            "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND state = 'active'", db.backend_pid());
        found = rows.get<int>(0, 0);
      }
      std::thread{[&] { weir::postgres_backend::abort(db); }}.join();
    };
    boost::asio::co_spawn(co_await boost::asio::this_coro::executor, abort_when_it_runs, boost::asio::detached);
    const auto error = co_await failure<postgres_error>(db.query("SELECT pg_sleep(5)"));
    ended = true;
    EXPECT_TRUE(error);
    EXPECT_EQ(error ? error->sqlstate() : "none", "") << "the connection's, not the statement's";
    EXPECT_TRUE(db.is_broken());
    EXPECT_TRUE(co_await failure<postgres_error>(db.query("SELECT 1")));
    co_await observer.query("SELECT pg_terminate_backend($1)", db.backend_pid());
  });
}

TEST_F(postgres_test, a_paused_server_is_left_in_time) {
  std::optional<weir::postgres_connection> idle, busy, sending;
  run([&]() -> awaitable<void> {
    idle = co_await open();
    busy = co_await open();
    sending = co_await open();
  });
  server().pause();
  run([this]() -> awaitable<void> {
    const auto late = co_await failure<postgres_error>(backend_.connect({.deadline = in(50ms)}));
    EXPECT_THAT(late ? late->what() : "", HasSubstr("no answer before the deadline"));
  });
  const auto cancelled_in_time = [&](const body& b) {
    const auto end = finish(b, 50ms);
    return end.cancelled() && end.took < soon;
  };
  EXPECT_TRUE(cancelled_in_time([&]() -> awaitable<void> { co_await open(); }));
  EXPECT_TRUE(cancelled_in_time([&]() -> awaitable<void> { co_await busy->query("SELECT 1"); }));
  EXPECT_FALSE(busy->is_broken());
  EXPECT_TRUE(cancelled_in_time([&]() -> awaitable<void> { co_await backend_.reset(*busy); }));
  // More than the sockets take: what the server has is not a whole statement.
  EXPECT_TRUE(cancelled_in_time(
      [&]() -> awaitable<void> { co_await sending->query("SELECT length($1)", std::string(20'000'000, 'x')); }));
  EXPECT_TRUE(sending->is_broken());
  server().resume();
  run([&]() -> awaitable<void> {
    co_await backend_.reset(*busy);
    co_await backend_.validate(*busy);
    co_await backend_.validate(*idle);
    EXPECT_TRUE(co_await failure<postgres_error>(backend_.reset(*sending)));
  });
}

TEST_F(postgres_test, a_bounded_number_of_requests_to_cancel_hangs) {
  constexpr std::size_t most = 32;
  std::vector<weir::postgres_connection> connections;
  run([&]() -> awaitable<void> {
    for (std::size_t i = 0; i < most + 3; ++i) connections.push_back(co_await open());
  });
  server().pause();
  for (auto& db : connections) {
    const auto end = finish([&]() -> awaitable<void> { co_await db.query("SELECT 1"); }, 1ms);
    EXPECT_TRUE(end.cancelled());
  }
  EXPECT_EQ(std::ranges::count_if(connections, [](const auto& db) { return db.is_broken(); }), 3);
  server().resume();
  run([&]() -> awaitable<void> {
    for (auto& db : connections) {
      if (!db.is_broken()) co_await backend_.reset(db);
    }
  });
}

TEST_F(postgres_test, a_server_killed_in_the_middle_is_an_error_and_the_next_one_serves) {
  run([this]() -> awaitable<void> {
    auto db = co_await open();
    auto idle = co_await open();
    boost::asio::steady_timer timer{context_, 50ms};
    timer.async_wait([](boost::system::error_code) { server().kill(); });
    const auto error = co_await failure<postgres_error>(db.query("SELECT pg_sleep(10)"));
    EXPECT_THAT(error ? error->what() : "", HasSubstr("server closed the connection unexpectedly"));
    EXPECT_TRUE(db.is_broken());
    EXPECT_TRUE(co_await failure<postgres_error>(backend_.validate(idle)));
    EXPECT_TRUE(idle.is_broken());
    EXPECT_TRUE(co_await failure<postgres_error>(open()));
    server().start();
    auto next = co_await open();
    co_await backend_.validate(next);
  });
}

}  // namespace
