#pragma once
/// \file
/// The places of a pool, and what can happen to a single one of them: given to a user, parked, asked, closed. The lowest
/// floor of `pool_core`; those above it, which decide when, are pool_upkeep and pool_core itself.

#include <weir/core/admission.hpp>
#include <weir/core/name.hpp>
#include <weir/core/random.hpp>
#include <weir/pool/detail/backend_health.hpp>
#include <weir/pool/detail/longest_held.hpp>
#include <weir/pool/detail/renewal.hpp>
#include <weir/pool/detail/slot_table.hpp>
#include <weir/pool/pool_config.hpp>
#include <weir/pool/pool_effects.hpp>
#include <weir/pool/pool_slot.hpp>
#include <weir/queue/wait_queue_core.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <source_location>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

class pool_places {
 public:
  /// What happened, in calls or connections, since construction.
  struct counts {
    std::uint64_t refused = 0;  ///< did not want to wait
    std::uint64_t expired = 0, suspended = 0, backend_down = 0, closed = 0, self_deadlock = 0;
    std::uint64_t waited = 0;              ///< granted after waiting
    std::uint64_t waited_for_connect = 0;  ///< of these, a connection that had just been opened
    std::uint64_t shed_when_down = 0;      ///< of those who waited
    std::uint64_t expired_handoffs = 0;    ///< granted when the time was up: never
    std::uint64_t opened = 0, connect_failed = 0, connect_timed_out = 0;
    std::array<std::uint64_t, close_reason_count> closed_for{};
    std::uint64_t purges = 0, outages = 0, leaks_suspected = 0, leaks_returned = 0;
  };
  /// How long these lasted.
  struct durations {
    coarse_histogram connected, connect_failed, connect_timed_out, validated, not_validated, was_reset, not_reset;
  };

  pool_places(const pool_places&) = delete;
  pool_places& operator=(const pool_places&) = delete;

  [[nodiscard]] const slot_table& table() const noexcept { return table_; }
  [[nodiscard]] wait_queue_core& queue() noexcept { return queue_; }
  [[nodiscard]] const wait_queue_core& queue() const noexcept { return queue_; }
  [[nodiscard]] const counts& totals() const noexcept { return counts_; }
  /// What was shown last, if that was more: who gives back at the same time is counted twice, or not at all, for a moment.
  double never_less(double in_use_seconds) noexcept {
    return shown_in_use_seconds_ = std::max(shown_in_use_seconds_, in_use_seconds);
  }
  [[nodiscard]] const durations& lasted() const noexcept { return durations_; }
  [[nodiscard]] const pool_config& config() const noexcept { return config_; }
  /// Whether all connections that there may be are with this thread (`pool_slot::is_with`), so that none will come back
  /// while it waits. Complexity: O(max_size).
  [[nodiscard]] bool are_all_with(std::uint64_t thread) const noexcept {
    std::uint32_t with_it = 0;
    for (const pool_slot* slot : table_.slots()) {
      with_it += slot->state() == slot_state::in_use && slot->was_with(thread) ? 1 : 0;
    }
    return with_it >= config_.max_size && with_it == table_.occupied();
  }
  /// No connection is left, not even one that its user does not give back.
  [[nodiscard]] bool is_empty() const noexcept { return table_.occupied() + table_.count(slot_state::lost) == 0; }
  [[nodiscard]] bool is_closed() const noexcept { return closed_; }
  [[nodiscard]] bool is_suspended() const noexcept { return suspended_; }
  [[nodiscard]] bool is_down() const noexcept { return health_.is_down(); }
  [[nodiscard]] bool is_failing() const noexcept { return health_.is_failing(); }
  [[nodiscard]] const std::shared_ptr<const connect_failure>& last_failure() const noexcept { return last_failure_; }
  [[nodiscard]] weir::name name() const noexcept { return name_; }
  /// How many events there were; each can be looked at for as long as it is among the last `recent_events`.
  [[nodiscard]] std::uint64_t events() const noexcept { return events_; }
  [[nodiscard]] const pool_event& event(std::uint64_t sequence) const noexcept { return kept_[sequence % kept_.size()]; }
  static constexpr std::uint64_t recent_events = 16;
  /// Each once, for observers; in order, to those who ask one after the other. Nothing: there are no more. Those that were
  /// forgotten before somebody asked are `missed_events`.
  [[nodiscard]] std::optional<pool_event> take_event() noexcept {
    if (told_ == events_) return std::nullopt;
    if (events_ - told_ > kept_.size()) {
      missed_ += events_ - kept_.size() - told_;
      told_ = events_ - kept_.size();
    }
    return event(++told_);
  }
  [[nodiscard]] std::uint64_t missed_events() const noexcept { return missed_; }
  /// How many have to be kept for one step not to make more: a few for each of `places`.
  [[nodiscard]] static std::size_t events_of_a_step(std::size_t places, bool observed) noexcept {
    return observed ? places + recent_events : recent_events;
  }
  /// Keeps as many as `room` has, if that is more; `room` gets the old storage.
  void keep_events_in(std::vector<pool_event>& room) noexcept {
    if (room.size() <= kept_.size()) return;
    const std::uint64_t oldest = events_ - std::min<std::uint64_t>(events_, kept_.size());
    for (std::uint64_t k = oldest; k < events_; ++k) room[(k + 1) % room.size()] = std::move(kept_[(k + 1) % kept_.size()]);
    kept_.swap(room);
  }

