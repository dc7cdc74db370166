#pragma once
/// \file
/// `blocking_pool`: connections shared by threads.
///
/// When to use: from code that blocks. From coroutines and handlers: `pool` (asio/pool.hpp), with the same decisions.
///
/// ```cpp
/// weir::blocking_pool<orders_db> pool{orders_db{}, {.name = "orders", .max_size = 10}};
/// auto session = pool.acquire({.deadline = deadline, .tag = "checkout"});
/// if (!session) return too_busy(session.error());     // session.error().message() says what the pool looked like
/// (*session)->execute("...");
/// ```
/// Connections are handed to waiters in order, never to one whose time is up; threads of the pool's own connect, validate,
/// reset and close. Thread-safe.

#include <weir/core/detail/per_thread.hpp>
#include <weir/pool/detail/failure_cause.hpp>
#include <weir/pool/detail/pool_crew.hpp>
#include <weir/pool/detail/pool_handle.hpp>
#include <weir/pool/detail/pool_shell.hpp>
#include <weir/pool/detail/sleeper.hpp>

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

namespace weir::inline v0 {
namespace detail {

template <class Backend, class Clock, class Observer>
class blocking_pool_state final
    : public pool_shell<blocking_pool_state<Backend, Clock, Observer>, Backend, Clock, Observer> {
  using base = pool_shell<blocking_pool_state, Backend, Clock, Observer>;

 public:
  using slot_type = typename base::slot_type;
  using operation = typename base::operation;
  using answer = typename base::answer;

  static_assert(validate_fits<Backend>, "a blocking pool's validate must be `void validate(connection&)`, and throw");
  static_assert(reset_fits<Backend>, "a blocking pool's reset must be `void reset(connection&)`, and throw");
  static_assert(close_fits<Backend>, "this backend's close would never be called: make it `void close(connection&)`");

  /// `threads`: 0: the user calls `tick`; nothing: as many as the configuration needs.
  blocking_pool_state(Backend backend, const pool_config& config, std::optional<std::uint32_t> threads, Observer observer,
                      Clock clock)
      : base(std::move(backend), config, std::move(observer), std::move(clock)),
        detects_self_deadlock_(config.detect_self_deadlock),
        threads_as_needed_(!threads),
        crew_(std::make_shared<pool_crew>(threads.value_or(threads_for(config)))),
        deck_(std::clamp(std::thread::hardware_concurrency(), 1u, config.max_size)) {}
  ~blocking_pool_state() { crew_->stop(); }

  void begin() {
    crew_->start([this](pool_slot& slot) { run(static_cast<slot_type&>(slot)); }, [this] { due(); }, this->clock_);
    base::begin();
  }
  void end() noexcept {
    base::orphan();
    crew_->stop();
  }
  /// true: there was something to do.
  bool tick() noexcept {
    due();
    return crew_->run_all();
  }

  std::optional<config_error> reconfigure(const pool_config& config) {
    if (auto wrong = base::reconfigure(config)) return wrong;
    if (threads_as_needed_) crew_->set_most(threads_for(config));
    return std::nullopt;
  }

  answer try_acquire(const pool_call& c) noexcept {
    auto a = base::try_acquire(c);
    if (detects_self_deadlock_) [[unlikely]]
      base::is_with(a, my_number());
    return a;
  }
  answer acquire(const pool_call& c, std::stop_token stop) noexcept {
    auto a = base::try_first(c);
    if (!a && waiting_helps(a.error())) return wait(c, std::move(stop));
    if (detects_self_deadlock_) [[unlikely]]
      base::is_with(a, my_number());
    return a;
  }
  /// By who has it now.
  void touched(slot_type& slot) noexcept {
    if (detects_self_deadlock_) slot.is_with(my_number());
  }

  // Both may outlive the handle, which tells them.
  pool_result<drain_report> drain(time_point deadline, std::stop_token stop) {
    const auto stays = this->shared_from_this();
    watching<typename base::drain_operation> w;
    return sit_through(w, 0, deadline, std::move(stop));
  }
  pool_result<std::uint32_t> ready(std::uint32_t wanted, time_point deadline, std::stop_token stop) {
    const auto stays = this->shared_from_this();
    watching<typename base::ready_operation> w;
    return sit_through(w, wanted, deadline, std::move(stop));
  }

  // Of pool_shell.
  void start(slot_type& slot) noexcept {
    if (!crew_->add(slot)) run(slot);
  }
  void give_up(slot_type&, std::uint64_t) noexcept {}  // a thread that is inside of a backend cannot be called back
  void wake_at(time_point t) noexcept { crew_->wake_at(t); }
  /// Under the pool's lock: who should come on deck now. Woken after unlocking.
  sleeper* next_on_deck(pool_core& core) noexcept {
    const wait_queue_core& line = core.queue();
    if (line.order() != queue_order::fifo || line.hand_off_rate() < quick) return nullptr;
    wait_node* last = core.queue().first();
    if (last == nullptr) return nullptr;
    wait_node* next = line.behind(*last);
    for (std::uint32_t i = 1; i < deck_ && next != nullptr; ++i, next = line.behind(*last)) last = next;
    return blocked::of(*last).bed;
  }

 private:
  answer wait(const pool_call& c, std::stop_token stop) noexcept {
    // The handle may go meanwhile, on another thread.
    const auto stays = this->shared_from_this();
    if (detects_self_deadlock_) [[unlikely]] {
      if (auto refused = base::refuse_if_all_are_with(my_number())) return std::move(*refused);
    }
    blocked waiter;
    if (auto refused = base::wait(waiter, c)) return std::move(*refused);
    {
      const auto give_up = [&] { base::cancel(waiter); };
      std::stop_callback on_stop{std::move(stop), give_up};
      wait_for(waiter);
    }
    auto a = waiter.take();
    if (detects_self_deadlock_) [[unlikely]]
      base::is_with(a, my_number());
    return a;
  }
  /// Of this thread; unlike an id it is never used again.
  static std::uint64_t my_number() noexcept {
    static constinit std::atomic<std::uint64_t> last{0};
    std::uint64_t& mine = per_thread<blocking_pool_state, std::uint64_t, 0>::mine();
    return mine != 0 ? mine : mine = last.fetch_add(1, relaxed) + 1;
  }

  struct blocked : operation {
    blocked() noexcept : bed(&sleeper::mine()) {
      bed->set_on_deck(false);
      this->complete = [](wait_node& node, wait_outcome) noexcept {
        auto& self = of(node);
        sleeper* const where = self.bed;
        self.done.store(true, release);  // from here on it may be gone
        where->wake();
      };
    }
    static blocked& of(wait_node& node) noexcept {
      return static_cast<blocked&>(static_cast<operation&>(static_cast<pool_waiter&>(node)));
    }

    sleeper* bed;
    atomic<bool> done{false};
  };

  /// Until its wait has ended. A thread that is woken when it is its turn costs the connection 20 us and more of standing
  /// idle. So, where hand-offs are quick, the first few in line are awake already, and give way to others until it is
  /// theirs.
  void wait_for(blocked& waiter) noexcept {
    const auto done = [&] { return waiter.done.load(detail::acquire); };
    while (!done()) {
      if (waiter.bed->is_on_deck()) {
        for (int i = 0; i < most_yields && !done(); ++i) std::this_thread::yield();
        waiter.bed->set_on_deck(false);
        continue;
      }
      waiter.bed->sleep(this->clock_, waiter.deadline, done);
      if (!done() && waiter.deadline != never && this->now() >= waiter.deadline) base::see_time();
    }
  }

  /// A thread that waits for the pool as a whole.
  template <class Operation>
  struct watching : Operation {
    watching() noexcept {
      this->complete = [](wait_node& node, wait_outcome) noexcept {
        auto& self = static_cast<watching&>(static_cast<pool_watch&>(node));
        sleeper* const where = self.bed;
        self.done.store(true, release);  // from here on it may be gone
        where->wake();
      };
    }

    sleeper* bed = &sleeper::mine();
    atomic<bool> done{false};
  };

  template <class Operation>
  typename Operation::answer sit_through(watching<Operation>& w, std::uint32_t wanted, time_point deadline,
                                         std::stop_token stop) {
    w.bed->set_on_deck(false);
    base::begin_watch(w, wanted, deadline);
    const auto give_up = [&] { base::cancel(w); };
    std::stop_callback on_stop{std::move(stop), give_up};
    const auto done = [&] { return w.done.load(detail::acquire); };
    while (!done()) {
      if (crew_->has_no_threads() && tick()) continue;
      w.bed->sleep(this->clock_, deadline, done);
      if (!done() && deadline != never && this->now() >= deadline) base::see_time();
    }
    return w.take();
  }

  /// An attempt to connect that hangs keeps no other one waiting, and one thread resets, validates and closes meanwhile.
  static std::uint32_t threads_for(const pool_config& config) noexcept { return config.connecting_at_most() + 1; }

  void due() noexcept {
    const auto stays = this->shared_from_this();  // an observer may let go of the handle
    base::woke();
    base::see_time();
  }

  /// The job that the slot's state says; on a thread of the crew, of `tick`, or of who gave it back.
  void run(slot_type& slot) noexcept {
    const auto stays = this->shared_from_this();  // the backend or an observer may let go of the handle
    // Where all hands were busy, it has waited for one.
    if (elapsed(slot.began, this->now()) > std::chrono::milliseconds{1}) {
      bool wanted = true;
      this->with_core([&](pool_core& core, time_point now, pool_effects&) { wanted = core.take_up(slot, now); });
      if (!wanted) return not_connected(slot, nullptr);
    }
    switch (slot.state()) {
      case slot_state::connecting: return connect(slot);
      case slot_state::validating: {
        const bool alive = try_to([&] {
          if constexpr (validates<Backend>) this->backend_.validate(*slot.conn);
        });
        return this->with_core(
            [&](pool_core& core, time_point now, pool_effects& fx) { core.validated(slot, alive, now, fx); });
      }
      case slot_state::resetting: {
        const bool ok = try_to([&] {
          if constexpr (resets<Backend>) this->backend_.reset(*slot.conn);
        });
        return this->with_core(
            [&](pool_core& core, time_point now, pool_effects& fx) { core.was_reset(slot, ok, now, fx); });
      }
      default:
        try_to([&] {
          if constexpr (closes<Backend>) this->backend_.close(*slot.conn);
        });
        slot.conn.reset();
        return this->with_core([&](pool_core& core, time_point now, pool_effects& fx) { core.was_closed(slot, now, fx); });
    }
  }

  void connect(slot_type& slot) noexcept {
    std::shared_ptr<const connect_failure> failure;
    try {
      slot.conn.emplace(this->backend_.connect(
          connect_context{.deadline = slot.due, .endpoint = slot.endpoint, .attempt = slot.attempt}));
    } catch (...) {
      failure = cause_of(std::current_exception(), this->now());
      slot.conn.reset();
    }
    if (!slot.conn) return not_connected(slot, std::move(failure));
    this->with_core([&](pool_core& core, time_point now, pool_effects& fx) { core.connected(slot, now, fx); });
  }
  void not_connected(slot_type& slot, std::shared_ptr<const connect_failure> why) noexcept {
    this->with_core(
        [&](pool_core& core, time_point now, pool_effects& fx) { core.connect_failed(slot, std::move(why), now, fx); });
  }

  template <class F>
  static bool try_to(F&& f) noexcept {
    try {
      f();
      return true;
    } catch (...) {
      return false;
    }
  }

  static constexpr double quick = 20'000;  // hand-offs per second, from which on being awake is worth its processor time
  static constexpr int most_yields = 1000;

  const bool detects_self_deadlock_;
  const bool threads_as_needed_;
  const std::shared_ptr<pool_crew> crew_;  // its threads may outlive this by a moment
  const std::uint32_t deck_;               // how many in line are awake: as many as can be served at a time
};

}  // namespace detail

/// How many threads a blocking_pool has for connecting, validating and closing.
struct pool_threads {
  std::uint32_t count = 0;
};

/// Its handle: not copyable; may be moved. Its destructor closes it: waiters are told, idle connections are closed, and it
/// waits for attempts to connect that are under way (for as long as the backend takes). It may also run on one of the
/// pool's own threads, in a call of the backend or the observer, for which it does not wait then. Leases may outlive it.
template <blocking_backend Backend, waitable_clock Clock = default_clock, class Observer = null_observer>
class basic_blocking_pool : public detail::pool_handle<detail::blocking_pool_state<Backend, Clock, Observer>> {
  using state = detail::blocking_pool_state<Backend, Clock, Observer>;
  using base = detail::pool_handle<state>;

