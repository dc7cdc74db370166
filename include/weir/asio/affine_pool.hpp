#pragma once
/// \file
/// `affine_pool`: connections of several execution contexts, each of which uses its own first.
///
/// When to use: with one io_context for each thread, where a connection that another thread's context serves costs a
/// wake-up there and back (20 us). With one context, also of several threads: `pool`.
///
/// ```cpp
/// using executor = boost::asio::io_context::executor_type;
/// std::vector executors{one.get_executor(), two.get_executor()};            // of an io_context each
/// weir::affine_pool<orders_db, executor> pool{executors, orders_db{}, {.pool = {.name = "orders", .max_size = 10}}};
/// auto session = co_await pool.co_acquire({.deadline = deadline});           // on either
/// ```
/// Why so: docs/adr/0012.

#include <weir/asio/detail/wait_in_two_lines.hpp>
#include <weir/asio/pool.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace weir::inline v0 {

/// Whose connections a caller may get.
enum class affinity : std::uint8_t {
  same,    ///< only those of its own context
  prefer,  ///< those of its own; when it has waited for `steal_after`, also those of others
  any,     ///< those of its own if there are, else at once those of others
};

struct affine_pool_config {
  pool_config pool{};  ///< of all contexts together; not with queue_order::tenants
  affinity mode = affinity::prefer;
  duration steal_after = std::chrono::milliseconds{1};  ///< >= 0; mode prefer
};

/// `contexts`: how many share the pool.
[[nodiscard]] inline std::optional<config_error> validate(const affine_pool_config& config, std::size_t contexts = 1) {
  if (auto wrong = validate(config.pool)) return wrong;
  const auto wrong = [](std::string field, std::string problem) {
    return config_error{"affine_pool_config." + std::move(field), std::move(problem)};
  };
  if (contexts == 0 || config.pool.max_size < contexts) {
    return wrong("pool.max_size", "must be at least 1 for each of " + std::to_string(contexts) + " contexts" +
                                      detail::is(config.pool.max_size));
  }
  if (config.pool.waiting.order == queue_order::tenants) {
    return wrong("pool.waiting.order", "must not be tenants: each context has a line of its own");
  }
  if (config.mode > affinity::any) return wrong("mode", "must be same, prefer or any");
  if (config.steal_after < duration::zero()) return wrong("steal_after", "must be >= 0" + detail::is(config.steal_after));
  return std::nullopt;
}

namespace detail {

/// What context `i` of `n` gets: together they are `all`.
[[nodiscard]] inline pool_config share_of(pool_config all, std::size_t i, std::size_t n) {
  const auto part = [&](std::uint32_t whole) { return static_cast<std::uint32_t>(whole / n + (i < whole % n ? 1 : 0)); };
  all.name += '/' + std::to_string(i);
  all.max_size = part(all.max_size);
  all.min_size = part(all.min_size);
  all.min_idle = part(all.min_idle);
  if (all.max_connecting != 0) all.max_connecting = std::clamp(part(all.max_connecting), 1u, all.max_size);
  if (all.max_waiters) all.max_waiters = part(*all.max_waiters);
  all.seed += i;  // lives that end together would be a herd
  return all;
}

/// The pools of all contexts. Waits keep it alive, but not the pools, which must go before their contexts.
template <class Pool>
struct affine_homes {
  using state_type = typename Pool::state;
  using answer = typename state_type::answer;
  static constexpr std::size_t nowhere = ~std::size_t{0};

  std::vector<Pool> pools;
  std::vector<const boost::asio::execution_context*> contexts;
  affinity mode{};
  duration steal_after{};
  weir::name name;
  std::atomic<std::size_t> guests{0};
  std::atomic<std::uint32_t> visitors{0};  // twice their number, and 1 when the pools are about to go

