#pragma once
/// \file
/// `wait_queue`: waiting for a policy whose capacity comes back, in order, in bounded number and for bounded time.
///
/// When to use: in front of a concurrency_limiter or rate_limiter, when a short wait is better than a refusal.
///
/// ```cpp
/// weir::concurrency_limiter limiter{{.name = "hashing", .limit = 3}};
/// weir::wait_queue queue{limiter, {.name = "hashing", .capacity = 64, .max_wait = 500ms}};
/// auto permit = queue.acquire({.deadline = deadline});          // blocks this thread; Asio: asio/async_acquire.hpp
/// if (!permit) return too_busy(permit.error());                 // queue_full, would_miss_deadline, wait_timeout, ...
/// ```
/// The permit is the policy's own. Capacity is handed directly to whoever is next (queue/discipline.hpp; by default the
/// first in line), never to one whose time is up, and nobody takes it without getting in line. Thread-safe; one short lock
/// where somebody waits, none where nobody does.
///
/// Who drives time: with an alarm attached (asio/queue_timer.hpp, manual_timer), the alarm. Without one, blocked threads
/// see to their own deadlines, and whoever is next to what time brings (tokens, shedding); waiters of other kinds then need
/// somebody who calls `on_alarm()` at `next_event()`.

#include <weir/core/admission.hpp>
#include <weir/core/alarm.hpp>
#include <weir/core/default_clock.hpp>
#include <weir/core/detail/mutex.hpp>
#include <weir/core/observer.hpp>
#include <weir/queue/detail/alarm_setting.hpp>
#include <weir/queue/wait_operation.hpp>
#include <weir/queue/wait_queue_config.hpp>
#include <weir/queue/wait_queue_core.hpp>
#include <weir/stats/counter.hpp>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>

namespace weir::inline v0 {

/// Whether a call that a policy refused for this reason may be granted later, if it waits.
[[nodiscard]] inline bool waiting_helps(const rejection& why) noexcept {
  const boost::system::error_code code = why.code();
  if (code.category() != category()) return false;
  return code.value() == static_cast<int>(errc::over_capacity) || code.value() == static_cast<int>(errc::rate_limited);
}

/// Itself an admission_policy. Pinned; the policy must outlive it, and it every permit and waiter; its destructor closes
/// it. Memory: 108 KB, most of it the five wait histograms, and 16 bytes per place.
///
/// No wake-up is lost, and nobody overtakes. The policy's word carries a "somebody waits" bit, which this class sets and
/// clears only under its lock, and which is set whenever somebody is in line.
/// - A newcomer joins the line: it sets the bit and *then* asks the policy once more. A release before the setting is seen
///   by that attempt, since both are read-modify-writes of one word; a release after it sees the bit and calls
///   `on_capacity`, which gets the lock after the newcomer has joined and serves it.
/// - The bit is cleared under the lock when the line is empty. A release before the clearing calls `on_capacity`, which
///   finds nobody: the slot stays free in the word. A release after it calls nobody, and nobody waits. A newcomer that was
///   refused because of the bit takes the lock after the clearing, sets the bit again and finds the slot.
/// - While the bit is set `try_acquire` of the policy refuses, so only this class, in order of its discipline, can take.
template <waitable_policy Policy, clock_source Clock = default_clock, class Observer = null_observer>
class basic_wait_queue final : public capacity_listener {
 public:
  using permit = typename Policy::permit;
  using operation = wait_operation<permit>;

  /// Attaches itself to `policy`, whose only listener it is. Errors: std::invalid_argument naming the field,
  /// std::logic_error if there is a queue in front of `policy` already, std::bad_alloc.
  explicit basic_wait_queue(Policy& policy, wait_queue_config config = {}, Observer observer = {}, Clock clock = {})
      : policy_(policy),
        clock_(std::move(clock)),
        publisher_(std::move(observer)),
        name_(validated(config).name),
        core_(config.capacity, {.on = config.predict, .tau = config.rate_window}, config.discipline),
        max_wait_(config.max_wait) {
    policy_.attach(this);
  }
  basic_wait_queue(const basic_wait_queue&) = delete;
  basic_wait_queue& operator=(const basic_wait_queue&) = delete;
  /// Waiters get errc::closed. Not while a call to it, or a release of one of the permits, is under way.
  ~basic_wait_queue() {
    close();
    policy_.attach(nullptr);
  }

