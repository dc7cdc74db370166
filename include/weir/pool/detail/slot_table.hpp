#pragma once
/// \file
/// Where each place of a pool is: which are vacant, which are idle and in what order, which are open. Not thread-safe, but
/// for what open slots are for.

#include <weir/pool/pool_slot.hpp>

#include <array>
#include <cassert>
#include <cstdint>
#include <vector>

namespace weir::inline v0::detail {

class slot_table {
 public:
  slot_table() noexcept = default;
  slot_table(const slot_table&) = delete;
  slot_table& operator=(const slot_table&) = delete;
  ~slot_table() {
    while (vacant_.pop_front() != nullptr) {
    }
    while (idle_.pop_front() != nullptr) {
    }
  }

  /// `all`: the old ones first, then new ones, which are vacant. Takes its storage, gives the old storage.
  void grow(std::vector<pool_slot*>& all) noexcept {
    for (std::size_t i = slots_.size(); i < all.size(); ++i) {
      all[i]->id = static_cast<std::uint32_t>(i);
      vacant_.push_back(*all[i]);
      ++number(slot_state::vacant);
    }
    slots_.swap(all);
  }

  [[nodiscard]] const std::vector<pool_slot*>& slots() const noexcept { return slots_; }
  [[nodiscard]] std::uint32_t occupied() const noexcept {
    return static_cast<std::uint32_t>(slots_.size()) - count(slot_state::vacant) - count(slot_state::lost);
  }
  /// Of open slots, those in use at the moment. Complexity: O(open slots).
  [[nodiscard]] std::uint32_t open_in_use() const noexcept {
    if (open_ == 0) return 0;
    std::uint32_t n = 0;
    for (const pool_slot* slot = idle_.front(); slot != nullptr; slot = idle_.after(*slot)) {
      n += slot->is_open() && slot->state() == slot_state::in_use ? 1 : 0;
    }
    return n;
  }
  /// How many there are in a state, if `open_in_use` of the open ones are in use.
  [[nodiscard]] std::uint32_t in_state(slot_state s, std::uint32_t open_in_use) const noexcept {
    if (s == slot_state::in_use) return count(s) + open_in_use;
    if (s == slot_state::idle) return count(s) + open_ - open_in_use;
    return count(s);
  }
  [[nodiscard]] std::uint32_t in_state(slot_state s) const noexcept { return in_state(s, open_in_use()); }
  /// Have a connection that is not being closed.
  [[nodiscard]] std::uint32_t alive() const noexcept {
    return occupied() - count(slot_state::connecting) - count(slot_state::closing);
  }
  /// Have a connection that can be used, or is.
  [[nodiscard]] std::uint32_t warm() const noexcept { return count(slot_state::idle) + count(slot_state::in_use) + open_; }
  [[nodiscard]] std::uint32_t open_count() const noexcept { return open_; }

  /// Precondition: there is one. It has to be given another state.
  pool_slot& take_vacant() noexcept { return *vacant_.pop_front(); }

  /// `slot` is in no list and not open.
  void become(pool_slot& slot, slot_state s) noexcept {
    assert(!slot.is_linked() && !slot.is_open());
    --number(slot.state());
    ++number(s);
    slot.set_state(s);
    if (s == slot_state::vacant) vacant_.push_front(slot);
  }

  /// Becomes idle, the first or the last to be used; `open`: may be taken and put back without the lock.
  void park(pool_slot& slot, bool first, bool open) noexcept {
    become(slot, slot_state::idle);
    first ? idle_.push_front(slot) : idle_.push_back(slot);
    if (open) open_up(slot);
  }
  /// Becomes idle where it was, by the time since when it has been. Precondition: none is open. Complexity: O(idle).
  void park_in_order(pool_slot& slot) noexcept {
    become(slot, slot_state::idle);
    pool_slot* behind = idle_.front();
    while (behind != nullptr && behind->idle_since > slot.idle_since) behind = idle_.after(*behind);
    behind == nullptr ? idle_.push_back(slot) : idle_.insert_before(*behind, slot);
  }
  /// The idle one that is first, taken off the list and not open; nullptr: none is idle.
  pool_slot* next_idle() noexcept {
    while (pool_slot* slot = idle_.front()) {
      if (slot->is_open()) shut(*slot);
      idle_.erase(*slot);
      if (slot->state() == slot_state::idle) return slot;
    }
    return nullptr;
  }
  /// Takes an idle one off the list. Precondition: not open.
  void take_idle(pool_slot& slot) noexcept { idle_.erase(slot); }
  /// Off the list: what was open is in use. By its holder.
  void leave(pool_slot& slot) noexcept {
    shut(slot);
    idle_.erase(slot);
  }

  /// No slot is open any more; those in use are off the list.
  void shut_all() noexcept {
    for (pool_slot* slot = open_ == 0 ? nullptr : idle_.front(); slot != nullptr;) {
      pool_slot* next = idle_.after(*slot);
      if (slot->is_open() && shut(*slot) == slot_state::in_use) idle_.erase(*slot);
      slot = next;
    }
  }
  /// All that are idle are open. Precondition: none was.
  void open_all() noexcept {
    for (pool_slot* slot = idle_.front(); slot != nullptr; slot = idle_.after(*slot)) open_up(*slot);
  }

  [[nodiscard]] pool_slot* first_idle() const noexcept { return idle_.front(); }
  [[nodiscard]] pool_slot* idle_after(const pool_slot& slot) const noexcept { return idle_.after(slot); }
  [[nodiscard]] std::uint32_t count(slot_state s) const noexcept { return counts_[static_cast<std::size_t>(s)]; }

 private:
  std::uint32_t& number(slot_state s) noexcept { return counts_[static_cast<std::size_t>(s)]; }

  void open_up(pool_slot& slot) noexcept {
    --number(slot_state::idle);
    ++open_;
    slot.open();
  }
  slot_state shut(pool_slot& slot) noexcept {
    const slot_state s = slot.shut();
    --open_;
    ++number(s);
    return s;
  }

  std::vector<pool_slot*> slots_;
  intrusive_list<pool_slot> vacant_;
  intrusive_list<pool_slot> idle_;  // and those in use that were open when they were taken
  // Of those that are not open.
  std::array<std::uint32_t, slot_state_count> counts_{};
  std::uint32_t open_ = 0;
};

}  // namespace weir::inline v0::detail
