// Connections for coroutines and handlers: on a context that the test runs, by a clock that the test moves.
#include <weir/asio/affine_pool.hpp>
#include <weir/asio/pool.hpp>
#include <weir/testing/manual_clock.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <latch>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace weir {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

struct script {
  int connects = 0, validations = 0, resets = 0, closes = 0, cancelled = 0;
  bool refuses = false, hangs = false, dead = false;
  std::shared_ptr<int> alive = std::make_shared<int>();  // shared with every backend
};

struct scripted {
  struct connection {
    int number;
  };
  script* s;
  std::shared_ptr<int> alive = s->alive;

  asio::awaitable<connection> connect(connect_context) {
    co_await perhaps_hang();
    if (s->refuses) throw std::runtime_error("connection refused");
    co_return connection{++s->connects};
  }
  asio::awaitable<void> validate(connection&) {
    ++s->validations;
    co_await perhaps_hang();
    if (s->dead) throw std::runtime_error("dead");
  }
  asio::awaitable<void> reset(connection&) {
    ++s->resets;
    co_await perhaps_hang();
  }
  asio::awaitable<void> close(connection&) {
    ++s->closes;
    co_return;
  }

 private:
  asio::awaitable<void> perhaps_hang() {
    if (!s->hangs) co_return;
    asio::steady_timer timer{co_await asio::this_coro::executor, asio::steady_timer::time_point::max()};
    try {
      co_await timer.async_wait(asio::use_awaitable);
    } catch (...) {
      ++s->cancelled;
      throw;
    }
  }
};
static_assert(pool_backend<scripted>);

struct calling_observer {
  const std::function<void(const pool_event&)>* what;
  void on(const pool_event& e) {
    if (*what) (*what)(e);
  }
};

class AsioPool : public testing::Test {
 protected:
  using pool_type = basic_pool<scripted, asio::any_io_executor, manual_clock, calling_observer>;
  using answer = pool_result<pool_type::lease>;

  pool_type make(const pool_config& config = {}) {
    return pool_type{context->get_executor(), scripted{&s}, config, {&when_told}, clock};
  }
  void run() {
    context->restart();
    context->poll();
  }
  void ask(pool_type& pool, std::optional<answer>& into, const call& c = {}) {
    pool.async_acquire(c, asio::bind_executor(context->get_executor(), [&into](answer a) { into.emplace(std::move(a)); }));
  }

  script s;
  manual_clock clock;
  std::function<void(const pool_event&)> when_told;
  std::optional<asio::io_context> context{std::in_place, 1};
};

TEST_F(AsioPool, ConnectsLendsResetsAndCloses) {
  auto pool = make({.max_size = 1});
  std::optional<answer> a, b;
  ask(pool, a);
  ask(pool, b);
  EXPECT_FALSE(a) << "never inline";
  run();
  ASSERT_TRUE(a && *a);
  EXPECT_EQ((**a)->number, 1);
  EXPECT_FALSE(b);
  (*a)->release();
  run();
  EXPECT_EQ(s.resets, 1);
  ASSERT_TRUE(b && *b);
  EXPECT_EQ((**b)->number, 1);
  (*b)->discard();
  run();
  EXPECT_EQ(s.closes, 1);
  EXPECT_EQ(pool.snapshot().now.total(), 0u);
}

TEST_F(AsioPool, CoroutinesNeedNotSuspendForAnIdleConnection) {
  auto pool = make({.min_size = 1});
  run();
  bool done = false;
  asio::co_spawn(
      *context,
      [&]() -> asio::awaitable<void> {
        auto lease = co_await pool.co_acquire({.tag = "test"});
        EXPECT_TRUE(lease.has_value());
        done = true;
      },
      asio::detached);
  context->restart();
  EXPECT_EQ(context->poll_one(), 1u);
  EXPECT_TRUE(done);
}

/// Notes when it goes, ended or not.
struct last_words {
  ~last_words() { ++*gone; }
  int* gone;
};

