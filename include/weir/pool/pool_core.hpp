#pragma once
/// \file
/// The decisions of a connection pool without its lock, clock, threads and sockets: who gets which connection, when to
/// connect, what to close, when to give up. `blocking_pool` and asio's `pool` are its shells.
///
/// A shell calls it under its lock with the time, then unlocks, and does what the effects say: completes waiters, connects,
/// validates, resets and closes. How each of these ended it reports with `connected`, `connect_failed`, `validated`,
/// `was_reset` and `was_closed`, and calls `pass` at `next_event()`.
///
/// ```
///  vacant ─► connecting ─ok─► idle ◄─ok─ validating ◄─(idle for long, keepalive)─ idle
///                │ fails       │ taken       │ fails
///             vacant        in_use ─► resetting ─ok─► next waiter, or idle
///                              │ broken, old, discarded  │ fails
///                              └────────► closing ◄──────┘       closing ─► vacant
/// ```
/// Sources: the hand-off and the states of docs/pools.md; slow start after RFC 5681's.

#include <weir/core/admission.hpp>
#include <weir/core/detail/atomic.hpp>
#include <weir/core/name.hpp>
#include <weir/core/random.hpp>
#include <weir/pool/detail/backend_health.hpp>
#include <weir/pool/detail/longest_held.hpp>
#include <weir/pool/detail/renewal.hpp>
#include <weir/pool/detail/slot_table.hpp>
#include <weir/pool/pool_config.hpp>
#include <weir/pool/pool_effects.hpp>
#include <weir/pool/pool_slot.hpp>
#include <weir/pool/size_advisor.hpp>
#include <weir/queue/wait_queue_core.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace weir::inline v0 {

/// How a connection comes back.
enum class give_back : std::uint8_t {
  used,      ///< to be reset, if it can be
  clean,     ///< nothing to reset
  broken,    ///< found broken
  discard,   ///< not wanted any more by its user
  detached,  ///< its user has taken it out: the place is free, nothing is to be closed
};

/// Which optional parts a backend has.
struct pool_abilities {
  bool validates = false;
  bool resets = false;
};

/// Not thread-safe, but for `try_take` and `try_put` of pool_slot: the caller holds the lock. `now` may be older than the
/// latest seen, which then counts. Nothing throws; nothing allocates but evidence for those who get no connection.
/// Complexity: O(1) amortised for taking and giving back; `pass` is O(max_size) at most once per millisecond.
class pool_core {
 public:
  /// What happened, in calls or connections, since construction.
  struct counts {
    std::uint64_t refused = 0;  ///< did not want to wait
    std::uint64_t expired = 0, suspended = 0, backend_down = 0, closed = 0;
    std::uint64_t waited = 0;            ///< granted after waiting
    std::uint64_t shed_when_down = 0;    ///< of those who waited
    std::uint64_t expired_handoffs = 0;  ///< granted when the time was up: never
    std::uint64_t opened = 0, connect_failed = 0, connect_timed_out = 0;
    std::array<std::uint64_t, close_reason_count> closed_for{};
    std::uint64_t purges = 0, outages = 0, leaks_suspected = 0, leaks_returned = 0;
  };
  /// How long these lasted.
  struct durations {
    coarse_histogram connected, connect_failed, connect_timed_out, validated, not_validated, was_reset, not_reset;
  };

  /// `slots`: max_size of them, pinned, alive as long as this. Precondition: the config is valid.
  pool_core(const pool_config& config, pool_abilities can, std::vector<pool_slot*> slots, time_point now)
      : name_(config.name),
        config_(config),
        can_(can),
        queue_(config.waiters_at_most(), {.on = config.predict}, config.waiting),
        health_(config.endpoints, config.connecting_at_most(), config.down_after, config.probe, config.seed),
        renewal_(config.max_lifetime, config.max_size, config.seed),
        random_(config.seed, "keepalive"),
        now_(now) {
    sampled_.at = now;
    opens_ = config.order == idle_order::lifo && !by_tenants();
    queue_.set_capacity_of_owner(config.max_size);
    table_.grow(slots);
  }

  /// Connections that are to be kept without demand; once, before anything else.
  void start(time_point now, pool_effects& fx) { settle(seen(now), fx); }

