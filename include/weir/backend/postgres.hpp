#pragma once
/// \file
/// PostgreSQL for a `pool`: libpq's non-blocking interface in coroutines.
///
/// ```cpp
/// weir::postgres_backend backend{"host=/run/postgresql dbname=shop"};
/// weir::postgres_connection db = co_await backend.connect({.deadline = clock.now() + 2s});    // or a pool's lease
/// auto rows = co_await db.query("SELECT item, price FROM stock WHERE n > $1", 10);
/// for (std::size_t i = 0; i < rows.rows(); ++i) use(rows.get<std::string>(i, 0), rows.get<std::optional<double>>(i, 1));
/// ```
/// Thread-safety: postgres_backend may be used by several threads at once; a connection by one coroutine at a time, on any
/// executor that runs one handler at a time (a strand, or an io_context with one thread).
///
/// Cancellation (terminal, partial, total): the coroutine ends at once with operation_aborted, also if the server answers
/// nothing. A statement that was running is cancelled on the server: libpq can only ask for that in a blocking way, so a
/// detached thread does (at most 32 at a time in a process; when that many hang, the connection counts as broken and the
/// server ends the statement when it notices the closed socket, see its setting client_connection_check_interval). The next
/// query, `validate` or `reset` on the connection first waits for the end of the cancelled statement. One that was sent
/// only in part breaks the connection and is never run.
///
/// Host names are resolved by libpq, blocking: write addresses or paths of sockets into `conninfo`. Link weir::postgres.

#include <weir/asio/pool_backend.hpp>

#include <charconv>
#include <concepts>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

struct pg_result;

namespace weir::inline v0 {

/// What PostgreSQL or libpq says is wrong. Unless `is_broken` says otherwise, the connection is still usable.
class postgres_error : public std::runtime_error {
 public:
  explicit postgres_error(const std::string& text, std::string sqlstate = {}, std::size_t statement = 0)
      : runtime_error(text), sqlstate_(std::move(sqlstate)), statement_(statement) {}
  /// Five characters, such as "23505". Empty: not from a statement, but the connection failed or could not be made.
  [[nodiscard]] const std::string& sqlstate() const noexcept { return sqlstate_; }
  /// Of a pipeline: which statement, from 0.
  [[nodiscard]] std::size_t statement() const noexcept { return statement_; }

 private:
  std::string sqlstate_;
  std::size_t statement_;
};

/// A parameter in PostgreSQL's text format; empty: NULL.
using postgres_parameter = std::optional<std::string>;

namespace detail {

struct postgres_access;
struct clear_postgres_result {
  void operator()(pg_result* result) const noexcept;
};

inline postgres_parameter postgres_text(std::nullptr_t) { return {}; }
inline postgres_parameter postgres_text(std::nullopt_t) { return {}; }
template <class T>
postgres_parameter postgres_text(const T& value) {
  if constexpr (std::same_as<T, bool>) {
    return value ? "t" : "f";
  } else if constexpr (std::is_arithmetic_v<T>) {
    char text[64];
    return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
  } else {
    return std::string{std::string_view{value}};
  }
}
template <class T>
postgres_parameter postgres_text(const std::optional<T>& value) {
  return value ? postgres_text(*value) : postgres_parameter{};
}

}  // namespace detail

/// A result's rows as the server sent them, all in memory.
class postgres_result {
 public:
  [[nodiscard]] std::size_t rows() const noexcept;
  [[nodiscard]] std::size_t columns() const noexcept;
  /// Errors: std::out_of_range, here and below.
  [[nodiscard]] std::string_view name(std::size_t column) const;
  /// The first column of that name.
  [[nodiscard]] std::size_t column(std::string_view name) const;
  /// Rows that an INSERT, UPDATE, DELETE or MERGE changed, that a SELECT gave; else 0.
  [[nodiscard]] std::size_t affected() const noexcept;
  [[nodiscard]] bool is_null(std::size_t row, std::size_t column) const;
  /// As the server wrote it; "" for NULL. Valid for as long as the result is. A bytea is "\x" and hexadecimal digits.
  [[nodiscard]] std::string_view text(std::size_t row, std::size_t column) const;
  /// As bool, an arithmetic type, std::string, std::string_view, or std::optional of one, empty for NULL. Errors:
  /// postgres_error with SQLSTATE 22018 (not of that type, or does not fit) or 22004 (NULL).
  template <class T>
  [[nodiscard]] T get(std::size_t row, std::size_t column) const {
    return convert(row, column, static_cast<T*>(nullptr));
  }

 private:
  friend struct detail::postgres_access;
  explicit postgres_result(pg_result* result) noexcept : result_(result) {}

  [[noreturn]] void not_a(const char* type, std::size_t row, std::size_t column) const;