TEST_F(AsioPool, ACoroutineWaitsInItsOwnFrame) {
  auto pool = make({.max_size = 1});
  std::optional<answer> holder;
  ask(pool, holder);
  run();
  asio::cancellation_signal signal;
  std::vector<std::string> ended;
  int gone = 0;
  const auto user = [&]() -> asio::awaitable<void> {
    const last_words words{&gone};
    auto lease = co_await pool.co_acquire();
    ended.emplace_back(lease ? "lease" : lease.error().code().message());
  };
  asio::co_spawn(*context, user, asio::bind_cancellation_slot(signal.slot(), asio::detached));
  for (int i = 0; i < 3; ++i) asio::co_spawn(*context, user, asio::detached);
  run();
  EXPECT_EQ(pool.snapshot().now.waiting, 4u);
  signal.emit(asio::cancellation_type::terminal);
  holder.reset();
  run();  // reset, then granted
  run();
  EXPECT_EQ(ended, (std::vector<std::string>{"cancelled by the caller", "lease", "lease", "lease"}));
  ask(pool, holder);
  run();
  for (int i = 0; i < 2; ++i) asio::co_spawn(*context, user, asio::detached);
  run();
  ended.clear();
  pool = make({.max_size = 1});  // closed
  run();
  EXPECT_EQ(ended, (std::vector<std::string>{"closed", "closed"}));
  holder.reset();

  ask(pool, holder);
  run();
  gone = 0;
  for (int i = 0; i < 3; ++i) asio::co_spawn(*context, user, asio::detached);
  run();
  holder->value().release_clean();  // to the first, on its way
  {
    const auto closed = std::move(pool);
  }  // and so is what the others are told
  context.reset();
  EXPECT_EQ(gone, 3);
  EXPECT_EQ(ended.size(), 2u);
  EXPECT_EQ(s.alive.use_count(), 1) << "the pool has not gone";
}

TEST_F(AsioPool, ACancelledSlotEndsTheWaitAndTheConnectionStays) {
  auto pool = make({.max_size = 1});
  asio::cancellation_signal signal;
  std::optional<answer> a;
  pool.async_acquire(
      {}, asio::bind_cancellation_slot(
              signal.slot(), asio::bind_executor(context->get_executor(), [&](answer r) { a.emplace(std::move(r)); })));
  signal.emit(asio::cancellation_type::partial);
  run();
  ASSERT_TRUE(a);
  EXPECT_EQ(a->error(), errc::cancelled);
  EXPECT_EQ(pool.snapshot().now.idle, 1u) << "it was made nevertheless";
}

TEST_F(AsioPool, AGrantThatIsCancelledOnItsWayGoesToTheNext) {
  auto pool = make({.max_size = 1, .reset_on_return = false});
  asio::cancellation_signal signal;
  std::optional<answer> holder, unwanted, next;
  ask(pool, holder);
  run();
  pool.async_acquire(
      {}, asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context->get_executor(), [&](answer r) {
                                         unwanted.emplace(std::move(r));
                                       })));
  ask(pool, next);
  (*holder)->release();  // granted, and posted
  signal.emit(asio::cancellation_type::terminal);
  run();
  EXPECT_EQ(unwanted->error(), errc::cancelled);
  ASSERT_TRUE(next && *next);
}

TEST_F(AsioPool, HandlesCancelFromAnyThread) {
  auto pool = make({.max_size = 1});
  std::optional<answer> holder, waiting;
  ask(pool, holder);
  run();
  wait_handle handle;
  pool.async_acquire({}, handle,
                     asio::bind_executor(context->get_executor(), [&](answer r) { waiting.emplace(std::move(r)); }));
  std::thread{[&] { EXPECT_TRUE(handle.cancel()); }}.join();
  run();
  EXPECT_EQ(waiting->error(), errc::cancelled);
}

TEST_F(AsioPool, WhatTakesTooLongIsCancelled) {
  s.hangs = true;
  basic_pool<scripted, asio::any_io_executor, steady_clock_source> pool{
      context->get_executor(), scripted{&s}, {.max_size = 1, .connect_timeout = 5ms, .down_after = 1}};
  using result_type = pool_result<decltype(pool)::lease>;
  std::optional<result_type> a;
  pool.async_acquire({}, asio::bind_executor(context->get_executor(), [&](result_type r) { a.emplace(std::move(r)); }));
  while (!a) context->run_one();
  EXPECT_EQ(a->error(), errc::backend_down);
  EXPECT_EQ(s.cancelled, 1);
  EXPECT_EQ(pool.snapshot().connect_timed_out, 1u);
}

