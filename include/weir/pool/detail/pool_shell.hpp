#pragma once
/// \file
/// What the shells of `pool_core` share for their users: the way without the lock, leases, and what a wait is.

#include <weir/core/admission.hpp>
#include <weir/pool/detail/guarded_core.hpp>
#include <weir/pool/detail/pool_hints.hpp>
#include <weir/pool/pool_lease.hpp>
#include <weir/queue/wait_operation.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <thread>
#include <type_traits>
#include <utility>

namespace weir::inline v0::detail {

/// A call and where it was made.
struct pool_call : call {
  std::source_location where{};
};

/// What `Shell` has to have, and how long it lives: see guarded_core.
template <class Shell, class Backend, clock_source Clock, class Observer>
class pool_shell : public guarded_core<Shell, Backend, Clock, Observer> {
  using base = guarded_core<Shell, Backend, Clock, Observer>;

 public:
  using typename base::connection;
  using typename base::slot_type;
  using lease = pool_lease<Shell>;
  using permit = lease;
  using answer = pool_result<lease>;
  using base::base;

  /// One wait: see wait_operation.
  class operation : public pool_waiter {
   public:
    operation() noexcept = default;
    operation(const operation&) = delete;
    operation& operator=(const operation&) = delete;
    ~operation() {
      assert(where != state::waiting && "destroyed while it waits");
      refund();
    }
    [[nodiscard]] answer take() noexcept {
      assert(where == state::ended);
      if (auto* granted = static_cast<slot_type*>(std::exchange(slot, nullptr))) {
        return answer{boost::system::in_place_value, lease{*granted}};
      }
      return answer{boost::system::in_place_error, rejection{why, pool_, retry_after(why, evidence.get()), {}}, waited,
                    std::move(evidence)};
    }

   protected:
    void keep(lease&& l) noexcept {
      slot = l.let_go();
      ended = wait_outcome::granted;
      where = state::ended;
    }
    void refund() noexcept {
      if (slot == nullptr) return;
      ended = wait_outcome::cancelled;
      why = errc::cancelled;
      lease{*static_cast<slot_type*>(std::exchange(slot, nullptr))}.cancel();
    }

   private:
    friend class pool_shell;
    name pool_;
  };

  /// One wait for the pool as a whole, as `wait_operation` is one for a turn.
  template <pool_watch::aim Aim>
  class watch : public pool_watch {
   public:
    static constexpr aim what = Aim;
    using value_type = std::conditional_t<Aim == aim::drained, drain_report, std::uint32_t>;
    using answer = pool_result<value_type>;

    watch() noexcept = default;
    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;

    [[nodiscard]] answer take() noexcept {
      assert(where == state::ended);
      if (why != errc{}) {
        return answer{boost::system::in_place_error, rejection{why, pool_, retry_after(why, evidence.get()), {}}, waited,
                      std::move(evidence)};
      }
      if constexpr (Aim == aim::drained) {
        return answer{boost::system::in_place_value, report};
      } else {
        return answer{boost::system::in_place_value, warm};
      }
    }

   protected:
    void keep(value_type) noexcept {}
    void refund() noexcept {}

   private:
    friend class pool_shell;
    name pool_;
  };
  using drain_operation = watch<pool_watch::aim::drained>;
  using ready_operation = watch<pool_watch::aim::ready>;

  [[nodiscard]] answer try_acquire(const pool_call& c) noexcept {
    const time_point now = time_of(c);
    if (slot_type* slot = take_open(c, now)) return answer{boost::system::in_place_value, lease{*slot}};
    return ask(c, now, true);
  }
  /// As `try_acquire`, but what waiting can cure (`waiting_helps`) is not counted and has no evidence: the caller goes on
  /// with `wait`.
  [[nodiscard]] answer try_first(const pool_call& c) noexcept {
    if (is_crowded()) return answer{boost::system::in_place_error, rejection{errc::over_capacity, name_}};
    const time_point now = time_of(c);
    if (slot_type* slot = take_open(c, now)) return answer{boost::system::in_place_value, lease{*slot}};
    return ask(c, now, false);
  }

  /// Behind others there is nothing to be had at once; if that has just changed, waiting will not last.
  [[nodiscard]] bool is_crowded() const noexcept { return this->crowded_.load(relaxed); }

  /// Nothing: `op` waits, and will be completed exactly once, on any thread, maybe before this returns. Else the answer.
  [[nodiscard]] std::optional<answer> wait(operation& op, const pool_call& c) noexcept {
    op.refund();
    op.ask(c);
    op.site = c.where;
    op.pool_ = name_;
    std::optional<errc> why;
    duration predicted{};
    std::shared_ptr<const pool_evidence> evidence;
    act(time_of(c), [&](pool_core& core, time_point now, pool_effects& fx) {
      why = core.wait(op, now, fx);
      if (!why) return;
      if (*why == errc::would_miss_deadline) predicted = core.queue().predicted_wait(1, now).value_or(duration::zero());
      evidence = core.evidence(now);
    });
    if (!why) return std::nullopt;
    return refusal(*why, predicted, std::move(evidence));
  }
  bool cancel(operation& op) noexcept {
    return act([&](pool_core& core, time_point now, pool_effects& fx) { return core.cancel(op, now, fx); });
  }
  [[nodiscard]] bool withdraw(operation& op) noexcept {
    return act([&](pool_core& core, time_point now, pool_effects& fx) { return core.withdraw(op, now, fx); });
  }

