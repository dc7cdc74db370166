#pragma once
/// \file
/// `guarded_core`: a `pool_core` behind its lock, with its slots, its backend and its clock. Each step is made under the
/// lock; what follows from it, after that.

#include <weir/core/default_clock.hpp>
#include <weir/core/detail/mutex.hpp>
#include <weir/core/observer.hpp>
#include <weir/pool/backend.hpp>
#include <weir/pool/detail/sleeper.hpp>
#include <weir/pool/pool_core.hpp>
#include <weir/pool/pool_explanation.hpp>
#include <weir/pool/pool_snapshot.hpp>

#include <cassert>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline v0::detail {

/// `Shell` derives from it and has `void start(slot_type&)`: does the job that a slot's state says, on whatever thread;
/// `void give_up(slot_type&, number)`: that job takes too long; `void wake_at(time_point)`: when to call `see_time` next,
/// or earlier.
///
/// Lives until the pool has been closed and the last connection and job has come back (`keep_alive_`): a lease needs no
/// count of its own.
template <class Shell, class Backend, clock_source Clock, class Observer>
class guarded_core : public std::enable_shared_from_this<Shell> {
 public:
  using connection = typename Backend::connection;

  static_assert(
      is_broken_fits<Backend>,
      "this backend's is_broken would never be called: make it `bool is_broken(const connection&) const noexcept`");
  static_assert(abort_fits<Backend>,
                "this backend's abort would never be called: make it `void abort(connection&) noexcept`");

  /// A place with its connection.
  struct slot_type : pool_slot {
    std::optional<connection> conn;
    Shell* shell = nullptr;
  };

  guarded_core(Backend backend, const pool_config& config, Observer observer, Clock clock)
      : backend_(std::move(backend)), clock_(std::move(clock)), publisher_(std::move(observer)) {
    throw_if(check(config));
    fresh_for_.store(config.validate_after_idle.count(), relaxed);
    reset_on_return_.store(config.reset_on_return, relaxed);
    core_.emplace(
        config,
        pool_abilities{
            .validates = validates<Backend>, .resets = resets<Backend>, .aborts = aborts<Backend>, .observed = is_observed},
        more_slots(config.max_size), clock_.now());
    name_ = core_->name();
  }
  guarded_core(const guarded_core&) = delete;
  guarded_core& operator=(const guarded_core&) = delete;

  void begin() {
    act([](pool_core& core, time_point now, pool_effects& fx) { core.start(now, fx); });
  }

  void see_time() noexcept {
    const bool leaks = act([](pool_core& core, time_point now, pool_effects& fx) {
      core.pass(now, fx);
      return core.has_leaks();
    });
    if (leaks) [[unlikely]]
      reclaim();
  }

  void suspend() noexcept {
    act([](pool_core& core, time_point now, pool_effects& fx) { core.suspend(now, fx); });
  }
  void resume() noexcept {
    act([](pool_core& core, time_point now, pool_effects& fx) { core.resume(now, fx); });
  }
  void invalidate(std::string_view why) noexcept {
    act([&](pool_core& core, time_point now, pool_effects& fx) { core.invalidate(now, fx, why); });
  }
  void close() noexcept {
    act([](pool_core& core, time_point now, pool_effects& fx) { core.close(now, fx); });
  }
  /// The handle goes: closes, and stays until everything has come back.
  void orphan() noexcept {
    auto self = this->shared_from_this();
    {
      scoped_lock lock{mutex_};
      keep_alive_ = self;
    }
    close();
  }

  std::optional<config_error> reconfigure(pool_config config) {
    if (auto wrong = check(config)) return wrong;
    consequences next;
    if (auto wrong = apply(config, next)) return wrong;
    follow(next);
    return std::nullopt;
  }

