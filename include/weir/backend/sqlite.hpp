#pragma once
/// \file
/// SQLite for a `blocking_pool`: the backend that needs no server.
///
/// ```cpp
/// weir::sqlite_backend backend{"orders.db", {.busy_timeout = std::chrono::milliseconds{500}}};
/// weir::sqlite_connection db = backend.connect({});               // or a pool's lease
/// weir::sqlite_transaction change{db};
/// db.query("UPDATE stock SET n = n - ? WHERE item = ?", 1, "ticket");
/// change.commit();                                                // left out, or thrown through: rolled back
/// auto rows = db.query("SELECT item, n FROM stock");
/// for (std::size_t i = 0; i < rows.rows(); ++i) use(rows.get<std::string>(i, 0), rows.get<int>(i, 1));
/// ```
/// Thread-safety: sqlite_backend's functions may be called by several threads at once; a connection is used by one at a
/// time. Blocking: at most `busy_timeout` for somebody else's lock, and as long as the disk takes. Link weir::sqlite.

#include <weir/pool/backend.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace weir::inline v0 {

/// What SQLite says is wrong. The connection is still usable, unless `is_broken` says otherwise.
class sqlite_error : public std::runtime_error {
 public:
  sqlite_error(int code, const std::string& text) : runtime_error(text), code_(code) {}
  /// The extended code, such as SQLITE_CONSTRAINT_UNIQUE (2067); its low byte is the primary one.
  [[nodiscard]] int code() const noexcept { return code_; }
  /// Somebody else held a lock for longer than busy_timeout (SQLITE_BUSY in any form): worth another attempt.
  [[nodiscard]] bool busy() const noexcept { return (code_ & 0xff) == 5; }

 private:
  int code_;
};

enum class sqlite_synchronous : std::uint8_t {
  off,     ///< a power failure can corrupt the file
  normal,  ///< with a write-ahead log: consistent after a power failure, the last transactions may be lost
  full,    ///< and none is lost
};

struct sqlite_options {
  /// Longest wait for somebody else's lock; >= 0, at most 2^31 - 1 ms. Zero: an error at once.
  std::chrono::milliseconds busy_timeout{1'000};
  bool write_ahead_log = true;  ///< readers and one writer at once; written into the file. Not applied to read_only ones.
  sqlite_synchronous synchronous = sqlite_synchronous::normal;
  bool foreign_keys = true;
  bool read_only = false;              ///< else the file is created where there is none
  std::size_t cached_statements = 64;  ///< prepared statements that a connection keeps, least recently used out first; >= 1
};

/// One field: NULL, INTEGER, REAL, TEXT or BLOB.
using sqlite_value = std::variant<std::monostate, std::int64_t, double, std::string, std::vector<std::byte>>;

/// One parameter; refers to text and blobs of the caller.
using sqlite_parameter = std::variant<std::monostate, std::int64_t, double, std::string_view, std::span<const std::byte>>;

/// A result's rows, copied: valid for as long as it lives, whatever becomes of the connection.
class sqlite_result {
 public:
  [[nodiscard]] std::size_t rows() const noexcept { return names_.empty() ? 0 : cells_.size() / names_.size(); }
  [[nodiscard]] std::size_t columns() const noexcept { return names_.size(); }
  [[nodiscard]] const std::string& name(std::size_t column) const { return names_.at(column); }
  /// Rows that an INSERT, UPDATE or DELETE changed; else 0.
  [[nodiscard]] std::int64_t changed() const noexcept { return changed_; }
  /// Errors: std::out_of_range.
  [[nodiscard]] const sqlite_value& at(std::size_t row, std::size_t column) const {
    if (column >= columns()) throw std::out_of_range("sqlite_result: no column " + std::to_string(column));
    return cells_.at(row * columns() + column);
  }
  /// As an arithmetic type, std::string, std::vector<std::byte>, or std::optional of one, empty for NULL. No conversion but
  /// from integer to floating. Errors: std::out_of_range, also for a number that T can't hold; std::bad_variant_access for
  /// another type or NULL.
  template <class T>
  [[nodiscard]] T get(std::size_t row, std::size_t column) const {
    return convert(at(row, column), static_cast<T*>(nullptr));
  }

 private:
  friend class sqlite_connection;

  template <class T>
  static std::optional<T> convert(const sqlite_value& value, std::optional<T>*) {
    if (std::holds_alternative<std::monostate>(value)) return std::nullopt;
    return convert(value, static_cast<T*>(nullptr));
  }
  template <class T>
  static T convert(const sqlite_value& value, T*) {
    if constexpr (std::floating_point<T>) {
      if (const auto* whole = std::get_if<std::int64_t>(&value)) return static_cast<T>(*whole);
      return static_cast<T>(std::get<double>(value));
    } else if constexpr (std::same_as<T, bool>) {
      return std::get<std::int64_t>(value) != 0;
    } else if constexpr (std::integral<T>) {
      const std::int64_t whole = std::get<std::int64_t>(value);
      if (!std::in_range<T>(whole)) throw std::out_of_range("sqlite_result: " + std::to_string(whole) + " does not fit");
      return static_cast<T>(whole);
    } else {
      return std::get<T>(value);
    }
  }

