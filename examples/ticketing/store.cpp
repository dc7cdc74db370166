#include "store.hpp"

#include <sqlite3.h>

#include <cstdlib>
#include <optional>
#include <utility>

namespace ticketing {
namespace {

/// What SQLite refused to do; stays inside this file.
struct database_failure {
  std::string message;
};

/// Binds, steps, and resets at the end, whatever happens between.
class execution {
 public:
  explicit execution(sqlite3_stmt* s) : statement_(s) {}
  ~execution() { sqlite3_reset(statement_); }
  execution(const execution&) = delete;
  execution& operator=(const execution&) = delete;

  execution& with(int index, std::int64_t value) {
    sqlite3_bind_int64(statement_, index, value);
    return *this;
  }
  execution& with(int index, std::string_view text) {
    // Bound, stepped and reset within one call of ours, so SQLite need not copy the text.
    sqlite3_bind_text(statement_, index, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
    return *this;
  }
  /// The first column of the first row, if there is a row.
  std::optional<std::int64_t> row() {
    const int code = sqlite3_step(statement_);
    if (code == SQLITE_ROW) return sqlite3_column_int64(statement_, 0);
    if (code != SQLITE_DONE) fail();
    return std::nullopt;
  }

 private:
  [[noreturn]] void fail() const { throw database_failure{sqlite3_errmsg(sqlite3_db_handle(statement_))}; }

  sqlite3_stmt* statement_;
};

}  // namespace

void store::close_database::operator()(sqlite3* d) const noexcept { sqlite3_close(d); }
void store::finalize_statement::operator()(sqlite3_stmt* s) const noexcept { sqlite3_finalize(s); }

store::store(const std::string& path, std::int64_t initial_stock, std::chrono::milliseconds busy_timeout) : path_(path) {
  if (path_.empty()) {
    std::string directory = (std::filesystem::temp_directory_path() / "ticketing-XXXXXX").string();
    if (mkdtemp(directory.data()) == nullptr) throw store_error("cannot create " + directory);
    own_directory_ = directory;
    path_ = directory + "/tickets.db";
  }
  sqlite3* raw = nullptr;
  const int opened = sqlite3_open_v2(path_.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  database_.reset(raw);
  if (opened != SQLITE_OK) {
    throw store_error("cannot open the database " + path_ + ": " +
                      (raw != nullptr ? sqlite3_errmsg(raw) : "out of memory"));
  }
  sqlite3_busy_timeout(raw, static_cast<int>(busy_timeout.count()));
  try {
    create(initial_stock);
  } catch (const database_failure& failure) {
    // "database is locked", "attempt to write a readonly database", "file is not a database", ...
    throw store_error("cannot use the database " + path_ + ": " + failure.message);
  }
}

store::~store() {
  if (own_directory_.empty()) return;
  for (statement* s :
       {&begin_, &commit_, &rollback_, &add_user_, &user_exists_, &charge_, &take_stock_, &pay_, &add_order_}) {
    s->reset();
  }
  database_.reset();
  std::error_code ignored;
  std::filesystem::remove_all(own_directory_, ignored);
}

void store::create(std::int64_t initial_stock) {
  // A file that cannot be written opens all the same: only a write shows it.
  if (sqlite3_db_readonly(database_.get(), "main") == 1) throw database_failure{"it is read-only"};
  execute("PRAGMA journal_mode = WAL");
  execute("PRAGMA synchronous = NORMAL");
  execute("BEGIN IMMEDIATE");
  execute(
      "CREATE TABLE IF NOT EXISTS users (id INTEGER PRIMARY KEY, name TEXT NOT NULL, password TEXT NOT NULL,"
      "  points INTEGER NOT NULL DEFAULT 0) STRICT");
  execute("CREATE TABLE IF NOT EXISTS stock (id INTEGER PRIMARY KEY, remaining INTEGER NOT NULL) STRICT");
  execute(
      "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, user INTEGER NOT NULL REFERENCES users(id),"
      "  quantity INTEGER NOT NULL) STRICT");
  execution(prepare("INSERT OR IGNORE INTO stock (id, remaining) VALUES (1, ?)").get()).with(1, initial_stock).row();
  execute("COMMIT");

  begin_ = prepare("BEGIN IMMEDIATE");
  commit_ = prepare("COMMIT");
  rollback_ = prepare("ROLLBACK");
  add_user_ = prepare("INSERT INTO users (name, password) VALUES (?, ?) RETURNING id");
  user_exists_ = prepare("SELECT 1 FROM users WHERE id = ?");
  charge_ = prepare("UPDATE users SET points = points + ?1 WHERE id = ?2 AND points <= ?3 - ?1 RETURNING points");
  take_stock_ = prepare("UPDATE stock SET remaining = remaining - ?1 WHERE id = 1 AND remaining >= ?1 RETURNING remaining");
  pay_ = prepare("UPDATE users SET points = points - ?1 WHERE id = ?2 AND points >= ?1 RETURNING points");
  add_order_ = prepare("INSERT INTO orders (user, quantity) VALUES (?, ?) RETURNING id");
}

store::statement store::prepare(const char* sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v3(database_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr) != SQLITE_OK) {
    throw database_failure{sqlite3_errmsg(database_.get())};
  }
  return statement(raw);
}

void store::execute(const char* sql) {
  if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    throw database_failure{sqlite3_errmsg(database_.get())};
  }
}

store_reply store::add_user(std::string_view name, std::string_view password_hash) {
  try {
    execution insert{add_user_.get()};
    const std::int64_t id = insert.with(1, name).with(2, password_hash).row().value_or(0);
    insert.row();  // to the end of the statement: that is where it commits
    return {.value = id};
  } catch (const database_failure& failure) {
    return {.status = store_status::unavailable, .message = failure.message};
  }
}

store_reply store::charge(std::int64_t user, std::int64_t amount) {
  return in_transaction(&store::charge_in, user, amount);
}
store_reply store::order(std::int64_t user, std::int64_t quantity) {
  return in_transaction(&store::order_in, user, quantity);
}

store_reply store::in_transaction(store_reply (store::*body)(std::int64_t, std::int64_t), std::int64_t user,
                                  std::int64_t amount) {
  try {
    execution(begin_.get()).row();
    store_reply reply = (this->*body)(user, amount);
    execution((reply.status == store_status::ok ? commit_ : rollback_).get()).row();
    return reply;
  } catch (const database_failure& failure) {
    if (sqlite3_get_autocommit(database_.get()) == 0) sqlite3_step(rollback_.get());
    sqlite3_reset(rollback_.get());
    return {.status = store_status::unavailable, .message = failure.message};
  }
}

store_reply store::charge_in(std::int64_t user, std::int64_t amount) {
  if (!execution(user_exists_.get()).with(1, user).row()) return {.status = store_status::no_such_user};
  const auto balance = execution(charge_.get()).with(1, amount).with(2, user).with(3, most_points).row();
  if (!balance) return {.status = store_status::points_full};
  return {.value = *balance};
}

store_reply store::order_in(std::int64_t user, std::int64_t quantity) {
  if (!execution(user_exists_.get()).with(1, user).row()) return {.status = store_status::no_such_user};
  const auto stock = execution(take_stock_.get()).with(1, quantity).row();
  if (!stock) return {.status = store_status::sold_out};
  if (!execution(pay_.get()).with(1, quantity * ticket_price).with(2, user).row())
    return {.status = store_status::no_points};
  const auto id = execution(add_order_.get()).with(1, user).with(2, quantity).row();
  return {.value = id.value_or(0), .stock = *stock};
}

}  // namespace ticketing
