#pragma once
/// \file
/// A circuit breaker: stops calling what is broken, and finds out with a few probes when it works again.
///
/// Use it in front of a dependency that can fail or hang. Not for a dependency that says "too much" (a limiter's business:
/// outcome::overload does not trip a breaker unless configured), and not for one of many equal hosts without a balancer.
///
/// ```cpp
/// weir::circuit_breaker breaker{{.name = "payments", .slow_threshold = 800ms}};
/// auto permit = breaker.try_acquire();
/// if (!permit) return unavailable(permit.error().retry_after());
/// permit->release(call_payments() ? weir::outcome::success : weir::outcome::failure);
/// ```
/// Thread-safe. Admitting while closed, refusing while open and recording while closed take no lock; a service that is well
/// writes nothing that threads share (count window), or one word (time window).

#include <weir/core/admission.hpp>
#include <weir/core/default_clock.hpp>
#include <weir/core/detail/atomic.hpp>
#include <weir/core/detail/mutex.hpp>
#include <weir/core/name.hpp>
#include <weir/core/observer.hpp>
#include <weir/policy/circuit_breaker_config.hpp>
#include <weir/policy/circuit_breaker_events.hpp>
#include <weir/policy/detail/breaker_core.hpp>
#include <weir/policy/detail/breaker_windows.hpp>
#include <weir/stats/counter.hpp>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>
#include <type_traits>
#include <utility>

namespace weir::inline v0 {

/// Windows, thresholds, states: see circuit_breaker_config and breaker_state. What is particular here:
///
/// - Rates are judged at each recorded result (`>=`), never by the passing of time. Threads that record at the same time
///   may each miss the results of the others, but not the last one of them; in a count window they may also still see those
///   that the others' results replace. Overloads and ignored results are in no rate. A permit that is dropped or cancelled
///   was no evidence; if it was a probe, another call may probe.
/// - A permit belongs to the state that admitted it. What it reports later, in another state or after its lease, is `late`:
///   it counts in the ledger and moves nothing.
/// - Nothing runs by itself. What is due by time (an expired lease, the end of the half-open state) is done by the next
///   call, result or snapshot, as of the time at which it was due.
/// - Ignores cost, deadline, tenant, session and priority of a call.
///
/// Pinned; must outlive its permits (asserted). Observers of: circuit_opened, circuit_half_opened, circuit_closed,
/// circuit_state_forced, probe_lease_expired, circuit_would_open; they may call back. After Nygard, "Release It!", 2007.
template <clock_source Clock = default_clock, class Observer = null_observer>
class basic_circuit_breaker {
  // Indices of counters_. Those of results follow the order of `outcome`.
  enum ledger : std::size_t { success, failure, overload, ignored, cancelled, late, admitted, rejected, ledger_size };
  static_assert(static_cast<int>(outcome::overload) == overload && static_cast<int>(outcome::ignored) == ignored);

 public:
  /// The right to make one call; see `permit_type`. 32 bytes.
  class [[nodiscard]] permit {
   public:
    permit(permit&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)),
          generation_(other.generation_),
          admitted_(other.admitted_),
          ticket_(other.ticket_) {}
    permit& operator=(permit&& other) noexcept {
      if (this != &other) {
        release(outcome::ignored);
        owner_ = std::exchange(other.owner_, nullptr);
        generation_ = other.generation_;
        admitted_ = other.admitted_;
        ticket_ = other.ticket_;
      }
      return *this;
    }
    ~permit() { release(outcome::ignored); }

    /// The call has ended. The first report counts. With `took` unmeasured, the time since the admission is taken.
    void release(const completion& c) noexcept { end(c.result, c.now, c.took, c.retry_after, completed_as(c.result)); }
    void release(outcome o) noexcept { end(o, read_clock, completion::unmeasured, duration::zero(), completed_as(o)); }
    /// The call was never started.
    void cancel() noexcept { end(outcome::ignored, read_clock, completion::unmeasured, duration::zero(), cancelled); }