  /// Never waits and never overtakes: the policy's own answer, or errc::closed, errc::expired. No lock, no allocation;
  /// reads the clock only if there is a deadline.
  [[nodiscard]] result<permit> try_acquire(const call& c = {}) noexcept {
    auto answer = try_first(c);
    if (!answer && waiting_helps(answer.error())) counters_.add(refused);
    return answer;
  }

  /// Blocks this thread until it is its turn, `c.deadline` (or max_wait, whichever is first), or `stop`.
  /// Errors: queue_full, quota, would_miss_deadline, expired, wait_timeout, cancelled (by `stop`), closed, shed; and what
  /// the policy answers to a request that it can never grant. A grant that comes at the same time as a stop wins.
  [[nodiscard]] result<permit> acquire(const call& c = {}, std::stop_token stop = {}) noexcept
    requires waitable_clock<Clock>
  {
    if (stop.stop_requested()) {
      counters_.add(given_up);
      return refusal(errc::cancelled);
    }
    blocked waiter;
    if (auto answer = start(waiter, c)) return std::move(*answer);
    const auto give_up = [&] { cancel(waiter); };
    std::stop_callback on_stop{std::move(stop), give_up};
    waiter.thread.sleep(clock_, waiter.deadline, [&](time_point now) { see_time(now, &waiter.thread); });
    return waiter.take();
  }
  [[nodiscard]] result<permit> acquire_until(time_point deadline, std::stop_token stop = {}) noexcept
    requires waitable_clock<Clock>
  {
    return acquire({.deadline = deadline}, std::move(stop));
  }

  /// The first half of waiting: as `try_acquire`, but a refusal that waiting can cure (`waiting_helps`) is not counted; the
  /// caller goes on with `wait`. For callers who need an operation only if there is something to wait for.
  [[nodiscard]] result<permit> try_first(const call& c) noexcept {
    if (closed_.load(detail::acquire)) return turn_away(errc::closed, refused_closed);
    if (c.deadline != never && c.deadline <= time_of(c)) return turn_away(errc::expired, refused_expired);
    auto answer = policy_.try_acquire(c);
    if (answer) {
      counters_.add(admitted);
    } else if (!waiting_helps(answer.error())) {
      counters_.add(refused);
    }
    return answer;
  }

  /// For event loops of your own. An answer: there is nothing to wait for, and `op.complete` will not be called. Nothing:
  /// `op` waits; `op.complete` will be called exactly once, on any thread, maybe before this returns. It then has its
  /// answer in `op.take()`. Precondition: `op.complete` is set, and `op` is not waiting.
  [[nodiscard]] std::optional<result<permit>> start(operation& op, const call& c = {}) noexcept {
    if (auto answer = try_first(c); answer || !waiting_helps(answer.error())) return answer;
    return wait(op, c);
  }

  /// The second half of `start`, after a `try_first` that was refused; answers as `start` does.
  [[nodiscard]] std::optional<result<permit>> wait(operation& op, const call& c) noexcept {
    op.refund();  // its own permit from the last time may be what it would wait for
    const time_point now = time_of(c);
    op.ask(c);
    op.queue_ = name_;
    ready_list out;
    bool arm = false;
    auto answer = join(op, now, out, arm);
    finish(out, arm);
    if (answer && !*answer) {
      publisher_.publish([&](std::uint64_t sequence) {
        const rejection& why = answer->error();
        return wait_refused{name_, sequence, static_cast<errc>(why.code().value()), why.predicted_wait()};
      });
    }
    return answer;
  }

  /// true: `op` no longer waits, and is completed with `cancelled`, before this returns (inside of a `complete`: when that
  /// has returned). false: its wait has ended already, and its completion comes or came. From any thread, while `op` lives.
  bool cancel(operation& op) noexcept {
    const time_point now = clock_.now();
    ready_list out;
    bool arm = false;
    {
      detail::scoped_lock lock{mutex_};
      if (!core_.cancel(op, now, out)) return false;
      arm = serve(now, out);
    }
    finish(out, arm);
    return true;
  }

