#pragma once
/// \file
/// The decisions of a waiting queue without its lock, clock, timer and threads: who waits, in which order, who is refused
/// at the door, who gets what came back, and whose time is up. `basic_wait_queue` is its shell; the simulator is another.
///
/// ```cpp
/// weir::ready_list out;
/// if (auto why = core.enqueue(node, now)) return *why;
/// while (free > 0 && core.grant(now, out)) --free;
/// weir::complete_all(out);                            // after unlocking
/// ```
/// Not thread-safe: the caller holds a lock. What ends up in `out` is completed after unlocking.

#include <weir/core/detail/int128.hpp>
#include <weir/core/error.hpp>
#include <weir/queue/detail/congestion.hpp>
#include <weir/queue/detail/hand_off_rate.hpp>
#include <weir/queue/detail/priority_lanes.hpp>
#include <weir/queue/discipline.hpp>
#include <weir/queue/wait_node.hpp>
#include <weir/queue/wait_prediction.hpp>
#include <weir/queue/wait_queue_storage.hpp>
#include <weir/stats/histogram.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <optional>
#include <utility>

namespace weir::inline v0 {

/// A line in one of five orders, with a deadline for each; bounded.
///
/// Memory: 16 to 24 bytes per place, 130 per tenant and 5.3 KB for each of the first 64, 105 KB for the five wait
/// histograms; nothing is allocated after construction. Complexity: O(1) in every order (tenants whose calls differ in
/// cost: amortised), and O(log n) where a waiter's deadline is before that of one who came earlier. An older `now` counts
/// as the latest one seen.
class wait_queue_core {
 public:
  struct counts {
    std::array<std::uint64_t, wait_outcome_count> ended{};                           ///< by wait_outcome
    std::uint64_t queue_full = 0, expired = 0, would_miss_deadline = 0, closed = 0;  ///< refused at the door
    std::uint64_t quota = 0;   ///< refused at the door: too many of the same tenant
    std::uint64_t probes = 0;  ///< let in although the prediction was against it
  };

  /// Precondition: the discipline is valid. Errors: std::bad_alloc.
  explicit wait_queue_core(std::uint32_t capacity, wait_prediction prediction = {}, const queue_discipline& discipline = {})
      : kept_(capacity, discipline), capacity_(capacity), predict_(prediction.on), rate_(prediction.tau) {
    follow(discipline);
  }
  wait_queue_core(const wait_queue_core&) = delete;
  wait_queue_core& operator=(const wait_queue_core&) = delete;

  /// Nothing: `node` waits. Else why not: closed, expired, queue_full, quota, would_miss_deadline; counted here.
  /// `earliest`: when it would be served, where that is known exactly.
  [[nodiscard]] std::optional<errc> enqueue(wait_node& node, time_point now, time_point earliest = never) noexcept {
    assert(node.where != wait_node::state::waiting && node.complete != nullptr);
    now = pass(now);
    if (closed_) return refuse(counts_.closed, errc::closed);
    if (node.deadline <= now) return refuse(counts_.expired, errc::expired);
    if (size_ >= capacity_) return refuse(counts_.queue_full, errc::queue_full);
    if (order_ == queue_order::tenants && !kept_.tenants_->has_place(node.tenant))
      return refuse(counts_.quota, errc::quota);
    if (predict_ && node.deadline != never && misses_deadline(node, now, earliest)) {
      return refuse(counts_.would_miss_deadline, errc::would_miss_deadline);
    }
    if (size_ == 0) {
      tell_rate(now);
      moved_ = now;
    }
    node.enqueued = now;
    node.where = wait_node::state::waiting;
    line_.push_back(node);
    ++size_;
    cost_ += node.cost;
    waited_ -= now.time_since_epoch().count();
    if (order_ > queue_order::lifo) [[unlikely]]
      joined(node);
    if (node.deadline != never) {
      kept_.deadlines_.push(node);
      due_ = std::min(due_, node.deadline);
    }
    return std::nullopt;
  }

