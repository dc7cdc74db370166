// The pool on Asio with everything going wrong at once: a backend that refuses, hangs and ends late, users that are
// cancelled or throw wherever they wait, a clock that leaps and goes back. Once in one thread and in virtual time, where
// every step is checked against the test's own books; once on threads and real timers.
#include "support/seeds.hpp"
#include "support/virtual_pool_users.hpp"

#include <weir/asio/affine_pool.hpp>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/thread_pool.hpp>

#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
// It knows no fences, by which Asio orders the last two that count a type-erased executor.
extern "C" const char* __tsan_default_suppressions() {  // NOLINT: the sanitizer's name
  return "race:boost::asio::execution::detail::any_executor_base::destroy_shared\n";
}
#endif
#endif

namespace weir {
namespace {

using namespace testing_support;

TEST(AsioPoolProperty, EverythingGoesWrongInVirtualTime) {
  std::uint64_t asked = 0, granted = 0, warm = 0;
  int aborted = 0;
  for (const std::uint64_t seed : testing_support::seeds(200)) {
    SCOPED_TRACE(seed);
    virtual_pool_users world{seed};
    world.run(500);
    asked += world.asked();
    granted += world.granted();
    warm += world.warm();
    aborted += world.aborted();
    if (HasFailure()) return;
  }
  std::printf("%llu calls, %llu granted, %d aborted, ready %llu times\n", static_cast<unsigned long long>(asked),
              static_cast<unsigned long long>(granted), aborted, static_cast<unsigned long long>(warm));
  EXPECT_GT(aborted, 0);
  EXPECT_GT(warm, 0u);
}

// Nobody waits for it any more, but the context.
TEST(AsioPoolProperty, WhatHangsWhenThePoolHasGoneIsGivenUp) {
  wire w{0};
  w.most = 2;
  w.calm = true;
  manual_clock clock;
  asio::io_context context{1};
  std::optional<faulty_pool> pool;
  pool.emplace(context.get_executor(), faulty{&w},
               pool_config{.max_size = 2, .min_size = 2, .max_connecting = 2, .close_timeout = 1ms}, null_observer{},
               clock);
  context.poll();
  auto last = pool->try_acquire();
  const auto ends = [&] {
    context.restart();
    for (int i = 0; i < 5000 && !context.stopped(); ++i) {
      clock.advance(100us);
      context.run_for(1ms);
    }
    return context.stopped();
  };
  w.hangs = true;
  pool.reset();
  EXPECT_TRUE(ends());
  EXPECT_EQ(w.alive, 1);
  last->release();
  EXPECT_TRUE(ends());
  EXPECT_EQ(w.alive, 0);
  EXPECT_EQ(w.token.use_count(), 1);
}

// ---- threads, real timers --------------------------------------------------------------------------------------------

/// Users of one thread each; they need no strands.
struct thread_of_users {
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
  std::thread runs{[this] { context.run(); }};
  ~thread_of_users() {
    context.stop();
    if (runs.joinable()) runs.join();
  }
};

struct user_of_a_thread {
  user_of_a_thread(asio::io_context& context, std::uint64_t seed)
      : executor(context.get_executor()), random(seed, "user") {}
  asio::io_context::executor_type executor;
  random_stream random;
  asio::cancellation_signal signal;  // on its thread
  wait_handle handle;
  books own;
  int left = 0;
};

/// A clock that leaps and goes back at any moment; timers ring whenever their time has come by the real one.
class threaded_world {
 public:
  explicit threaded_world(std::uint64_t seed) : wire_(seed) {
    wire_.real_time = true;
    wire_.most = static_cast<int>(config_.max_size);
    config_.seed = seed;
    if (seed % 2 != 0) config_.leak_reclaim = 1ms;
    wire_.fates = 24;
    for (std::uint64_t i = 0; i < users; ++i) users_.emplace_back(threads_[i % threads_.size()].context, seed * users + i);
  }