 public:
  using typename base::lease;

  /// As many threads as attempts to connect may run at a time, also after `reconfigure`, and one that resets, validates and
  /// closes while these hang. Errors: std::invalid_argument naming the field, std::system_error (no threads),
  /// std::bad_alloc.
  explicit basic_blocking_pool(Backend backend, const pool_config& config = {}, Observer observer = {}, Clock clock = {})
      : base(std::make_shared<state>(std::move(backend), config, std::nullopt, std::move(observer), std::move(clock))) {}
  /// `threads.count` 0: none; somebody has to call `tick()` now and then.
  basic_blocking_pool(Backend backend, const pool_config& config, pool_threads threads, Observer observer = {},
                      Clock clock = {})
      : base(std::make_shared<state>(std::move(backend), config, threads.count, std::move(observer), std::move(clock))) {}

  /// Blocks this thread until there is a connection, `c.deadline` (at most pool_config.acquire_timeout), or `stop`.
  /// Errors: those of try_acquire but over_capacity and suspended; queue_full, would_miss_deadline, quota, wait_timeout,
  /// shed, cancelled; with pool_config.detect_self_deadlock: self_deadlock. That is about leases which this thread
  /// acquired; who takes one over from another thread says so with its `touch()`.
  [[nodiscard]] pool_result<lease> acquire(const call& c = {}, std::stop_token stop = {},
                                           const std::source_location& where = std::source_location::current()) noexcept {
    return state_->acquire({c, where}, std::move(stop));
  }
  [[nodiscard]] pool_result<lease> acquire_until(
      time_point deadline, std::stop_token stop = {},
      const std::source_location& where = std::source_location::current()) noexcept {
    return state_->acquire({{.deadline = deadline}, where}, std::move(stop));
  }