  // ---- taking ------------------------------------------------------------------------------------------------------

  /// A connection that is ready, in use as of now; nullptr and why there is none: closed, backend_down, expired, which are
  /// counted; over_capacity, suspended, which the caller counts (`count_refusal`) or waits about.
  pool_slot* try_take(const call& c, const std::source_location& where, time_point now, pool_effects& fx, errc& why) {
    now = seen(now);
    if (const auto shut = refusal()) {
      if (*shut != errc::suspended) count_refusal(*shut);
      return why = *shut, nullptr;
    }
    if (c.deadline <= now) return ++counts_.expired, why = errc::expired, nullptr;
    why = errc::over_capacity;
    if (by_tenants() ? !queue_.may_take(c.tenant, 1) || queue_.first() != nullptr : !queue_.empty()) return nullptr;
    pool_slot* slot = next_fresh(table_.count(slot_state::validating) == 0, now, fx);
    if (slot == nullptr) return nullptr;
    use(*slot, c.tag, where, c.tenant, now);
    return slot;
  }
  void count_refusal(errc why) noexcept {
    switch (why) {
      case errc::closed: ++counts_.closed; break;
      case errc::suspended: ++counts_.suspended; break;
      case errc::backend_down: ++counts_.backend_down; break;
      default: ++counts_.refused; break;
    }
  }

  /// Nothing: `w` waits, or has been granted a connection already and is in `fx.ready`. Else why not, counted.
  std::optional<errc> wait(pool_waiter& w, time_point now, pool_effects& fx) {
    now = seen(now);
    if (const auto shut = refusal(); shut && *shut != errc::suspended) {
      count_refusal(*shut);
      return shut;
    }
    w.slot = nullptr;
    w.why = errc{};
    w.evidence.reset();
    w.cost = 1;
    w.deadline =
        std::min(w.deadline, config_.acquire_timeout == duration::max() ? never : later(now, config_.acquire_timeout));
    // A connection under way that nobody else waits for: no need to guess.
    const bool on_its_way = table_.count(slot_state::connecting) + table_.count(slot_state::validating) > queue_.size();
    if (const auto why = queue_.enqueue(w, now, on_its_way ? now : never)) return why;
    settle(now, fx);
    return std::nullopt;
  }

  /// true: `w` no longer waits, and is in `fx.ready`. false: its wait had ended.
  bool cancel(pool_waiter& w, time_point now, pool_effects& fx) {
    now = seen(now);
    if (!queue_.cancel(w, now, fx.ready)) return false;
    settle(now, fx);
    return true;
  }
  /// As `cancel`, but it will not be completed.
  bool withdraw(pool_waiter& w, time_point now, pool_effects& fx) {
    now = seen(now);
    if (!queue_.unlink(w, now)) return false;
    settle(now, fx);
    return true;
  }

  /// `slot` was taken without the lock, and turns out to be nothing to use without a question. Whoever has lined up
  /// meanwhile waits for it.
  void take_back(pool_slot& slot, time_point now, pool_effects& fx) {
    now = seen(now);
    if (slot.is_open()) table_.leave(slot);
    if (const close_reason why = end_of(slot, give_back::clean); why != close_reason::none) {
      shut_down(slot, why, now, fx);
    } else {
      park(slot, true);
    }
    settle(now, fx);
  }

  /// Its holder is done with `slot`, for which it has called `end_use`.
  void put(pool_slot& slot, give_back how, time_point now, pool_effects& fx) {
    now = seen(now);
    if (slot.is_open()) table_.leave(slot);
    assert(slot.state() == slot_state::in_use);
    if (slot.reported_use == slot.uses()) {
      ++counts_.leaks_returned;
      tell(pool_event_kind::returned_leak, slot, elapsed(slot.since(), now));
    }
    if (by_tenants()) queue_.gave_back(slot.tenant, 1);
    if (how == give_back::broken) note_broken(slot, now, fx);
    if (const close_reason why = end_of(slot, how); why == close_reason::detached) {
      vacate(slot, why);
    } else if (why != close_reason::none || renews(slot, false, now)) {
      shut_down(slot, why == close_reason::none ? close_reason::lifetime : why, now, fx);
    } else if (how == give_back::used && can_.resets && config_.reset_on_return) {
      begin(slot, slot_state::resetting, config_.reset_timeout, now);
      fx.jobs.push_back(slot);
    } else if (!hand_over(slot, now, fx)) {
      park(slot, !fifo());
    }
    settle(now, fx);
  }