  /// How many wait, less what could serve them at once: where it is least, a turn comes soonest.
  [[nodiscard]] std::int64_t pressure() const {
    scoped_lock lock{mutex_};
    return std::int64_t{core_->queue().size()} + core_->table().in_state(slot_state::in_use) - core_->config().max_size;
  }
  [[nodiscard]] pool_snapshot snapshot() const {
    const time_point now = clock_.now();
    scoped_lock lock{mutex_};
    return take_snapshot(*core_, now);
  }
  [[nodiscard]] pool_explanation explain() const {
    scoped_lock slots_stay{reconfiguring_};
    pool_explanation e;
    e.connections.reserve(slots_.size());
    const time_point now = clock_.now();
    scoped_lock lock{mutex_};
    detail::explain(*core_, now, e);
    return e;
  }
  [[nodiscard]] pool_advice advice(duration target) const {
    std::optional<size_advisor> advisor;
    std::uint32_t size = 0;
    {
      scoped_lock lock{mutex_};
      advisor = core_->advisor();
      size = core_->config().max_size;
    }
    return advisor->advise(size, target);
  }
  /// Errors: std::bad_alloc.
  [[nodiscard]] pool_histograms histograms() const {
    scoped_lock slots_stay{reconfiguring_};
    const wait_queue_core* queue = nullptr;
    const pool_core::durations* lasted = nullptr;
    {
      scoped_lock lock{mutex_};
      queue = &core_->queue();
      lasted = &core_->lasted();
    }
    pool_histograms h = read_histograms(*queue, *lasted);
    for (const auto& slot : slots_) slot->held.add_to(h.held);
    return h;
  }

  /// Errors: std::bad_alloc.
  [[nodiscard]] std::vector<pool_tenant> tenants() const {
    scoped_lock lines_stay{reconfiguring_};
    const tenant_lanes* lanes = nullptr;
    {
      scoped_lock lock{mutex_};
      lanes = core_->queue().tenants();
    }
    std::vector<pool_tenant> all(lanes == nullptr ? 0 : lanes->accounts().size());
    {
      scoped_lock lock{mutex_};
      for (std::size_t i = 0; i < all.size(); ++i) count_tenant(*lanes, i, all[i]);
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      lanes->accounts()[i].granted.add_to(all[i].wait_ok);
      lanes->accounts()[i].failed.add_to(all[i].wait_failed);
    }
    return all;
  }

  [[nodiscard]] time_point now() const noexcept { return clock_.now(); }
  [[nodiscard]] weir::name name() const noexcept { return name_; }
  [[nodiscard]] Backend& backend() noexcept { return backend_; }
  [[nodiscard]] std::uint64_t swallowed() const noexcept { return publisher_.swallowed(); }

 protected:
  ~guarded_core() = default;

  /// Runs `f` under the lock, and after it whatever follows. `now`: read before.
  template <class F>
  auto act(time_point now, F&& f) noexcept {
    consequences next;
    if constexpr (std::is_void_v<std::invoke_result_t<F, pool_core&, time_point, pool_effects&>>) {
      decide(now, next, f);
      follow(next);
    } else {
      const auto answer = decide(now, next, f);
      follow(next);
      return answer;
    }
  }
  template <class F>
  auto act(F&& f) noexcept {
    return act(clock_.now(), std::forward<F>(f));
  }

  [[nodiscard]] bool is_timed() const noexcept {
    scoped_lock lock{mutex_};
    return core_->is_timed();
  }

  /// `wake` of the last call of `wake_at` has come.
  void woke() noexcept {
    scoped_lock lock{mutex_};
    planned_ = never;
  }

  template <class F>
  auto with_core(F&& f) noexcept {
    return act(std::forward<F>(f));
  }

  Backend backend_;
  [[no_unique_address]] mutable Clock clock_;
  weir::name name_;
  atomic<duration::rep> fresh_for_{0};
  atomic<bool> reset_on_return_{true};
  atomic<bool> crowded_{false};                    // somebody waits, or did a moment ago
  mutable mutex reconfiguring_;                    // before mutex_
  std::vector<std::unique_ptr<slot_type>> slots_;  // guarded by reconfiguring_
  mutable mutex mutex_;
  mutable std::optional<pool_core> core_ WEIR_GUARDED_BY(mutex_);