  /// Whose turn it is; all whose time is up, and who is to be shed, go to `out`. nullptr: nobody waits, or no tenant that
  /// does may have more. The same again for the same `now`, if nothing else has happened.
  [[nodiscard]] wait_node* front(time_point now, ready_list& out) noexcept {
    expire(now, out);
    return first();
  }

  /// Gives `front` its turn: it is returned and goes to `out`. Never after its deadline. nullptr: as `front`.
  wait_node* grant(time_point now, ready_list& out) noexcept {
    wait_node* chosen = front(now, out);
    if (chosen == nullptr) return nullptr;
    if (order_ == queue_order::tenants) [[unlikely]]
      kept_.tenants_->charge(*chosen);
    rate_.handed_off(chosen->cost);
    moved_ = now_;
    end(*chosen, wait_outcome::granted, now_, out);
    codel_.granted(chosen->waited);
    return chosen;
  }

  /// Takes `node` out for the sake of the others. Precondition: it waits here.
  void shed(wait_node& node, time_point now, ready_list& out) noexcept { end(node, wait_outcome::shed, pass(now), out); }
  /// Takes everybody out, the oldest first.
  void shed_all(time_point now, ready_list& out) noexcept { end_all(wait_outcome::shed, pass(now), out); }

  /// Its owner gives up: `node` goes to `out`. false: its wait has already ended, and `complete` is or was called with
  /// that.
  [[nodiscard]] bool cancel(wait_node& node, time_point now, ready_list& out) noexcept {
    if (node.where != wait_node::state::waiting) return false;
    end(node, wait_outcome::cancelled, pass(now), out);
    return true;
  }

  /// As `cancel`, but `complete` will not be called: true gives the node back to its owner.
  [[nodiscard]] bool unlink(wait_node& node, time_point now) noexcept {
    if (node.where != wait_node::state::waiting) return false;
    take_out(node, wait_outcome::cancelled, pass(now));
    return true;
  }

  /// All whose time is up go to `out`, and all who are to be shed.
  void expire(time_point now, ready_list& out) noexcept {
    now = pass(now);
    if (somebody_leaves_) [[unlikely]]
      send_away(now, out);
  }

  /// Everybody leaves, nobody comes in again.
  void close(time_point now, ready_list& out) noexcept {
    closed_ = true;
    end_all(wait_outcome::closed, pass(now), out);
  }

  /// When `expire` has something to do next; `never`: nothing.
  [[nodiscard]] time_point next_event() const noexcept { return std::min(kept_.deadlines_.next(), next_shedding()); }
  /// The same without deadlines.
  [[nodiscard]] time_point next_shedding() const noexcept {
    const time_point since = oldest();
    return since == never ? never : codel_.next_event(since);
  }

  /// What a newcomer of this cost would wait; in all orders but fifo: would wait at least. Nothing while there is too
  /// little evidence.
  [[nodiscard]] std::optional<duration> predicted_wait(std::uint32_t cost, time_point now, std::uint8_t priority = 0,
                                                       std::uint32_t tenant = 0) noexcept {
    now = pass(now);
    const double ns = predicted_ns(cost, now, priority, tenant);
    if (ns < 0) return std::nullopt;
    return ns >= 9e18 ? duration::max() : duration{static_cast<duration::rep>(ns)};
  }

  // ---- order tenants, where the owner reports what they have; else of no effect -------------------------------------