  // ---- how effects ended -------------------------------------------------------------------------------------------

  void connected(pool_slot& slot, time_point now, pool_effects& fx) {
    now = seen(now);
    assert(slot.state() == slot_state::connecting);
    ++counts_.opened;
    durations_.connected.record(elapsed(slot.began, now));
    if (health_.succeeded(slot.endpoint)) tell(pool_event_kind::backend_up, slot, {});
    last_failure_.reset();
    renewal_.opened();
    look_at_ = std::min(look_at_, renewal_.has_spare() ? now : later(now, look_every()));
    slot.number = ++connections_;
    slot.born = slot.idle_since = now;
    slot.fresh_until = later(now, config_.validate_after_idle);
    slot.renew_at = renewal_.plan(now);
    slot.dies_at = renewal_.dies_at(now);
    plan_keepalive(slot, now);
    tell(pool_event_kind::opened, slot, elapsed(slot.began, now));
    back_to_work(slot, now, fx);
  }

  /// `cause.text` is what users are told. A failure after it was overdue is a time-out.
  void connect_failed(pool_slot& slot, std::shared_ptr<const connect_failure> cause, time_point now, pool_effects& fx) {
    now = seen(now);
    assert(slot.state() == slot_state::connecting);
    ++(slot.overdue ? counts_.connect_timed_out : counts_.connect_failed);
    (slot.overdue ? durations_.connect_timed_out : durations_.connect_failed).record(elapsed(slot.began, now));
    last_failure_ = std::move(cause);
    health_.failed(slot.endpoint, slot.began, now);
    tell(pool_event_kind::connect_failed, slot, elapsed(slot.began, now));
    vacate(slot, close_reason::none);
    settle(now, fx);
  }

  void validated(pool_slot& slot, bool alive, time_point now, pool_effects& fx) {
    now = seen(now);
    assert(slot.state() == slot_state::validating);
    (alive ? durations_.validated : durations_.not_validated).record(elapsed(slot.began, now));
    slot.fresh_until = later(now, config_.validate_after_idle);
    plan_keepalive(slot, now);
    if (!alive) {
      shut_down(slot, close_reason::validation, now, fx);
      return settle(now, fx);
    }
    back_to_work(slot, now, fx);
  }

  void was_reset(pool_slot& slot, bool ok, time_point now, pool_effects& fx) {
    now = seen(now);
    assert(slot.state() == slot_state::resetting);
    (ok ? durations_.was_reset : durations_.not_reset).record(elapsed(slot.began, now));
    if (!ok) {
      note_broken(slot, now, fx);
      shut_down(slot, close_reason::reset, now, fx);
      return settle(now, fx);
    }
    slot.fresh_until = later(now, config_.validate_after_idle);
    back_to_work(slot, now, fx);
  }