TEST_F(AsioPool, TheCauseIsTold) {
  s.refuses = true;
  auto pool = make({.down_after = 1});
  std::optional<answer> a;
  ask(pool, a);
  run();
  ASSERT_TRUE(a);
  EXPECT_EQ(a->error(), errc::backend_down);
  EXPECT_NE(a->error().message().find("last_connect_error=connection refused"), std::string::npos);
}

// Each attempt fails before the call that began it has returned: the plan for the next one must not be lost by that.
TEST_F(AsioPool, ABackendThatIsDownIsTriedAgainUntilItIsBack) {
  s.refuses = true;
  basic_pool<scripted, asio::any_io_executor, steady_clock_source> pool{
      context->get_executor(),
      scripted{&s},
      {.max_size = 2, .down_after = 1, .probe = {.initial = 1ms, .cap = 4ms, .jitter = jitter_kind::none}}};
  using result_type = pool_result<decltype(pool)::lease>;
  std::optional<result_type> a;
  pool.async_acquire({}, asio::bind_executor(context->get_executor(), [&](result_type r) { a.emplace(std::move(r)); }));
  while (pool.snapshot().connect_failed < 8) context->run_one();
  s.refuses = false;
  while (pool.snapshot().opened == 0) context->run_one();
  EXPECT_FALSE(pool.snapshot().now.down);
}

TEST_F(AsioPool, TheTimerKeepsDeadlines) {
  basic_pool<scripted, asio::any_io_executor, steady_clock_source> pool{
      context->get_executor(), scripted{&s}, {.max_size = 1}};
  using result_type = pool_result<decltype(pool)::lease>;
  std::optional<result_type> holder, late;
  const auto into = [&](std::optional<result_type>& r) {
    return asio::bind_executor(context->get_executor(), [&r](result_type a) { r.emplace(std::move(a)); });
  };
  pool.async_acquire({}, into(holder));
  run();
  const weir::time_point deadline = pool.now() + 5ms;
  pool.async_acquire({.deadline = deadline}, into(late));
  context->restart();
  while (!late) context->run_one();
  EXPECT_EQ(late->error(), errc::wait_timeout);
  EXPECT_GE(pool.now(), deadline);
}

TEST_F(AsioPool, ClosingTellsWaitersAndLeasesComeBackLater) {
  std::optional<answer> holder, waiting;
  {
    auto pool = make({.max_size = 1});
    ask(pool, holder);
    run();
    ask(pool, waiting);
  }
  run();
  EXPECT_EQ(waiting->error(), errc::closed);
  EXPECT_EQ(s.closes, 0);
  holder.reset();
  run();
  EXPECT_EQ(s.closes, 1);
}

TEST_F(AsioPool, ADrainKeepsItsDeadlineWhenTheHandleGoes) {
  std::optional<answer> holder;
  std::optional<pool_result<drain_report>> drained;
  {
    auto pool = make({.max_size = 1});
    ask(pool, holder);
    run();
    pool.async_drain(clock.now() + 5ms,
                     asio::bind_executor(context->get_executor(), [&](auto r) { drained.emplace(std::move(r)); }));
  }
  run();
  EXPECT_FALSE(drained);
  clock.advance(5ms);
  const auto give_up = std::chrono::steady_clock::now() + 20s;
  while (!drained && std::chrono::steady_clock::now() < give_up) context->run_one_for(100ms);
  ASSERT_TRUE(drained && *drained);
  EXPECT_EQ((*drained)->in_use, 1u);
  holder.reset();
  context->restart();
  context->run();  // and nothing keeps the context running after that
  EXPECT_EQ(s.closes, 1);
}

TEST_F(AsioPool, ADrainLeavesNoSocketsAndCutsAttemptsShort) {
  auto pool = make({.max_size = 3, .min_size = 2, .max_connecting = 2});
  run();
  std::optional<answer> holder, second;
  ask(pool, holder);
  ask(pool, second);
  run();
  s.hangs = true;
  std::optional<answer> third;
  ask(pool, third);  // for whom one is being opened
  run();
  std::optional<pool_result<drain_report>> drained;
  pool.async_drain(never, asio::bind_executor(context->get_executor(), [&](auto r) { drained.emplace(std::move(r)); }));
  run();
  EXPECT_EQ(third->error(), errc::closed);
  EXPECT_EQ(s.cancelled, 1) << "nobody wants it any more";
  holder.reset();
  second->value().release_clean();
  EXPECT_FALSE(drained);
  run();
  ASSERT_TRUE(drained && *drained);
  EXPECT_TRUE((*drained)->is_complete());
  EXPECT_EQ(s.closes, 2);
}