  /// What the owner can hand out in all: free is what is not in use of it. Until this is called, reservations are not kept
  /// free. Precondition: no less than all reservations together; who costs more than its tenant's max_in_use, or than is
  /// not reserved for others, is not let in.
  void set_capacity_of_owner(std::uint32_t slots) noexcept {
    if (kept_.tenants_) kept_.tenants_->set_capacity(slots);
  }
  /// Whether the owner may hand out `cost` now, without regard to those who wait.
  [[nodiscard]] bool may_take(std::uint32_t tenant, std::uint32_t cost) const noexcept {
    return !kept_.tenants_ || kept_.tenants_->may_take(tenant, cost);
  }
  /// The owner has handed out `cost`, also after a `grant`, and before it asks for the next.
  void took(std::uint32_t tenant, std::uint32_t cost) noexcept {
    if (kept_.tenants_) kept_.tenants_->took(tenant, cost);
  }
  void gave_back(std::uint32_t tenant, std::uint32_t cost) noexcept {
    if (kept_.tenants_) kept_.tenants_->gave_back(tenant, cost);
  }
  /// How many of those who wait could be served, were there as many free as the owner can hand out: caps and reservations
  /// keep the others back. Precondition: every call costs 1.
  [[nodiscard]] std::uint32_t servable() const noexcept { return kept_.tenants_ ? kept_.tenants_->servable() : size_; }
  /// Their waits, each by itself; nullptr: another order. Under the lock; but for the histograms in it, which may be read
  /// without it until the next `reconfigure`.
  [[nodiscard]] const detail::tenant_lanes* tenants() const noexcept { return kept_.tenants_.get(); }
  /// What was taken and not given back. Tenants that are not listed: by all of them.
  [[nodiscard]] std::uint64_t in_use(std::uint32_t tenant) const noexcept {
    return kept_.tenants_ ? kept_.tenants_->in_use(tenant) : 0;
  }

  // ---- looking at it -----------------------------------------------------------------------------------------------

  /// Whose turn it is, as far as time has come; nullptr: as `front`.
  [[nodiscard]] wait_node* first() noexcept { return order_ == queue_order::fifo ? line_.front() : pick(); }
  /// Who has waited for longest; nullptr: nobody waits.
  [[nodiscard]] const wait_node* longest() const noexcept { return line_.front(); }
  /// Who lined up next after `node`, which waits here; nullptr: nobody.
  [[nodiscard]] wait_node* behind(const wait_node& node) const noexcept { return line_.after(node); }
  [[nodiscard]] queue_order order() const noexcept { return order_; }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] bool is_closed() const noexcept { return closed_; }
  /// CoDel has found the line slow: who waits for too long is being shed.
  [[nodiscard]] bool is_slow() const noexcept { return codel_.is_slow(); }
  /// The cost of all who wait.
  [[nodiscard]] std::uint64_t waiting_cost() const noexcept { return cost_; }
  [[nodiscard]] duration oldest_wait(time_point now) const noexcept {
    const time_point since = oldest();
    return since == never ? duration::zero() : std::max(duration::zero(), elapsed(since, now));
  }
  /// Hand-offs per second while somebody waited, in cost; 0: unknown.
  [[nodiscard]] double hand_off_rate() const noexcept { return known(now_).per_second(); }
  /// Seconds waited by all together until `now`: its increase per second is the mean length of the queue.
  [[nodiscard]] double waiter_seconds(time_point now) noexcept {
    now = pass(now);
    return static_cast<double>(waited_ + detail::int128{now.time_since_epoch().count()} * size_) / 1e9;
  }
  [[nodiscard]] const counts& totals() const noexcept { return counts_; }
  /// How long the waits that ended so lasted. The one function that may be called without the lock.
  [[nodiscard]] const recording_histogram& waits(wait_outcome ended) const noexcept { return waits_[index(ended)]; }

  /// How many can wait without more storage.
  [[nodiscard]] std::size_t room() const noexcept { return kept_.deadlines_.room(); }

  /// A smaller capacity lets those who wait stay; they are put into the new order as they came, in O(waiting). CoDel and
  /// overload start afresh. What tenants have in use carries over; where it is reported, the order and the list of tenants
  /// must stay as they are. `storage`, which the caller allocates before it locks (for `capacity` and this discipline),
  /// gets the old one, to be freed after unlocking. Precondition: the discipline is valid.
  void reconfigure(std::uint32_t capacity, wait_prediction prediction, const queue_discipline& discipline,
                   wait_queue_storage& storage) noexcept {
    for (wait_node* node = line_.front(); node != nullptr; node = line_.after(*node)) left(*node);
    // Never less room than there was: those who wait stay.
    if (storage.deadlines_.room() > room()) {
      storage.deadlines_.take_over(kept_.deadlines_);
      std::swap(storage.deadlines_, kept_.deadlines_);
    }
    if (storage.tenants_ && kept_.tenants_) storage.tenants_->take_over(*kept_.tenants_);
    std::swap(storage.tenants_, kept_.tenants_);
    capacity_ = capacity;
    predict_ = prediction.on;
    rate_.set_window(prediction.tau);
    due_ = read_clock;
    follow(discipline);
    for (wait_node* node = line_.front(); node != nullptr; node = line_.after(*node)) joined(*node);
  }