  /// As `cancel`, but true gives `op` back without completing it, and without an event: for owners that are being torn
  /// down.
  [[nodiscard]] bool withdraw(operation& op) noexcept {
    const time_point now = clock_.now();
    ready_list out;
    bool arm = false;
    {
      detail::scoped_lock lock{mutex_};
      if (!core_.unlink(op, now)) return false;
      arm = serve(now, out);
    }
    finish(out, arm);
    return true;
  }

  /// Every waiter gets errc::closed, and so does every later call. Permits are not affected. Idempotent.
  void close() noexcept {
    closed_.store(true, detail::release);
    const time_point now = clock_.now();
    ready_list out;
    bool arm = false;
    {
      detail::scoped_lock lock{mutex_};
      core_.close(now, out);
      arm = serve(now, out);
    }
    finish(out, arm);
  }

  /// From now on `alarm` calls `on_alarm`; an empty one detaches, after which the old one is not used any more. Not from
  /// inside of the alarm's own functions.
  void use_alarm(alarm_ref alarm) noexcept {
    ready_list out;
    const time_point now = clock_.now();
    bool arm = false;
    for (bool done = false; !done; std::this_thread::yield()) {
      detail::scoped_lock lock{mutex_};
      if (alarm_.in_use()) continue;
      alarm_.attach(alarm);
      arm = serve(now, out);
      done = true;
    }
    finish(out, arm);
  }

  /// The alarm has rung, or somebody thinks that it is time: ends the waits whose time is up and hands out what time has
  /// brought. Harmless at any time. Completes operations on this thread.
  void on_alarm() noexcept { see_time(clock_.now(), nullptr); }

  /// When `on_alarm` has something to do next; `never`: only a release, or a newcomer, brings something.
  [[nodiscard]] time_point next_event() const noexcept {
    const time_point now = clock_.now();
    detail::scoped_lock lock{mutex_};
    return std::min(core_.next_event(), time_brings(now));
  }

  /// By the policy: capacity may have come back.
  void on_capacity() noexcept override {
    const time_point now = clock_.now();
    ready_list out;
    bool arm = false;
    {
      detail::scoped_lock lock{mutex_};
      arm = serve(now, out);
    }
    finish(out, arm);
  }

  /// Applies live. Carries over: the name, all who wait (also above a smaller capacity) with their deadlines, who are put
  /// into the new order as they came; counters and the measured rate. CoDel and overload start afresh. Returns: what is
  /// wrong with the config, which then was not applied. Errors: std::bad_alloc. Complexity: O(waiting) under the lock.
  std::optional<config_error> reconfigure(const wait_queue_config& config) {
    if (auto wrong = validate(config)) return wrong;
    wait_queue_storage storage{config.capacity, config.discipline};
    const time_point now = clock_.now();
    ready_list out;
    bool arm = false;
    {
      detail::scoped_lock lock{mutex_};
      core_.reconfigure(config.capacity, {.on = config.predict, .tau = config.rate_window}, config.discipline, storage);
      max_wait_ = config.max_wait;
      arm = serve(now, out);  // another may be next, who costs less; and CoDel has other times
    }
    finish(out, arm);
    return std::nullopt;
  }

  [[nodiscard]] wait_queue_snapshot snapshot() const noexcept {
    const time_point now = clock_.now();
    wait_queue_snapshot s;
    {
      detail::scoped_lock lock{mutex_};
      const auto& done = core_.totals();
      const auto ended = [&](wait_outcome how) { return done.ended[static_cast<std::size_t>(how)]; };
      s.capacity = core_.capacity();
      s.waiting = core_.size();
      s.is_closed = core_.is_closed();
      s.oldest_wait = core_.oldest_wait(now);
      s.waiter_seconds = core_.waiter_seconds(now);
      s.hand_off_rate = core_.hand_off_rate();
      s.admitted_after_wait = ended(wait_outcome::granted);
      s.queue_full = done.queue_full;
      s.quota = done.quota;
      s.would_miss_deadline = done.would_miss_deadline;
      s.wait_timeout = ended(wait_outcome::timed_out);
      s.shed = ended(wait_outcome::shed);
      s.cancelled = ended(wait_outcome::cancelled);
      s.expired = done.expired;
      s.closed = done.closed + ended(wait_outcome::closed);
      s.probes = done.probes;
    }
    s.admitted_at_once = counters_.read(admitted);
    s.refused = counters_.read(refused);
    s.expired += counters_.read(refused_expired);
    s.closed += counters_.read(refused_closed);
    s.cancelled += counters_.read(given_up);
    return s;
  }