// Its first step comes after the end of the one that decided it, in which an observer, or another thread, does something.
TEST_F(AsioPool, WhatIsUnwantedBeforeItBeginsIsCancelledToo) {
  auto pool = make({.max_size = 2, .min_size = 1});
  run();
  std::optional<answer> a;
  ask(pool, a);
  run();
  ASSERT_TRUE(a && *a);
  s.hangs = true;
  when_told = [&](const pool_event& e) {
    if (e.kind == pool_event_kind::closed) pool.close();
  };
  (*a)->discard();
  EXPECT_EQ(pool.snapshot().now.connecting, 1u) << "in the place of what was discarded";
  run();
  EXPECT_EQ(s.cancelled, 1);
  EXPECT_EQ(pool.snapshot().now.total(), 0u);
}

TEST_F(AsioPool, DrainsAndReadinessCanBeGivenUp) {
  auto pool = make({.max_size = 2});
  asio::cancellation_signal first, second;
  const auto into = [&](auto& result, asio::cancellation_signal& signal) {
    return asio::bind_cancellation_slot(
        signal.slot(), asio::bind_executor(context->get_executor(), [&](auto r) { result.emplace(std::move(r)); }));
  };
  std::optional<pool_result<std::uint32_t>> ready;
  pool.async_ready(1, into(ready, first));
  run();
  ASSERT_TRUE(ready && *ready);
  EXPECT_EQ(**ready, 1u);
  pool.async_ready(3, into(ready, first));
  run();
  EXPECT_EQ(ready->error(), errc::never_admissible);
  s.hangs = true;
  pool.async_ready(2, into(ready, first));
  first.emit(asio::cancellation_type::terminal);
  run();
  EXPECT_EQ(ready->error(), errc::cancelled);
  EXPECT_EQ(pool.snapshot().now.connecting, 1u) << "the attempt goes on";
  std::optional<answer> holder;
  ask(pool, holder);
  run();
  std::optional<pool_result<drain_report>> drained;
  pool.async_drain(never, into(drained, second));
  second.emit(asio::cancellation_type::terminal);
  run();
  EXPECT_EQ(drained->error(), errc::cancelled);
  EXPECT_TRUE(pool.snapshot().closed);
  bool told = false;
  pool.async_drain(clock.now(), asio::bind_executor(context->get_executor(), [&](const auto& r) {
                     told = true;
                     EXPECT_EQ(r->in_use, 1u);
                   }));
  EXPECT_FALSE(told) << "never inline";
  run();
  EXPECT_TRUE(told);
  drained.reset();
  pool.async_drain(never, into(drained, second));
  {
    const auto gone = std::move(pool);
  }
  holder.reset();   // to be closed by a coroutine that never runs
  context.reset();  // with the handler
  EXPECT_FALSE(drained);
}

TEST_F(AsioPool, AContextThatGoesFirstTakesEverythingAlong) {
  std::optional<answer> holder, waiting;
  {
    auto pool = make({.max_size = 2, .min_size = 2, .max_connecting = 2});
    run();
    ask(pool, holder);
    run();
    s.hangs = true;
    holder->value().release();  // its reset begins, and never ends
    run();
    holder.reset();
    ask(pool, holder);
    run();
    ask(pool, waiting);
  }
  holder.reset();  // its connection is to be closed, by a coroutine that never runs
  context.reset();
  EXPECT_FALSE(waiting && *waiting);
}

// ---- several contexts ----

/// Connections that know where they were made.
struct rooted {
  struct connection {
    const asio::execution_context* home;
  };
  struct tally {
    std::atomic<int> open{0}, most{0};
  };
  std::shared_ptr<tally> count = std::make_shared<tally>();

  asio::awaitable<connection> connect(connect_context) {
    const auto executor = co_await asio::this_coro::executor;
    const int now = ++count->open;
    for (int most = count->most; most < now && !count->most.compare_exchange_weak(most, now);) {
    }
    co_return connection{&asio::query(executor, asio::execution::context)};
  }
  asio::awaitable<void> close(connection&) {
    --count->open;
    co_return;
  }
};