  void run(int calls) {
    std::optional<faulty_pool> pool{std::in_place, context_.get_executor(), faulty{&wire_},
                                    config_,       null_observer{},         clock_};
    pool_ = &*pool;
    for (user& u : users_) {
      u.left = calls;
      next(u);
    }
    random_stream random{wire_.seed, "trouble"};
    while (working_ > 0) trouble(random);
    in_the_end();
    books all = passing_;
    for (const user& u : users_) {
      all.asked += u.own.asked;
      all.granted += u.own.granted;
      for (std::size_t i = 0; i < all.refused.size(); ++i) all.refused[i] += u.own.refused[i];
    }
    const auto s = pool->snapshot();
    expect_same(all, s);
    EXPECT_EQ(s.now.in_use, 0u);
    asked = all.asked;
    granted = all.granted;
    pool.reset();
    for (thread& t : threads_) t.work.reset();
    for (thread& t : threads_) t.runs.join();
    context_.join();
    EXPECT_EQ(wire_.alive, 0) << "connections are left";
    EXPECT_EQ(wire_.token.use_count(), 1) << "the pool has not gone";
    EXPECT_EQ(wire_.too_many, 0) << "more connections than max_size";
    EXPECT_EQ(wire_.shared, 0) << "two users of one connection";
  }
  std::uint64_t asked = 0, granted = 0;

 private:
  using thread = thread_of_users;
  using user = user_of_a_thread;
  static constexpr std::uint64_t users = 8;

  void next(user& u) {
    asio::co_spawn(u.executor, visit(u),
                   asio::bind_cancellation_slot(u.signal.slot(), [this, &u](const std::exception_ptr&) {
                     if (--u.left > 0) return next(u);
                     --working_;
                   }));
  }
  /// All is well again: every connection can be had, and who waits for one more is told when his time is up.
  void in_the_end() {
    wire_.calm = true;
    wire_.outage = false;
    pool_->resume();
    config_.predict = false;
    config_.leak_reclaim = duration::max();
    config_.on_down = when_down::wait;
    EXPECT_FALSE(pool_->reconfigure(config_));
    ++working_;
    asio::co_spawn(users_[0].executor, take_all(users_[0]), [this](const std::exception_ptr& problem) {
      EXPECT_FALSE(problem);
      --working_;
    });
    while (working_ > 0) {
      clock_.set(clock_.now() + 10us);
      std::this_thread::yield();
    }
  }
  asio::awaitable<void> take_all(user& u) {
    std::vector<faulty_pool::lease> held;
    while (held.size() < config_.max_size) {
      faulty_answer a = co_await pool_->co_acquire();
      if (note(u, a)) held.push_back(std::move(*a));
    }
    errc told = errc::expired;
    while (told == errc::expired) {  // the clock did not wait for this thread
      const call one_more{.deadline = clock_.now() + 2ms};
      const faulty_answer last = co_await pool_->co_acquire(one_more);
      told = note(u, last) ? errc{} : static_cast<errc>(last.error().code().value());
    }
    EXPECT_EQ(told, errc::wait_timeout);
  }
  static bool note(user& u, const faulty_answer& a) {
    ++u.own.asked;
    ++(a ? u.own.granted : u.own.refused[static_cast<std::size_t>(a.error().code().value())]);
    return a.has_value();
  }

  asio::awaitable<void> visit(user& u) {
    if (u.random.below(16) == 0) {
      const time_point until = clock_.now() + std::chrono::microseconds{u.random.below(2000)};
      const auto warm = co_await pool_->async_ready(config_.max_size, until, asio::use_awaitable);
      EXPECT_TRUE(!warm || *warm >= config_.max_size);
      co_return;
    }
    const auto kind = u.random.below(4);
    call c;
    if (u.random.below(2) == 0) c.deadline = clock_.now() + std::chrono::microseconds{u.random.below(2000)};
    // Where it is cancelled before it has asked, it throws.
    std::optional<faulty_answer> a;
    if (kind == 0) {
      a.emplace(pool_->try_acquire(c));
    } else if (kind == 1) {
      a.emplace(co_await pool_->async_acquire(c, u.handle, asio::use_awaitable));
    } else {
      a.emplace(co_await pool_->co_acquire(c));
    }
    if (!note(u, *a)) co_return;
    user_of user{std::move(**a)};
    for (auto turns = u.random.below(3); turns > 0; --turns) {
      if (u.random.below(8) == 0) throw std::runtime_error("a user's own");
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    }
    if (u.random.below(4) != 0) user.finish(wire_);
  }