  /// How long the waits that ended this way have lasted. Errors: std::bad_alloc.
  [[nodiscard]] histogram waits(wait_outcome how) const {
    const recording_histogram* recorded = nullptr;
    {
      detail::scoped_lock lock{mutex_};
      recorded = &core_.waits(how);
    }
    return recorded->snapshot();
  }

  [[nodiscard]] time_point now() const noexcept { return clock_.now(); }
  [[nodiscard]] weir::name name() const noexcept { return name_; }

 private:
  enum counter : std::size_t { admitted, refused, refused_expired, refused_closed, given_up, counter_count };

  struct blocked : operation {
    blocked() noexcept {
      this->thread_ = &thread;
      this->complete = [](wait_node& node, wait_outcome) noexcept { static_cast<blocked&>(node).thread.finish(); };
    }
    detail::sleeping_thread thread;
  };

  [[nodiscard]] time_point time_of(const call& c) const noexcept { return c.now == read_clock ? clock_.now() : c.now; }

  result<permit> refusal(errc why, duration retry_after = {}, duration predicted = {}) const noexcept {
    return result<permit>{boost::system::in_place_error, why, name_, retry_after, predicted};
  }

  result<permit> turn_away(errc why, counter reason) noexcept {
    counters_.add(reason);
    publisher_.publish([&](std::uint64_t sequence) { return wait_refused{name_, sequence, why, duration::zero()}; });
    return refusal(why);
  }

  /// See the class comment.
  std::optional<result<permit>> join(operation& op, time_point now, ready_list& out, bool& arm) noexcept {
    detail::scoped_lock lock{mutex_};
    op.deadline = std::min(op.deadline, max_wait_ == duration::max() ? never : later(now, max_wait_));
    core_.expire(now, out);
    if (!waiting_) policy_.set_waiting(waiting_ = true);
    hand_out(now, out);
    std::optional<result<permit>> answer;
    if (core_.empty() && !core_.is_closed() && now < op.deadline) {
      answer = policy_.try_acquire_for_waiter(op.asked(now));
      if (*answer) {
        counters_.add(admitted);
      } else if (waiting_helps(answer->error())) {
        answer.reset();
      } else {
        counters_.add(refused);
      }
    }
    if (!answer) answer = line_up(op, now);
    arm = settle(now);
    return answer;
  }

  std::optional<result<permit>> line_up(operation& op, time_point now) noexcept WEIR_REQUIRES(mutex_) {
    // Elsewhere the newcomer is not the last, or will not stay it.
    const time_point earliest = core_.order() == queue_order::fifo ? time_brings_to_last(op, now) : never;
    const auto why = core_.enqueue(op, now, earliest);
    if (!why) return std::nullopt;
    if (*why != errc::queue_full && *why != errc::would_miss_deadline) return refusal(*why);
    const duration wait = earliest != never
                              ? elapsed(now, earliest)
                              : core_.predicted_wait(op.cost, now, op.priority, op.tenant).value_or(duration::zero());
    // When the same patience would be enough; for a full queue, when those in it have gone.
    duration patience = *why == errc::queue_full ? duration::zero() : elapsed(now, op.deadline);
    if (earliest == never)
      patience = duration{static_cast<duration::rep>(static_cast<double>(patience.count()) / wait_prediction::margin)};
    return refusal(*why, std::max(duration::zero(), wait - patience), wait);
  }

  /// Hands out what there is, and whatever else follows from a change. true: this thread has to `set_alarm`.
  [[nodiscard]] bool serve(time_point now, ready_list& out) noexcept WEIR_REQUIRES(mutex_) {
    hand_out(now, out);
    return settle(now);
  }

