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

#include <weir/pool/detail/failure_cause.hpp>
#include <weir/pool/detail/pool_crew.hpp>
#include <weir/pool/detail/pool_shell.hpp>
#include <weir/pool/detail/sleeper.hpp>

#include <algorithm>
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

  /// `threads`: 0: the user calls `tick`.
  blocking_pool_state(Backend backend, const pool_config& config, std::uint32_t threads, Observer observer, Clock clock)
      : base(std::move(backend), config, std::move(observer), std::move(clock)),
        crew_(threads),
        deck_(std::clamp(std::thread::hardware_concurrency(), 1u, config.max_size)) {}

  void begin() {
    crew_.start([this](pool_slot& slot) { run(static_cast<slot_type&>(slot)); }, [this] { due(); }, this->clock_);
    base::begin();
  }
  void end() noexcept {
    base::orphan();
    crew_.stop();
  }
  /// true: there was something to do.
  bool tick() noexcept {
    due();
    return crew_.run_all();
  }

  answer acquire(const pool_call& c, std::stop_token stop) noexcept {
    auto first = base::try_first(c);
    if (first || !waiting_helps(first.error())) return first;
    blocked waiter;
    if (auto refused = base::wait(waiter, c)) return std::move(*refused);
    const auto give_up = [&] { base::cancel(waiter); };
    std::stop_callback on_stop{std::move(stop), give_up};
    wait_for(waiter);
    return waiter.take();
  }

  // Of pool_shell.
  void start(slot_type& slot) noexcept {
    if (!crew_.add(slot)) run(slot);
  }
  void give_up(slot_type&) noexcept {}  // a thread that is inside of a backend cannot be called back
  void wake_at(time_point t) noexcept { crew_.wake_at(t); }
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

  void due() noexcept {
    base::woke();
    base::see_time();
  }

  /// The job that the slot's state says; on a thread of the crew, of `tick`, or of who gave it back.
  void run(slot_type& slot) noexcept {
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
    this->with_core([&](pool_core& core, time_point now, pool_effects& fx) {
      if (slot.conn) {
        core.connected(slot, now, fx);
      } else {
        core.connect_failed(slot, std::move(failure), now, fx);
      }
    });
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

  pool_crew crew_;
  const std::uint32_t deck_;  // how many in line are awake: as many as can be served at a time
};

}  // namespace detail

/// How many threads a blocking_pool has for connecting, validating and closing.
struct pool_threads {
  std::uint32_t count = 0;
};

/// Its handle: not copyable; may be moved. Its destructor closes it: waiters are told, idle connections are closed, and it
/// waits for attempts to connect that are under way (for as long as the backend takes). Leases may outlive it.
template <blocking_backend Backend, waitable_clock Clock = default_clock, class Observer = null_observer>
class basic_blocking_pool {
  using state = detail::blocking_pool_state<Backend, Clock, Observer>;

 public:
  using connection = typename Backend::connection;
  using lease = pool_lease<state>;

  /// As many threads as attempts to connect may run at a time. Errors: std::invalid_argument naming the field,
  /// std::system_error (no threads), std::bad_alloc.
  explicit basic_blocking_pool(Backend backend, pool_config config = {}, Observer observer = {}, Clock clock = {})
      : basic_blocking_pool(std::move(backend), config, pool_threads{config.connecting_at_most()}, std::move(observer),
                            std::move(clock)) {}
  /// `threads.count` 0: none; somebody has to call `tick()` now and then.
  basic_blocking_pool(Backend backend, const pool_config& config, pool_threads threads, Observer observer = {},
                      Clock clock = {})
      : state_(std::make_shared<state>(std::move(backend), config, threads.count, std::move(observer), std::move(clock))) {
    state_->begin();
  }
  basic_blocking_pool(basic_blocking_pool&&) noexcept = default;
  basic_blocking_pool& operator=(basic_blocking_pool&& other) noexcept {
    if (this == &other) return *this;
    finish();
    state_ = std::move(other.state_);
    return *this;
  }
  ~basic_blocking_pool() { finish(); }

  /// Never waits. Errors: over_capacity (also if one has to be asked first whether it is alive), backend_down, suspended,
  /// expired, closed. No lock where this thread takes again what it gave back last.
  [[nodiscard]] pool_result<lease> try_acquire(
      const call& c = {}, const std::source_location& where = std::source_location::current()) noexcept {
    return state_->try_acquire({c, where});
  }
  /// Blocks this thread until there is a connection, `c.deadline` (at most pool_config.acquire_timeout), or `stop`.
  /// Errors: those of try_acquire but over_capacity and suspended; queue_full, would_miss_deadline, quota, wait_timeout,
  /// shed, cancelled.
  [[nodiscard]] pool_result<lease> acquire(const call& c = {}, std::stop_token stop = {},
                                           const std::source_location& where = std::source_location::current()) noexcept {
    return state_->acquire({c, where}, std::move(stop));
  }
  [[nodiscard]] pool_result<lease> acquire_until(
      time_point deadline, std::stop_token stop = {},
      const std::source_location& where = std::source_location::current()) noexcept {
    return state_->acquire({{.deadline = deadline}, where}, std::move(stop));
  }

  /// See pool_core.
  void suspend() noexcept { state_->suspend(); }
  void resume() noexcept { state_->resume(); }
  void invalidate() noexcept { state_->invalidate(); }
  void close() noexcept { state_->close(); }
  /// Live; what cannot be changed is said. Errors: std::bad_alloc.
  std::optional<config_error> reconfigure(const pool_config& config) { return state_->reconfigure(config); }

  [[nodiscard]] pool_snapshot snapshot() const { return state_->snapshot(); }
  [[nodiscard]] pool_histograms histograms() const { return state_->histograms(); }
  /// Every connection, who has it and since when, the latest events: `to_json(pool.explain())`. Errors: std::bad_alloc.
  [[nodiscard]] pool_explanation explain() const { return state_->explain(); }
  /// How large it should be for all but 1 % of its users to wait less than `target`, or why not to grow. Errors:
  /// std::bad_alloc. Complexity: O(size advised).
  [[nodiscard]] pool_advice advice(duration target = std::chrono::milliseconds{20}) const { return state_->advice(target); }
  [[nodiscard]] time_point now() const noexcept { return state_->now(); }
  [[nodiscard]] weir::name name() const noexcept { return state_->name(); }
  [[nodiscard]] Backend& backend() noexcept { return state_->backend(); }

  /// For pools without threads: does on this thread whatever is due. true: there was something.
  bool tick() noexcept { return state_->tick(); }

 private:
  void finish() noexcept {
    if (state_ != nullptr) std::exchange(state_, nullptr)->end();
  }

  std::shared_ptr<state> state_;
};

template <class Backend>
using blocking_pool = basic_blocking_pool<Backend>;

}  // namespace weir::inline v0
