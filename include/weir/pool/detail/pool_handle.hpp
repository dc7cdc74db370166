#pragma once
/// \file
/// What the handles of all pools offer.

#include <weir/core/admission.hpp>
#include <weir/pool/detail/pool_shell.hpp>
#include <weir/pool/pool_config.hpp>
#include <weir/pool/pool_explanation.hpp>
#include <weir/pool/pool_snapshot.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <source_location>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

/// Ends what it owns (`end()`) when it goes, and may be moved.
template <class State>
class pool_owner {
 protected:
  explicit pool_owner(std::shared_ptr<State> state) noexcept : state_(std::move(state)) {}
  pool_owner(pool_owner&&) noexcept = default;
  pool_owner& operator=(pool_owner&& other) noexcept {
    if (this == &other) return *this;
    finish();
    state_ = std::move(other.state_);
    return *this;
  }
  ~pool_owner() { finish(); }

  std::shared_ptr<State> state_;

 private:
  void finish() noexcept {
    if (state_ != nullptr) std::exchange(state_, nullptr)->end();
  }
};

/// Owns a pool: closes it when it goes. Thread-safe but for that and for being moved.
template <class State>
class pool_handle : public pool_owner<State> {
 public:
  using connection = typename State::connection;
  using lease = pool_lease<State>;

  /// Never waits. Errors: over_capacity (also if one has to be asked first whether it is alive), backend_down, suspended,
  /// expired, closed. No lock where this thread takes again what it gave back last.
  [[nodiscard]] pool_result<lease> try_acquire(
      const call& c = {}, const std::source_location& where = std::source_location::current()) noexcept {
    return state_->try_acquire({c, where});
  }

  /// Nobody is served; those who wait, wait on, and their deadlines with them. Connections in use come back.
  void suspend() noexcept { state_->suspend(); }
  void resume() noexcept { state_->resume(); }
  /// No connection that exists now is used again: idle ones are closed, those in use when they come back. `why`: for the
  /// event of it; cut off after 31 bytes.
  void invalidate(std::string_view why = {}) noexcept { state_->invalidate(why); }
  /// Nobody gets a connection any more; waiters are told so, idle connections are closed, those in use when they come back,
  /// attempts to connect are given up. Waits for nothing.
  void close() noexcept { state_->close(); }
  /// Live; what cannot be changed is said. Errors: std::bad_alloc.
  std::optional<config_error> reconfigure(const pool_config& config) { return state_->reconfigure(config); }

  [[nodiscard]] pool_snapshot snapshot() const { return state_->snapshot(); }
  [[nodiscard]] pool_histograms histograms() const { return state_->histograms(); }
  /// Where tenants have shares: the waits of each, of at most 64, and of all others together, who come first. Errors:
  /// std::bad_alloc.
  [[nodiscard]] std::vector<pool_tenant> tenants() const { return state_->tenants(); }
  /// Every connection, who has it and since when, the latest events: `to_json(pool.explain())`. Errors: std::bad_alloc.
  [[nodiscard]] pool_explanation explain() const { return state_->explain(); }
  /// How large it should be for all but 1 % of its users to wait less than `target`, or why not to grow. Errors:
  /// std::bad_alloc. Complexity: O(size advised).
  [[nodiscard]] pool_advice advice(duration target = std::chrono::milliseconds{20}) const { return state_->advice(target); }
  [[nodiscard]] time_point now() const noexcept { return state_->now(); }
  [[nodiscard]] weir::name name() const noexcept { return state_->name(); }
  [[nodiscard]] auto& backend() noexcept { return state_->backend(); }

 protected:
  explicit pool_handle(std::shared_ptr<State> state) : pool_owner<State>(std::move(state)) { state_->begin(); }
  pool_handle(pool_handle&&) noexcept = default;
  pool_handle& operator=(pool_handle&&) noexcept = default;
  ~pool_handle() = default;

  using pool_owner<State>::state_;
};

}  // namespace weir::inline v0::detail