  template <class T>
  std::optional<T> convert(std::size_t row, std::size_t column, std::optional<T>*) const {
    if (is_null(row, column)) return std::nullopt;
    return convert(row, column, static_cast<T*>(nullptr));
  }
  template <class T>
  T convert(std::size_t row, std::size_t column, T*) const {
    const std::string_view found = text(row, column);
    if (is_null(row, column)) not_a("value", row, column);
    if constexpr (std::same_as<T, bool>) {
      if (found != "t" && found != "f") not_a("bool", row, column);
      return found == "t";
    } else if constexpr (std::is_arithmetic_v<T>) {
      T number{};
      const auto [end, error] = std::from_chars(found.data(), found.data() + found.size(), number);
      if (error != std::errc{} || end != found.data() + found.size()) not_a("number of this type", row, column);
      return number;
    } else {
      return T{found};
    }
  }

  std::unique_ptr<pg_result, detail::clear_postgres_result> result_;
};

/// One statement of a pipeline.
struct postgres_statement {
  /// Parameters as those of `postgres_connection::query`.
  template <class... Params>
  explicit postgres_statement(std::string_view text, const Params&... params)
      : sql(text), parameters{detail::postgres_text(params)...} {}

  std::string sql;
  std::vector<postgres_parameter> parameters;
};

/// One session. Movable, not during an operation. Its destructor closes without blocking; a statement that runs is
/// cancelled.
class postgres_connection {
 public:
  postgres_connection(postgres_connection&&) noexcept;
  postgres_connection& operator=(postgres_connection&&) noexcept;
  ~postgres_connection();

  /// Runs one statement. Parameters stand for $1, $2, ... and are sent apart from it, as text: nullptr, std::nullopt, bool,
  /// arithmetic types, text without NUL bytes, std::optional of these. All is copied before it returns. Errors:
  /// postgres_error; std::invalid_argument for a NUL byte; boost::system::system_error if cancelled. COPY is not supported.
  template <class... Params>
  boost::asio::awaitable<postgres_result> query(std::string_view sql, const Params&... params) {
    return run(postgres_statement{sql, params...});
  }
  /// Runs the statements in one round trip and, unless they say BEGIN or COMMIT, in one transaction: all or none. Errors:
  /// as `query`; the first error of a statement, with its number, after which none of the others were run.
  boost::asio::awaitable<std::vector<postgres_result>> pipeline(std::vector<postgres_statement> statements);

  /// Whether a transaction is open, failed ones included.
  [[nodiscard]] bool in_transaction() const noexcept;
  /// The next reset discards everything that belongs to the session. Known without it after each statement but SELECT,
  /// INSERT, UPDATE, DELETE, MERGE and those of transactions: say it when a SELECT calls a function that changes the
  /// session (set_config, pg_advisory_lock).
  void session_changed() noexcept;
  /// Lost, or in a state that is unknown. Reads nothing from the socket: that is what `validate` does.
  [[nodiscard]] bool is_broken() const noexcept;
  /// Of the server's process, as in pg_stat_activity.
  [[nodiscard]] int backend_pid() const noexcept;

 private:
  friend struct detail::postgres_access;
  friend class postgres_backend;
  struct state;
  explicit postgres_connection(std::unique_ptr<state>) noexcept;
  boost::asio::awaitable<postgres_result> run(postgres_statement statement);

  std::unique_ptr<state> state_;
};

/// Connects a pool to PostgreSQL.
class postgres_backend {
 public:
  using connection = postgres_connection;

  /// libpq's connection strings, one for each endpoint of the pool. Checked when connecting.
  explicit postgres_backend(std::string conninfo) : postgres_backend(std::vector{std::move(conninfo)}) {}
  /// Errors: std::invalid_argument if there is none.
  explicit postgres_backend(std::vector<std::string> conninfos);

  /// Errors: postgres_error with the server's text, also when the deadline has passed; std::out_of_range for an endpoint
  /// that there is not.
  boost::asio::awaitable<postgres_connection> connect(connect_context c);
  /// One round trip that does nothing. Errors: postgres_error.
  boost::asio::awaitable<void> validate(postgres_connection& c);
  /// ROLLBACK if a transaction is open, DISCARD ALL if the session was changed (see session_changed): no round trip if
  /// neither. Errors: postgres_error.
  boost::asio::awaitable<void> reset(postgres_connection& c);
  [[nodiscard]] bool is_broken(const postgres_connection& c) const noexcept { return c.is_broken(); }
  /// Shuts the socket down, from any thread, also during a statement: it fails, and so does all that comes after it.
  static void abort(postgres_connection& c) noexcept;

 private:
  std::vector<std::string> conninfos_;
};

}  // namespace weir::inline v0