  /// `w` is completed exactly once, on any thread, maybe before this returns. `wanted`: to be ready.
  template <pool_watch::aim Aim>
  void begin_watch(watch<Aim>& w, [[maybe_unused]] std::uint32_t wanted, time_point deadline) noexcept {
    w.pool_ = name_;
    w.deadline = deadline;
    act([&](pool_core& core, time_point now, pool_effects& fx) {
      if constexpr (Aim == pool_watch::aim::drained) {
        core.drain(w, now, fx);
      } else {
        core.make_ready(w, wanted, now, fx);
      }
    });
  }
  bool cancel(pool_watch& w) noexcept {
    return act([&](pool_core& core, time_point now, pool_effects& fx) { return core.cancel(w, now, fx); });
  }
  [[nodiscard]] bool withdraw(pool_watch& w) noexcept {
    return act([&](pool_core& core, time_point now, pool_effects&) { return core.withdraw(w, now); });
  }

  /// Before a lease moves its connection out.
  void prepare_to_detach([[maybe_unused]] slot_type& slot) noexcept {
    if constexpr (aborts<Backend>) {
      for (;; std::this_thread::yield()) {  // an abort does not take long
        scoped_lock lock{mutex_};
        if (core_->may_detach(slot)) return;
      }
    }
  }

  void give_back(slot_type& slot, weir::give_back how) noexcept {
    using kind = weir::give_back;
    if constexpr (knows_broken<Backend>) {
      if (how <= kind::clean && std::as_const(this->backend_).is_broken(*slot.conn)) how = kind::broken;
    }
    const time_point now = clock_.now();
    slot.end_use(now, duration{this->fresh_for_.load(relaxed)});
    const bool as_it_is =
        how == kind::clean || (how == kind::used && !(resets<Backend> && this->reset_on_return_.load(relaxed)));
    if (as_it_is && now < slot.renew_at) {
      // Before it is anybody's; what happens to the place after that does not matter to the hint.
      my_hints::mine()[number_] = {number_, &slot};
      if (slot.is_open() && slot.try_put()) return;  // it is not while somebody waits
    }
    act(now, [&](pool_core& core, time_point t, pool_effects& fx) { core.put(slot, how, t, fx); });
  }

 protected:
  ~pool_shell() = default;

  static void is_with(const answer& a, std::uint64_t thread) noexcept {
    if (a) a->slot_->is_with(thread);
  }
  /// What a thread is told that has all connections itself.
  [[nodiscard]] std::optional<answer> refuse_if_all_are_with(std::uint64_t thread) noexcept {
    std::shared_ptr<const pool_evidence> evidence;
    {
      const time_point now = clock_.now();
      scoped_lock lock{mutex_};
      if (!core_->are_all_with(thread)) return std::nullopt;
      core_->count_refusal(errc::self_deadlock);
      evidence = core_->evidence(now);
    }
    return refusal(errc::self_deadlock, {}, std::move(evidence));
  }

  using base::act;
  using base::clock_;

 private:
  using base::core_;
  using base::mutex_;
  using base::name_;

  [[nodiscard]] time_point time_of(const call& c) const noexcept { return c.now == read_clock ? clock_.now() : c.now; }

  /// A connection that this thread has given back, if it is still there and fresh.
  slot_type* take_open(const pool_call& c, time_point now) noexcept {
    const pool_hint hint = my_hints::mine()[number_];
    if (hint.pool != number_ || c.deadline <= now || !hint.slot->try_take()) return nullptr;
    if ((validates<Backend> && hint.slot->fresh_until < now) || hint.slot->dies_at <= now) [[unlikely]] {
      act(now, [&](pool_core& core, time_point t, pool_effects& fx) { core.take_back(*hint.slot, t, fx); });
      return nullptr;
    }
    hint.slot->begin_use(now, c.tag, c.where);
    return static_cast<slot_type*>(hint.slot);
  }

  answer ask(const pool_call& c, time_point now, bool final) noexcept {
    return ask_the_core(c.tag.data(), c.tag.size(), c.deadline, c.tenant, c.where, now, final);
  }
  /// Out of line and by parts: a call that finds a connection open need not lie in memory for this.
  [[gnu::noinline]] answer ask_the_core(const char* tag, std::size_t tag_size, time_point deadline, std::uint32_t tenant,
                                        std::source_location where, time_point now, bool final) noexcept {
    const call c{.deadline = deadline, .tenant = tenant, .tag = {tag, tag_size}};
    errc why{};
    std::shared_ptr<const pool_evidence> evidence;
    pool_slot* slot = act(now, [&](pool_core& core, time_point t, pool_effects& fx) {
      pool_slot* taken = core.try_take(c, where, t, fx, why);
      const bool curable = why == errc::over_capacity || why == errc::suspended;
      if (taken != nullptr || (curable && !final)) return taken;
      if (curable) core.count_refusal(why);
      evidence = core.evidence(t);
      return taken;
    });
    if (slot != nullptr) return answer{boost::system::in_place_value, lease{*static_cast<slot_type*>(slot)}};
    return refusal(why, {}, std::move(evidence));
  }

  static duration retry_after(errc why, const pool_evidence* seen) noexcept {
    return why == errc::backend_down && seen != nullptr ? seen->next_probe_in : duration::zero();
  }
  answer refusal(errc why, duration predicted, std::shared_ptr<const pool_evidence> evidence) const noexcept {
    const duration retry = retry_after(why, evidence.get());
    return answer{boost::system::in_place_error, rejection{why, name_, retry, predicted}, duration::zero(),
                  std::move(evidence)};
  }

  const std::uint64_t number_ = next_pool_number();
};

}  // namespace weir::inline v0::detail
