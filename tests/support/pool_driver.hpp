#pragma once
// A pool_core driven step by step: no socket, no thread, no clock. What it wants done lies in lists until a test says how
// it ended.
#include <weir/pool/pool_core.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace weir {

class pool_driver {
 public:
  struct waiter : pool_waiter {
    pool_driver* driver = nullptr;
    bool done = false;
    time_point asked_at{};
    time_point done_at{};
    waiter() noexcept {
      complete = [](wait_node& node, wait_outcome) noexcept {
        auto& w = static_cast<waiter&>(node);
        EXPECT_FALSE(w.done) << "completed twice";
        w.done = true;
        w.done_at = w.driver->now;
        if (w.slot != nullptr) {
          EXPECT_LT(w.done_at, w.deadline) << "granted when its time was up";
          EXPECT_GT(w.slot->dies_at, w.done_at) << "granted a connection that is older than any may get";
        }
        w.driver->finished.push_back(&w);
      };
    }
    [[nodiscard]] bool granted() const { return done && slot != nullptr; }
  };

  /// Waits for the pool as a whole.
  struct watcher : pool_watch {
    bool done = false;
    time_point* clock = nullptr;
    time_point done_at{};
    watcher() noexcept {
      complete = [](wait_node& node, wait_outcome) noexcept {
        auto& w = static_cast<watcher&>(node);
        EXPECT_FALSE(w.done) << "completed twice";
        w.done = true;
        w.done_at = *w.clock;
      };
    }
  };

  template <class F>
  std::invoke_result_t<F, pool_effects&> run(F&& f) {
    pool_effects fx;
    if constexpr (std::is_void_v<std::invoke_result_t<F, pool_effects&>>) {
      f(fx);
      collect(fx);
    } else {
      auto answer = f(fx);
      collect(fx);
      return answer;
    }
  }

  explicit pool_driver(pool_config config = {}, pool_abilities can = {},
                       time_point at = time_point{} + std::chrono::hours{1})
      : now(at) {
    std::vector<pool_slot*> all;
    for (std::uint32_t i = 0; i < config.max_size; ++i) all.push_back(&slots.emplace_back());
    core.emplace(config, can, std::move(all), now);
    run([&](pool_effects& fx) { core->start(now, fx); });
  }
  ~pool_driver() {
    run([&](pool_effects& fx) { core->close(now, fx); });
  }

  pool_slot* take(errc* why = nullptr, std::string_view tag = {}, std::uint32_t tenant = 0) {
    errc ignored{};
    return run([&](pool_effects& fx) {
      return core->try_take({.tenant = tenant, .tag = tag}, std::source_location::current(), now, fx,
                            why != nullptr ? *why : ignored);
    });
  }
  /// As a shell asks: at once if possible, else waiting.
  waiter& ask(time_point deadline = never, std::string_view tag = {}, std::uint32_t tenant = 0) {
    waiter& w = waiters.emplace_back();
    w.driver = this;
    w.deadline = deadline;
    w.asked_at = now;
    w.tag = tag;
    w.tenant = tenant;
    errc why{};
    if (pool_slot* slot = take(&why, tag, tenant)) {
      w.slot = slot;
      w.done = true;
      w.done_at = now;
      return w;
    }
    if (why == errc::over_capacity) {
      const auto refused = run([&](pool_effects& fx) { return core->wait(w, now, fx); });
      if (!refused) return w;
      why = *refused;
    }
    w.why = why;
    w.done = true;
    return w;
  }
  watcher& drain(time_point deadline = never) {
    watcher& w = watch(deadline);
    run([&](pool_effects& fx) { core->drain(w, now, fx); });
    return w;
  }
  watcher& ready(std::uint32_t wanted, time_point deadline = never) {
    watcher& w = watch(deadline);
    run([&](pool_effects& fx) { core->make_ready(w, wanted, now, fx); });
    return w;
  }
  void put(pool_slot* slot, give_back how = give_back::used) {
    slot->end_use(now, core->fresh_for());
    run([&](pool_effects& fx) { core->put(*slot, how, now, fx); });
  }
  /// As a shell gives back: without the lock if possible. Whether it was.
  bool put_open(pool_slot* slot) {
    slot->end_use(now, core->fresh_for());
    if (now < slot->renew_at && slot->try_put()) return true;
    run([&](pool_effects& fx) { core->put(*slot, give_back::used, now, fx); });
    return false;
  }
  void pass(duration d) {
    const time_point until = now + d;
    while (core->next_event() <= until) {
      now = std::max(now, core->next_event());
      run([&](pool_effects& fx) { core->pass(now, fx); });
      if (jobs_end_at_once) finish_jobs();
    }
    now = until;
    run([&](pool_effects& fx) { core->pass(now, fx); });
    if (jobs_end_at_once) finish_jobs();
  }
  /// Everything that is under way ends well.
  void finish_jobs() {
    while (!connecting.empty() || !validating.empty() || !resetting.empty() || !closing.empty()) {
      if (!connecting.empty()) connect_ok();
      if (!validating.empty()) validate_ends(true);
      if (!resetting.empty()) reset_ends(true);
      if (!closing.empty()) close_ends();
    }
  }
  pool_slot& connect_ok() {
    pool_slot& s = next(connecting);
    run([&](pool_effects& fx) { core->connected(s, now, fx); });
    return s;
  }
  pool_slot& connect_fails(std::string text = "refused") {
    pool_slot& s = next(connecting);
    auto cause = std::make_shared<connect_failure>();
    cause->text = std::move(text);
    cause->at = now;
    run([&](pool_effects& fx) { core->connect_failed(s, std::move(cause), now, fx); });
    return s;
  }
  pool_slot& validate_ends(bool alive) {
    pool_slot& s = next(validating);
    run([&](pool_effects& fx) { core->validated(s, alive, now, fx); });
    return s;
  }
  pool_slot& reset_ends(bool ok) {
    pool_slot& s = next(resetting);
    run([&](pool_effects& fx) { core->was_reset(s, ok, now, fx); });
    return s;
  }
  pool_slot& close_ends() {
    pool_slot& s = next(closing);
    run([&](pool_effects& fx) { core->was_closed(s, now, fx); });
    return s;
  }