 private:
  static std::size_t index(wait_outcome ended) noexcept { return static_cast<std::size_t>(ended); }

  static errc refuse(std::uint64_t& count, errc why) noexcept {
    ++count;
    return why;
  }

  void follow(const queue_discipline& discipline) noexcept {
    order_ = discipline.order;
    priorities_.set_aging(discipline.aging);
    overload_ = detail::overload{discipline.codel};
    codel_ = detail::codel{discipline.codel, now_};
  }

  /// Since when the oldest waits.
  [[nodiscard]] time_point oldest() const noexcept {
    const wait_node* first = line_.front();
    return first == nullptr ? never : first->enqueued;
  }

  /// Lets time pass up to `now`, never back.
  time_point pass(time_point now) noexcept {
    if (now <= now_) return now_;
    if (now >= due_) [[unlikely]]
      see_to_time(now);
    return now_ = now;
  }
  /// What is not worth looking at each time, or never happens where all is well.
  [[gnu::noinline]] void see_to_time(time_point now) noexcept {
    tell_rate(now);
    if (now >= codel_.ends()) codel_.turn(now, oldest());
    somebody_leaves_ = codel_.is_slow() || kept_.deadlines_.next() <= now;
    due_ = std::min({later(now, rate_.put_off()), codel_.ends(), somebody_leaves_ ? never : kept_.deadlines_.next()});
  }
  /// To be called before somebody comes to an empty line or leaves it empty.
  void tell_rate(time_point now) noexcept {
    if (told_ != read_clock) rate_.pass(elapsed(told_, now), size_ != 0);
    told_ = now;
  }

  [[gnu::noinline]] bool has_place(std::uint32_t tenant) const noexcept { return kept_.tenants_->has_place(tenant); }
  [[gnu::noinline]] wait_node* pick() noexcept {
    switch (order_) {
      case queue_order::fifo: return line_.front();
      case queue_order::lifo: return line_.back();
      case queue_order::adaptive_lifo: return overload_.is_on(now_) ? line_.back() : line_.front();
      case queue_order::priority: return priorities_.pick();
      case queue_order::tenants: return kept_.tenants_->pick();
    }
    return nullptr;
  }

  /// The cost of those who will certainly go before a newcomer; in order fifo: of all who will.
  [[nodiscard]] std::uint64_t ahead_of(std::uint8_t priority, std::uint32_t tenant) const noexcept {
    switch (order_) {
      case queue_order::fifo: return cost_;
      case queue_order::priority: return priorities_.ahead_of(priority);
      case queue_order::tenants: return kept_.tenants_->ahead_of(tenant);
      default: return 0;
    }
  }

  [[nodiscard]] detail::hand_off_rate::evidence known(time_point now) const noexcept {
    return rate_.known(size_ != 0 ? elapsed(told_, now) : duration::zero());
  }
  /// Negative: too little evidence.
  [[nodiscard, gnu::always_inline]] double predicted_ns(std::uint32_t cost, time_point now, std::uint8_t priority,
                                                        std::uint32_t tenant) const noexcept {
    const auto rate = known(now);
    if (!rate.is_enough()) return -1;
    const double wait = rate.time_for(static_cast<double>(static_cast<std::int64_t>(ahead_of(priority, tenant) + cost)));
    if (order_ != queue_order::fifo || size_ == 0) return wait;
    if (!rate.is_late(elapsed(moved_, now), wait_prediction::stale_after)) return wait;
    return std::max(wait, static_cast<double>(oldest_wait(now).count()));
  }

