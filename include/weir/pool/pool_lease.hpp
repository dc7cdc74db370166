#pragma once
/// \file
/// `pool_lease`: a connection of a pool, as its user has it.

#include <weir/core/admission.hpp>
#include <weir/core/time.hpp>
#include <weir/pool/pool_effects.hpp>

#include <source_location>
#include <string_view>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {
namespace detail {

template <class, class, clock_source, class>
class pool_shell;

}  // namespace detail

/// A connection for as long as this lives: goes back to its pool when it is destroyed, also by an exception. Move-only; a
/// moved-from one is empty. Not thread-safe by itself. Keeps what it needs of the pool alive: it may outlive the pool's
/// handle, and its connection is closed when it comes back then.
template <class Shell>
class [[nodiscard]] pool_lease {
 public:
  using connection = typename Shell::connection;

  pool_lease(pool_lease&& other) noexcept : slot_(std::exchange(other.slot_, nullptr)) {}
  pool_lease& operator=(pool_lease&& other) noexcept {
    if (this == &other) return *this;
    release();
    slot_ = std::exchange(other.slot_, nullptr);
    return *this;
  }
  ~pool_lease() { release(); }

  [[nodiscard]] connection& operator*() const noexcept { return *slot_->conn; }
  [[nodiscard]] connection* operator->() const noexcept { return &*slot_->conn; }
  [[nodiscard]] explicit operator bool() const noexcept { return slot_ != nullptr; }

  /// Back to the pool, which resets it before the next user, if the backend can.
  void release() noexcept { end(give_back::used); }
  /// Back to the pool as it is: there is nothing to reset.
  void release_clean() noexcept { end(give_back::clean); }
  /// It is of no use any more: the pool closes it, and takes it for broken: some such within a moment, and the others are
  /// not trusted either (pool_config.purge_after). What works, but is not wanted, is taken out by `detach`. `why`: for its
  /// event; cut off after 31 bytes.
  void discard(std::string_view why = {}) noexcept {
    if (slot_ != nullptr) slot_->note[why.copy(slot_->note, detail::fitting(why, sizeof slot_->note - 1))] = '\0';
    end(give_back::discard);
  }
  /// Takes the connection out of the pool, which may open another one in its place. Errors: what its move throws; it is
  /// closed then.
  [[nodiscard]] connection detach() noexcept(std::is_nothrow_move_constructible_v<connection>) {
    slot_->shell->prepare_to_detach(*slot_);
    if constexpr (std::is_nothrow_move_constructible_v<connection>) {
      return take_out();
    } else {
      try {
        return take_out();
      } catch (...) {
        discard("its move has failed");
        throw;
      }
    }
  }
  /// Leaves a trace of where its user was last, for reports of leaks.
  void touch(const std::source_location& where = std::source_location::current()) noexcept {
    slot_->touch(where);
    if constexpr (requires(Shell& shell) { shell.touched(*slot_); }) slot_->shell->touched(*slot_);
  }

  // As a permit: how a call ended says nothing about the connection (the backend's `is_broken` does).
  void release(const completion&) noexcept { release(); }
  void release(outcome) noexcept { release(); }
  /// It was not used.
  void cancel() noexcept { end(give_back::clean); }

 private:
  template <class, class, clock_source, class>
  friend class detail::pool_shell;
  using slot_type = typename Shell::slot_type;

  explicit pool_lease(slot_type& slot) noexcept : slot_(&slot) {}

  void end(give_back how) noexcept {
    if (slot_type* slot = std::exchange(slot_, nullptr)) slot->shell->give_back(*slot, how);
  }
  connection take_out() {
    connection taken = std::move(*slot_->conn);
    slot_->conn.reset();
    end(give_back::detached);
    return taken;
  }
  slot_type* let_go() noexcept { return std::exchange(slot_, nullptr); }

  slot_type* slot_;
};

}  // namespace weir::inline v0
