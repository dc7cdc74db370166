// Threads on one pool: every acquire ends once, nobody shares a connection, every connection comes back, whatever else
// happens meanwhile.
#include "support/seeds.hpp"

#include <weir/core/random.hpp>
#include <weir/pool/blocking_pool.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <latch>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;

/// Connections that notice when two use them.
struct fragile {
  struct state {
    std::atomic<int> open{0}, most_open{0}, shared{0}, used_when_closed{0};
    std::atomic<std::uint64_t> calls{0}, connects{0};
    std::atomic<bool> refuses{false};
  };
  struct connection {
    explicit connection(state* st) : s(st) {
      const int now = s->open.fetch_add(1) + 1;
      for (int most = s->most_open; most < now && !s->most_open.compare_exchange_weak(most, now);) {
      }
    }
    connection(connection&& other) noexcept : s(std::exchange(other.s, nullptr)) {}
    connection& operator=(connection&&) = delete;
    ~connection() {
      if (s != nullptr) s->open.fetch_sub(1);
    }
    void use() const {
      if (users.fetch_add(1) != 0) ++s->shared;
      // Plain memory: the sanitizer sees whether one user's writes reach the next.
      memory = memory + 1;
      users.fetch_sub(1);
    }
    state* s;
    mutable std::atomic<int> users{0};
    mutable std::uint64_t memory = 0;
  };
  state* s;
  std::uint64_t fail_every = 0;

  connection connect(const connect_context&) {
    ++s->connects;
    connection fresh{s};  // counts also while it is being made
    if (s->refuses) throw std::runtime_error("refused");
    work(fresh);
    return fresh;
  }
  void validate(connection& c) { work(c); }
  void reset(connection& c) { work(c); }
  void close(connection& c) { work(c); }
  [[nodiscard]] bool is_broken(const connection&) const noexcept { return fails(); }

 private:
  [[nodiscard]] bool fails() const noexcept { return fail_every != 0 && s->calls.fetch_add(1) % fail_every == 0; }
  /// Takes a while, now and then, and fails.
  void work(connection& c) {
    c.use();
    if (fails()) {
      for (int i = 0; i < 20; ++i) std::this_thread::yield();
    }
    if (fails()) throw std::runtime_error("dead");
  }
};

/// Leaps and goes back as a test lets it.
struct leaping_clock {
  std::shared_ptr<std::atomic<duration::rep>> ahead = std::make_shared<std::atomic<duration::rep>>(0);

  [[nodiscard]] time_point now() const noexcept { return std::chrono::steady_clock::now() + duration{ahead->load()}; }
  void leap(duration by) const noexcept { ahead->fetch_add(by.count()); }
  void wait_until(std::condition_variable& v, std::unique_lock<std::mutex>& lock, time_point t) const {
    if (now() < t) v.wait_for(lock, std::min<duration>(elapsed(now(), t), 1ms));
  }
};

template <class Backend>
using pool_of = basic_blocking_pool<Backend, leaping_clock>;

/// What the test knows itself of all calls.
struct tally {
  std::atomic<std::uint64_t> asked{0}, granted{0};
  std::array<std::atomic<std::uint64_t>, 32> refused{};
  [[nodiscard]] std::uint64_t of(errc e) const { return refused[static_cast<std::size_t>(e)]; }
};

/// What one thread waits by, so that another one can stop it.
class stoppable {
 public:
  std::stop_token fresh() {
    std::lock_guard lock{mutex_};
    source_ = std::stop_source{};
    return source_.get_token();
  }
  void stop() {
    std::unique_lock lock{mutex_};
    std::stop_source mine = source_;
    lock.unlock();
    mine.request_stop();
  }

 private:
  std::mutex mutex_;
  std::stop_source source_;
};

template <class Pool>
void use_pool(Pool& pool, tally& t, stoppable& stop, std::uint64_t seed, int calls) {
  random_stream random{seed, "pool race"};
  for (int i = 0; i < calls; ++i) {
    ++t.asked;
    const auto kind = random.below(4);
    auto answer = kind == 0   ? pool.try_acquire()
                  : kind == 1 ? pool.acquire({.deadline = pool.now() + std::chrono::microseconds{random.below(300)}})
                              : pool.acquire({}, stop.fresh());
    if (!answer) {
      ++t.refused[static_cast<std::size_t>(answer.error().code().value())];
      continue;
    }
    ++t.granted;
    (*answer)->use();
    switch (random.below(16)) {
      case 0: answer->discard(); break;
      case 1:
        try {
          const auto thrown_through = std::move(*answer);
          throw 1;
        } catch (int) {
        }
        break;
      case 2: answer->release_clean(); break;
      default: answer->release(); break;
    }
  }
}

