#pragma once
/// \file
/// What a room has decided and its store does not know yet, and who waits for that.

#include <weir/room/room_effects.hpp>

#include <cstdint>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

/// Records are numbered from 1, in the order of decision; a store knows all up to some number. Without a store everything
/// is known at once. Not thread-safe.
class room_log {
 public:
  explicit room_log(bool durable) noexcept : durable_(durable) {}

  [[nodiscard]] bool is_durable() const noexcept { return durable_; }
  /// Room for so many more. Errors: std::bad_alloc, and nothing has changed.
  void reserve(std::size_t more) {
    if (durable_ && records_.size() + more > records_.capacity()) records_.reserve(2 * records_.capacity() + more);
  }
  /// Its number. Precondition: reserve().
  std::uint64_t add(const room_record& r) {
    if (!durable_) return 0;
    records_.push_back(r);
    return ++last_;
  }
  [[nodiscard]] bool is_stored(std::uint64_t record) const noexcept { return record <= stored_; }
  [[nodiscard]] bool empty() const noexcept { return records_.empty(); }
  [[nodiscard]] std::uint64_t last() const noexcept { return last_; }
  /// Decided, and not known to the store.
  [[nodiscard]] std::uint64_t unstored() const noexcept { return last_ - stored_; }

  /// All that have not been taken; they become known when `stored` is called with the number that this returns.
  std::uint64_t take(std::vector<room_record>& into) {
    into.clear();
    std::swap(into, records_);
    return last_;
  }
  /// true: `r` waits for its record.
  bool wait(room_request& r) noexcept {
    if (is_stored(r.record)) return false;
    room_request* behind = waiting_.back();
    if (behind == nullptr || behind->record <= r.record) {
      waiting_.push_back(r);
      return true;
    }
    // Somebody asks again for what is on its way already.
    for (behind = waiting_.front(); behind->record <= r.record;) behind = waiting_.after(*behind);
    waiting_.insert_before(*behind, r);
    return true;
  }
  void stored(std::uint64_t upto, intrusive_list<room_request>& ready) noexcept {
    if (upto > stored_) stored_ = upto;
    while (waiting_.front() != nullptr && waiting_.front()->record <= stored_) {
      ready.push_back(*waiting_.pop_front());
    }
  }
  /// Those who wait are told that it may take long.
  void give_up(intrusive_list<room_request>& ready) noexcept {
    while (room_request* r = waiting_.pop_front()) {
      r->answer.why = room_refusal::store;
      ready.push_back(*r);
    }
  }

 private:
  bool durable_;
  std::vector<room_record> records_;
  intrusive_list<room_request> waiting_;  // by record
  std::uint64_t last_ = 0, stored_ = 0;
};

}  // namespace weir::inline v0::detail