  [[gnu::noinline]] bool misses_deadline(const wait_node& node, time_point now, time_point earliest) noexcept {
    if (earliest != never) return earliest >= node.deadline;  // exact: needs no evidence and no probes
    if (size_ == 0) return false;
    const double needed = predicted_ns(node.cost, now, node.priority, node.tenant) * wait_prediction::margin;
    if (needed <= static_cast<double>(elapsed(now, node.deadline).count())) return false;
    if (++doubtful_ % wait_prediction::probe_every != 0) return true;
    ++counts_.probes;
    return false;
  }

  /// What the orders other than fifo and lifo keep beside the line.
  [[gnu::noinline]] void joined(wait_node& node) noexcept {
    switch (order_) {
      case queue_order::adaptive_lifo:
        if (line_.front() == &node) overload_.oldest_is(node.enqueued, now_);
        break;
      case queue_order::priority: priorities_.push(node); break;
      case queue_order::tenants: kept_.tenants_->push(node); break;
      default: break;
    }
  }
  [[gnu::noinline]] void left(wait_node& node) noexcept {
    switch (order_) {
      case queue_order::adaptive_lifo: overload_.oldest_is(oldest(), now_); break;
      case queue_order::priority: priorities_.erase(node); break;
      case queue_order::tenants: kept_.tenants_->erase(node); break;
      default: break;
    }
  }

  void end(wait_node& node, wait_outcome how, time_point now, ready_list& out) noexcept {
    take_out(node, how, now);
    out.push_back(node);
  }
  [[gnu::noinline]] void send_away(time_point now, ready_list& out) noexcept {
    while (kept_.deadlines_.next() <= now) end(kept_.deadlines_.front(), wait_outcome::timed_out, now, out);
    while (wait_node* oldest = line_.front()) {
      if (!codel_.sheds(oldest->enqueued, now)) break;
      end(*oldest, wait_outcome::shed, now, out);
    }
    somebody_leaves_ = codel_.is_slow();
    due_ = std::min(due_, kept_.deadlines_.next());
  }
  void end_all(wait_outcome how, time_point now, ready_list& out) noexcept {
    while (wait_node* oldest = line_.front()) end(*oldest, how, now, out);
  }

  void take_out(wait_node& node, wait_outcome how, time_point now) noexcept {
    if (size_ == 1) tell_rate(now);
    line_.erase(node);
    --size_;
    cost_ -= node.cost;
    waited_ += now.time_since_epoch().count();
    node.waited = elapsed(node.enqueued, now);
    if (order_ > queue_order::lifo) [[unlikely]] {
      left(node);
      if (kept_.tenants_) kept_.tenants_->note(node, how);
    }
    if (node.heap_pos != wait_node::no_heap_pos) kept_.deadlines_.erase(node);
    node.where = wait_node::state::ended;
    node.ended = how;
    ++counts_.ended[index(how)];
    waits_[index(how)].record(node.waited);
  }

  ready_list line_;  // all who wait, as they came
  wait_queue_storage kept_;
  std::uint32_t capacity_;
  bool predict_;
  bool closed_ = false;
  bool somebody_leaves_ = false;  // maybe: its time is up, or the line is slow
  queue_order order_{};
  std::uint32_t size_ = 0;
  std::uint64_t cost_ = 0;
  time_point now_ = read_clock;    // the latest seen
  time_point moved_ = read_clock;  // last hand-off, or when the queue began to be busy
  time_point due_ = read_clock;    // when to see to time
  time_point told_ = read_clock;   // what the rate knows of
  detail::int128 waited_ = 0;      // when each has left, less when each has come: the waits, without what now would add
  std::uint32_t doubtful_ = 0;
  detail::hand_off_rate rate_;
  detail::codel codel_;
  detail::overload overload_;
  detail::priority_lanes priorities_;
  counts counts_;
  std::array<recording_histogram, wait_outcome_count> waits_;  // fixed storage: never allocates under the lock
};

}  // namespace weir::inline v0