void expect_same(const tally& own, const pool_snapshot& shown) {
  EXPECT_EQ(shown.arrivals(), own.asked);
  EXPECT_EQ(shown.granted(), own.granted);
  EXPECT_EQ(shown.cancelled, own.of(errc::cancelled));
  EXPECT_EQ(shown.timeout, own.of(errc::wait_timeout));
  EXPECT_EQ(shown.predicted, own.of(errc::would_miss_deadline));
  EXPECT_EQ(shown.queue_full, own.of(errc::queue_full));
  EXPECT_EQ(shown.backend_down, own.of(errc::backend_down));
  EXPECT_EQ(shown.expired, own.of(errc::expired));
  EXPECT_EQ(shown.suspended, own.of(errc::suspended));
  EXPECT_EQ(shown.refused, own.of(errc::over_capacity));
  EXPECT_EQ(shown.now.in_use, 0u);
  EXPECT_EQ(shown.now.waiting, 0u);
  EXPECT_EQ(shown.expired_handoffs, 0u);
}

/// Whatever can happen to a pool, `i` for the turn.
template <class Pool>
void trouble(Pool& pool, const leaping_clock& clock, fragile::state& s, pool_config& config, std::uint64_t i) {
  if (i % 64 == 5) pool.suspend();
  if (i % 64 == 6) pool.resume();
  if (i % 64 == 20) pool.invalidate();
  if (i % 64 == 30) clock.leap(2ms);
  if (i % 64 == 35) clock.leap(-1ms);
  if (i % 256 == 41) s.refuses = true;
  if (i % 256 == 45) s.refuses = false;
  if (i % 64 == 40) {
    config.min_size = i % 128 < 64 ? 2 : 0;
    EXPECT_FALSE(pool.reconfigure(config));
  }
}

TEST(PoolRace, EverythingAtOnce) {
  constexpr int threads = 6, calls = 1500;
  for (const std::uint64_t seed : testing_support::seeds(2)) {
    SCOPED_TRACE(seed);
    fragile::state s;
    tally t;
    {
      pool_config config{.max_size = 3,
                         .min_size = 1,
                         .acquire_timeout = 1h,
                         .validate_after_idle = 20us,
                         .keepalive = 5ms,
                         .max_lifetime = 20ms,
                         .idle_timeout = 10ms,
                         .on_down = when_down::wait,
                         .probe = {.initial = 100us, .cap = 1ms}};
      const leaping_clock clock;
      pool_of<fragile> pool{fragile{&s, 19}, config, {}, clock};
      std::atomic<int> working{threads};
      std::array<stoppable, threads> stops;
      std::vector<std::jthread> crew;
      for (int me = 0; me < threads; ++me) {
        crew.emplace_back([&, me] {
          use_pool(pool, t, stops[static_cast<std::size_t>(me)], threads * seed + static_cast<std::uint64_t>(me), calls);
          --working;
        });
      }
      for (std::uint64_t i = 0; working > 0; ++i) {
        trouble(pool, clock, s, config, i);
        if (i % 16 == 0) stops[i / 16 % threads].stop();
        EXPECT_LE(pool.snapshot().now.total(), 3u);
        std::this_thread::yield();
      }
      crew.clear();
      EXPECT_EQ(t.asked, std::uint64_t{threads} * calls);
      const auto shown = pool.snapshot();
      expect_same(t, shown);
      std::printf("%llu calls, %llu granted, %llu opened\n", static_cast<unsigned long long>(t.asked),
                  static_cast<unsigned long long>(t.granted), static_cast<unsigned long long>(shown.opened));
      EXPECT_LE(shown.opened + shown.connect_failed + shown.connect_timed_out, s.connects);
    }
    EXPECT_EQ(s.shared, 0);
    EXPECT_LE(s.most_open, 3);
    EXPECT_EQ(s.open, 0) << "every connection was destroyed";
    if (HasFailure()) return;
  }
}