   private:
    friend class basic_circuit_breaker;
    permit(basic_circuit_breaker& owner, std::uint64_t generation, time_point admitted,
           detail::flight_ticket ticket) noexcept
        : owner_(&owner), generation_(generation), admitted_(admitted), ticket_(ticket) {}

    void end(outcome what, time_point now, duration took, duration retry_after, ledger how) noexcept {
      if (auto* owner = std::exchange(owner_, nullptr)) owner->complete(*this, what, now, took, retry_after, how);
    }

    basic_circuit_breaker* owner_;
    std::uint64_t generation_;
    time_point admitted_;  // read_clock: nobody asked for it
    detail::flight_ticket ticket_;
  };

  /// Errors: std::invalid_argument naming the field.
  explicit basic_circuit_breaker(circuit_breaker_config config, Observer observer = {}, Clock clock = {})
      : clock_(std::move(clock)),
        name_(config.name),
        windows_(validated(config), clock_.now()),
        core_(config, windows_, clock_.now()),
        publisher_(std::move(observer)) {
    open_gate();
  }
  ~basic_circuit_breaker() { assert(in_flight() == 0 && "a permit outlives its circuit breaker"); }
  basic_circuit_breaker(const basic_circuit_breaker&) = delete;
  basic_circuit_breaker& operator=(const basic_circuit_breaker&) = delete;

  /// Never waits, never allocates. Errors: circuit_open, with the time until the next probe; it is zero where nothing but a
  /// result or an operator can change the answer, and during the recovery ramp.
  /// Complexity: O(1). While closed: one load and a striped counter, and a clock reading only if calls are measured.
  [[nodiscard, gnu::always_inline]] result<permit> try_acquire(const call& c = {}) noexcept {
    const detail::gate_word gate{gate_.load(detail::acquire)};
    if (!gate.admits()) [[unlikely]]
      return try_gated(gate, c.now);
    counters_.add(admitted);
    // If the state changes right now, this permit is one of the earlier state and its result late: that moves nothing.
    return permit{*this, gate.generation(), measures() ? resolve(c.now) : read_clock, {}};
  }

  /// An operator's word. The new state begins afresh, also if it is the present one: empty windows, a full set of probes, a
  /// new open time. closed forgets earlier openings.
  /// False, and nothing happens: closed or metrics_only to half_open (there is nothing to probe), metrics_only to open
  /// (shadow mode never refuses). Permits of the earlier state become late. Thread-safe.
  bool set_state(breaker_state to, time_point now = read_clock) noexcept {
    now = resolve(now);
    detail::breaker_events events;
    bool done = false;
    {
      detail::scoped_lock lock{mutex_};
      done = core_.set_state(to, now, events);
      open_gate();
    }
    publish(events);
    return done;
  }

  /// Applies another configuration while calls go on. Carries over: state, generation, open time, openings, probes and
  /// permits in flight, ledger, and each window whose own size or slicing stays the same; another window begins empty. A
  /// new open_for begins with the next opening; a watched call that counts as slow already does so until it ends, also
  /// under a longer slow_threshold. `name`, `seed` and `initial_state` remain those of the construction.
  /// Returns what is wrong, and then nothing has changed; nullopt: applied. Errors: std::bad_alloc. Thread-safe.
  std::optional<config_error> reconfigure(const circuit_breaker_config& config) {
    if (auto error = validate(config)) return error;
    detail::breaker_events events;
    {
      detail::scoped_lock one_at_a_time{reconfiguring_};
      const time_point now = clock_.now();
      detail::breaker_core::replacement replacement{config, windows_, now};
      detail::scoped_lock lock{mutex_};
      core_.reconfigure(replacement, now, events);
      open_gate();
    }
    publish(events);
    return std::nullopt;
  }

