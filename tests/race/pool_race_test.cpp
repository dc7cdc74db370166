// Threads on one pool: every acquire ends once, nobody shares a connection, every connection comes back, whatever else
// happens meanwhile.
#include <weir/core/random.hpp>
#include <weir/pool/blocking_pool.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <stdexcept>
#include <thread>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;

/// Connections that notice when two use them.
struct fragile {
  struct state {
    std::atomic<int> open{0}, most_open{0}, shared{0}, used_when_closed{0};
    std::atomic<std::uint64_t> calls{0};
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
    const auto n = s->calls.fetch_add(1);
    if (s->refuses || (fail_every != 0 && n % fail_every == fail_every - 1)) throw std::runtime_error("refused");
    return connection{s};
  }
  void validate(connection& c) {
    c.use();
    if (fail_every != 0 && s->calls.fetch_add(1) % fail_every == 0) throw std::runtime_error("dead");
  }
};

struct tally {
  std::atomic<std::uint64_t> asked{0}, granted{0}, refused{0};
};

template <class Pool>
void use_pool(Pool& pool, tally& t, std::uint64_t seed, int calls) {
  random_stream random{seed, "pool race"};
  std::vector<typename Pool::lease> held;
  for (int i = 0; i < calls; ++i) {
    ++t.asked;
    const auto kind = random.below(4);
    auto answer = kind == 0   ? pool.try_acquire()
                  : kind == 1 ? pool.acquire({.deadline = pool.now() + std::chrono::microseconds{random.below(300)}})
                              : pool.acquire();
    if (!answer) {
      ++t.refused;
    } else {
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
        default: answer->release(); break;
      }
    }
  }
}

TEST(PoolRace, EverythingAtOnce) {
  constexpr int threads = 6, calls = 1500;
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
    blocking_pool<fragile> pool{fragile{&s, 7}, config};
    std::atomic<int> working{threads};
    std::vector<std::jthread> crew;
    for (int me = 0; me < threads; ++me) {
      crew.emplace_back([&, me] {
        use_pool(pool, t, static_cast<std::uint64_t>(me), calls);
        --working;
      });
    }
    for (std::uint64_t i = 0; working > 0; ++i) {
      if (i % 64 == 5) pool.suspend();
      if (i % 64 == 6) pool.resume();
      if (i % 64 == 20) pool.invalidate();
      if (i % 64 == 40) {
        config.min_size = i % 128 < 64 ? 2 : 0;
        EXPECT_FALSE(pool.reconfigure(config));
      }
      const auto shown = pool.snapshot();
      EXPECT_LE(shown.now.total(), 3u);
      std::this_thread::yield();
    }
    crew.clear();
    const auto shown = pool.snapshot();
    EXPECT_EQ(t.asked, std::uint64_t{threads} * calls);
    EXPECT_EQ(shown.arrivals(), t.asked);
    EXPECT_EQ(shown.granted(), t.granted);
    EXPECT_EQ(shown.rejected() + shown.cancelled, t.refused);
    EXPECT_EQ(shown.now.in_use, 0u);
    EXPECT_EQ(shown.now.waiting, 0u);
    EXPECT_EQ(shown.expired_handoffs, 0u);
  }
  EXPECT_EQ(s.shared, 0);
  EXPECT_LE(s.most_open, 3);
  EXPECT_EQ(s.open, 0) << "every connection was destroyed";
}

// Threads that mostly find their own connection, and now and then more users than connections: the step from "without the
// lock" to "somebody waits" and back, very often.
TEST(PoolRace, NoWakeUpIsLostBetweenOpenAndWaiting) {
  constexpr int threads = 3, rounds = 6000;
  fragile::state s;
  blocking_pool<fragile> pool{fragile{&s}, {.max_size = 2, .acquire_timeout = 1h, .predict = false}};
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
  EXPECT_EQ(pool.snapshot().now.idle, 2u);
}

TEST(PoolRace, CancelledStopsAndLeasesThatOutliveTheirPool) {
  for (int round = 0; round < 40; ++round) {
    fragile::state s;
    std::vector<blocking_pool<fragile>::lease> survivors;
    std::atomic<int> ended{0};
    std::vector<std::jthread> crew;
    {
      blocking_pool<fragile> pool{fragile{&s}, {.max_size = 2, .acquire_timeout = 1h}};
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
