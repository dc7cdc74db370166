#pragma once
/// \file
/// The database: users with points, one hot stock row, orders, the dates of concerts. SQLite or PostgreSQL; whatever is
/// asked takes a connection of one weir::pool.

#include "message.hpp"

#include <weir/pool/pool_config.hpp>
#include <weir/pool/pool_rejection.hpp>
#include <weir/pool/pool_snapshot.hpp>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ticketing {

class worker_pool;

enum class store_status {
  ok,
  no_such_user,
  no_such_concert,
  points_full,  ///< the account would exceed what it can hold
  no_points,    ///< the account does not cover the order
  sold_out,     ///< fewer tickets left than ordered
  unavailable,  ///< the database itself failed: locked, read-only, input/output error, full, gone
  abandoned,    ///< not asked: the server shuts down, or the client has left
};

struct concert_date {
  std::string day;
  std::int64_t seats = 0;
};

struct store_reply {
  store_status status = store_status::ok;
  std::int64_t value = 0;             ///< user id, balance, order id
  std::int64_t stock = 0;             ///< of an order: tickets left
  std::vector<concert_date> dates{};  ///< of a concert
  std::string message{};              ///< of `unavailable`: the database's words
};

/// Cannot be used: `what()` is a sentence for the user.
struct store_error : std::runtime_error {
  using runtime_error::runtime_error;
};

/// For logs: PostgreSQL's words come in several lines.
[[nodiscard]] inline std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  while (text.ends_with(' ')) text.pop_back();
  return text;
}

inline constexpr std::int64_t ticket_price = 100;
inline constexpr std::int64_t most_points = 1'000'000'000'000;

/// A connection of the pool; goes back with this. Each function is one transaction; none throws for what the database says.
/// Cancellation: what has been sent to SQLite is finished first, PostgreSQL is asked to stop.
class store_session {
 public:
  virtual ~store_session() = default;
  virtual task<store_reply> add_user(std::string name, std::string password_hash) = 0;
  virtual task<store_reply> charge(std::int64_t user, std::int64_t amount) = 0;
  virtual task<store_reply> order(std::int64_t user, std::int64_t quantity) = 0;
  virtual task<store_reply> dates(std::int64_t concert) = 0;
};

/// Belongs to the I/O thread.
class store {
 public:
  virtual ~store() = default;

  /// Makes the tables that are missing. Errors: store_error if the database cannot be reached or written.
  virtual task<void> prepare(std::int64_t initial_stock) = 0;
  /// Waits for a connection; `c.tag` must be a literal.
  virtual task<weir::pool_result<std::unique_ptr<store_session>>> session(weir::call c) = 0;
  [[nodiscard]] virtual weir::pool_snapshot pool() const = 0;
  /// Who waits for a connection is told, and nobody gets one any more.
  virtual void close() noexcept = 0;
  /// Closes the connections; then nothing of this keeps the io_context running. Precondition: no session is out.
  virtual void end() noexcept = 0;
};

/// An empty path: a fresh file in the temporary directory, removed by the destructor. SQLite blocks, so it is asked on
/// `worker`, which must outlive the store.
[[nodiscard]] std::unique_ptr<store> sqlite_store(const std::string& path, const weir::pool_config&, executor_type,
                                                  worker_pool& worker);
/// `url`: "postgres://user:password@host/database", see libpq.
[[nodiscard]] std::unique_ptr<store> postgres_store(const std::string& url, const weir::pool_config&, executor_type);

}  // namespace ticketing