class AffinePool : public testing::Test {
 protected:
  using pool_type = basic_affine_pool<rooted, asio::any_io_executor, manual_clock>;
  using answer = pool_result<pool_type::lease>;

  pool_type make(affinity mode, std::uint32_t size, pool_config config = {}) {
    config.max_size = size;
    return pool_type{{one->get_executor(), two->get_executor()},
                     backend,
                     {.pool = config, .mode = mode, .steal_after = steal_after},
                     {},
                     clock};
  }
  void run() {
    for (int i = 0; i < 4; ++i) {
      for (auto* context : {&*one, &*two}) {
        context->restart();
        context->poll();
      }
    }
  }
  template <class Executor>
  auto into(std::optional<answer>& a, const Executor& executor) {
    return asio::bind_executor(executor, [&a](answer r) { a.emplace(std::move(r)); });
  }
  void ask(pool_type& pool, std::optional<answer>& a, asio::io_context& from, const call& c = {}) {
    pool.async_acquire(c, into(a, from.get_executor()));
  }
  static std::uint32_t in_use(pool_type& pool) {
    return pool.of(0).snapshot().now.in_use + pool.of(1).snapshot().now.in_use;
  }

  rooted backend;
  duration steal_after = 100us;  // soon for a timer of Asio's, and not before for our clock
  manual_clock clock;
  std::optional<asio::io_context> one{std::in_place, 1}, two{std::in_place, 1};
};

TEST_F(AffinePool, WhoGivesUpWhenTheOwnLineHasRefusedIsToldSo) {
  auto pool = make(affinity::prefer, 2, {.min_size = 2, .max_waiters = 0});
  run();
  const auto a = pool.try_acquire(one->get_executor());
  const auto b = pool.try_acquire(two->get_executor());
  ASSERT_TRUE(a && b);
  asio::cancellation_signal signal;
  std::optional<answer> told;
  pool.async_acquire({}, asio::bind_cancellation_slot(signal.slot(), into(told, one->get_executor())));
  signal.emit(asio::cancellation_type::terminal);  // the refusal is on its way
  run();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->error(), errc::cancelled);
}

TEST_F(AffinePool, InModeSameEachContextHasItsOwn) {
  steal_after = 0s;
  auto pool = make(affinity::same, 3);
  std::optional<answer> a, b, c, d, guest;
  ask(pool, a, *one);
  ask(pool, b, *one);
  ask(pool, c, *one);
  ask(pool, d, *two);
  asio::io_context elsewhere;
  ask(pool, guest, elsewhere);
  elsewhere.poll();
  run();
  ASSERT_TRUE(a && *a && b && *b && d && *d);
  EXPECT_EQ((**a)->home, &*one);
  EXPECT_EQ((**d)->home, &*two);
  EXPECT_FALSE(c) << "its share is two";
  EXPECT_EQ(guest->error(), errc::never_admissible);
  EXPECT_EQ(pool.try_acquire(elsewhere.get_executor()).error(), errc::never_admissible);
  d.reset();
  EXPECT_TRUE(pool.try_acquire(two->get_executor()).has_value());
  EXPECT_FALSE(pool.try_acquire(one->get_executor()).has_value());
  a.reset();
  run();
  ASSERT_TRUE(c && *c);
  EXPECT_EQ((**c)->home, &*one);
  EXPECT_EQ(backend.count->most, 3);
}

TEST_F(AffinePool, InModePreferOthersHelpAfterAWhile) {
  auto pool = make(affinity::prefer, 2);
  std::optional<answer> a, b;
  ask(pool, a, *one);
  run();
  ask(pool, b, *one);
  run();
  const auto until = std::chrono::steady_clock::now() + 500us;
  while (std::chrono::steady_clock::now() < until) run();
  EXPECT_FALSE(b) << "a timer rang, but it is not time by our clock";
  EXPECT_EQ(pool.of(1).snapshot().opened, 0u);
  clock.advance(100us);
  while (!b) run();
  ASSERT_TRUE(*b);
  EXPECT_EQ((**b)->home, &*two) << "one was opened there for it";
  EXPECT_EQ(pool.of(0).snapshot().cancelled, 1u);
  EXPECT_EQ(pool.of(0).snapshot().now.waiting + pool.of(1).snapshot().now.waiting, 0u);
  EXPECT_EQ(backend.count->most, 2);
  b.reset();
  ask(pool, b, *one);
  clock.advance(100us);
  while (!b) run();
  EXPECT_EQ((**b)->home, &*two) << "is idle there by now";
  EXPECT_EQ(pool.of(1).snapshot().waited, 1u);
}