  /// What it looks like now.
  [[nodiscard]] pool_evidence look(time_point now) const noexcept {
    pool_evidence e;
    e.name = name_;
    e.max = config_.max_size;
    const std::uint32_t open_in_use = table_.open_in_use();  // once, so that the sum is right
    e.in_use = table_.in_state(slot_state::in_use, open_in_use);
    e.idle = table_.in_state(slot_state::idle, open_in_use);
    e.connecting = table_.count(slot_state::connecting);
    e.validating = table_.count(slot_state::validating);
    e.resetting = table_.count(slot_state::resetting);
    e.closing = table_.count(slot_state::closing);
    e.waiting = queue_.size();
    e.oldest_wait = queue_.oldest_wait(now);
    e.suspended = suspended_;
    e.down = health_.is_down();
    if (e.down) e.next_probe_in = std::max(duration::zero(), elapsed(now, health_.retry_at()));
    e.last_failure = last_failure_;
    note_longest_held(table_, now, e);
    return e;
  }
  /// The same, to be shared; nullptr: no memory.
  [[nodiscard]] std::shared_ptr<const pool_evidence> evidence(time_point now) const noexcept {
    try {
      return std::make_shared<const pool_evidence>(look(now));
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }

  /// How long a connection that comes back may be used without a question.
  [[nodiscard]] duration fresh_for() const noexcept { return config_.validate_after_idle; }

 protected:
  pool_places(const pool_config& config, pool_abilities can, std::vector<pool_slot*> slots, time_point now)
      : name_(config.name),
        config_(config),
        can_(can),
        queue_(config.waiters_at_most(), {.on = config.predict}, config.waiting),
        health_(config.endpoints, config.connecting_at_most(), config.down_after, config.probe, config.seed),
        renewal_(config.max_lifetime, config.max_size, config.seed),
        random_(config.seed, "keepalive"),
        now_(now) {
    opens_ = config.order == idle_order::lifo && !by_tenants();
    queue_.set_capacity_of_owner(config.max_size);
    kept_.resize(events_of_a_step(slots.size(), can.observed));
    table_.grow(slots);
  }
  ~pool_places() = default;

  time_point seen(time_point now) noexcept { return now_ = std::max(now_, now); }
  [[nodiscard]] bool by_tenants() const noexcept { return config_.waiting.order == queue_order::tenants; }
  [[nodiscard]] bool fifo() const noexcept { return config_.order == idle_order::fifo; }

  // ---- idle connections --------------------------------------------------------------------------------------------

  [[nodiscard]] bool is_stale(const pool_slot& slot, time_point now) const noexcept {
    return can_.validates && slot.fresh_until < now;
  }

  /// An idle connection that can be used without a question. If there are only others, one of them is asked (`ask`).
  pool_slot* next_fresh(bool ask, time_point now, pool_effects& fx) {
    while (pool_slot* slot = table_.next_idle()) {
      if (slot->dies_at <= now) {
        shut_down(*slot, close_reason::lifetime, now, fx);
        continue;
      }
      if (!is_stale(*slot, now)) return slot;
      // The order is that of giving back under the lock: a fresher one may lie behind.
      table_.shut_all();
      for (pool_slot* other = table_.first_idle(); other != nullptr; other = table_.idle_after(*other)) {
        if (is_stale(*other, now) || other->dies_at <= now) continue;
        table_.take_idle(*other);
        park(*slot, false);
        return other;
      }
      if (ask) {
        validate(*slot, now, fx);
      } else {
        park(*slot, true);
      }
      return nullptr;
    }
    return nullptr;
  }

  void park(pool_slot& slot, bool first) noexcept {
    table_.park(slot, first, opens_ && queue_.empty() && !suspended_ && !closed_);
  }

  void use(pool_slot& slot, std::string_view tag, const std::source_location& where, std::uint32_t tenant, time_point now) {
    table_.become(slot, slot_state::in_use);
    slot.begin_use(now, tag, where);
    if (!by_tenants()) return;
    slot.tenant = tenant;
    queue_.took(tenant, 1);
  }

  /// To whoever is next; false: nobody can be served.
  bool hand_over(pool_slot& slot, time_point now, pool_effects& fx) {
    if (suspended_ || closed_) return false;
    auto* w = static_cast<pool_waiter*>(queue_.grant(now, fx.ready));
    if (w == nullptr) return false;
    ++counts_.waited;
    counts_.expired_handoffs += w->deadline <= now ? 1 : 0;
    w->slot = &slot;
    use(slot, w->tag, w->site, w->tenant, now);
    return true;
  }

  void park_in_order(pool_slot& slot) noexcept {
    table_.shut_all();
    table_.park_in_order(slot);
    open_all();
  }
  void open_all() noexcept {
    if (opens_ && queue_.empty() && !suspended_ && !closed_) table_.open_all();
  }

  // ---- ends --------------------------------------------------------------------------------------------------------

  [[nodiscard]] close_reason end_of(const pool_slot& slot, give_back how) const noexcept {
    if (how == give_back::detached) return close_reason::detached;
    if (how == give_back::broken) return close_reason::broken;
    if (how == give_back::discard) return close_reason::discarded;
    if (closed_) return close_reason::shutdown;
    if (slot.generation != generation_) return close_reason::invalidated;
    // Those that are being closed make room by themselves.
    if (table_.occupied() - table_.count(slot_state::closing) > config_.max_size) return close_reason::shrink;
    return close_reason::none;
  }

  /// Whether its life ends now. Nobody uses it.
  bool renews(pool_slot& slot, time_point now) noexcept {
    if (now < slot.renew_at) return false;
    const bool room = table_.occupied() < config_.max_size;
    switch (renewal_.judge(slot.dies_at, room, !queue_.empty(), now)) {
      case renewal::verdict::retire: return true;
      case renewal::verdict::replace: renewal_.want(); return false;
      case renewal::verdict::later: slot.renew_at = renewal_.ask_again(slot.dies_at, now); return false;
    }
    return false;
  }

  void shut_down(pool_slot& slot, close_reason why, time_point now, pool_effects& fx) {
    if (why == close_reason::lifetime) renewal_.retired(true, now);
    begin(slot, slot_state::closing, now);
    slot.closing = why;
    ++counts_.closed_for[static_cast<std::size_t>(why)];
    tell(pool_event_kind::closed, slot, elapsed(slot.born, now));
    if (!slot.aborting) fx.jobs.push_back(slot);
  }

  /// Makes the connection useless for who has it, if the backend can. Precondition: in use, and not open.
  void abort(pool_slot& slot, pool_effects& fx) noexcept {
    if (!can_.aborts || slot.aborted || slot.detaching) return;
    slot.to_abort = slot.aborting = slot.aborted = true;
    fx.aborts = true;
  }

  void validate(pool_slot& slot, time_point now, pool_effects& fx) {
    begin(slot, slot_state::validating, now);
    fx.jobs.push_back(slot);
  }

  void begin(pool_slot& slot, slot_state what, time_point now) noexcept {
    table_.become(slot, what);
    ++slot.job;
    set_clock(slot, now);
  }
  /// What it does begins now.
  void set_clock(pool_slot& slot, time_point now) noexcept {
    slot.began = now;
    slot.due = std::min(later(now, limit_of(slot.state())), never - duration{1});  // `never`: its user has it
    slot.overdue = slot.unheard = false;
    look_at_ = std::min(look_at_, slot.due);
  }
  /// How many are being asked whether they are alive, and have time to answer: others help nobody who waits.
  [[nodiscard]] std::uint32_t answering() const noexcept { return table_.count(slot_state::validating) - late_answers_; }
  [[nodiscard]] duration limit_of(slot_state what) const noexcept {
    switch (what) {
      case slot_state::connecting: return config_.connect_timeout;
      case slot_state::validating: return config_.validate_timeout;
      case slot_state::resetting: return config_.reset_timeout;
      default: return config_.close_timeout;
    }
  }

  void note_broken(const pool_slot& slot, time_point now, pool_effects& fx) {
    if (slot.generation != generation_ || config_.purge_after == 0) return;
    broken_at_[broken_++ % broken_at_.size()] = now;
    if (broken_ < config_.purge_after) return;
    if (elapsed(broken_at_[(broken_ - config_.purge_after) % broken_at_.size()], now) > config_.purge_window) return;
    ++counts_.purges;
    discard_all(close_reason::invalidated, now, fx);
    tell(pool_event_kind::purged, slot, {});  // last: so many may have been closed that earlier events are forgotten
  }

  /// Idle ones are closed now, others when they come back.
  void discard_all(close_reason why, time_point now, pool_effects& fx) {
    ++generation_;
    broken_ = 0;
    renewal_.forget();
    while (pool_slot* slot = table_.next_idle()) shut_down(*slot, why, now, fx);
  }

  void vacate(pool_slot& slot, close_reason why) noexcept {
    if (why == close_reason::detached) ++counts_.closed_for[static_cast<std::size_t>(why)];
    slot.aborted = slot.detaching = false;
    table_.become(slot, slot_state::vacant);
  }

  void tell(pool_event_kind kind, const pool_slot& slot, duration took) noexcept {
    using enum pool_event_kind;
    pool_event e{.name = name_, .kind = kind, .slot = slot.id, .connection = slot.number, .took = took, .at = now_};
    if (kind == closed) e.reason = slot.closing;
    if (kind == closed && e.reason == close_reason::discarded) std::memcpy(e.note, slot.note, sizeof e.note);
    if (kind == connect_failed) e.cause = last_failure_;
    if (kind == suspected_leak && !slot.read_use(e.user)) e.user = {};
    if (kind == returned_leak) e.user = slot.ended_use();
    remember(std::move(e));
  }
  void remember(pool_event e) noexcept {
    e.sequence = ++events_;
    kept_[events_ % kept_.size()] = std::move(e);
  }

  weir::name name_;
  pool_config config_;
  pool_abilities can_;
  bool opens_ = false;
  bool suspended_ = false, closed_ = false;
  wait_queue_core queue_;
  slot_table table_;
  backend_health health_;
  renewal renewal_;
  random_stream random_;
  std::shared_ptr<const connect_failure> last_failure_;
  std::uint64_t generation_ = 0;
  std::uint64_t connections_ = 0;
  std::array<time_point, 16> broken_at_{};
  std::uint32_t broken_ = 0;
  std::uint32_t late_answers_ = 0;  // of those validating, overdue
  std::uint32_t ousting_ = 0;       // lost, and being aborted: still connections for the server
  time_point now_;
  time_point look_at_ = never;     // when to look at every slot
  time_point connect_at_ = never;  // when to try again to connect
  counts counts_;
  durations durations_;
  double shown_in_use_seconds_ = 0;
  std::uint64_t events_ = 0;
  bool was_full_ = false;                // since the advisor was told last, somebody found no place for one more
  std::uint64_t told_ = 0, missed_ = 0;  // of them, by `take_event`
  std::vector<pool_event> kept_;         // the latest
};

}  // namespace weir::inline v0::detail
