#pragma once
/// \file
/// As much of SQLite as the store of rooms needs. Not thread-safe.

#include <sqlite3.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

namespace weir::inline v0::detail {

/// One row of an answer, while it is there.
class sqlite_row {
 public:
  explicit sqlite_row(sqlite3_stmt* statement) noexcept : statement_(statement) {}

  [[nodiscard]] std::int64_t integer(int column) const noexcept { return sqlite3_column_int64(statement_, column); }
  /// SQLite's integers have a sign: the same 64 bits.
  [[nodiscard]] std::uint64_t bits(int column) const noexcept { return static_cast<std::uint64_t>(integer(column)); }
  [[nodiscard]] std::uint8_t byte(int column) const noexcept { return static_cast<std::uint8_t>(integer(column)); }
  [[nodiscard]] std::string text(int column) const {
    const auto* begin = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return begin == nullptr ? std::string{}
                            : std::string(begin, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
  }
  /// Errors: std::runtime_error for another size.
  template <class T, std::size_t N>
  void array(int column, std::array<T, N>& into) const {
    const void* begin = sqlite3_column_blob(statement_, column);
    if (begin == nullptr || static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)) != sizeof into) {
      throw std::runtime_error("the file is damaged: a blob has another size");
    }
    std::memcpy(into.data(), begin, sizeof into);
  }

 private:
  sqlite3_stmt* statement_;
};

class sqlite_file {
 public:
  /// Created where there is none. Errors of all functions: std::runtime_error in SQLite's words.
  explicit sqlite_file(const std::string& path) {
    sqlite3* opened = nullptr;
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    const int code = sqlite3_open_v2(path.c_str(), &opened, flags, nullptr);
    database_.reset(opened);
    check(code);
  }

  void wait_for_locks(std::chrono::milliseconds most) noexcept {
    sqlite3_busy_timeout(database_.get(), static_cast<int>(most.count()));
  }
  void script(const char* sql) { check(sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr)); }

  /// `row(sqlite_row)` for each; `?` in their order: integers, text as std::string, arrays as blobs.
  template <class F, class... Params>
  void each(const char* sql, F&& row, const Params&... params) {
    sqlite3_stmt* statement = prepared(sql);
    const struct reset_at_end {
      sqlite3_stmt* used;
      ~reset_at_end() { sqlite3_reset(used); }
    } reset{statement};
    int index = 0;
    (bind(statement, ++index, params), ...);
    int step = sqlite3_step(statement);
    for (; step == SQLITE_ROW; step = sqlite3_step(statement)) row(sqlite_row{statement});
    if (step != SQLITE_DONE) check(step);
  }
  template <class... Params>
  void run(const char* sql, const Params&... params) {
    each(sql, [](const sqlite_row&) {}, params...);
  }
  /// Rows, by the last INSERT, UPDATE or DELETE.
  [[nodiscard]] std::int64_t changed() const noexcept { return sqlite3_changes64(database_.get()); }
  [[nodiscard]] bool in_transaction() const noexcept { return sqlite3_get_autocommit(database_.get()) == 0; }

 private:
  struct close_database {
    void operator()(sqlite3* database) const noexcept { sqlite3_close_v2(database); }
  };
  struct finalize_statement {
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
  };
  using statement_handle = std::unique_ptr<sqlite3_stmt, finalize_statement>;

  void check(int code) const {
    if (code == SQLITE_OK) return;
    throw std::runtime_error(database_ ? sqlite3_errmsg(database_.get()) : sqlite3_errstr(code));
  }
  sqlite3_stmt* prepared(std::string_view sql) {
    if (const auto found = statements_.find(sql); found != statements_.end()) return found->second.get();
    sqlite3_stmt* made = nullptr;
    check(sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &made,
                             nullptr));
    return statements_.emplace(sql, statement_handle{made}).first->second.get();
  }

  void bind(sqlite3_stmt* statement, int index, std::int64_t value) { check(sqlite3_bind_int64(statement, index, value)); }
  void bind(sqlite3_stmt* statement, int index, std::uint64_t value) {
    check(sqlite3_bind_int64(statement, index, static_cast<std::int64_t>(value)));
  }
  void bind(sqlite3_stmt* statement, int index, std::uint8_t value) { check(sqlite3_bind_int(statement, index, value)); }
  void bind(sqlite3_stmt* statement, int index, const std::string& text) {
    check(sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8));
  }
  template <class T, std::size_t N>
  void bind(sqlite3_stmt* statement, int index, const std::array<T, N>& blob) {
    check(sqlite3_bind_blob64(statement, index, blob.data(), sizeof blob, SQLITE_STATIC));
  }

  std::unique_ptr<sqlite3, close_database> database_;
  std::unordered_map<std::string_view, statement_handle> statements_;  // by literals; gone before the database
};

/// A write transaction until the end of the block: undone unless committed.
class sqlite_change {
 public:
  explicit sqlite_change(sqlite_file& file) : file_(file) {
    if (file_.in_transaction()) file_.run("ROLLBACK");  // did not work the last time
    file_.run("BEGIN IMMEDIATE");
  }
  sqlite_change(const sqlite_change&) = delete;
  sqlite_change& operator=(const sqlite_change&) = delete;
  // SQLite may have undone it by itself, as after a full disk.
  ~sqlite_change() {
    if (!file_.in_transaction()) return;
    try {
      file_.run("ROLLBACK");
    } catch (...) {  // it is undone by closing at the latest
    }
  }
  void commit() { file_.run("COMMIT"); }

 private:
  sqlite_file& file_;
};

}  // namespace weir::inline v0::detail