  /// Holds the pools while a step of a wait needs them; false: they have gone, or are about to, and nobody waits any more.
  class visit {
   public:
    explicit visit(affine_homes& h) noexcept : homes_(h), inside_((h.visitors.fetch_add(2) & 1) == 0) {}
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;
    ~visit() { homes_.visitors.fetch_sub(2); }
    explicit operator bool() const noexcept { return inside_; }

   private:
    affine_homes& homes_;
    const bool inside_;
  };
  void end() noexcept {
    visitors.fetch_or(1);
    while (visitors.load() != 1) std::this_thread::yield();  // a step does not take long
    pools.clear();
  }

  [[nodiscard]] state_type& state(std::size_t i) noexcept { return *pools[i].state_; }

  /// Whose caller somebody on `executor` is. From elsewhere: each in turn, or nobody's.
  template <class Executor>
  [[nodiscard]] std::size_t of(const Executor& executor) noexcept {
    const auto at =
        std::find(contexts.begin(), contexts.end(), &boost::asio::query(executor, boost::asio::execution::context));
    if (at != contexts.end()) return static_cast<std::size_t>(at - contexts.begin());
    if (mode == affinity::same) return nowhere;
    return guests.fetch_add(1, relaxed) % pools.size();
  }
  [[nodiscard]] bool shares() const noexcept { return mode != affinity::same && pools.size() > 1; }

  template <class Request>
  [[nodiscard]] std::optional<answer> take_elsewhere(std::size_t home, const Request& request) {
    for (std::size_t k = 1; k < pools.size(); ++k) {
      auto a = state((home + k) % pools.size()).try_first(request);
      if (a) return a;
    }
    return std::nullopt;
  }
  /// Where there is room, or where the fewest wait.
  [[nodiscard]] std::size_t best_line_but(std::size_t home) const {
    std::size_t best = home;
    std::int64_t least = 0;
    for (std::size_t k = 1; k < pools.size(); ++k) {
      const std::size_t i = (home + k) % pools.size();
      const std::int64_t pressure = pools[i].state_->pressure();
      if (best == home || pressure < least) best = i, least = pressure;
    }
    return best;
  }
  [[nodiscard]] answer refusal(errc why) const {
    return answer{boost::system::in_place_error, rejection{why, name, {}, {}}};
  }
};

/// For a caller whose handler's executor says where it is at home.
struct affine_initiation {
  template <class Handler, class Homes, class Request>
  void operator()(Handler&& handler, const std::shared_ptr<Homes>& homes, const Request& request) const {
    const std::size_t home = homes->of(boost::asio::get_associated_executor(handler));
    if (home == Homes::nowhere) {
      return post_answer(std::forward<Handler>(handler), homes->refusal(errc::never_admissible));
    }
    if (auto first = homes->state(home).try_first(request); first || !waiting_helps(first.error())) {
      return post_answer(std::forward<Handler>(handler), std::move(first));
    }
    wait(std::forward<Handler>(handler), homes, home, request);
  }
  /// For a caller whose home is known, and had nothing to be had at once.
  template <class Handler, class Homes, class Request>
  void operator()(Handler&& handler, const std::shared_ptr<Homes>& homes, std::size_t home, const Request& request) const {
    wait(std::forward<Handler>(handler), homes, home, request);
  }

 private:
  template <class Handler, class Homes, class Request>
  static void wait(Handler&& handler, const std::shared_ptr<Homes>& homes, std::size_t home, const Request& request) {
    auto& own = homes->state(home);
    if (!homes->shares()) return acquire_initiation<false>{}(std::forward<Handler>(handler), &own, request, {});
    const bool at_once = homes->mode == affinity::any || homes->steal_after == duration::zero();
    if (at_once) {
      if (auto found = homes->take_elsewhere(home, request)) {
        return post_answer(std::forward<Handler>(handler), std::move(*found));
      }
    }
    using two_lines = wait_in_two_lines<Homes, Request, std::decay_t<Handler>>;
    std::decay_t<Handler> mine = std::forward<Handler>(handler);
    std::make_shared<two_lines>(homes, home, request, std::move(mine))
        ->begin(at_once ? time_point::min() : later(own.now(), homes->steal_after));
  }
};

/// Ends when the last of several drains has.
template <class Handler>
struct drain_of_all {
  drain_of_all(Handler&& h, std::size_t n) : handler(std::move(h)), left(n) {}