 private:
  static constexpr bool is_observed = observes<Observer, pool_event>;

  static Shell& self(guarded_core& s) noexcept { return static_cast<Shell&>(s); }

  /// What is to be done after unlocking.
  struct consequences {
    pool_effects effects;
    std::shared_ptr<Shell> last;  // holds this until all is done
    time_point wake = never;
    sleeper* on_deck = nullptr;
    bool told = false;
  };

  template <class F>
  auto decide(time_point now, consequences& next, F&& f) noexcept {
    scoped_lock lock{mutex_};
    const auto before = core_->events();
    if constexpr (std::is_void_v<std::invoke_result_t<F, pool_core&, time_point, pool_effects&>>) {
      f(*core_, now, next.effects);
      conclude(before, next);
    } else {
      const auto answer = f(*core_, now, next.effects);
      conclude(before, next);
      return answer;
    }
  }

  void conclude(std::uint64_t events_before, consequences& next) noexcept WEIR_REQUIRES(mutex_) {
    next.told = core_->events() != events_before;
    const bool crowded = !core_->queue().empty();
    if (crowded != crowded_.load(relaxed)) crowded_.store(crowded, relaxed);
    const time_point due = core_->next_event();
    if (due < planned_) next.wake = planned_ = due;
    if constexpr (requires(Shell& s) { s.next_on_deck(*core_); }) {
      // One has left the line: one more is nearly there.
      if (core_->totals().waited != handed_over_) {
        handed_over_ = core_->totals().waited;
        if (crowded) next.on_deck = self(*this).next_on_deck(*core_);
      }
    }
    if (keep_alive_ != nullptr && core_->is_empty()) {
      next.last = std::move(keep_alive_);
    } else if (needs_the_pool(next)) {
      // What has just been given back is anybody's: it may be closed, and the pool go, before this thread comes to it.
      next.last = this->weak_from_this().lock();
    }
  }

  /// Whether `follow` has to do with it, but for jobs: a job that has not begun keeps it.
  static bool needs_the_pool(const consequences& next) noexcept {
    const pool_effects& fx = next.effects;
    return next.wake != never || (is_observed && next.told) || fx.overdue || fx.aborts || fx.watchers != nullptr;
  }

  void follow(consequences& next) noexcept {
    if (next.wake != never) self(*this).wake_at(next.wake);
    if constexpr (is_observed) {
      if (next.told) publish();
    }
    // Before the jobs, which may end at once, and serve who comes behind these. Only they still need the pool, and keep it.
    complete_all(next.effects.ready);
    if (!next.effects.jobs.empty() || next.effects.overdue || next.effects.aborts) [[unlikely]]
      start_jobs(next.effects);
    if (next.effects.watchers != nullptr) [[unlikely]] {
      complete_watchers(next.effects.watchers);
      if constexpr (requires(Shell& s) { s.told_watchers(); }) self(*this).told_watchers();
    }
    if (next.on_deck != nullptr) next.on_deck->come_on_deck();
  }

  [[gnu::noinline]] void start_jobs(pool_effects& fx) noexcept {
    // First: what is opened in the place of such a connection is not to be one too many for the server.
    if constexpr (aborts<Backend>) {
      while (fx.aborts) abort_one(fx.aborts);
    }
    while (pool_slot* slot = fx.jobs.pop_front()) self(*this).start(static_cast<slot_type&>(*slot));
    while (fx.overdue) {
      overdue_job late;
      {
        scoped_lock lock{mutex_};
        late = core_->take_overdue();
      }
      if (late.slot == nullptr) break;
      self(*this).give_up(static_cast<slot_type&>(*late.slot), late.number);
    }
  }
  /// What comes back while it is aborted is not closed before that has ended: `conn` stays.
  void abort_one(bool& more) noexcept {
    slot_type* slot = nullptr;
    {
      scoped_lock lock{mutex_};
      slot = static_cast<slot_type*>(core_->take_to_abort());
    }
    more = slot != nullptr;
    if (slot == nullptr) return;
    backend_.abort(*slot->conn);
    act([&](pool_core& core, time_point now, pool_effects& fx) { core.aborted(*slot, now, fx); });
  }

