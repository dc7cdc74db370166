#include "pooled_store.hpp"
#include "worker_pool.hpp"

#include <weir/backend/sqlite.hpp>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace ticketing {
namespace {

constexpr const char* schema = R"(
  CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, password TEXT NOT NULL,
    points INTEGER NOT NULL DEFAULT 0) STRICT;
  CREATE TABLE IF NOT EXISTS stock (id INTEGER PRIMARY KEY, remaining INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, user INTEGER NOT NULL REFERENCES users(id),
    quantity INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS concert_dates (concert INTEGER NOT NULL, day TEXT NOT NULL, seats INTEGER NOT NULL,
    PRIMARY KEY (concert, day)) STRICT;
  INSERT OR IGNORE INTO concert_dates VALUES (451, '2026-12-24', 500), (451, '2026-12-25', 500), (451, '2026-12-31', 350);
)";

std::optional<std::int64_t> number(const weir::sqlite_result& rows) {
  if (rows.rows() == 0) return std::nullopt;
  return rows.get<std::int64_t>(0, 0);
}

store_reply charge_in(weir::sqlite_connection& db, std::int64_t user, std::int64_t amount) {
  weir::sqlite_transaction change{db};
  if (!number(db.query("SELECT 1 FROM users WHERE id = ?", user))) return {.status = store_status::no_such_user};
  const auto balance =
      number(db.query("UPDATE users SET points = points + ?1 WHERE id = ?2 AND points <= ?3 - ?1 RETURNING points", amount,
                      user, most_points));
  if (!balance) return {.status = store_status::points_full};
  change.commit();
  return {.value = *balance};
}

store_reply order_in(weir::sqlite_connection& db, std::int64_t user, std::int64_t quantity) {
  weir::sqlite_transaction change{db};
  if (!number(db.query("SELECT 1 FROM users WHERE id = ?", user))) return {.status = store_status::no_such_user};
  const auto stock = number(db.query(
      "UPDATE stock SET remaining = remaining - ?1 WHERE id = 1 AND remaining >= ?1 RETURNING remaining", quantity));
  if (!stock) return {.status = store_status::sold_out};
  if (!number(db.query("UPDATE users SET points = points - ?1 WHERE id = ?2 AND points >= ?1 RETURNING points",
                       quantity * ticket_price, user))) {
    return {.status = store_status::no_points};
  }
  const auto id = number(db.query("INSERT INTO orders (user, quantity) VALUES (?, ?) RETURNING id", user, quantity));
  change.commit();
  return {.value = id.value_or(0), .stock = *stock};
}

store_reply dates_in(weir::sqlite_connection& db, std::int64_t concert) {
  const auto rows = db.query("SELECT day, seats FROM concert_dates WHERE concert = ? ORDER BY day", concert);
  store_reply reply{.status = rows.rows() == 0 ? store_status::no_such_concert : store_status::ok};
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    reply.dates.push_back({rows.get<std::string>(i, 0), rows.get<std::int64_t>(i, 1)});
  }
  return reply;
}

/// SQLite's backend, with its blocking part on a worker thread.
struct backend {
  using connection = weir::sqlite_connection;

  boost::asio::awaitable<connection> connect(weir::connect_context c) {
    auto open = [this, c] { return blocking->connect(c); };
    auto made = co_await worker->async_run(std::move(open), boost::asio::use_awaitable);
    if (!made) throw store_error("the server is shutting down");
    co_return std::move(*made);
  }
  [[nodiscard]] bool is_broken(const connection& c) const noexcept { return c.is_broken(); }

  std::shared_ptr<weir::sqlite_backend> blocking;
  worker_pool* worker;
};

using sqlite_lease = pooled_store<backend>::lease;

class sqlite_session final : public store_session {
 public:
  sqlite_session(sqlite_lease taken, worker_pool& worker) : lease_(std::move(taken)), worker_(worker) {}

  task<store_reply> add_user(std::string name, std::string password_hash) override {
    return on_worker([name = std::move(name), hash = std::move(password_hash)](weir::sqlite_connection& db) {
      const auto id = number(db.query("INSERT INTO users (name, password) VALUES (?, ?) RETURNING id", name, hash));
      return store_reply{.value = id.value_or(0)};
    });
  }
  task<store_reply> charge(std::int64_t user, std::int64_t amount) override {
    return on_worker([=](weir::sqlite_connection& db) { return charge_in(db, user, amount); });
  }
  task<store_reply> order(std::int64_t user, std::int64_t quantity) override {
    return on_worker([=](weir::sqlite_connection& db) { return order_in(db, user, quantity); });
  }
  task<store_reply> dates(std::int64_t concert) override {
    return on_worker([=](weir::sqlite_connection& db) { return dates_in(db, concert); });
  }

 private:
  template <class Step>
  task<store_reply> on_worker(Step step) {
    auto job = [this, step = std::move(step)]() -> store_reply {
      try {
        return step(*lease_);
      } catch (const weir::sqlite_error& e) {
        return {.status = store_status::unavailable, .message = e.what()};
      }
    };
    auto reply = co_await worker_.run(std::move(job));
    if (!reply) co_return store_reply{.status = store_status::abandoned};
    co_return std::move(*reply);
  }

  sqlite_lease lease_;
  worker_pool& worker_;
};

/// The path, or a new one in a directory of our own.
struct place {
  explicit place(const std::string& given) : path(given) {
    if (!path.empty()) return;
    const char* tmp = std::getenv("TMPDIR");
    const std::string parent = tmp != nullptr && *tmp != '\0' ? tmp : "/tmp";
    std::string name = parent + "/ticketing-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) {
      throw store_error("cannot create a directory in " + parent + ": " + std::strerror(errno));
    }
    own_directory = name;
    path = name + "/tickets.db";
  }
  ~place() {
    std::error_code ignored;
    if (!own_directory.empty()) std::filesystem::remove_all(own_directory, ignored);
  }
  place(const place&) = delete;
  place& operator=(const place&) = delete;

  std::string path;
  std::filesystem::path own_directory;
};

/// How long a statement waits for somebody else's lock.
constexpr std::chrono::milliseconds busy_timeout{50};

class sqlite final : place, public pooled_store<backend> {
 public:
  sqlite(const std::string& path, const weir::pool_config& config, executor_type executor, worker_pool& worker)
      : place(path),
        pooled_store(
            executor,
            {std::make_shared<weir::sqlite_backend>(place::path, weir::sqlite_options{.busy_timeout = busy_timeout}),
             &worker},
            config),
        worker_(worker) {}

  task<void> prepare(std::int64_t initial_stock) override {
    auto db = co_await first_lease(path);
    auto create = [&db, initial_stock] {
      weir::sqlite_transaction change{*db};
      db->script(schema);
      db->query("INSERT OR IGNORE INTO stock (id, remaining) VALUES (1, ?)", initial_stock);
      change.commit();
    };
    auto job = [&create]() -> std::string {
      try {
        create();
        return {};
      } catch (const weir::sqlite_error& e) {
        return e.what();
      }
    };
    const auto problem = co_await worker_.run(std::move(job));
    if (problem && !problem->empty()) throw store_error("cannot use the database " + path + ": " + *problem);
  }

 private:
  std::unique_ptr<store_session> session_of(sqlite_lease taken) override {
    return std::make_unique<sqlite_session>(std::move(taken), worker_);
  }

  worker_pool& worker_;
};

}  // namespace

std::unique_ptr<store> sqlite_store(const std::string& path, const weir::pool_config& config, executor_type executor,
                                    worker_pool& worker) {
  return std::make_unique<sqlite>(path, config, executor, worker);
}

}  // namespace ticketing