  void one(const drain_report& r) {
    {
      const std::lock_guard lock{mutex};
      sum.in_use += r.in_use;
      sum.aborted += r.aborted;
      sum.under_way += r.under_way;
      sum.lost += r.lost;
      if (--left != 0) return;
    }
    Handler last = std::move(handler);
    std::move(last)(pool_result<drain_report>{sum});
  }

  Handler handler;
  std::mutex mutex;
  std::size_t left;  // guarded by mutex
  drain_report sum;  // guarded by mutex
};

}  // namespace detail

/// One pool for each context, which share max_size and what else is counted equally; together they never have more. Each
/// makes its connections on its own executor, and lends them to whoever runs on that context; whose executor is whose is
/// told by `boost::asio::execution::context`. Thread-safe.
///
/// In modes `prefer` and `any` a connection may be used on other contexts than that which made it: what it does, it does on
/// its home executor, so the backend's connections must bear to be used from elsewhere (have a strand of their own, or
/// dispatch to their executor). It goes back to its home. Callers on no context of the pool's: each in turn is a guest of
/// one; in mode `same` they get errc::never_admissible.
///
/// Each context's pool counts who asked it: a wait that another context served is `cancelled` at home and `waited` there.
template <pool_backend Backend, class Executor = boost::asio::any_io_executor, clock_source Clock = default_clock,
          class Observer = null_observer>
  requires std::copy_constructible<Backend>
class basic_affine_pool : detail::pool_owner<detail::affine_homes<basic_pool<Backend, Executor, Clock, Observer>>> {
  using pool_type = basic_pool<Backend, Executor, Clock, Observer>;
  using homes = detail::affine_homes<pool_type>;
  using owner = detail::pool_owner<homes>;
  using owner::state_;

 public:
  using connection = typename pool_type::connection;
  using lease = typename pool_type::lease;

  /// `executors`: of different contexts, which outlive the pool. `backend`, `observer` and `clock` are copied for each.
  /// Errors: std::invalid_argument naming the field, std::bad_alloc.
  explicit basic_affine_pool(const std::vector<Executor>& executors, const Backend& backend,
                             const affine_pool_config& config = {}, const Observer& observer = {}, const Clock& clock = {})
      : owner(std::make_shared<homes>()) {
    throw_if(validate(config, executors.size()));
    state_->name = weir::name{config.pool.name};
    state_->mode = config.mode;
    state_->steal_after = config.steal_after;
    for (const Executor& executor : executors) {
      const auto* context = &boost::asio::query(executor, boost::asio::execution::context);
      if (std::count(state_->contexts.begin(), state_->contexts.end(), context) != 0) {
        throw_if(config_error{"executors", "must be of different contexts"});
      }
      state_->contexts.push_back(context);
    }
    state_->pools.reserve(executors.size());
    for (std::size_t i = 0; i < executors.size(); ++i) {
      state_->pools.emplace_back(executors[i], backend, detail::share_of(config.pool, i, executors.size()), observer,
                                 clock);
    }
  }
  basic_affine_pool(basic_affine_pool&&) noexcept = default;
  basic_affine_pool& operator=(basic_affine_pool&&) noexcept = default;
  /// Closes it: see basic_pool.
  ~basic_affine_pool() = default;