  [[gnu::noinline]] static void complete_watchers(wait_node* first) noexcept {
    ready_list ended;
    while (first != nullptr) {
      wait_node& each = *first;
      first = std::exchange(each.lane_next, nullptr);
      ended.push_back(each);
    }
    complete_all(ended);
  }

  void publish() noexcept {
    for (;;) {
      std::optional<pool_event> event;
      {
        scoped_lock lock{mutex_};
        event = core_->take_event();
      }
      if (!event) return;
      publisher_.publish([&](std::uint64_t) { return *event; });
    }
  }

  /// `next`: what is to be done after this. Nobody is called under `reconfiguring_`.
  std::optional<config_error> apply(pool_config& config, consequences& next) {
    std::optional<config_error> wrong;
    std::uint32_t lost = 0;
    scoped_lock one_at_a_time{reconfiguring_};
    {
      scoped_lock lock{mutex_};
      lost = core_->table().count(slot_state::lost);
      wrong = what_cannot_change(core_->config(), config);
    }
    if (wrong) return wrong;
    std::vector<pool_slot*> slots = more_slots(config.max_size + lost);
    wait_queue_storage line{config.waiters_at_most(), config.waiting};
    std::vector<pool_event> events(pool_core::events_of_a_step(slots.size(), is_observed));
    fresh_for_.store(config.validate_after_idle.count(), relaxed);
    reset_on_return_.store(config.reset_on_return, relaxed);
    decide(clock_.now(), next, [&](pool_core& core, time_point now, pool_effects& fx) {
      core.keep_events_in(events);
      core.reconfigure(config, slots, line, now, fx);
    });
    return std::nullopt;
  }

  [[gnu::noinline]] void reclaim() noexcept {
    consequences next;
    {
      scoped_lock one_at_a_time{reconfiguring_};
      std::uint32_t needed = 0;
      {
        scoped_lock lock{mutex_};
        needed = core_->slots_needed();
      }
      std::vector<pool_slot*> slots;
      try {
        slots = more_slots(needed);
      } catch (const std::bad_alloc&) {
        return;  // another time
      }
      decide(clock_.now(), next, [&](pool_core& core, time_point now, pool_effects& fx) { core.reclaim(slots, now, fx); });
    }
    follow(next);
  }

  /// What `validate` cannot know.
  static std::optional<config_error> check(const pool_config& config) {
    if (auto wrong = validate(config)) return wrong;
    if (aborts<Backend> || config.leak_reclaim == duration::max()) return std::nullopt;
    return config_error{"pool_config.leak_reclaim", "needs a backend with abort(connection&)"};
  }

  /// The slots that there are, and new ones up to `size`.
  std::vector<pool_slot*> more_slots(std::uint32_t size) {
    while (slots_.size() < size) {
      slots_.push_back(std::make_unique<slot_type>());
      slots_.back()->shell = static_cast<Shell*>(this);
    }
    std::vector<pool_slot*> all;
    all.reserve(slots_.size());
    for (const auto& slot : slots_) all.push_back(slot.get());
    return all;
  }

  [[no_unique_address]] publisher<Observer> publisher_;
  time_point planned_ WEIR_GUARDED_BY(mutex_) = never;  // what wake_at was last told
  std::uint64_t handed_over_ WEIR_GUARDED_BY(mutex_) = 0;
  std::shared_ptr<Shell> keep_alive_ WEIR_GUARDED_BY(mutex_);
};

}  // namespace weir::inline v0::detail