  /// Time has come to now; leaks are taken back, with room for as many as the pool wants.
  void reclaim() {
    run([&](pool_effects& fx) { core->pass(now, fx); });
    if (!core->has_leaks()) return;
    std::vector<pool_slot*> all = core->table().slots();
    while (all.size() < core->slots_needed()) all.push_back(&slots.emplace_back());
    run([&](pool_effects& fx) { core->reclaim(all, now, fx); });
  }
  /// The backend has aborted it.
  pool_slot& abort_ends() {
    pool_slot& s = next(aborting);
    run([&](pool_effects& fx) { core->aborted(s, now, fx); });
    return s;
  }

  [[nodiscard]] std::uint32_t in_state(slot_state s) const { return core->table().in_state(s); }
  [[nodiscard]] std::uint64_t closed_for(close_reason why) const {
    return core->totals().closed_for[static_cast<std::size_t>(why)];
  }
  [[nodiscard]] std::size_t events_of(pool_event_kind kind) const {
    return static_cast<std::size_t>(
        std::count_if(events.begin(), events.end(), [&](const pool_event& e) { return e.kind == kind; }));
  }

  /// What holds at every instant.
  void check() const {
    ASSERT_LE(core->table().occupied(), std::max<std::uint32_t>(core->config().max_size, most_allowed));
    std::uint32_t sum = 0;
    for (std::size_t s = 1; s < slot_state_count; ++s) sum += in_state(static_cast<slot_state>(s));
    sum -= in_state(slot_state::lost);
    ASSERT_EQ(sum, core->table().occupied());
    if (!core->queue().empty()) {
      ASSERT_EQ(core->table().open_count(), 0u) << "open while somebody waits";
    }
  }

  time_point now;
  std::deque<pool_slot> slots;
  std::optional<pool_core> core;
  std::deque<waiter> waiters;
  std::vector<waiter*> finished;  // in the order of completion
  std::deque<watcher> watchers;
  std::deque<pool_slot*> connecting, validating, resetting, closing, aborting;
  std::vector<pool_slot*> overdue;
  std::vector<pool_event> events;
  std::uint64_t seen_events = 0;
  bool jobs_end_at_once = false;
  std::uint32_t most_allowed = 0;  // max_size before it was lowered

 private:
  watcher& watch(time_point deadline) {
    watcher& w = watchers.emplace_back();
    w.deadline = deadline;
    w.clock = &now;
    return w;
  }
  static pool_slot& next(std::deque<pool_slot*>& jobs) {
    pool_slot& s = *jobs.at(0);
    jobs.pop_front();
    return s;
  }
  void collect(pool_effects& fx) {
    while (pool_slot* s = fx.jobs.pop_front()) {
      switch (s->state()) {
        case slot_state::connecting: connecting.push_back(s); break;
        case slot_state::validating: validating.push_back(s); break;
        case slot_state::resetting: resetting.push_back(s); break;
        case slot_state::closing:
        case slot_state::lost:
          EXPECT_FALSE(s->aborting) << "closed while it is aborted";
          closing.push_back(s);
          break;
        default: ADD_FAILURE() << "no job for this state";
      }
    }
    while (pool_slot* s = fx.overdue ? core->take_overdue().slot : nullptr) overdue.push_back(s);
    while (pool_slot* s = fx.aborts ? core->take_to_abort() : nullptr) aborting.push_back(s);
    for (; seen_events < core->events(); ++seen_events) events.push_back(core->event(seen_events + 1));
    complete_all(fx.ready);
    while (wait_node* w = fx.watchers) {
      fx.watchers = std::exchange(w->lane_next, nullptr);
      w->complete(*w, w->ended);
    }
    check();
  }
};

}  // namespace weir