TEST_F(AffinePool, WhoWaitsInTwoLinesIsServedOnce) {
  for (const int first : {0, 1, 2}) {
    SCOPED_TRACE(first);
    auto pool = make(affinity::any, 2);
    std::optional<answer> a, b, c;
    ask(pool, a, *one);
    ask(pool, b, *two);
    run();
    ask(pool, c, *one);
    run();
    ASSERT_TRUE(a && *a && b && *b && !c);
    EXPECT_EQ(pool.of(0).snapshot().now.waiting, 1u);
    EXPECT_EQ(pool.of(1).snapshot().now.waiting, 1u);
    if (first != 0) b->value().release();  // with 2, both are granted before it hears of any
    if (first != 1) a->value().release();
    run();
    ASSERT_TRUE(c && *c);
    if (first == 0) {
      EXPECT_EQ((**c)->home, &*one);
    }
    EXPECT_EQ(in_use(pool), first == 2 ? 1u : 2u);
    EXPECT_EQ(pool.of(0).snapshot().now.waiting + pool.of(1).snapshot().now.waiting, 0u);
    EXPECT_EQ(backend.count->most, 2);
    for (auto* each : {&a, &b, &c}) each->reset();
    {
      const auto closed = std::move(pool);
    }
    run();
  }
  EXPECT_EQ(backend.count->open, 0);
}

TEST_F(AffinePool, InModeAnyWhatIsFreeElsewhereIsTakenAtOnce) {
  auto pool = make(affinity::any, 2, {.min_size = 2});
  run();
  std::optional<answer> a, b, c;
  ask(pool, a, *one);
  ask(pool, b, *one);
  run();
  ASSERT_TRUE(a && *a && b && *b);
  EXPECT_EQ((**a)->home, &*one);
  EXPECT_EQ((**b)->home, &*two);
  b.reset();
  EXPECT_TRUE(pool.try_acquire(one->get_executor()).has_value());
  asio::io_context elsewhere;
  ask(pool, c, elsewhere);
  elsewhere.poll();
  EXPECT_TRUE(c && *c) << "a guest";
}

TEST_F(AffinePool, ALineThatIsFullIsNotTheLastWord) {
  auto pool = make(affinity::prefer, 2, {.max_waiters = 1});
  std::optional<answer> a, b, c, d;
  ask(pool, a, *one);
  run();
  for (auto* each : {&b, &c}) ask(pool, *each, *one);  // max_waiters: one for context one, none for the other
  run();
  EXPECT_FALSE(b);
  ASSERT_TRUE(c);
  EXPECT_EQ(c->error(), errc::queue_full) << "in both lines";
  EXPECT_FALSE(pool.of(1).reconfigure({.name = pool.of(1).name().view().data(), .max_size = 1, .max_waiters = 1}));
  ask(pool, d, *one);
  run();
  ASSERT_TRUE(d && *d);
  EXPECT_EQ((**d)->home, &*two);
}

TEST_F(AffinePool, CancelledClosedAndDestroyedWaitsLeaveNothingBehind) {
  auto pool = make(affinity::any, 2);
  std::optional<answer> a, b, c, d;
  ask(pool, a, *one);
  ask(pool, b, *two);
  run();
  asio::cancellation_signal signal;
  pool.async_acquire({}, asio::bind_cancellation_slot(signal.slot(), into(c, one->get_executor())));
  run();
  signal.emit(asio::cancellation_type::terminal);
  run();
  EXPECT_EQ(c->error(), errc::cancelled);
  EXPECT_EQ(pool.of(0).snapshot().now.waiting + pool.of(1).snapshot().now.waiting, 0u);
  pool.async_acquire({}, asio::bind_cancellation_slot(signal.slot(), into(c, one->get_executor())));
  run();
  a->value().release();  // granted, and on its way
  signal.emit(asio::cancellation_type::terminal);
  run();
  EXPECT_EQ(c->error(), errc::cancelled);
  EXPECT_EQ(in_use(pool), 1u);
  ask(pool, a, *one);
  run();
  ask(pool, c, *one);
  pool = make(affinity::prefer, 2);  // the old one is closed
  run();
  EXPECT_EQ(c->error(), errc::closed);
  a.reset();
  b.reset();
  ask(pool, a, *one);
  ask(pool, b, *two);
  run();
  for (auto* from : {&*one, &*two}) {
    for (int i = 0; i < 2; ++i) ask(pool, d, *from);
  }
  clock.advance(100us);
  run();  // some of these wait in two lines
  a.reset();
  b.reset();  // for two of them, on their way
  {
    const auto closed = std::move(pool);
  }
  one.reset();
  EXPECT_FALSE(d);
  two.reset();
}

