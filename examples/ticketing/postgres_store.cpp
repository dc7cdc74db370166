#include "pooled_store.hpp"

#include <weir/backend/postgres.hpp>

#include <boost/asio/error.hpp>
#include <boost/system/system_error.hpp>

#include <array>

namespace ticketing {
namespace {

using rows_t = weir::postgres_result;

constexpr std::array schema{
    "CREATE SCHEMA IF NOT EXISTS ticketing",
    "CREATE TABLE IF NOT EXISTS ticketing.users (id bigserial PRIMARY KEY, name text NOT NULL, password text NOT NULL,"
    "  points bigint NOT NULL DEFAULT 0)",
    "CREATE TABLE IF NOT EXISTS ticketing.stock (id int PRIMARY KEY, remaining bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ticketing.orders (id bigserial PRIMARY KEY, user_id bigint NOT NULL REFERENCES "
    "ticketing.users(id),"
    "  quantity bigint NOT NULL)",
    "CREATE TABLE IF NOT EXISTS ticketing.concert_dates (concert bigint NOT NULL, day text NOT NULL, seats bigint NOT NULL,"
    "  PRIMARY KEY (concert, day))",
    "INSERT INTO ticketing.concert_dates VALUES (451, '2026-12-24', 500), (451, '2026-12-25', 500), (451, '2026-12-31', "
    "350)"
    "  ON CONFLICT DO NOTHING",
};

/// libpq's coroutines run on any executor, ours on the I/O thread's: the same thread, another type.
template <class T>
task<T> on_io(boost::asio::awaitable<T> work, executor_type executor) {
  return boost::asio::co_spawn(executor, std::move(work), use_task);
}

std::optional<std::int64_t> number(const rows_t& rows) {
  if (rows.rows() == 0) return std::nullopt;
  return rows.get<std::int64_t>(0, 0);
}

using connection = weir::postgres_connection;
using steps = boost::asio::awaitable<store_reply>;

steps charge_in(connection& db, std::int64_t user, std::int64_t amount) {
  const rows_t charged = co_await db.query(
      "UPDATE ticketing.users SET points = points + $1 WHERE id = $2 AND points <= $3 - $1::bigint RETURNING points",
      amount, user, most_points);
  if (const auto balance = number(charged)) co_return store_reply{.value = *balance};
  const rows_t found = co_await db.query("SELECT 1 FROM ticketing.users WHERE id = $1", user);
  co_return store_reply{.status = found.rows() == 0 ? store_status::no_such_user : store_status::points_full};
}

steps ordered(connection& db, std::int64_t user, std::int64_t quantity) {
  const rows_t found = co_await db.query("SELECT 1 FROM ticketing.users WHERE id = $1", user);
  if (found.rows() == 0) co_return store_reply{.status = store_status::no_such_user};
  const rows_t taken = co_await db.query(
      "UPDATE ticketing.stock SET remaining = remaining - $1 WHERE id = 1 AND remaining >= $1 RETURNING remaining",
      quantity);
  const auto stock = number(taken);
  if (!stock) co_return store_reply{.status = store_status::sold_out};
  const rows_t paid =
      co_await db.query("UPDATE ticketing.users SET points = points - $1 WHERE id = $2 AND points >= $1 RETURNING points",
                        quantity * ticket_price, user);
  if (paid.rows() == 0) co_return store_reply{.status = store_status::no_points};
  const rows_t made =
      co_await db.query("INSERT INTO ticketing.orders (user_id, quantity) VALUES ($1, $2) RETURNING id", user, quantity);
  co_return store_reply{.value = number(made).value_or(0), .stock = *stock};
}

steps order_in(connection& db, std::int64_t user, std::int64_t quantity) {
  co_await db.query("BEGIN");
  store_reply reply = co_await ordered(db, user, quantity);  // thrown through: the pool's reset rolls back
  co_await db.query(reply.status == store_status::ok ? "COMMIT" : "ROLLBACK");
  co_return reply;
}

steps user_in(connection& db, std::string name, std::string hash) {
  const rows_t added =
      co_await db.query("INSERT INTO ticketing.users (name, password) VALUES ($1, $2) RETURNING id", name, hash);
  co_return store_reply{.value = number(added).value_or(0)};
}

steps dates_in(connection& db, std::int64_t concert) {
  const rows_t rows =
      co_await db.query("SELECT day, seats FROM ticketing.concert_dates WHERE concert = $1 ORDER BY day", concert);
  store_reply reply{.status = rows.rows() == 0 ? store_status::no_such_concert : store_status::ok};
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    reply.dates.push_back({rows.get<std::string>(i, 0), rows.get<std::int64_t>(i, 1)});
  }
  co_return reply;
}

boost::asio::awaitable<void> create_in(connection& db, std::int64_t stock) {
  for (const char* statement : schema) co_await db.query(statement);
  co_await db.query("INSERT INTO ticketing.stock (id, remaining) VALUES (1, $1) ON CONFLICT DO NOTHING", stock);
}

using postgres_lease = pooled_store<weir::postgres_backend>::lease;

class postgres_session final : public store_session {
 public:
  postgres_session(postgres_lease taken, executor_type executor) : lease_(std::move(taken)), executor_(executor) {}

  task<store_reply> add_user(std::string name, std::string hash) override {
    return answered(user_in(*lease_, std::move(name), std::move(hash)));
  }
  task<store_reply> charge(std::int64_t user, std::int64_t amount) override {
    return answered(charge_in(*lease_, user, amount));
  }
  task<store_reply> order(std::int64_t user, std::int64_t quantity) override {
    return answered(order_in(*lease_, user, quantity));
  }
  task<store_reply> dates(std::int64_t concert) override { return answered(dates_in(*lease_, concert)); }

 private:
  task<store_reply> answered(steps asked) {
    try {
      co_return co_await on_io(std::move(asked), executor_);
    } catch (const weir::postgres_error& e) {
      co_return store_reply{.status = store_status::unavailable, .message = e.what()};
    } catch (const boost::system::system_error& e) {
      if (e.code() == boost::asio::error::operation_aborted) co_return store_reply{.status = store_status::abandoned};
      co_return store_reply{.status = store_status::unavailable, .message = e.what()};
    }
  }

  postgres_lease lease_;
  executor_type executor_;
};

class postgres final : public pooled_store<weir::postgres_backend> {
 public:
  postgres(const std::string& url, const weir::pool_config& config, executor_type executor)
      : pooled_store(executor, weir::postgres_backend{url}, config), executor_(executor) {}

  task<void> prepare(std::int64_t initial_stock) override {
    auto db = co_await first_lease("PostgreSQL");  // the URL may hold a password
    try {
      co_await on_io(create_in(*db, initial_stock), executor_);
    } catch (const weir::postgres_error& e) {
      throw store_error("cannot use the database PostgreSQL: " + one_line(e.what()));
    }
  }

 private:
  std::unique_ptr<store_session> session_of(postgres_lease taken) override {
    return std::make_unique<postgres_session>(std::move(taken), executor_);
  }

  executor_type executor_;
};

}  // namespace

std::unique_ptr<store> postgres_store(const std::string& url, const weir::pool_config& config, executor_type executor) {
  return std::make_unique<postgres>(url, config, executor);
}

}  // namespace ticketing