  /// Does what has become due first, so that the state shown is the present one; that may publish events. Takes the lock.
  /// Complexity: O(slices of the time window). Thread-safe.
  [[nodiscard]] circuit_breaker_snapshot snapshot() const noexcept {
    const time_point now = clock_.now();
    circuit_breaker_snapshot s;
    detail::breaker_events events;
    {
      detail::scoped_lock lock{mutex_};
      core_.settle(now, events);
      open_gate();
      s = core_.look(now);
    }
    publish(events);
    // Completions before admissions, so that what is in flight is never negative.
    s.late = counters_.read(late);
    s.success = counters_.read(success);
    s.failure = counters_.read(failure);
    s.overload = counters_.read(overload);
    s.ignored = counters_.read(ignored);
    s.cancelled = counters_.read(cancelled);
    s.rejected = counters_.read(rejected);
    s.admitted = counters_.read(admitted) - s.cancelled;
    s.in_flight = s.admitted - (s.success + s.failure + s.overload + s.ignored);
    return s;
  }

  [[nodiscard]] time_point now() const noexcept { return clock_.now(); }
  [[nodiscard]] weir::name name() const noexcept { return name_; }
  /// Exceptions that the observer threw; they go no further.
  [[nodiscard]] std::uint64_t swallowed() const noexcept { return publisher_.swallowed(); }

 private:
  static constexpr duration::rep never_slow = duration::max().count();

  static constexpr ledger completed_as(outcome o) noexcept { return static_cast<ledger>(o); }

  [[nodiscard]] time_point resolve(time_point t) const noexcept { return t == read_clock ? clock_.now() : t; }

  [[nodiscard]] std::uint64_t in_flight() const noexcept {
    std::uint64_t back = 0;
    for (const ledger each : {success, failure, overload, ignored, cancelled}) back += counters_.read(each);
    return counters_.read(admitted) - back;
  }

  [[nodiscard]] rejection refuse(duration retry_after) noexcept {
    counters_.add(rejected);
    return {errc::circuit_open, name_, retry_after};
  }

  [[nodiscard, gnu::noinline]] result<permit> try_gated(detail::gate_word gate, time_point now) noexcept {
    now = resolve(now);
    if (const time_point until = gate.until(); now < until) {
      return refuse(until == never ? duration::zero() : elapsed(now, until));
    }
    return ask(now);
  }

  /// Admission where the gate cannot tell: probes, the ramp, watched calls.
  [[nodiscard, gnu::noinline]] result<permit> ask(time_point now) noexcept {
    detail::breaker_events events;
    detail::breaker_admission answer;
    {
      detail::scoped_lock lock{mutex_};
      answer = core_.admit(now, events);
      open_gate();
    }
    if (!answer.admitted) {
      auto refusal = refuse(answer.retry_after);
      publish(events);
      return refusal;
    }
    counters_.add(admitted);
    publish(events);
    return permit{*this, answer.generation, now, answer.ticket};
  }

  // Single values, not a completion: copying one that was just written waits for its stores.
  void complete(const permit& p, outcome what, time_point now, duration took, duration retry_after, ledger how) noexcept {
    detail::unfinished left;
    if (!p.ticket_) [[likely]] {  // no probe, not watched
      if (what == outcome::ignored) {
        if (windows_.owned_by(p.generation_)) return counters_.add(how);
      } else if (what != outcome::overload) {
        const duration::rep slow_after = slow_after_.load(detail::relaxed);
        if (windows_.by_time() || (slow_after != never_slow && took == completion::unmeasured)) now = resolve(now);
        const bool slow = slow_after != never_slow && (took = time_taken(p, now, took)).count() > slow_after;
        left = windows_.record(p.generation_, what == outcome::failure, slow, now);
        if (left.what == 0) [[likely]]
          return counters_.add(how);
      }
    }
    complete_alone(p, what, now, took, retry_after, how, left);
  }

  static duration time_taken(const permit& p, time_point now, duration took) noexcept {
    if (took == completion::unmeasured) took = p.admitted_ == read_clock ? duration::zero() : elapsed(p.admitted_, now);
    return std::max(took, duration::zero());
  }