  /// Closes, and blocks this thread until no connection is left: all have been given back, and closed. At `deadline`, or
  /// when `stop` is requested, it returns what there is still: connections in use stay with their users, whose next call
  /// fails if the backend has `abort` (at the deadline), and are closed when they give them back. Errors: cancelled. Once
  /// begun, the pool stays closed.
  [[nodiscard]] pool_result<drain_report> drain(time_point deadline = never, std::stop_token stop = {}) {
    return state_->drain(deadline, std::move(stop));
  }
  /// Blocks this thread until `n` connections are idle or in use, for which it opens as many as are missing. How many there
  /// are. A pool that is suspended opens none: this waits for `resume`, or its deadline. Errors: never_admissible (n >
  /// max_size), backend_down (with its cause; not with on_down wait), closed, expired, wait_timeout, cancelled.
  [[nodiscard]] pool_result<std::uint32_t> ready(std::uint32_t n, time_point deadline = never, std::stop_token stop = {}) {
    return state_->ready(n, deadline, std::move(stop));
  }

  /// For pools without threads: does on this thread whatever is due. true: there was something.
  bool tick() noexcept { return state_->tick(); }

 private:
  using base::state_;
};

template <class Backend>
using blocking_pool = basic_blocking_pool<Backend>;

}  // namespace weir::inline v0
