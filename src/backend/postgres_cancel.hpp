#pragma once
/// \file
/// Asking PostgreSQL to cancel a statement. libpq 15 has only PQcancel for that, which connects and then waits for the
/// server to hang up: for ever, if that is paused. So a detached thread does it.

#include <memory>

#include <libpq-fe.h>

namespace weir::inline v0::detail {

/// A request, shared by a connection and the thread that makes it.
class postgres_cancel {
 public:
  /// Starts to make one. Null if 32 threads of this process do so already, or there can't be another.
  static std::shared_ptr<postgres_cancel> start(PGconn* connection) noexcept;

  explicit postgres_cancel(PGconn* connection);
  ~postgres_cancel();
  postgres_cancel(const postgres_cancel&) = delete;
  postgres_cancel& operator=(const postgres_cancel&) = delete;

  /// A descriptor that becomes readable, and stays so, when the server has been told or can't be.
  [[nodiscard]] int made() const noexcept { return made_; }

 private:
  void make() const noexcept;

  struct free_cancel {
    void operator()(PGcancel* cancel) const noexcept { PQfreeCancel(cancel); }
  };
  std::unique_ptr<PGcancel, free_cancel> handle_;
  int made_;
};

}  // namespace weir::inline v0::detail
