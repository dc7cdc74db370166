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

#include <weir/core/error.hpp>
#include <weir/queue/detail/hand_off_rate.hpp>
#include <weir/queue/wait_node.hpp>
#include <weir/stats/histogram.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace weir::inline v0 {

/// Rejection at the door: a call is refused if `confidence` of its predicted wait does not fit before its deadline.
///
/// Predicted wait: cost ahead and own cost over the rate of hand-offs (detail::hand_off_rate); if nothing has been handed
/// off for `stale_after` mean spacings, at least as long as the oldest waiter has waited. One in `probe_every` of those who
/// would be refused is let in, so that a wrong prediction cannot confirm itself for ever.
struct wait_prediction {
  bool on = true;
  duration tau = std::chrono::seconds{5};  ///< memory of the rate, > 0

  static constexpr double confidence = 0.8;
  static constexpr std::uint32_t probe_every = 64;
  static constexpr int stale_after = 2;
};

/// First in, first out, with a deadline for each; bounded.
///
/// Memory: 8 bytes per place, reserved up front, and 105 KB for the five wait histograms; nothing is allocated after
/// construction. Complexity: O(1), and O(log n) where a waiter has a deadline. An older `now` counts as the latest one
/// seen.
class wait_queue_core {
 public:
  struct counts {
    std::array<std::uint64_t, wait_outcome_count> ended{};                           ///< by wait_outcome
    std::uint64_t queue_full = 0, expired = 0, would_miss_deadline = 0, closed = 0;  ///< refused at the door
    std::uint64_t probes = 0;  ///< let in although the prediction was against it
  };

  explicit wait_queue_core(std::uint32_t capacity, wait_prediction prediction = {})
      : capacity_(capacity), predict_(prediction.on), rate_(prediction.tau) {
    by_deadline_.reserve(capacity);
  }
  wait_queue_core(const wait_queue_core&) = delete;
  wait_queue_core& operator=(const wait_queue_core&) = delete;

  /// Nothing: `node` waits, at the end. Else why not: closed, expired, queue_full, would_miss_deadline; counted here.
  /// `earliest`: when capacity that comes back by time alone would reach it, where that is known exactly.
  [[nodiscard]] std::optional<errc> enqueue(wait_node& node, time_point now, time_point earliest = never) noexcept {
    assert(node.where != wait_node::state::waiting && node.complete != nullptr);
    now = pass(now);
    if (closed_) return refuse(counts_.closed, errc::closed);
    if (node.deadline <= now) return refuse(counts_.expired, errc::expired);
    if (size_ >= capacity_) return refuse(counts_.queue_full, errc::queue_full);
    if (misses_deadline(node, now, earliest)) return refuse(counts_.would_miss_deadline, errc::would_miss_deadline);
    node.enqueued = now;
    node.where = wait_node::state::waiting;
    order_.push_back(node);
    ++size_;
    cost_ += node.cost;
    if (size_ == 1) moved_ = now;
    if (node.deadline != never) push_deadline(node);
    return std::nullopt;
  }

  /// Whose turn it is; those before it whose time is up go to `out`. nullptr: nobody waits.
  [[nodiscard]] wait_node* front(time_point now, ready_list& out) noexcept {
    now = pass(now);
    while (wait_node* first = order_.front()) {
      if (first->deadline > now) return first;
      end(*first, wait_outcome::timed_out, now, out);
    }
    return nullptr;
  }

  /// Gives `front` its turn: it is returned and goes to `out`. Never after its deadline. nullptr: nobody waits.
  wait_node* grant(time_point now, ready_list& out) noexcept {
    wait_node* first = front(now, out);
    if (first == nullptr) return nullptr;
    rate_.handed_off(first->cost);
    moved_ = now_;
    end(*first, wait_outcome::granted, now_, out);
    return first;
  }

  /// Takes `node` out for the sake of the others. Precondition: it waits here.
  void shed(wait_node& node, time_point now, ready_list& out) noexcept { end(node, wait_outcome::shed, pass(now), out); }

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

  /// All whose time is up go to `out`.
  void expire(time_point now, ready_list& out) noexcept {
    now = pass(now);
    while (!by_deadline_.empty() && by_deadline_.front()->deadline <= now) {
      end(*by_deadline_.front(), wait_outcome::timed_out, now, out);
    }
  }

  /// Everybody leaves, nobody comes in again.
  void close(time_point now, ready_list& out) noexcept {
    now = pass(now);
    closed_ = true;
    while (wait_node* first = order_.front()) end(*first, wait_outcome::closed, now, out);
  }

  /// The next deadline; `never` if there is none.
  [[nodiscard]] time_point next_event() const noexcept {
    return by_deadline_.empty() ? never : by_deadline_.front()->deadline;
  }

  /// What a newcomer of this cost would wait; nothing while there is too little evidence.
  [[nodiscard]] std::optional<duration> predicted_wait(std::uint32_t cost, time_point now) noexcept {
    now = pass(now);
    auto wait = rate_.time_for(static_cast<double>(cost_) + cost);
    if (!wait || size_ == 0) return wait;
    const duration spacing = rate_.mean_spacing();
    if (elapsed(moved_, now) / wait_prediction::stale_after > spacing) *wait = std::max(*wait, oldest_wait(now));
    return wait;
  }