  void hand_out(time_point now, ready_list& out) noexcept WEIR_REQUIRES(mutex_) {
    while (wait_node* first = core_.front(now, out)) {
      auto answer = policy_.try_acquire_for_waiter(first->asked(now));
      if (answer) {
        static_cast<operation*>(first)->granted_.emplace(std::move(*answer));
        core_.grant(now, out);
      } else if (waiting_helps(answer.error())) {
        return;
      } else {
        core_.shed(*first, now, out);  // can never be granted any more, and must not block the others
      }
    }
  }

  [[nodiscard]] bool settle(time_point now) noexcept WEIR_REQUIRES(mutex_) {
    if (core_.empty() && waiting_) policy_.set_waiting(waiting_ = false);
    const time_point brings = time_brings(now);
    if (alarm_.attached()) return alarm_.plan(std::min(core_.next_event(), brings));
    // Whoever is next drives. Whoever becomes next is told; who is told a later time than it turns out wakes early.
    const time_point wake = std::min(brings, core_.next_shedding());
    detail::sleeping_thread* thread = wake == never ? nullptr : static_cast<operation*>(core_.first())->thread_;
    if (thread != nullptr && wake < thread->planned) thread->plan(wake);
    return false;
  }

  /// When the passing of time can serve whoever is next.
  [[nodiscard]] time_point time_brings(time_point now) const noexcept WEIR_REQUIRES(mutex_) {
    const wait_node* first = core_.first();
    return first == nullptr ? never : policy_.next_available(first->cost, now);
  }

  /// When the passing of time will have served everybody in line and `op`; `never`: unknown, it is not time that serves.
  [[nodiscard]] time_point time_brings_to_last(const operation& op, time_point now) const noexcept WEIR_REQUIRES(mutex_) {
    const std::uint64_t cost = core_.waiting_cost() + op.cost;
    if (const auto at_once = static_cast<std::uint32_t>(cost); at_once == cost) {
      if (const time_point exact = policy_.next_available(at_once, now); exact != never) return exact;
    }
    // More than can be had at once (or no tokens at all): so much for the first in line, and from then on at the pace of
    // time.
    const wait_node* first = core_.first();
    if (first == nullptr) return never;
    const time_point begins = policy_.next_available(first->cost, now);
    if (begins == never) return never;
    if constexpr (requires {
                    { policy_.refill_time(cost) } noexcept -> std::same_as<duration>;
                  }) {
      return later(begins, policy_.refill_time(cost - first->cost));
    } else {
      return never;
    }
  }

  void see_time(time_point now, detail::sleeping_thread* thread) noexcept {
    ready_list out;
    bool arm = false;
    {
      detail::scoped_lock lock{mutex_};
      if (thread != nullptr) {
        thread->planned = never;
      } else {
        alarm_.rang();
      }
      core_.expire(now, out);
      arm = serve(now, out);
    }
    finish(out, arm);
  }

  /// After unlocking: all that may run code of others.
  void finish(ready_list& out, bool arm) noexcept {
    if (arm) set_alarm();
    if constexpr (observes<Observer, wait_ended>) {
      for (const wait_node* node = out.front(); node != nullptr; node = out.after(*node)) {
        publisher_.publish([&](std::uint64_t sequence) { return wait_ended{name_, sequence, node->ended, node->waited}; });
      }
    }
    complete_all(out);
  }

  void set_alarm() noexcept {
    for (std::uint64_t done = 0;;) {
      std::optional<detail::alarm_setting::step> step;
      {
        detail::scoped_lock lock{mutex_};
        step = alarm_.next(done);
      }
      if (!step) return;
      step->set();
    }
  }

  Policy& policy_;
  [[no_unique_address]] mutable Clock clock_;
  [[no_unique_address]] detail::publisher<Observer> publisher_;
  weir::name name_;
  detail::atomic<bool> closed_{false};
  counter_set<counter_count> counters_;
  mutable detail::mutex mutex_;
  mutable wait_queue_core core_ WEIR_GUARDED_BY(mutex_);
  duration max_wait_ WEIR_GUARDED_BY(mutex_);
  bool waiting_ WEIR_GUARDED_BY(mutex_) = false;  // the policy's bit
  detail::alarm_setting alarm_ WEIR_GUARDED_BY(mutex_);
};

template <class Policy>
using wait_queue = basic_wait_queue<Policy>;

}  // namespace weir::inline v0
