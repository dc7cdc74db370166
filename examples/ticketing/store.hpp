#pragma once
/// \file
/// The database: users with points, one hot stock row, orders. SQLite in WAL mode.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

struct sqlite3;
struct sqlite3_stmt;

namespace ticketing {

enum class store_status {
  ok,
  no_such_user,
  points_full,  ///< the account would exceed what it can hold
  no_points,    ///< the account does not cover the order
  sold_out,     ///< fewer tickets left than ordered
  unavailable,  ///< the database itself failed: locked, read-only, input/output error, full
};

struct store_reply {
  store_status status = store_status::ok;
  std::int64_t value = 0;  ///< user id, balance, order id
  std::int64_t stock = 0;  ///< of an order: tickets left
  std::string message{};   ///< of `unavailable`: SQLite's words
};

/// Cannot be opened: `what()` is a sentence for the user.
struct store_error : std::runtime_error {
  using runtime_error::runtime_error;
};

/// Not thread-safe: one thread owns it. Each function is one transaction; none throws for what the database says.
class store {
 public:
  static constexpr std::int64_t ticket_price = 100;
  static constexpr std::int64_t most_points = 1'000'000'000'000;

  /// Opens or creates. An empty path: a fresh file in the temporary directory, removed by the destructor. Errors:
  /// store_error if it cannot be opened, written, or is locked by somebody else.
  store(const std::string& path, std::int64_t initial_stock, std::chrono::milliseconds busy_timeout);
  ~store();
  store(const store&) = delete;
  store& operator=(const store&) = delete;

  [[nodiscard]] store_reply add_user(std::string_view name, std::string_view password_hash);
  [[nodiscard]] store_reply charge(std::int64_t user, std::int64_t amount);
  [[nodiscard]] store_reply order(std::int64_t user, std::int64_t quantity);

 private:
  struct close_database {
    void operator()(sqlite3*) const noexcept;
  };
  struct finalize_statement {
    void operator()(sqlite3_stmt*) const noexcept;
  };
  using statement = std::unique_ptr<sqlite3_stmt, finalize_statement>;

  void create(std::int64_t initial_stock);
  [[nodiscard]] statement prepare(const char* sql);
  void execute(const char* sql);
  [[nodiscard]] store_reply in_transaction(store_reply (store::*body)(std::int64_t, std::int64_t), std::int64_t,
                                           std::int64_t);
  [[nodiscard]] store_reply charge_in(std::int64_t user, std::int64_t amount);
  [[nodiscard]] store_reply order_in(std::int64_t user, std::int64_t quantity);

  std::string path_;
  std::filesystem::path own_directory_;  // empty, unless the file is ours to remove
  std::unique_ptr<sqlite3, close_database> database_;
  statement begin_, commit_, rollback_, add_user_, user_exists_, charge_, take_stock_, pay_, add_order_;
};

}  // namespace ticketing
