#pragma once
/// \file
/// Those who wait for a pool as a whole: until no connection is left (drain), or until so many are open (ready). The third
/// floor of `pool_core`.

#include <weir/pool/detail/pool_upkeep.hpp>

#include <algorithm>
#include <cstdint>
#include <utility>

namespace weir::inline v0::detail {

/// They are few: each is looked at whenever something happens while there are any.
class pool_watching : public pool_upkeep {
 protected:
  using pool_upkeep::pool_upkeep;
  ~pool_watching() = default;

  /// It ends when its aim is reached, cannot be any more, or its time is up.
  void add(pool_watch& w, time_point now) noexcept {
    w.where = wait_node::state::waiting;
    w.enqueued = now;
    w.why = errc{};
    w.report = {};
    w.evidence.reset();
    watches_.push_back(w);
    note_wanted();
  }
  /// false: it has ended already.
  bool take_out(pool_watch& w, time_point now) noexcept {
    if (w.where != wait_node::state::waiting) return false;
    watches_.erase(w);
    w.where = wait_node::state::ended;
    w.waited = elapsed(w.enqueued, now);
    note_wanted();
    return true;
  }
  void end(pool_watch& w, wait_outcome how, errc why, time_point now, pool_effects& fx) noexcept {
    take_out(w, now);
    w.ended = how;
    w.why = why;
    w.warm = table_.warm();
    w.report = left();
    if (why != errc{}) w.evidence = evidence(now);
    w.lane_next = std::exchange(fx.watchers, &w);
  }

  [[nodiscard]] bool is_watched() const noexcept { return !watches_.empty(); }
  void look_at_watches(time_point now, pool_effects& fx) noexcept {
    for (wait_node* next = watches_.front(); next != nullptr;) {
      auto& w = *static_cast<pool_watch*>(std::exchange(next, watches_.after(*next)));
      w.what == pool_watch::aim::drained ? look_at_drain(w, now, fx) : look_at_ready(w, now, fx);
    }
  }
  /// When the time of the first of them is up.
  [[nodiscard]] time_point watches_end() const noexcept { return watches_end_; }
  /// How many connections they want to be open.
  [[nodiscard]] std::uint32_t watches_want() const noexcept { return watches_want_; }

 private:
  void look_at_drain(pool_watch& w, time_point now, pool_effects& fx) noexcept {
    if (table_.occupied() == 0) return end(w, wait_outcome::granted, errc{}, now, fx);
    if (w.deadline > now) return;
    for (pool_slot* slot : table_.slots()) {
      if (slot->state() == slot_state::in_use) abort(*slot, fx);
    }
    end(w, wait_outcome::timed_out, errc{}, now, fx);
  }

  void look_at_ready(pool_watch& w, time_point now, pool_effects& fx) noexcept {
    if (w.wanted > config_.max_size) return end(w, wait_outcome::shed, errc::never_admissible, now, fx);
    if (closed_) return end(w, wait_outcome::closed, errc::closed, now, fx);
    if (table_.warm() >= w.wanted) return end(w, wait_outcome::granted, errc{}, now, fx);
    if (is_down() && config_.on_down == when_down::fail_fast) {
      return end(w, wait_outcome::shed, errc::backend_down, now, fx);
    }
    if (w.deadline > now) return;
    end(w, wait_outcome::timed_out, w.enqueued >= w.deadline ? errc::expired : errc::wait_timeout, now, fx);
  }

  [[nodiscard]] drain_report left() const noexcept {
    drain_report r{.lost = table_.count(slot_state::lost)};
    r.in_use = table_.in_state(slot_state::in_use);
    for (const pool_slot* slot : table_.slots()) {
      r.aborted += slot->aborted && slot->state() == slot_state::in_use ? 1 : 0;
    }
    for (const slot_state s :
         {slot_state::connecting, slot_state::validating, slot_state::resetting, slot_state::closing}) {
      r.under_way += table_.count(s);
    }
    return r;
  }

  void note_wanted() noexcept {
    watches_end_ = never;
    watches_want_ = 0;
    for (const wait_node* node = watches_.front(); node != nullptr; node = watches_.after(*node)) {
      const auto& w = *static_cast<const pool_watch*>(node);
      watches_end_ = std::min(watches_end_, w.deadline);
      if (w.what == pool_watch::aim::ready) watches_want_ = std::max(watches_want_, std::min(w.wanted, config_.max_size));
    }
  }

  ready_list watches_;
  time_point watches_end_ = never;
  std::uint32_t watches_want_ = 0;
};

}  // namespace weir::inline v0::detail