  /// With those who wait in it, who are being served by other threads meanwhile.
  void context_comes_and_goes() {
    asio::io_context context{1};
    for (int i = 0; i < 4; ++i) asio::co_spawn(context, pass_by(), asio::detached);
    context.poll();
  }
  asio::awaitable<void> pass_by() {
    struct at_end {
      ~at_end() { all->dropped += answered ? 0 : 1; }
      books* all;
      bool answered = false;
    };
    at_end mine{&passing_};
    ++passing_.asked;
    const faulty_answer a = co_await pool_->co_acquire();
    mine.answered = true;
    ++(a ? passing_.granted : passing_.refused[static_cast<std::size_t>(a.error().code().value())]);
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
  }

  void trouble(random_stream& random) {
    user& u = users_[random.below(users)];
    switch (random.below(128)) {
      case 0: clock_.set(clock_.now() - std::chrono::microseconds{random.below(500)}); break;
      case 1: clock_.set(clock_.now() + std::chrono::microseconds{random.below(10'000)}); break;
      case 2: pool_->suspend(); break;
      case 3: pool_->invalidate(); break;
      case 4: wire_.outage = true; break;
      case 5:
      case 6:
      case 7:
      case 8: static_cast<void>(u.handle.cancel()); break;
      case 9:
      case 10:
      case 11:
      case 12: asio::post(u.executor, [&u] { u.signal.emit(asio::cancellation_type::terminal); }); break;
      case 13: context_comes_and_goes(); break;
      case 14: EXPECT_LE(pool_->snapshot().now.total(), config_.max_size); break;
      default:
        if (random.below(8) == 0) pool_->resume();
        if (random.below(8) == 0) wire_.outage = false;
        clock_.set(clock_.now() + std::chrono::microseconds{random.below(20)});
    }
    std::this_thread::yield();
  }

  wire wire_;
  manual_clock clock_;
  pool_config config_{.max_size = 3,
                      .min_size = 1,
                      .max_connecting = 2,
                      .acquire_timeout = 50ms,
                      .connect_timeout = 1ms,
                      .validate_after_idle = 100us,
                      .validate_timeout = 1ms,
                      .keepalive = 2ms,
                      .max_lifetime = 10ms,
                      .idle_timeout = 5ms,
                      .reset_timeout = 1ms,
                      .close_timeout = 1ms,
                      .probe = {.initial = 100us, .cap = 1ms},
                      .leak_after = 1ms};
  std::atomic<std::uint64_t> working_{users};
  books passing_;                 // of those whose context goes
  asio::thread_pool context_{2};  // of the pool
  std::array<thread, 2> threads_;
  std::deque<user> users_;
  faulty_pool* pool_ = nullptr;
};

TEST(AsioPoolProperty, EverythingGoesWrongOnThreads) {
  std::uint64_t asked = 0, granted = 0;
  for (const std::uint64_t seed : testing_support::seeds(10)) {
    SCOPED_TRACE(seed);
    threaded_world world{seed};
    world.run(200);
    asked += world.asked;
    granted += world.granted;
    if (HasFailure()) return;
  }
  std::printf("%llu calls, %llu granted\n", static_cast<unsigned long long>(asked),
              static_cast<unsigned long long>(granted));
}

/// Two contexts of a thread each, that help each other or not, and guests on a third.
class affine_world {
 public:
  explicit affine_world(std::uint64_t seed) : wire_(seed) {
    wire_.real_time = true;
    wire_.fates = 24;
    wire_.most = 3;
    for (std::uint64_t i = 0; i < users; ++i) users_.emplace_back(threads_[i % 3].context, seed * users + i);
  }

  void run(int calls) {
    const affine_pool_config config{.pool = {.max_size = 3,
                                             .max_connecting = 2,
                                             .acquire_timeout = 50ms,
                                             .max_waiters = 4,
                                             .connect_timeout = 1ms,
                                             .validate_after_idle = 100us,
                                             .validate_timeout = 1ms,
                                             .reset_timeout = 1ms,
                                             .close_timeout = 1ms,
                                             .probe = {.initial = 100us, .cap = 1ms},
                                             .leak_after = 1ms,
                                             .leak_reclaim = 1ms,
                                             .seed = wire_.seed},
                                    .mode = static_cast<affinity>(wire_.seed % 3),
                                    .steal_after = 20us};
    pool_.emplace(
        std::vector<asio::any_io_executor>{threads_[0].context.get_executor(), threads_[1].context.get_executor()},
        faulty{&wire_}, config, null_observer{}, clock_);
    for (user& u : users_) {
      u.left = calls;
      next(u);
    }
    random_stream random{wire_.seed, "trouble"};
    while (working_ > 0) trouble(random);
    wire_.calm = true;
    wire_.outage = false;
    std::atomic<bool> drained{false};
    pool_->async_drain(never, asio::bind_executor(threads_[2].context.get_executor(), [&](const auto& report) {
                         EXPECT_TRUE(report && report->is_complete());
                         drained = true;
                       }));
    while (!drained) {
      clock_.set(clock_.now() + 10us);
      std::this_thread::yield();
    }
    std::uint64_t by_the_pools = 0;
    for (std::size_t i = 0; i < pool_->size(); ++i) {
      const pool_snapshot s = pool_->of(i).snapshot();
      by_the_pools += s.granted();
      EXPECT_EQ(s.now.waiting, 0u);
      EXPECT_EQ(s.expired_handoffs, 0u);
    }
    EXPECT_GE(by_the_pools, granted) << "who was served twice gave one back";
    EXPECT_EQ(wire_.alive, 0) << "connections are left";
    pool_.reset();
    for (thread& t : threads_) t.work.reset();
    for (thread& t : threads_) t.runs.join();
    EXPECT_EQ(wire_.token.use_count(), 1) << "the pools have not gone";
    EXPECT_EQ(wire_.too_many, 0) << "more connections than max_size";
    EXPECT_EQ(wire_.shared, 0) << "two users of one connection";
    EXPECT_EQ(ended, users * static_cast<std::uint64_t>(calls));
  }
  std::atomic<std::uint64_t> granted{0}, ended{0};

 private:
  using thread = thread_of_users;
  using user = user_of_a_thread;
  static constexpr std::uint64_t users = 9;

  void next(user& u) {
    asio::co_spawn(u.executor, visit(u),
                   asio::bind_cancellation_slot(u.signal.slot(), [this, &u](const std::exception_ptr&) {
                     ++ended;
                     if (--u.left > 0) return next(u);
                     --working_;
                   }));
  }
  asio::awaitable<void> visit(user& u) {
    call c;
    if (u.random.below(2) == 0) c.deadline = clock_.now() + std::chrono::microseconds{u.random.below(2000)};
    std::optional<faulty_answer> a;
    switch (u.random.below(4)) {
      case 0: a.emplace(pool_->try_acquire(u.executor, c)); break;
      case 1: a.emplace(co_await pool_->async_acquire(c, asio::use_awaitable)); break;
      default: a.emplace(co_await pool_->co_acquire(c)); break;
    }
    if (!*a) co_return;
    ++granted;
    user_of user{std::move(**a)};
    for (auto turns = u.random.below(3); turns > 0; --turns) {
      if (u.random.below(8) == 0) throw std::runtime_error("a user's own");
      co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
    }
    if (u.random.below(4) != 0) user.finish(wire_);
  }
  void trouble(random_stream& random) {
    user& u = users_[random.below(users)];
    switch (random.below(64)) {
      case 0: clock_.set(clock_.now() - std::chrono::microseconds{random.below(500)}); break;
      case 1: clock_.set(clock_.now() + std::chrono::microseconds{random.below(5000)}); break;
      case 2: pool_->suspend(); break;
      case 3: pool_->invalidate(); break;
      case 4: wire_.outage = true; break;
      case 5:
      case 6:
      case 7: asio::post(u.executor, [&u] { u.signal.emit(asio::cancellation_type::terminal); }); break;
      case 8: EXPECT_LE(pool_->of(0).snapshot().now.total(), 2u); break;
      default:
        if (random.below(8) == 0) pool_->resume();
        if (random.below(8) == 0) wire_.outage = false;
        clock_.set(clock_.now() + std::chrono::microseconds{random.below(20)});
    }
    std::this_thread::yield();
  }

  wire wire_;
  manual_clock clock_;
  std::atomic<std::uint64_t> working_{users};
  std::array<thread_of_users, 3> threads_;
  std::deque<user_of_a_thread> users_;
  std::optional<basic_affine_pool<faulty, asio::any_io_executor, manual_clock>> pool_;
};

TEST(AsioPoolProperty, EverythingGoesWrongOnSeveralContexts) {
  std::uint64_t granted = 0;
  for (const std::uint64_t seed : testing_support::seeds(9)) {
    SCOPED_TRACE(seed);
    affine_world world{seed};
    world.run(120);
    granted += world.granted;
    if (HasFailure()) return;
  }
  std::printf("%llu granted\n", static_cast<unsigned long long>(granted));
}

}  // namespace
}  // namespace weir
