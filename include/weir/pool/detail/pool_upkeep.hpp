#pragma once
/// \file
/// What becomes of the places of a pool as time passes: what takes too long, what gets old, what is not used, what does not
/// come back; and what the size advisor learns of it. The middle floor of `pool_core`.

#include <weir/pool/detail/pool_places.hpp>
#include <weir/pool/size_advisor.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

class pool_upkeep : public pool_places {
 public:
  /// One of the jobs that take too long, each once: it should be made to fail soon. No slot: no more.
  overdue_job take_overdue() noexcept {
    for (pool_slot* slot : table_.slots()) {
      if (std::exchange(slot->unheard, false)) return {slot, slot->job};
    }
    return {};
  }
  /// Connections were found that are to be taken from their users.
  [[nodiscard]] bool has_leaks() const noexcept { return leaks_ != 0 && !closed_; }
  /// How many slots there have to be for `reclaim` to do so. None is lost while max_size are: more are only where max_size
  /// was lowered since.
  [[nodiscard]] std::uint32_t slots_needed() const noexcept {
    const std::uint32_t lost = table_.count(slot_state::lost);
    return config_.max_size + std::max(lost, std::min(lost + leaks_, config_.max_size));
  }
  [[nodiscard]] const size_advisor& advisor() const noexcept { return advisor_; }

 protected:
  pool_upkeep(const pool_config& config, pool_abilities can, std::vector<pool_slot*> slots, time_point now)
      : pool_places(config, can, std::move(slots), now) {
    sampled_.at = now;
  }
  ~pool_upkeep() = default;

  /// Looks at every place: what takes too long, what is due, what has not come back.
  void look_around(time_point now, pool_effects& fx) {
    look_at_ = never;
    leaks_ = 0;
    table_.shut_all();
    take_sample(now);
    keepalives_.count = 0;
    for (pool_slot* slot : table_.slots()) {
      switch (slot->state()) {
        case slot_state::vacant: break;
        case slot_state::in_use: look_at_user(*slot, now); break;
        case slot_state::idle: look_at_idle(*slot, now, fx); break;
        default: look_at_job(*slot, now, fx); break;
      }
    }
    ask_those_that_are_due(now, fx);
    // What is taken and put back without the lock plans nothing.
    if (table_.alive() != 0) look_at_ = std::min(look_at_, later(now, look_every()));
    look_at_ = std::max(look_at_, later(now, std::chrono::milliseconds{1}));
    open_all();
  }

  /// Whether its user is still the one who had it for too long.
  [[nodiscard]] static bool is_leaked(const pool_slot& slot) noexcept {
    return slot.state() == slot_state::in_use && !slot.is_open() && slot.leaked_use == slot.uses() &&
           slot.since() != never && !slot.detaching;
  }
  /// As many as may be, and the table has room for beside max_size others.
  void lose_leaks(time_point now, pool_effects& fx) {
    leaks_ = 0;
    for (pool_slot* slot : table_.slots()) {
      const std::uint32_t lost = table_.count(slot_state::lost);
      if (lost >= config_.max_size || table_.slots().size() <= std::uint64_t{config_.max_size} + lost) return;
      if (is_leaked(*slot)) lose(*slot, now, fx);
    }
  }
  /// What its user has counts no more; it is closed when he gives it back.
  void lose(pool_slot& slot, time_point now, pool_effects& fx) {
    if (by_tenants()) queue_.gave_back(slot.tenant, 1);
    slot.counted = slot.in_use_until(now);
    table_.become(slot, slot_state::lost);
    slot.due = never;
    slot.overdue = false;
    slot.closing = close_reason::leak;
    ++counts_.closed_for[static_cast<std::size_t>(close_reason::leak)];
    tell(pool_event_kind::closed, slot, elapsed(slot.born, now));
    abort(slot, fx);
    slot.ousting = slot.to_abort;
    if (slot.ousting) ++ousting_;
  }
  /// He does.
  void find_again(pool_slot& slot, give_back how, time_point now, pool_effects& fx) {
    slot.uncounted = slot.held.sum() - slot.counted;
    if (how == give_back::detached) return vacate(slot, close_reason::none);
    ++slot.job;
    set_clock(slot, now);
    if (!slot.aborting) fx.jobs.push_back(slot);
  }

  [[nodiscard]] duration look_every() const noexcept {
    const duration often = std::min({config_.idle_timeout, config_.keepalive, config_.leak_after, config_.max_lifetime});
    return std::clamp(often / 10, duration{std::chrono::milliseconds{1}}, duration{std::chrono::seconds{1}});
  }

  void plan_keepalive(pool_slot& slot, time_point now) noexcept {
    slot.keepalive_at = never;
    if (!can_.validates || config_.keepalive == duration::max()) return;
    slot.keepalive_at = later(now, random_.between(config_.keepalive / 10 * 9, config_.keepalive / 10 * 11));
  }