  /// Never waits; in mode any, also one of another context. `from`: where the caller runs. Errors: as basic_pool.
  template <class From>
  [[nodiscard]] pool_result<lease> try_acquire(const From& from, const call& c = {},
                                               const std::source_location& where = std::source_location::current()) {
    const std::size_t home = state_->of(from);
    if (home == homes::nowhere) return state_->refusal(errc::never_admissible);
    const detail::pool_call request{c, where};
    if (state_->mode == affinity::any) {
      if (auto first = state_->state(home).try_first(request); first || !waiting_helps(first.error())) return first;
      if (auto found = state_->take_elsewhere(home, request)) return std::move(*found);
    }
    return state_->state(home).try_acquire(request);
  }

  /// As `basic_pool::async_acquire`; at home the caller is where its handler's associated executor is. A wait that may be
  /// served elsewhere costs a block of memory and a timer.
  template <boost::asio::completion_token_for<void(pool_result<lease>)> Token>
  auto async_acquire(const call& c, Token&& token, const std::source_location& where = std::source_location::current()) {
    return boost::asio::async_initiate<Token, void(pool_result<lease>)>(detail::affine_initiation{}, token, state_,
                                                                        detail::pool_call{c, where});
  }
  /// The same with use_awaitable; a connection of its own context that is there costs no suspension.
  template <class AwaitableExecutor = boost::asio::any_io_executor>
  [[nodiscard]] boost::asio::awaitable<pool_result<lease>, AwaitableExecutor> co_acquire(
      call c = {}, std::source_location where = std::source_location::current()) {
    return take_or_wait<AwaitableExecutor>(state_, {c, where});
  }

  void suspend() noexcept {
    for (pool_type& pool : state_->pools) pool.suspend();
  }
  void resume() noexcept {
    for (pool_type& pool : state_->pools) pool.resume();
  }
  void invalidate(std::string_view why = {}) noexcept {
    for (pool_type& pool : state_->pools) pool.invalidate(why);
  }
  void close() noexcept {
    for (pool_type& pool : state_->pools) pool.close();
  }
  /// As `basic_pool::async_drain`, of all contexts together; they must run. Not to be cancelled: give it a deadline.
  template <boost::asio::completion_token_for<void(pool_result<drain_report>)> Token>
  auto async_drain(time_point deadline, Token&& token) {
    return boost::asio::async_initiate<Token, void(pool_result<drain_report>)>(
        [](auto handler, std::shared_ptr<homes> all, time_point until) {
          const auto executor = boost::asio::get_associated_executor(handler);
          const auto drains =
              std::make_shared<detail::drain_of_all<decltype(handler)>>(std::move(handler), all->pools.size());
          for (pool_type& pool : all->pools) {
            pool.async_drain(until, boost::asio::bind_executor(
                                        executor, [drains](const pool_result<drain_report>& r) { drains->one(*r); }));
          }
        },
        token, state_, deadline);
  }

  /// How many contexts there are.
  [[nodiscard]] std::size_t size() const noexcept { return state_->pools.size(); }
  /// The pool of one of them, in the order of construction: its numbers, its configuration, its readiness.
  [[nodiscard]] pool_type& of(std::size_t i) noexcept { return state_->pools[i]; }

 private:
  template <class AwaitableExecutor>
  static boost::asio::awaitable<pool_result<lease>, AwaitableExecutor> take_or_wait(std::shared_ptr<homes> all,
                                                                                    detail::pool_call request) {
    const auto executor = co_await boost::asio::this_coro::executor;
    const std::size_t home = all->of(executor);  // once: a guest is at home elsewhere the next time
    if (home == homes::nowhere) co_return all->refusal(errc::never_admissible);
    auto first = all->state(home).try_first(request);
    if (first || !waiting_helps(first.error())) co_return first;
    constexpr boost::asio::use_awaitable_t<AwaitableExecutor> token;
    co_return co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<AwaitableExecutor>,
                                                   void(pool_result<lease>)>(detail::affine_initiation{}, token, all, home,
                                                                             request);
  }
};

template <class Backend, class Executor = boost::asio::any_io_executor>
using affine_pool = basic_affine_pool<Backend, Executor>;

}  // namespace weir::inline v0