  /// Under the lock: what could not be recorded without, or wants to be judged.
  [[gnu::noinline]] void complete_alone(const permit& p, outcome what, time_point now, duration took, duration retry_after,
                                        ledger how, detail::unfinished left) noexcept {
    now = resolve(now);
    detail::breaker_events events;
    bool in_time = !left.has(detail::unfinished::parts);  // recorded, though another may have opened the circuit before us
    {
      detail::scoped_lock lock{mutex_};
      windows_.mend(left);
      in_time |= core_.record({.generation = p.generation_,
                               .ticket = p.ticket_,
                               .what = what,
                               .now = now,
                               .took = time_taken(p, now, took),
                               .retry_after = retry_after,
                               .left = left},
                              events);
      open_gate();
    }
    if (!in_time) counters_.add(late);
    counters_.add(how);
    publish(events);
  }

  [[nodiscard]] bool measures() const noexcept { return slow_after_.load(detail::relaxed) != never_slow; }

  /// Tells the lock-free half what the core wants. Stores only what has changed: the line stays shared while closed.
  void open_gate() const noexcept WEIR_REQUIRES(mutex_) {
    const std::uint64_t wanted = core_.gate().bits();
    if (gate_.load(detail::relaxed) != wanted) gate_.store(wanted, detail::release);
    const duration::rep slow_after = core_.measures() ? core_.slow_after().count() : never_slow;
    if (slow_after_.load(detail::relaxed) != slow_after) slow_after_.store(slow_after, detail::relaxed);
    windows_.give_to(core_.recorded_unasked());
  }

  void publish(const detail::breaker_events& events) const noexcept {
    if constexpr (!std::is_same_v<Observer, null_observer>) {
      for (const detail::breaker_event& e : events) publish(e);
    }
  }

  void publish(const detail::breaker_event& e) const noexcept {
    using kind = detail::breaker_event_kind;
    switch (e.kind) {
      case kind::opened:
        return publisher_.publish([&](std::uint64_t n) {
          return circuit_opened{name_, n, e.at, e.reason, e.failure_rate, e.slow_rate, e.open_for, e.count};
        });
      case kind::half_opened:
        return publisher_.publish([&](std::uint64_t n) { return circuit_half_opened{name_, n, e.at}; });
      case kind::closed:
        return publisher_.publish([&](std::uint64_t n) { return circuit_closed{name_, n, e.at, e.by_time_limit}; });
      case kind::forced:
        return publisher_.publish([&](std::uint64_t n) { return circuit_state_forced{name_, n, e.at, e.from, e.to}; });
      case kind::leases_expired:
        return publisher_.publish([&](std::uint64_t n) { return probe_lease_expired{name_, n, e.at, e.count}; });
      case kind::would_open:
        return publisher_.publish(
            [&](std::uint64_t n) { return circuit_would_open{name_, n, e.at, e.reason, e.failure_rate, e.slow_rate}; });
    }
  }

  // Read by every admission, written when the state changes.
  alignas(detail::cache_line) mutable detail::atomic<std::uint64_t> gate_{detail::gate_word::ask().bits()};
  mutable detail::atomic<duration::rep> slow_after_{never_slow};
  [[no_unique_address]] Clock clock_;
  weir::name name_;

  // Mutable: a snapshot does what is due first.
  mutable detail::breaker_windows windows_;
  detail::mutex reconfiguring_;  // before mutex_
  alignas(detail::cache_line) mutable detail::mutex mutex_;
  mutable detail::breaker_core core_ WEIR_GUARDED_BY(mutex_);

  mutable detail::publisher<Observer> publisher_;
  counter_set<ledger_size> counters_;
};

/// With the default clock and no observer.
using circuit_breaker = basic_circuit_breaker<>;
static_assert(admission_policy<circuit_breaker>);

}  // namespace weir::inline v0