// Threads that mostly find their own connection, and now and then more users than connections: the step from "without the
// lock" to "somebody waits" and back, very often.
TEST(PoolRace, NoWakeUpIsLostBetweenOpenAndWaiting) {
  constexpr int threads = 3, rounds = 6000;
  fragile::state s;
  pool_of<fragile> pool{fragile{&s}, {.max_size = 2, .acquire_timeout = 1h, .predict = false, .reset_on_return = false}};
  std::atomic<std::uint64_t> granted{0};
  std::latch together{threads};
  {
    std::vector<std::jthread> crew;
    for (int me = 0; me < threads; ++me) {
      crew.emplace_back([&] {
        together.arrive_and_wait();
        for (int i = 0; i < rounds; ++i) {
          auto lease = pool.acquire();  // a lost wake-up hangs here
          if (!lease) continue;
          (*lease)->use();
          ++granted;
        }
      });
    }
  }
  EXPECT_EQ(granted, std::uint64_t{threads} * rounds);
  EXPECT_EQ(s.shared, 0);
  EXPECT_EQ(pool.snapshot().now.idle, pool.snapshot().opened) << "every one is back";
}

// Connections are aborted under users who give them back, or take them out, at the same time.
struct abortable : fragile {
  static void abort(connection& c) noexcept { c.users.fetch_add(0); }
};

TEST(PoolRace, WhatIsAbortedIsNotDestroyedMeanwhile) {
  constexpr int threads = 4, rounds = 60;
  fragile::state s;
  std::atomic<int> taken_out{0};
  {
    pool_of<abortable> pool{abortable{{&s}},
                            {.max_size = 2, .acquire_timeout = 1h, .leak_after = 1ms, .leak_reclaim = 1ms}};
    std::vector<std::jthread> crew;
    for (int me = 0; me < threads; ++me) {
      crew.emplace_back([&, me] {
        random_stream random{static_cast<std::uint64_t>(me), "pool race"};
        for (int i = 0; i < rounds; ++i) {
          auto lease = pool.acquire();
          if (!lease) continue;
          (*lease)->use();
          const auto until = pool.now() + std::chrono::microseconds{random.below(4000)};
          while (pool.now() < until) std::this_thread::yield();
          (*lease)->use();
          if (random.below(4) == 0) {
            const auto mine = lease->detach();
            ++taken_out;
          }
        }
      });
    }
    crew.clear();
    EXPECT_TRUE(pool.drain()->is_complete());
    const auto shown = pool.snapshot();
    EXPECT_EQ(shown.granted(), std::uint64_t{threads} * rounds);
    EXPECT_EQ(shown.now.in_use, 0u);
    EXPECT_EQ(shown.leaks_suspected, shown.leaks_returned);
  }
  EXPECT_EQ(s.shared, 0);
  EXPECT_EQ(s.open, 0) << "every connection was destroyed once";
}

TEST(PoolRace, CancelledStopsAndLeasesThatOutliveTheirPool) {
  for (int round = 0; round < 40; ++round) {
    fragile::state s;
    std::vector<pool_of<fragile>::lease> survivors;
    std::atomic<int> ended{0};
    std::vector<std::jthread> crew;
    {
      pool_of<fragile> pool{fragile{&s}, {.max_size = 2, .acquire_timeout = 1h}};
      for (int i = 0; i < 2; ++i) {
        auto lease = pool.acquire();
        ASSERT_TRUE(lease);
        survivors.push_back(std::move(*lease));
      }
      std::latch waiting{4};
      for (int me = 0; me < 4; ++me) {
        crew.emplace_back([&pool, &ended, &waiting](std::stop_token stop) {
          waiting.count_down();
          auto answer = pool.acquire({}, stop);
          EXPECT_TRUE(!answer && (answer.error() == errc::cancelled || answer.error() == errc::closed));
          ++ended;
        });
      }
      waiting.wait();
      crew[0].request_stop();
      crew[1].request_stop();
      pool.close();
      crew.clear();  // the handle must outlive calls to it
    }
    EXPECT_EQ(ended, 4);
    survivors[0].release();
    survivors.clear();
    EXPECT_EQ(s.open, 0);
  }
}

}  // namespace
}  // namespace weir
