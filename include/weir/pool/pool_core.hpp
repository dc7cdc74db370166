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
#include <weir/pool/detail/pool_watching.hpp>
#include <weir/pool/pool_config.hpp>
#include <weir/pool/pool_effects.hpp>
#include <weir/pool/pool_slot.hpp>
#include <weir/queue/wait_queue_core.hpp>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string_view>
#include <utility>
#include <vector>

namespace weir::inline v0 {

/// Not thread-safe, but for `try_take` and `try_put` of pool_slot: the caller holds the lock. `now` may be older than the
/// latest seen, which then counts. Nothing throws; nothing allocates but evidence for those who get no connection.
/// Complexity: O(1) amortised for taking and giving back; `pass` is O(max_size) at most once per millisecond.
class pool_core : public detail::pool_watching {
 public:
  /// `slots`: max_size of them, pinned, alive as long as this. Precondition: the config is valid.
  pool_core(const pool_config& config, pool_abilities can, std::vector<pool_slot*> slots, time_point now)
      : pool_watching(config, can, std::move(slots), now) {}

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
    pool_slot* slot = next_fresh(answering() == 0, now, fx);
    if (slot == nullptr) return note_whether_full(), nullptr;
    use(*slot, c.tag, where, c.tenant, now);
    return slot;
  }
  void count_refusal(errc why) noexcept {
    switch (why) {
      case errc::closed: ++counts_.closed; break;
      case errc::suspended: ++counts_.suspended; break;
      case errc::backend_down: ++counts_.backend_down; break;
      case errc::self_deadlock: ++counts_.self_deadlock; break;
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
    const bool on_its_way =
        table_.count(slot_state::connecting) + answering() > queue_.size() && queue_.may_take(w.tenant, 1);
    note_whether_full();
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
    } else if (slot.dies_at <= now) {
      shut_down(slot, close_reason::lifetime, now, fx);
    } else {
      park(slot, true);
    }
    settle(now, fx);
  }

  /// Its holder is done with `slot`, for which it has called `end_use`.
  void put(pool_slot& slot, give_back how, time_point now, pool_effects& fx) {
    now = seen(now);
    if (slot.is_open()) table_.leave(slot);
    if (slot.reported_use == slot.uses()) {
      ++counts_.leaks_returned;
      tell(pool_event_kind::returned_leak, slot, slot.last_use);
      if (slot.state() == slot_state::lost) {
        find_again(slot, how, now, fx);
        return settle(now, fx);
      }
    }
    assert(slot.state() == slot_state::in_use);
    if (by_tenants()) queue_.gave_back(slot.tenant, 1);
    if (how == give_back::broken || how == give_back::discard) note_broken(slot, now, fx);
    if (const close_reason why = end_of(slot, how); why == close_reason::detached) {
      vacate(slot, why);
    } else if (why != close_reason::none || renews(slot, now)) {
      shut_down(slot, why == close_reason::none ? close_reason::lifetime : why, now, fx);
    } else if (how == give_back::used && can_.resets && config_.reset_on_return) {
      begin(slot, slot_state::resetting, now);
      fx.jobs.push_back(slot);
    } else if (!hand_over(slot, now, fx)) {
      park(slot, !fifo());
    }
    settle(now, fx);
  }

  // ---- how effects ended -------------------------------------------------------------------------------------------