  std::vector<std::string> names_;
  std::vector<sqlite_value> cells_;  // row by row
  std::int64_t changed_ = 0;
};

namespace detail {

inline sqlite_parameter sqlite_argument(std::nullptr_t) { return {}; }
inline sqlite_parameter sqlite_argument(std::nullopt_t) { return {}; }
inline sqlite_parameter sqlite_argument(std::span<const std::byte> blob) { return blob; }
template <class T>
sqlite_parameter sqlite_argument(const T& value) {
  if constexpr (std::convertible_to<const T&, std::string_view>) {
    return std::string_view{value};
  } else if constexpr (std::floating_point<T>) {
    return static_cast<double>(value);
  } else if constexpr (std::integral<T>) {
    if constexpr (!std::same_as<T, bool>) {
      if (!std::in_range<std::int64_t>(value)) throw std::out_of_range("SQLite's integers have 63 bits and a sign");
    }
    return static_cast<std::int64_t>(value);
  } else {
    return std::span<const std::byte>{value};
  }
}
template <class T>
sqlite_parameter sqlite_argument(const std::optional<T>& value) {
  return value ? sqlite_argument(*value) : sqlite_parameter{};
}

}  // namespace detail

/// One open database. Movable; closing it rolls an open transaction back.
class sqlite_connection {
 public:
  sqlite_connection(sqlite_connection&&) noexcept;
  sqlite_connection& operator=(sqlite_connection&&) noexcept;
  ~sqlite_connection();

  /// Runs one statement, prepared once and kept; parameters stand for `?` in their order: nullptr, std::nullopt, arithmetic
  /// types, text, spans or vectors of bytes, std::optional of these. Errors: sqlite_error; std::invalid_argument if there
  /// is more than one statement, or another number of parameters than it has.
  template <class... Params>
  sqlite_result query(std::string_view sql, const Params&... params) {
    const sqlite_parameter all[]{detail::sqlite_argument(params)..., {}};
    return run(sql, {all, sizeof...(params)});
  }
  /// Runs several statements without parameters, such as a schema. Errors: sqlite_error; those before the wrong one were
  /// run.
  void script(const std::string& sql);

  [[nodiscard]] bool in_transaction() const noexcept;
  /// After an error that does not go away by itself: the file is corrupt, can't be read, or is none of SQLite's.
  [[nodiscard]] bool is_broken() const noexcept;
  [[nodiscard]] std::size_t cached_statements() const noexcept;

 private:
  friend class sqlite_backend;
  struct state;
  explicit sqlite_connection(std::unique_ptr<state>) noexcept;
  sqlite_result run(std::string_view sql, std::span<const sqlite_parameter> parameters);

  std::unique_ptr<state> state_;
};

/// A transaction until the end of the block: rolled back unless committed. It must not outlive the connection.
class sqlite_transaction {
 public:
  /// `write` takes the write lock at once (BEGIN IMMEDIATE): a transaction that reads first and then writes fails with
  /// SQLITE_BUSY, without waiting, if somebody has written meanwhile. `read` takes none.
  enum class kind : std::uint8_t { write, read };
  /// Begins. Errors: sqlite_error.
  explicit sqlite_transaction(sqlite_connection& connection, kind k = kind::write);
  ~sqlite_transaction();
  sqlite_transaction(const sqlite_transaction&) = delete;
  sqlite_transaction& operator=(const sqlite_transaction&) = delete;

  /// Errors: sqlite_error; it is then still open if that was SQLITE_BUSY.
  void commit();

 private:
  sqlite_connection& connection_;
  bool open_ = true;
};

/// Opens `path` for a pool. ":memory:" is a database of its own for each connection.
class sqlite_backend {
 public:
  using connection = sqlite_connection;

  /// Errors: std::invalid_argument naming the option.
  explicit sqlite_backend(std::string path, sqlite_options options = {});

  /// Errors: sqlite_error. Waits for locks no longer than until the deadline.
  [[nodiscard]] sqlite_connection connect(const connect_context& c);
  /// Reads the file's header. Errors: sqlite_error.
  void validate(sqlite_connection& c);
  /// Rolls back what is open. Temporary tables, attached databases and PRAGMAs stay. Errors: sqlite_error.
  void reset(sqlite_connection& c);
  [[nodiscard]] bool is_broken(const sqlite_connection& c) const noexcept { return c.is_broken(); }

 private:
  std::string path_;
  sqlite_options options_;
};

}  // namespace weir::inline v0