TEST_F(AffinePool, ItIsTooLateForATheftWhenThePoolHasGone) {
  for (int i = 0; i < 10; ++i) {
    auto pool = make(affinity::prefer, 2);
    std::optional<answer> a, b;
    ask(pool, a, *one);
    run();
    ask(pool, b, *one);
    clock.advance(1ms);
    for (const auto start = std::chrono::steady_clock::now(); std::chrono::steady_clock::now() < start + 200us;) {
    }  // the timer has rung, and nobody has heard it
    {
      const auto gone = std::move(pool);
    }
    run();
    ASSERT_TRUE(b);
    EXPECT_EQ(b->error(), errc::closed);
    a.reset();
    run();
  }
  EXPECT_EQ(backend.count->open, 0);
}

TEST_F(AffinePool, CoroutinesAreAtHomeWhereTheyRun) {
  auto pool = make(affinity::prefer, 2, {.min_size = 2});
  run();
  std::vector<const asio::execution_context*> homes;
  const auto user = [&]() -> asio::awaitable<void> {
    auto lease = co_await pool.co_acquire();
    if (lease) homes.push_back((*lease)->home);
  };
  asio::co_spawn(*two, user, asio::detached);
  asio::co_spawn(*one, user, asio::detached);
  asio::co_spawn(*one, user, asio::detached);
  run();
  EXPECT_EQ(homes.size(), 3u);
  EXPECT_EQ(std::count(homes.begin(), homes.end(), &*one), 2);
}

TEST_F(AffinePool, GuestsTakeTurnsAlsoWhereTheyHaveToWait) {
  steal_after = 1h;
  auto pool = make(affinity::prefer, 4);
  asio::io_context elsewhere{1};
  std::vector<const asio::execution_context*> homes;
  for (int i = 0; i < 4; ++i) {
    asio::co_spawn(
        elsewhere,
        [&]() -> asio::awaitable<void> {
          auto lease = co_await pool.co_acquire();
          if (lease) homes.push_back((*lease)->home);
        },
        asio::detached);
  }
  elsewhere.poll();
  run();
  elsewhere.restart();
  elsewhere.poll();
  ASSERT_EQ(homes.size(), 4u);
  EXPECT_EQ(std::count(homes.begin(), homes.end(), &*one), 2);
}

TEST_F(AffinePool, ADrainIsOfAllContexts) {
  auto pool = make(affinity::prefer, 3, {.min_size = 3});
  run();
  std::optional<answer> a;
  ask(pool, a, *one);
  run();
  EXPECT_EQ(backend.count->open, 3);
  std::optional<pool_result<drain_report>> early, drained;
  pool.async_drain(clock.now(), asio::bind_executor(one->get_executor(), [&](auto r) { early.emplace(std::move(r)); }));
  pool.async_drain(never, asio::bind_executor(one->get_executor(), [&](auto r) { drained.emplace(std::move(r)); }));
  run();
  ASSERT_TRUE(early && *early);
  EXPECT_EQ((*early)->in_use, 1u);
  EXPECT_FALSE(drained);
  a.reset();
  run();
  ASSERT_TRUE(drained && (*drained)->is_complete());
  EXPECT_EQ(backend.count->open, 0);
}