 private:
  /// For the advisor, once a second: what has happened since the last time.
  void take_sample(time_point now) noexcept {
    const duration span = elapsed(sampled_.at, now);
    if (span < std::chrono::seconds{1}) return;
    sample_totals seen{.at = now};
    for (const pool_slot* slot : table_.slots()) {
      seen.uses += slot->uses() - (slot->is_held() && slot->since() != never ? 1 : 0);
      seen.held += slot->held.sum() - slot->uncounted;
      seen.in_use_seconds += std::chrono::duration<double>(slot->in_use_until(now)).count();
    }
    seen.opened = counts_.opened;
    seen.waited_for_connect = counts_.waited_for_connect;
    const std::uint32_t in_use = table_.in_state(slot_state::in_use);
    const auto& done = queue_.totals();
    seen.arrivals = seen.uses + counts_.refused + done.queue_full + done.would_miss_deadline;
    for (const std::uint64_t ended : done.ended) seen.arrivals += ended;
    seen.arrivals -= counts_.waited;  // are among the uses
    advisor_.note({.arrivals = seen.arrivals - std::min(seen.arrivals, sampled_.arrivals),
                   .returned = seen.uses - std::min(seen.uses, sampled_.uses),
                   .held = seen.held - sampled_.held,
                   .in_use_seconds = std::max(0.0, seen.in_use_seconds - sampled_.in_use_seconds),
                   .span = span,
                   .opened = seen.opened - sampled_.opened,
                   .waited_for_connect = seen.waited_for_connect - sampled_.waited_for_connect,
                   .in_use = in_use,
                   .was_full = std::exchange(was_full_, false) || in_use >= config_.max_size});
    sampled_ = seen;
  }

  void look_at_job(pool_slot& slot, time_point now, pool_effects& fx) noexcept {
    if (slot.overdue) return;
    if (slot.due <= now) {
      slot.overdue = slot.unheard = true;
      fx.overdue = true;
      late_answers_ += slot.state() == slot_state::validating ? 1 : 0;
    } else {
      look_at_ = std::min(look_at_, slot.due);
    }
  }

  void look_at_user(pool_slot& slot, time_point now) noexcept {
    if (config_.leak_after == duration::max()) return;
    const std::uint64_t use = slot.uses();
    const time_point suspect_at = later(slot.since(), config_.leak_after);
    if (slot.reported_use != use) {
      if (suspect_at > now) {
        look_at_ = std::min(look_at_, suspect_at);
        return;
      }
      slot.reported_use = use;
      ++counts_.leaks_suspected;
      tell(pool_event_kind::suspected_leak, slot, elapsed(slot.since(), now));
    }
    if (config_.leak_reclaim == duration::max() || closed_ || slot.detaching) return;
    if (const time_point reclaim_at = later(suspect_at, config_.leak_reclaim); reclaim_at > now) {
      look_at_ = std::min(look_at_, reclaim_at);
    } else {
      slot.leaked_use = use;
      ++leaks_;
    }
  }

  void look_at_idle(pool_slot& slot, time_point now, pool_effects& fx) {
    const time_point too_long = later(slot.idle_since, config_.idle_timeout);
    const bool spare = table_.alive() > config_.min_size && table_.count(slot_state::idle) > config_.min_idle;
    if (slot.dies_at <= now || renews(slot, now)) {
      table_.take_idle(slot);
      shut_down(slot, close_reason::lifetime, now, fx);
    } else if (too_long <= now && spare) {
      table_.take_idle(slot);
      shut_down(slot, close_reason::idle, now, fx);
    } else if (slot.keepalive_at <= now) {
      keepalives_.add(slot);
    } else {
      for (const time_point t : {slot.dies_at, slot.renew_at, too_long, slot.keepalive_at}) {
        if (t > now) look_at_ = std::min(look_at_, t);
      }
    }
  }

  /// Of those that are to be asked whether they are alive, the ones that have been idle for longest: what was used just now
  /// may be wanted again.
  struct keepalives {
    static constexpr std::size_t most = 8;
    std::array<pool_slot*, most> longest{};
    std::size_t count = 0;
    bool more = false;

    void add(pool_slot& slot) noexcept {
      auto* const end = longest.data() + count;
      auto* const at =
          std::find_if(longest.data(), end, [&](const pool_slot* other) { return other->idle_since > slot.idle_since; });
      more = more || count == most;
      if (at == longest.data() + most) return;
      if (count < most) ++count;
      std::move_backward(at, longest.data() + count - 1, longest.data() + count);
      *at = &slot;
    }
  };
  /// A tenth of all at a time, at least one.
  void ask_those_that_are_due(time_point now, pool_effects& fx) {
    bool all = !std::exchange(keepalives_.more, false);
    for (std::size_t i = 0; i < keepalives_.count; ++i) {
      if (10 * table_.count(slot_state::validating) >= std::max(table_.occupied(), std::uint32_t{10})) {
        all = false;
        break;
      }
      pool_slot& slot = *keepalives_.longest[i];
      slot.keeping_alive = true;
      table_.take_idle(slot);
      validate(slot, now, fx);
    }
    if (!all) look_at_ = std::min(look_at_, later(now, std::chrono::milliseconds{10}));
  }

  keepalives keepalives_;
  std::uint32_t leaks_ = 0;  // found when it looked around last
  struct sample_totals {
    time_point at{};
    std::uint64_t uses = 0, arrivals = 0, opened = 0, waited_for_connect = 0;
    duration held{};
    double in_use_seconds = 0;
  } sampled_;
  size_advisor advisor_;
};

}  // namespace weir::inline v0::detail