  /// Somebody comes to do the job of `slot` only now, for which it has stood in a line of the shell's: its time begins
  /// now. false: a connection that nobody wants any more, since the pool was closed; it is to be reported as failed.
  bool take_up(pool_slot& slot, time_point now) noexcept {
    if (closed_ && slot.state() == slot_state::connecting) return false;
    forget_that_it_is_late(slot);
    set_clock(slot, seen(now));
    return true;
  }

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
    if (slot.state() == slot_state::in_use) ++counts_.waited_for_connect;
  }

  /// `cause.text` is what users are told. A failure after it was overdue is a time-out.
  void connect_failed(pool_slot& slot, std::shared_ptr<const connect_failure> cause, time_point now, pool_effects& fx) {
    now = seen(now);
    assert(slot.state() == slot_state::connecting);
    if (closed_ && slot.overdue) {  // given up because of that
      vacate(slot, close_reason::none);
      return settle(now, fx);
    }
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
    alive = alive && !slot.overdue;
    forget_that_it_is_late(slot);
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
    ok = ok && !slot.overdue;
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
    assert(slot.state() == slot_state::closing || slot.state() == slot_state::lost);
    vacate(slot, close_reason::none);
    settle(now, fx);
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  /// Takes the connections that `pass` has found (`has_leaks`) from their users, unless they came back: they are aborted,
  /// and count no more. `slots`: all there are and new ones, `slots_needed()` together; swapped with the old storage.
  void reclaim(std::vector<pool_slot*>& slots, time_point now, pool_effects& fx) {
    now = seen(now);
    if (slots.size() > table_.slots().size()) table_.grow(slots);
    if (!closed_) lose_leaks(now, fx);
    settle(now, fx);
  }
  /// One of the connections that are to be aborted, each once; `aborted` says that it was. nullptr: no more.
  pool_slot* take_to_abort() noexcept {
    for (pool_slot* slot : table_.slots()) {
      if (std::exchange(slot->to_abort, false)) return slot;
    }
    return nullptr;
  }
  void aborted(pool_slot& slot, time_point now, pool_effects& fx) {
    slot.aborting = false;
    if (std::exchange(slot.ousting, false)) --ousting_;
    if (!slot.is_held()) fx.jobs.push_back(slot);  // has come back meanwhile
    settle(seen(now), fx);
  }
  /// Its user is about to take the connection out: it will not be aborted any more. false: it is just being aborted; ask
  /// again.
  bool may_detach(pool_slot& slot) noexcept {
    if (!slot.aborting) slot.detaching = true;
    return !slot.aborting;
  }

  /// Time has come to `now`. Harmless at any time.
  void pass(time_point now, pool_effects& fx) {
    now = seen(now);
    queue_.expire(now, fx.ready);
    if (now >= look_at_) look_around(now, fx);
    settle(now, fx);
  }
  /// Somebody waits for the pool as a whole, with a deadline.
  [[nodiscard]] bool is_timed() const noexcept { return watches_end() != never; }
  [[nodiscard]] time_point next_event() const noexcept {
    return std::min({queue_.next_event(), look_at_, connect_at_, watches_end()});
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
  void invalidate(time_point now, pool_effects& fx, std::string_view why = {}) {
    now = seen(now);
    discard_all(close_reason::invalidated, now, fx);
    pool_event e{.name = name_, .kind = pool_event_kind::invalidated, .at = now};
    why.copy(e.note, detail::fitting(why, sizeof e.note - 1));
    remember(std::move(e));
    settle(now, fx);
  }
  /// Nobody gets a connection any more; waiters are told so, idle connections are closed, those in use when they come back.
  void close(time_point now, pool_effects& fx) {
    now = seen(now);
    closed_ = true;
    queue_.close(now, fx.ready);
    discard_all(close_reason::shutdown, now, fx);
    for (pool_slot* slot : table_.slots()) {  // nobody wants to know how these end
      if (slot->state() == slot_state::connecting && !slot->overdue) slot->overdue = slot->unheard = fx.overdue = true;
    }
    settle(now, fx);
  }

  // ---- waiting for the pool as a whole -----------------------------------------------------------------------------

  /// Closes. `w` ends, in `fx.watchers`, when no connection is left; or at its deadline, when those that are still in use
  /// are aborted, if the backend can. What is given back after that is closed as well.
  void drain(pool_watch& w, time_point now, pool_effects& fx) {
    w.what = pool_watch::aim::drained;
    add(w, now = seen(now));
    close(now, fx);
  }
  /// `w` ends, in `fx.watchers`, when `wanted` connections are idle or in use, for which it opens some; or why not:
  /// never_admissible (more than max_size), closed, backend_down, expired, wait_timeout.
  void make_ready(pool_watch& w, std::uint32_t wanted, time_point now, pool_effects& fx) {
    w.what = pool_watch::aim::ready;
    w.wanted = wanted;
    add(w, now = seen(now));
    look_at_watches(now, fx);  // before anything is opened for one that cannot be served
    settle(now, fx);
  }
  /// It ends with errc::cancelled, in `fx.watchers`. false: it has ended already. A pool that is being drained stays
  /// closed.
  bool cancel(pool_watch& w, time_point now, pool_effects& fx) noexcept {
    if (w.where != wait_node::state::waiting) return false;
    end(w, wait_outcome::cancelled, errc::cancelled, seen(now), fx);
    return true;
  }
  /// As `cancel`, but it will not be completed.
  bool withdraw(pool_watch& w, time_point now) noexcept { return take_out(w, seen(now)); }
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
    tell_that_it_is_down(now, fx);
    settle(now, fx);
  }

 private:
  void forget_that_it_is_late(pool_slot& slot) noexcept {
    if (std::exchange(slot.overdue, false) && slot.state() == slot_state::validating) --late_answers_;
  }
  void note_whether_full() noexcept {
    was_full_ = was_full_ || (table_.occupied() >= config_.max_size && table_.first_idle() == nullptr);
  }
  /// Why nobody is let in at all.
  [[nodiscard]] std::optional<errc> refusal() const noexcept {
    if (closed_) return errc::closed;
    if (suspended_) return errc::suspended;
    if (health_.is_down() && config_.on_down == when_down::fail_fast) return errc::backend_down;
    return std::nullopt;
  }

  /// A connection that somebody can use: as far as it is still wanted.
  void back_to_work(pool_slot& slot, time_point now, pool_effects& fx) {
    const bool was_idle = std::exchange(slot.keeping_alive, false);
    if (const close_reason why = end_of(slot, give_back::clean); why != close_reason::none) {
      shut_down(slot, why, now, fx);
    } else if (renews(slot, now)) {
      shut_down(slot, close_reason::lifetime, now, fx);
    } else if (!hand_over(slot, now, fx)) {
      was_idle && !fifo() ? park_in_order(slot) : park(slot, !fifo());
    }
    settle(now, fx);
  }
  /// Being asked whether it is alive makes no connection warmer.
  /// Waiters get what is idle, or what turns out to be alive.
  void serve(time_point now, pool_effects& fx) {
    if (suspended_ || closed_) return;
    while (!queue_.empty()) {
      const bool ask = answering() < queue_.servable();
      pool_slot* slot = next_fresh(ask, now, fx);
      if (slot == nullptr) {
        if (!ask || table_.first_idle() == nullptr) return;
      } else if (!hand_over(*slot, now, fx)) {
        return park(*slot, true);
      }
    }
  }

  // ---- connecting --------------------------------------------------------------------------------------------------

  /// What is to be under way.
  [[nodiscard]] std::uint32_t attempts_needed() const noexcept {
    const auto less = [](std::uint32_t a, std::uint32_t b) { return a > b ? a - b : 0; };
    // Who may not have one whatever there is, does not need one.
    std::uint32_t need = less(queue_.servable(), answering());
    need = std::max(need, less(std::max(config_.min_size, watches_want()), table_.alive()));
    if (config_.min_idle != 0) need = std::max(need, less(config_.min_idle, table_.in_state(slot_state::idle)));
    need += renewal_.demand();
    return health_.is_down() ? std::max(need, std::uint32_t{1}) : need;
  }

  void connect_as_needed(time_point now, pool_effects& fx) {
    if (closed_ || suspended_) return;
    const std::uint32_t wanted = std::min(attempts_needed(), health_.window());
    while (table_.count(slot_state::connecting) < wanted && table_.occupied() + ousting_ < config_.max_size) {
      const auto endpoint = health_.pick(now);
      if (!endpoint) {
        connect_at_ = health_.retry_at();
        return;
      }
      pool_slot& slot = table_.take_vacant();
      slot.endpoint = *endpoint;
      slot.attempt = health_.attempt(*endpoint);
      slot.generation = generation_;
      begin(slot, slot_state::connecting, now);
      fx.jobs.push_back(slot);
    }
  }

  void give_up_if_down(time_point now, pool_effects& fx) {
    if (!health_.goes_down(table_.alive() != 0)) return;
    ++counts_.outages;
    remember({.name = name_, .kind = pool_event_kind::backend_down, .at = now, .cause = last_failure_});
    tell_that_it_is_down(now, fx);
  }
  /// Who waits for a backend that is down, unless that is wanted.
  void tell_that_it_is_down(time_point now, pool_effects& fx) {
    if (config_.on_down != when_down::fail_fast || !health_.is_down()) return;
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
    if (table_.occupied() + ousting_ < config_.max_size) connect_as_needed(now, fx);
    if (!fx.ready.empty()) explain_refusals(now, fx);
    if (is_watched()) [[unlikely]]
      look_at_watches(now, fx);
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
};

}  // namespace weir::inline v0
