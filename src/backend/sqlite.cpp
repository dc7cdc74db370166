#include <weir/backend/sqlite.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <list>
#include <unordered_map>

namespace weir::inline v0 {
namespace {

struct close_database {
  void operator()(sqlite3* database) const noexcept { sqlite3_close_v2(database); }
};
struct finalize_statement {
  void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using statement_handle = std::unique_ptr<sqlite3_stmt, finalize_statement>;

struct cached_statement {
  std::string sql;
  statement_handle handle;
};

/// Leaves a statement without locks and without the caller's memory, however it ended.
struct reset_at_end {
  sqlite3_stmt* statement;
  ~reset_at_end() {
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
  }
};

int bind(sqlite3_stmt* statement, int index, const sqlite_parameter& parameter) {
  struct binder {
    sqlite3_stmt* statement;
    int index;
    int operator()(std::monostate) const { return sqlite3_bind_null(statement, index); }
    int operator()(std::int64_t value) const { return sqlite3_bind_int64(statement, index, value); }
    int operator()(double value) const { return sqlite3_bind_double(statement, index, value); }
    // An empty view may have no address, and that would be NULL.
    int operator()(std::string_view text) const {
      return sqlite3_bind_text64(statement, index, text.empty() ? "" : text.data(), text.size(), SQLITE_STATIC,
                                 SQLITE_UTF8);
    }
    int operator()(std::span<const std::byte> blob) const {
      return blob.empty() ? sqlite3_bind_zeroblob(statement, index, 0)
                          : sqlite3_bind_blob64(statement, index, blob.data(), blob.size(), SQLITE_STATIC);
    }
  };
  return std::visit(binder{statement, index}, parameter);
}

sqlite_value read(sqlite3_stmt* statement, int column) {
  switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER: return std::int64_t{sqlite3_column_int64(statement, column)};
    case SQLITE_FLOAT: return sqlite3_column_double(statement, column);
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      return std::string(text, static_cast<std::size_t>(sqlite3_column_bytes(statement, column)));
    }
    case SQLITE_BLOB: {
      const auto* bytes = static_cast<const std::byte*>(sqlite3_column_blob(statement, column));
      return std::vector<std::byte>(bytes, bytes + sqlite3_column_bytes(statement, column));
    }
    default: return std::monostate{};
  }
}

}  // namespace

struct sqlite_connection::state {
  std::unique_ptr<sqlite3, close_database> database;
  std::size_t bound = 0;
  std::list<cached_statement> statements{};  // the one used last in front
  std::unordered_map<std::string_view, std::list<cached_statement>::iterator> by_sql{};
  bool broken = false;

  [[noreturn]] void fail(int code) {
    switch (code & 0xff) {
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
      case SQLITE_IOERR:
      case SQLITE_CANTOPEN: broken = true; break;
      default: break;
    }
    const int extended = database ? sqlite3_extended_errcode(database.get()) : code;
    throw sqlite_error(extended, database ? sqlite3_errmsg(database.get()) : sqlite3_errstr(code));
  }
  void check(int code) {
    if (code != SQLITE_OK) fail(code);
  }

  statement_handle prepare(std::string_view sql) {
    sqlite3_stmt* made = nullptr;
    const char* rest = nullptr;
    check(sqlite3_prepare_v3(database.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &made,
                             &rest));
    statement_handle statement{made};
    const std::string_view behind = sql.substr(static_cast<std::size_t>(rest - sql.data()));
    if (!statement || behind.find_first_not_of("; \t\r\n") != std::string_view::npos) {
      throw std::invalid_argument("sqlite_connection::query takes one statement; script() takes several");
    }
    return statement;
  }

  sqlite3_stmt* statement_for(std::string_view sql) {
    if (const auto known = by_sql.find(sql); known != by_sql.end()) {
      statements.splice(statements.begin(), statements, known->second);
      return statements.front().handle.get();
    }
    statements.push_front({std::string{sql}, prepare(sql)});
    by_sql.emplace(statements.front().sql, statements.begin());
    if (statements.size() > bound) {
      by_sql.erase(statements.back().sql);
      statements.pop_back();
    }
    return statements.front().handle.get();
  }
};

sqlite_connection::sqlite_connection(std::unique_ptr<state> s) noexcept : state_(std::move(s)) {}
sqlite_connection::sqlite_connection(sqlite_connection&&) noexcept = default;
sqlite_connection& sqlite_connection::operator=(sqlite_connection&&) noexcept = default;
sqlite_connection::~sqlite_connection() = default;