  /// Whose turn is next, whatever the time; nullptr: nobody waits.
  [[nodiscard]] wait_node* first() const noexcept { return order_.front(); }
  [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] bool is_closed() const noexcept { return closed_; }
  /// The cost of all who wait.
  [[nodiscard]] std::uint64_t waiting_cost() const noexcept { return cost_; }
  [[nodiscard]] duration oldest_wait(time_point now) const noexcept {
    return order_.empty() ? duration::zero() : std::max(duration::zero(), elapsed(order_.front()->enqueued, now));
  }
  /// Hand-offs per second while somebody waited, in cost; 0: unknown.
  [[nodiscard]] double hand_off_rate() const noexcept { return rate_.per_second(); }
  /// Seconds waited by all together until `now`: its increase per second is the mean length of the queue.
  [[nodiscard]] double waiter_seconds(time_point now) noexcept {
    pass(now);
    return waiter_seconds_;
  }
  [[nodiscard]] const counts& totals() const noexcept { return counts_; }
  /// How long the waits that ended so lasted. The one function that may be called without the lock.
  [[nodiscard]] const recording_histogram& waits(wait_outcome ended) const noexcept { return waits_[index(ended)]; }

  /// How many can wait without more storage.
  [[nodiscard]] std::size_t room() const noexcept { return by_deadline_.capacity(); }
  /// A smaller capacity lets those who wait stay. A capacity above `room()` needs storage, which the caller allocates
  /// before it locks: `storage` must then have room for `capacity`, and gets the old storage, to be freed after unlocking.
  void reconfigure(std::uint32_t capacity, wait_prediction prediction, std::vector<wait_node*>& storage) noexcept {
    if (capacity > room()) {
      assert(storage.capacity() >= capacity);
      storage.assign(by_deadline_.begin(), by_deadline_.end());
      by_deadline_.swap(storage);
    }
    capacity_ = capacity;
    predict_ = prediction.on;
    rate_.set_window(prediction.tau);
  }

 private:
  static std::size_t index(wait_outcome ended) noexcept { return static_cast<std::size_t>(ended); }

  static errc refuse(std::uint64_t& count, errc why) noexcept {
    ++count;
    return why;
  }

  /// Lets time pass up to `now`, never back.
  time_point pass(time_point now) noexcept {
    if (now <= now_) return now_;
    if (now_ != read_clock) {
      const duration spent = elapsed(now_, now);
      rate_.pass(spent, size_ > 0);
      waiter_seconds_ += std::chrono::duration<double>(spent).count() * size_;
    }
    return now_ = now;
  }

  bool misses_deadline(const wait_node& node, time_point now, time_point earliest) noexcept {
    if (!predict_ || node.deadline == never) return false;
    if (earliest != never) return earliest >= node.deadline;  // exact: needs no evidence and no probes
    if (size_ == 0) return false;
    const auto wait = predicted_wait(node.cost, now);
    if (!wait) return false;
    const double bound = std::chrono::duration<double>(elapsed(now, node.deadline)).count();
    if (std::chrono::duration<double>(*wait).count() * wait_prediction::confidence <= bound) return false;
    if (++doubtful_ % wait_prediction::probe_every != 0) return true;
    ++counts_.probes;
    return false;
  }

  void end(wait_node& node, wait_outcome how, time_point now, ready_list& out) noexcept {
    take_out(node, how, now);
    out.push_back(node);
  }

  void take_out(wait_node& node, wait_outcome how, time_point now) noexcept {
    order_.erase(node);
    --size_;
    cost_ -= node.cost;
    if (node.heap_pos != wait_node::no_heap_pos) remove_deadline(node);
    node.where = wait_node::state::ended;
    node.ended = how;
    ++counts_.ended[index(how)];
    node.waited = elapsed(node.enqueued, now);
    waits_[index(how)].record(node.waited);
  }

  // A binary heap by deadline whose elements know their place, so that any of them can leave. First in, first out gives
  // mostly ascending deadlines, for which pushing is O(1).

  void push_deadline(wait_node& node) noexcept {
    assert(by_deadline_.size() < by_deadline_.capacity());
    by_deadline_.push_back(&node);
    sift_up(static_cast<std::uint32_t>(by_deadline_.size() - 1));
  }

  void remove_deadline(wait_node& node) noexcept {
    const std::uint32_t hole = std::exchange(node.heap_pos, wait_node::no_heap_pos);
    wait_node* last = by_deadline_.back();
    by_deadline_.pop_back();
    if (last == &node) return;
    place(last, hole);
    sift_down(sift_up(hole));
  }

  void place(wait_node* node, std::uint32_t at) noexcept {
    by_deadline_[at] = node;
    node->heap_pos = at;
  }

  std::uint32_t sift_up(std::uint32_t at) noexcept {
    wait_node* node = by_deadline_[at];
    while (at > 0) {
      const std::uint32_t parent = (at - 1) / 2;
      if (by_deadline_[parent]->deadline <= node->deadline) break;
      place(by_deadline_[parent], at);
      at = parent;
    }
    place(node, at);
    return at;
  }

  void sift_down(std::uint32_t at) noexcept {
    wait_node* node = by_deadline_[at];
    const auto size = static_cast<std::uint32_t>(by_deadline_.size());
    for (std::uint32_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && by_deadline_[child + 1]->deadline < by_deadline_[child]->deadline) ++child;
      if (node->deadline <= by_deadline_[child]->deadline) break;
      place(by_deadline_[child], at);
      at = child;
    }
    place(node, at);
  }

  ready_list order_;
  std::vector<wait_node*> by_deadline_;
  std::uint32_t capacity_;
  std::uint32_t size_ = 0;
  std::uint64_t cost_ = 0;
  time_point now_ = read_clock;    // the latest seen
  time_point moved_ = read_clock;  // last hand-off, or when the queue began to be busy
  double waiter_seconds_ = 0;
  bool predict_;
  bool closed_ = false;
  std::uint32_t doubtful_ = 0;
  detail::hand_off_rate rate_;
  counts counts_;
  std::array<recording_histogram, wait_outcome_count> waits_;  // fixed storage: never allocates under the lock
};

}  // namespace weir::inline v0