TEST_F(AffinePool, ConfigurationsThatAreWrongSayWhich) {
  const auto message = [&](affine_pool_config config, bool twice = false) -> std::string {
    try {
      const pool_type pool{{one->get_executor(), (twice ? one : two)->get_executor()}, backend, config, {}, clock};
      return {};
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
  };
  EXPECT_EQ(message({.pool = {.max_size = 1}}),
            "affine_pool_config.pool.max_size: must be at least 1 for each of 2 contexts, is 1");
  EXPECT_EQ(message({.pool = {.min_size = 11}}), "pool_config.min_size: must be in [0, 10], is 11");
  EXPECT_EQ(message({.pool = {.waiting = {.order = queue_order::tenants}}}),
            "affine_pool_config.pool.waiting.order: must not be tenants: each context has a line of its own");
  EXPECT_EQ(message({.steal_after = -1ns}), "affine_pool_config.steal_after: must be >= 0, is -1 ns");
  EXPECT_EQ(message({}, true), "executors: must be of different contexts");
  for (const pool_config& all : {pool_config{.max_size = 10, .min_size = 7, .min_idle = 1, .max_waiters = 5},
                                 pool_config{.max_size = 3, .min_size = 3, .max_connecting = 1}}) {
    pool_config sum{.max_size = 0, .max_waiters = 0};
    for (std::size_t i = 0; i < 3; ++i) {
      const pool_config share = detail::share_of(all, i, 3);
      EXPECT_FALSE(validate(share));
      sum.max_size += share.max_size;
      sum.min_size += share.min_size;
      sum.min_idle += share.min_idle;
      *sum.max_waiters += share.max_waiters.value_or(0);
    }
    EXPECT_EQ(sum.max_size, all.max_size);
    EXPECT_EQ(sum.min_size, all.min_size);
    EXPECT_EQ(sum.min_idle, all.min_idle);
    EXPECT_EQ(*sum.max_waiters, all.max_waiters.value_or(0));
  }
}

TEST(AsioPoolThreads, ContextsOfTheirOwnThreadsHelpEachOther) {
  constexpr int users = 6, rounds = 100;
  rooted backend;
  asio::io_context one{1}, two{1};
  std::atomic<int> granted{0};
  std::optional<basic_affine_pool<rooted>> pool{
      std::in_place, std::vector<asio::any_io_executor>{one.get_executor(), two.get_executor()}, backend,
      affine_pool_config{.pool = {.max_size = 2, .acquire_timeout = 1h, .max_waiters = 24}, .steal_after = 10us}};
  std::latch all_done{users}, drained{1};
  for (int i = 0; i < users; ++i) {
    asio::co_spawn(
        i % 3 == 0 ? two : one,
        [&]() -> asio::awaitable<void> {
          for (int k = 0; k < rounds; ++k) {
            auto lease = co_await pool->co_acquire();
            if (lease) ++granted;
          }
          all_done.count_down();
        },
        asio::detached);
  }
  {
    std::jthread first{[&] { one.run(); }}, second{[&] { two.run(); }};
    all_done.wait();
    // What came for somebody who was served by the other context may still be on its way.
    pool->async_drain(never, asio::bind_executor(one.get_executor(), [&](const auto& r) {
                        EXPECT_TRUE(r && r->is_complete());
                        drained.count_down();
                      }));
    drained.wait();
    pool.reset();
  }
  EXPECT_EQ(granted, users * rounds);
  EXPECT_LE(backend.count->most, 2);
  EXPECT_EQ(backend.count->open, 0);
}

TEST(AsioPoolThreads, OnAContextOfSeveralThreads) {
  script s;
  asio::thread_pool context{3};
  std::atomic<int> granted{0}, refused{0};
  {
    basic_pool<scripted, asio::any_io_executor> pool{
        context.get_executor(), scripted{&s}, {.max_size = 1, .acquire_timeout = 1h, .max_waiters = 12}};
    std::latch all_done{12};
    for (int i = 0; i < 12; ++i) {
      asio::co_spawn(
          context,
          [&]() -> asio::awaitable<void> {
            for (int k = 0; k < 100; ++k) {
              auto lease = co_await pool.co_acquire();
              ++(lease ? granted : refused);
            }
            all_done.count_down();
          },
          asio::detached);
    }
    all_done.wait();
    EXPECT_LE(pool.snapshot().now.total(), 1u);
  }
  context.join();
  EXPECT_EQ(granted, 1200);
  EXPECT_EQ(refused, 0);
  EXPECT_EQ(s.connects - s.closes, 0);
}

}  // namespace
}  // namespace weir
