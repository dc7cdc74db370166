#pragma once
/// \file
/// What the two databases have in common: the pool.

#include "store.hpp"

#include <weir/asio/pool.hpp>

#include <optional>
#include <utility>

namespace ticketing {

template <weir::pool_backend Backend>
class pooled_store : public store {
 public:
  using lease = typename weir::pool<Backend, executor_type>::lease;

  pooled_store(executor_type executor, Backend backend, const weir::pool_config& config)
      : pool_(std::in_place, executor, std::move(backend), config) {}

  task<weir::pool_result<std::unique_ptr<store_session>>> session(weir::call c) override {
    auto taken = co_await pool_->template co_acquire<executor_type>(c);
    if (!taken) co_return taken.error();
    co_return session_of(std::move(*taken));
  }
  [[nodiscard]] weir::pool_snapshot pool() const override { return pool_ ? pool_->snapshot() : last_; }
  void close() noexcept override {
    if (pool_) pool_->close();
  }
  void end() noexcept override {
    if (!pool_) return;
    last_ = pool_->snapshot();
    pool_.reset();
  }

 protected:
  virtual std::unique_ptr<store_session> session_of(lease) = 0;
  /// A connection for `prepare`. Errors: store_error with what the database said.
  task<lease> first_lease(std::string what) {
    const weir::call c{.deadline = weir::later(pool_->now(), std::chrono::seconds{10}), .tag = "prepare"};
    auto taken = co_await pool_->template co_acquire<executor_type>(c);
    // --acquire-timeout may be shorter than it takes to connect.
    while (!taken && taken.error() == weir::errc::wait_timeout && pool_->now() < c.deadline) {
      taken = co_await pool_->template co_acquire<executor_type>(c);
    }
    if (taken) co_return std::move(*taken);
    const weir::pool_evidence* seen = taken.error().evidence();
    const bool told = seen != nullptr && seen->last_failure != nullptr;
    throw store_error("cannot use the database " + what + ": " +
                      one_line(told ? seen->last_failure->text : taken.error().message()));
  }

 private:
  std::optional<weir::pool<Backend, executor_type>> pool_;
  weir::pool_snapshot last_;
};

}  // namespace ticketing