sqlite_result sqlite_connection::run(std::string_view sql, std::span<const sqlite_parameter> parameters) {
  state& s = *state_;
  sqlite3_stmt* statement = s.statement_for(sql);
  if (static_cast<std::size_t>(sqlite3_bind_parameter_count(statement)) != parameters.size()) {
    throw std::invalid_argument("the statement has " + std::to_string(sqlite3_bind_parameter_count(statement)) +
                                " parameters, " + std::to_string(parameters.size()) + " were given");
  }
  const reset_at_end reset{statement};
  for (std::size_t i = 0; i < parameters.size(); ++i) s.check(bind(statement, static_cast<int>(i) + 1, parameters[i]));

  sqlite_result result;
  const auto changed_before = sqlite3_total_changes64(s.database.get());
  int step = sqlite3_step(statement);
  const int columns = sqlite3_column_count(statement);  // now: the first step looks at the schema again
  for (int i = 0; i < columns; ++i) result.names_.emplace_back(sqlite3_column_name(statement, i));
  for (; step == SQLITE_ROW; step = sqlite3_step(statement)) {
    for (int i = 0; i < columns; ++i) result.cells_.push_back(read(statement, i));
  }
  if (step != SQLITE_DONE) s.fail(step);
  if (sqlite3_total_changes64(s.database.get()) != changed_before) result.changed_ = sqlite3_changes64(s.database.get());
  return result;
}

void sqlite_connection::script(const std::string& sql) {
  state_->check(sqlite3_exec(state_->database.get(), sql.c_str(), nullptr, nullptr, nullptr));
}

bool sqlite_connection::in_transaction() const noexcept { return sqlite3_get_autocommit(state_->database.get()) == 0; }
bool sqlite_connection::is_broken() const noexcept { return state_->broken; }
std::size_t sqlite_connection::cached_statements() const noexcept { return state_->statements.size(); }

sqlite_transaction::sqlite_transaction(sqlite_connection& connection, kind k) : connection_(connection) {
  connection_.query(k == kind::write ? "BEGIN IMMEDIATE" : "BEGIN");
}

void sqlite_transaction::commit() {
  connection_.query("COMMIT");
  open_ = false;
}

// SQLite may have rolled back by itself, as after a full disk.
sqlite_transaction::~sqlite_transaction() {
  if (!open_ || !connection_.in_transaction()) return;
  try {
    connection_.query("ROLLBACK");
  } catch (...) {
  }
}

sqlite_backend::sqlite_backend(std::string path, sqlite_options options) : path_(std::move(path)), options_(options) {
  constexpr std::chrono::milliseconds longest{std::numeric_limits<int>::max()};
  if (options_.busy_timeout < options_.busy_timeout.zero() || options_.busy_timeout > longest) {
    throw std::invalid_argument("sqlite_options.busy_timeout: must be in [0, 2^31 - 1] ms, is " +
                                std::to_string(options_.busy_timeout.count()));
  }
  if (options_.cached_statements == 0) throw std::invalid_argument("sqlite_options.cached_statements: must be >= 1, is 0");
}

sqlite_connection sqlite_backend::connect(const connect_context& c) {
  auto s = std::make_unique<sqlite_connection::state>();
  s->bound = options_.cached_statements;
  // No mutex of SQLite's: one thread at a time uses a connection.
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (options_.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  sqlite3* opened = nullptr;
  const int code = sqlite3_open_v2(path_.c_str(), &opened, flags, nullptr);
  s->database.reset(opened);
  s->check(code);

  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(elapsed(steady_clock_source{}.now(), c.deadline));
  const auto patience = std::clamp(left, std::chrono::milliseconds{0}, options_.busy_timeout);
  sqlite3_busy_timeout(s->database.get(), static_cast<int>(patience.count()));
  constexpr const char* levels[] = {"OFF", "NORMAL", "FULL"};
  sqlite_connection made{std::move(s)};
  if (options_.write_ahead_log && !options_.read_only) made.script("PRAGMA journal_mode = WAL");
  made.script(std::string{"PRAGMA synchronous = "} + levels[static_cast<int>(options_.synchronous)]);
  made.script(std::string{"PRAGMA foreign_keys = "} + (options_.foreign_keys ? "ON" : "OFF"));
  sqlite3_busy_timeout(made.state_->database.get(), static_cast<int>(options_.busy_timeout.count()));
  return made;
}

void sqlite_backend::validate(sqlite_connection& c) { c.query("PRAGMA schema_version"); }

void sqlite_backend::reset(sqlite_connection& c) {
  if (c.in_transaction()) c.query("ROLLBACK");
}

}  // namespace weir::inline v0