  void was_closed(pool_slot& slot, time_point now, pool_effects& fx) {
    now = seen(now);
    assert(slot.state() == slot_state::closing);
    vacate(slot, close_reason::none);
    settle(now, fx);
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  /// Time has come to `now`. Harmless at any time.
  void pass(time_point now, pool_effects& fx) {
    now = seen(now);
    queue_.expire(now, fx.ready);
    if (now >= look_at_) look_around(now, fx);
    settle(now, fx);
  }
  [[nodiscard]] time_point next_event() const noexcept { return std::min({queue_.next_event(), look_at_, connect_at_}); }

  /// One of the jobs that take too long, each once: it should be made to fail soon. nullptr: no more.
  pool_slot* take_overdue() noexcept {
    for (pool_slot* slot : table_.slots()) {
      if (std::exchange(slot->unheard, false)) return slot;
    }
    return nullptr;
  }

  // ---- operators ---------------------------------------------------------------------------------------------------

  /// Nobody is served; those who wait, wait on, and their deadlines with them. Connections in use come back.
  void suspend(time_point now, pool_effects& fx) {
    suspended_ = true;
    table_.shut_all();
    settle(seen(now), fx);
  }
  void resume(time_point now, pool_effects& fx) {
    suspended_ = false;
    settle(seen(now), fx);
  }
  /// No connection that exists now is used again: idle ones are closed, those in use when they come back.
  void invalidate(time_point now, pool_effects& fx) {
    now = seen(now);
    discard_all(close_reason::invalidated, now, fx);
    settle(now, fx);
  }
  /// Nobody gets a connection any more; waiters are told so, idle connections are closed, those in use when they come back.
  void close(time_point now, pool_effects& fx) {
    now = seen(now);
    closed_ = true;
    queue_.close(now, fx.ready);
    discard_all(close_reason::shutdown, now, fx);
    settle(now, fx);
  }
  /// Applies live to all that comes from now on. `config` and `slots` (the old ones, then new ones up to max_size) are
  /// swapped with the old storage, to be freed after unlocking; `line` likewise, made for the new config. Precondition:
  /// valid; name, endpoints, idle order, and whether and which tenants there are, as before.
  void reconfigure(pool_config& config, std::vector<pool_slot*>& slots, wait_queue_storage& line, time_point now,
                   pool_effects& fx) {
    now = seen(now);
    if (slots.size() > table_.slots().size()) table_.grow(slots);
    std::swap(config_, config);
    queue_.reconfigure(config_.waiters_at_most(), {.on = config_.predict}, config_.waiting, line);
    queue_.set_capacity_of_owner(config_.max_size);
    health_.reconfigure(config_.connecting_at_most(), config_.down_after, config_.probe);
    renewal_.reconfigure(config_.max_lifetime, config_.max_size);
    table_.shut_all();
    while (table_.occupied() - table_.count(slot_state::closing) > config_.max_size) {
      pool_slot* slot = table_.next_idle();
      if (slot == nullptr) break;
      shut_down(*slot, close_reason::shrink, now, fx);
    }
    look_at_ = now;
    settle(now, fx);
  }

  // ---- looking at it -----------------------------------------------------------------------------------------------

  [[nodiscard]] const detail::slot_table& table() const noexcept { return table_; }
  [[nodiscard]] wait_queue_core& queue() noexcept { return queue_; }
  [[nodiscard]] const wait_queue_core& queue() const noexcept { return queue_; }
  [[nodiscard]] const counts& totals() const noexcept { return counts_; }
  [[nodiscard]] const durations& lasted() const noexcept { return durations_; }
  [[nodiscard]] const pool_config& config() const noexcept { return config_; }
  [[nodiscard]] bool is_closed() const noexcept { return closed_; }
  [[nodiscard]] bool is_suspended() const noexcept { return suspended_; }
  [[nodiscard]] bool is_down() const noexcept { return health_.is_down(); }
  [[nodiscard]] bool is_failing() const noexcept { return health_.is_failing(); }
  [[nodiscard]] const std::shared_ptr<const connect_failure>& last_failure() const noexcept { return last_failure_; }
  [[nodiscard]] weir::name name() const noexcept { return name_; }
  [[nodiscard]] const size_advisor& advisor() const noexcept { return advisor_; }
  /// How many events there were; each can be looked at for as long as it is among the last `recent_events`.
  [[nodiscard]] std::uint64_t events() const noexcept { return events_; }
  [[nodiscard]] const pool_event& event(std::uint64_t sequence) const noexcept {
    return recent_[sequence % recent_.size()];
  }
  static constexpr std::uint64_t recent_events = 16;

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
    detail::note_longest_held(table_, now, e);
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

 private:
  time_point seen(time_point now) noexcept { return now_ = std::max(now_, now); }
  [[nodiscard]] bool by_tenants() const noexcept { return config_.waiting.order == queue_order::tenants; }
  [[nodiscard]] bool fifo() const noexcept { return config_.order == idle_order::fifo; }

  /// Why nobody is let in at all.
  [[nodiscard]] std::optional<errc> refusal() const noexcept {
    if (closed_) return errc::closed;
    if (suspended_) return errc::suspended;
    if (health_.is_down() && config_.on_down == when_down::fail_fast) return errc::backend_down;
    return std::nullopt;
  }

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

  /// A connection that somebody can use: as far as it is still wanted.
  void back_to_work(pool_slot& slot, time_point now, pool_effects& fx) {
    const bool was_idle = std::exchange(slot.keeping_alive, false);
    if (const close_reason why = end_of(slot, give_back::clean); why != close_reason::none) {
      shut_down(slot, why, now, fx);
    } else if (renews(slot, false, now)) {
      shut_down(slot, close_reason::lifetime, now, fx);
    } else if (!hand_over(slot, now, fx)) {
      was_idle && !fifo() ? park_in_order(slot) : park(slot, !fifo());
    }
    settle(now, fx);
  }
  /// Being asked whether it is alive makes no connection warmer.
  void park_in_order(pool_slot& slot) noexcept {
    table_.shut_all();
    table_.park_in_order(slot);
    open_all();
  }
  void open_all() noexcept {
    if (opens_ && queue_.empty() && !suspended_ && !closed_) table_.open_all();
  }

  /// Waiters get what is idle, or what turns out to be alive.
  void serve(time_point now, pool_effects& fx) {
    if (suspended_ || closed_) return;
    while (!queue_.empty()) {
      const bool ask = table_.count(slot_state::validating) < queue_.size();
      pool_slot* slot = next_fresh(ask, now, fx);
      if (slot == nullptr) {
        if (!ask || table_.first_idle() == nullptr) return;
      } else if (!hand_over(*slot, now, fx)) {
        return park(*slot, true);
      }
    }
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

  /// Whether its life ends now.
  bool renews(pool_slot& slot, bool idle, time_point now) noexcept {
    if (now < slot.renew_at) return false;
    const bool room = table_.occupied() < config_.max_size;
    switch (renewal_.judge(idle, slot.dies_at <= now, room, !queue_.empty(), now)) {
      case detail::renewal::verdict::retire: return true;
      case detail::renewal::verdict::replace: renewal_.want(); return false;
      case detail::renewal::verdict::later:
        slot.renew_at = std::max(renewal_.next(), later(now, renewal_.spacing() / 2));
        return false;
    }
    return false;
  }

  void shut_down(pool_slot& slot, close_reason why, time_point now, pool_effects& fx) {
    if (why == close_reason::lifetime) renewal_.retired(true, now);
    begin(slot, slot_state::closing, config_.close_timeout, now);
    slot.closing = why;
    ++counts_.closed_for[static_cast<std::size_t>(why)];
    tell(pool_event_kind::closed, slot, elapsed(slot.born, now));
    fx.jobs.push_back(slot);
  }

  void validate(pool_slot& slot, time_point now, pool_effects& fx) {
    begin(slot, slot_state::validating, config_.validate_timeout, now);
    fx.jobs.push_back(slot);
  }

  void begin(pool_slot& slot, slot_state what, duration limit, time_point now) noexcept {
    table_.become(slot, what);
    slot.began = now;
    slot.due = later(now, limit);
    slot.overdue = slot.unheard = false;
    look_at_ = std::min(look_at_, slot.due);
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

  // ---- connecting --------------------------------------------------------------------------------------------------

  /// What is to be under way.
  [[nodiscard]] std::uint32_t attempts_needed() const noexcept {
    const auto less = [](std::uint32_t a, std::uint32_t b) { return a > b ? a - b : 0; };
    std::uint32_t need = less(queue_.size(), table_.count(slot_state::validating));
    need = std::max(need, less(config_.min_size, table_.alive()));
    if (config_.min_idle != 0) need = std::max(need, less(config_.min_idle, table_.in_state(slot_state::idle)));
    need += renewal_.demand();
    return health_.is_down() ? std::max(need, std::uint32_t{1}) : need;
  }

  void connect_as_needed(time_point now, pool_effects& fx) {
    if (closed_ || suspended_) return;
    const std::uint32_t wanted = std::min(attempts_needed(), health_.window());
    while (table_.count(slot_state::connecting) < wanted && table_.occupied() < config_.max_size) {
      const auto endpoint = health_.pick(now);
      if (!endpoint) {
        connect_at_ = health_.retry_at();
        return;
      }
      pool_slot& slot = table_.take_vacant();
      slot.endpoint = *endpoint;
      slot.attempt = health_.attempt(*endpoint);
      slot.generation = generation_;
      begin(slot, slot_state::connecting, config_.connect_timeout, now);
      fx.jobs.push_back(slot);
    }
  }

  void give_up_if_down(time_point now, pool_effects& fx) {
    if (!health_.goes_down(table_.alive() != 0)) return;
    ++counts_.outages;
    remember({.name = name_, .kind = pool_event_kind::backend_down, .at = now, .cause = last_failure_});
    if (config_.on_down != when_down::fail_fast) return;
    explain_refusals(now, fx);  // those before have reasons of their own
    queue_.shed_all(now, fx.ready);
    for (auto* w = fx.ready.front(); w != nullptr; w = fx.ready.after(*w)) {
      auto& waiter = *static_cast<pool_waiter*>(w);
      if (waiter.ended != wait_outcome::shed || waiter.why != errc{}) continue;
      waiter.why = errc::backend_down;
      ++counts_.shed_when_down;
    }
  }

  // ---- all together ------------------------------------------------------------------------------------------------

  /// Whatever follows from what has just happened.
  void settle(time_point now, pool_effects& fx) {
    if (!queue_.empty() && table_.first_idle() != nullptr) serve(now, fx);
    if (health_.is_failing()) give_up_if_down(now, fx);
    connect_at_ = never;
    if (table_.occupied() < config_.max_size) connect_as_needed(now, fx);
    if (!fx.ready.empty()) explain_refusals(now, fx);
  }

  void explain_refusals(time_point now, pool_effects& fx) noexcept {
    std::shared_ptr<const pool_evidence> seen;
    for (auto* node = fx.ready.front(); node != nullptr; node = fx.ready.after(*node)) {
      auto& waiter = *static_cast<pool_waiter*>(node);
      if (waiter.ended == wait_outcome::granted || waiter.evidence != nullptr) continue;
      if (waiter.why == errc{}) waiter.why = to_errc(waiter.ended);
      if (seen == nullptr) seen = evidence(now);
      waiter.evidence = seen;
    }
  }

  /// For the advisor, once a second: what has happened since the last time.
  void take_sample(time_point now) noexcept {
    const duration span = elapsed(sampled_.at, now);
    if (span < std::chrono::seconds{1}) return;
    sample_totals seen{.at = now};
    for (const pool_slot* slot : table_.slots()) {
      const duration held = slot->held.sum();
      seen.uses += slot->uses();
      seen.held += held;
      seen.in_use_seconds += std::chrono::duration<double>(held).count();
      if (slot->state() != slot_state::in_use) continue;
      --seen.uses;
      seen.in_use_seconds += std::chrono::duration<double>(elapsed(slot->since(), now)).count();
    }
    const auto& done = queue_.totals();
    seen.arrivals = seen.uses + counts_.refused + done.queue_full + done.would_miss_deadline;
    for (const std::uint64_t ended : done.ended) seen.arrivals += ended;
    seen.arrivals -= counts_.waited;  // are among the uses
    advisor_.note({.arrivals = seen.arrivals - std::min(seen.arrivals, sampled_.arrivals),
                   .returned = seen.uses - std::min(seen.uses, sampled_.uses),
                   .held = seen.held - sampled_.held,
                   .in_use_seconds = std::max(0.0, seen.in_use_seconds - sampled_.in_use_seconds),
                   .span = span});
    sampled_ = seen;
  }

  /// Looks at every place: what takes too long, what is due, what has not come back.
  void look_around(time_point now, pool_effects& fx) {
    look_at_ = never;
    table_.shut_all();
    take_sample(now);
    for (pool_slot* slot : table_.slots()) {
      switch (slot->state()) {
        case slot_state::vacant: break;
        case slot_state::in_use: look_at_user(*slot, now); break;
        case slot_state::idle: look_at_idle(*slot, now, fx); break;
        default: look_at_job(*slot, now, fx); break;
      }
    }
    // What is taken and put back without the lock plans nothing.
    if (table_.alive() != 0) look_at_ = std::min(look_at_, later(now, look_every()));
    look_at_ = std::max(look_at_, later(now, std::chrono::milliseconds{1}));
    open_all();
  }

  [[nodiscard]] duration look_every() const noexcept {
    const duration often = std::min({config_.idle_timeout, config_.keepalive, config_.leak_after, config_.max_lifetime});
    return std::clamp(often / 10, duration{std::chrono::milliseconds{1}}, duration{std::chrono::seconds{1}});
  }

  void look_at_job(pool_slot& slot, time_point now, pool_effects& fx) noexcept {
    if (slot.overdue) return;
    if (slot.due <= now) {
      slot.overdue = slot.unheard = true;
      fx.overdue = true;
    } else {
      look_at_ = std::min(look_at_, slot.due);
    }
  }

  void look_at_user(pool_slot& slot, time_point now) noexcept {
    const std::uint64_t use = slot.uses();
    if (config_.leak_after == duration::max() || slot.reported_use == use) return;
    const time_point suspect_at = later(slot.since(), config_.leak_after);
    if (suspect_at > now) {
      look_at_ = std::min(look_at_, suspect_at);
      return;
    }
    slot.reported_use = use;
    ++counts_.leaks_suspected;
    tell(pool_event_kind::suspected_leak, slot, elapsed(slot.since(), now));
  }

  void look_at_idle(pool_slot& slot, time_point now, pool_effects& fx) {
    const time_point too_long = later(slot.idle_since, config_.idle_timeout);
    const bool spare = table_.alive() > config_.min_size && table_.count(slot_state::idle) > config_.min_idle;
    if (slot.dies_at <= now || renews(slot, true, now)) {
      table_.take_idle(slot);
      shut_down(slot, close_reason::lifetime, now, fx);
    } else if (too_long <= now && spare) {
      table_.take_idle(slot);
      shut_down(slot, close_reason::idle, now, fx);
    } else if (slot.keepalive_at <= now) {
      if (10 * table_.count(slot_state::validating) >= std::max(table_.occupied(), std::uint32_t{10})) {
        look_at_ = std::min(look_at_, later(now, std::chrono::milliseconds{10}));
        return;
      }
      slot.keeping_alive = true;
      table_.take_idle(slot);
      validate(slot, now, fx);
    } else {
      for (const time_point t : {slot.dies_at, slot.renew_at, too_long, slot.keepalive_at}) {
        if (t > now) look_at_ = std::min(look_at_, t);
      }
    }
  }

  void plan_keepalive(pool_slot& slot, time_point now) noexcept {
    slot.keepalive_at = never;
    if (!can_.validates || config_.keepalive == duration::max()) return;
    slot.keepalive_at = later(now, random_.between(config_.keepalive / 10 * 9, config_.keepalive / 10 * 11));
  }

  void vacate(pool_slot& slot, close_reason why) noexcept {
    if (why == close_reason::detached) ++counts_.closed_for[static_cast<std::size_t>(why)];
    table_.become(slot, slot_state::vacant);
  }

  void tell(pool_event_kind kind, const pool_slot& slot, duration took) noexcept {
    using enum pool_event_kind;
    pool_event e{.name = name_, .kind = kind, .slot = slot.id, .connection = slot.number, .took = took, .at = now_};
    if (kind == closed) e.reason = slot.closing;
    if (kind == connect_failed) e.cause = last_failure_;
    if ((kind == suspected_leak || kind == returned_leak) && !slot.read_use(e.user)) e.user = {};
    remember(std::move(e));
  }
  void remember(pool_event e) noexcept {
    e.sequence = ++events_;
    recent_[events_ % recent_.size()] = std::move(e);
  }

  weir::name name_;
  pool_config config_;
  pool_abilities can_;
  bool opens_ = false;
  bool suspended_ = false, closed_ = false;
  wait_queue_core queue_;
  detail::slot_table table_;
  detail::backend_health health_;
  detail::renewal renewal_;
  random_stream random_;
  std::shared_ptr<const connect_failure> last_failure_;
  std::uint64_t generation_ = 0;
  std::uint64_t connections_ = 0;
  std::array<time_point, 16> broken_at_{};
  std::uint32_t broken_ = 0;
  time_point now_;
  time_point look_at_ = never;  // when to look at every slot
  time_point looked_at_ = time_point::min();
  time_point connect_at_ = never;  // when to try again to connect
  counts counts_;
  durations durations_;
  std::uint64_t events_ = 0;
  std::array<pool_event, recent_events> recent_{};
  struct sample_totals {
    time_point at{};
    std::uint64_t uses = 0, arrivals = 0;
    duration held{};
    double in_use_seconds = 0;
  } sampled_;
  size_advisor advisor_;
};

}  // namespace weir::inline v0
