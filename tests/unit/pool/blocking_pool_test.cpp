// Connections for threads. Pools without threads of their own are driven by tick(), so that nothing here sleeps.
#include <weir/pool/blocking_pool.hpp>
#include <weir/testing/manual_clock.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

namespace weir {
namespace {

using namespace std::chrono_literals;

/// What a backend was asked to do, and what it is to answer.
struct script {
  std::atomic<int> connects{0}, validations{0}, resets{0}, closes{0};
  std::atomic<bool> refuses{false}, dead{false}, broken{false}, reset_fails{false};
};
struct scripted {
  struct connection {
    int number;
    script* s;
  };
  script* s;
  connection connect(const connect_context&) {
    if (s->refuses) throw std::runtime_error("connection refused");
    return {++s->connects, s};
  }
  void validate(connection&) {
    ++s->validations;
    if (s->dead) throw std::runtime_error("dead");
  }
  void reset(connection&) {
    ++s->resets;
    if (s->reset_fails) throw std::runtime_error("no");
  }
  void close(connection&) noexcept { ++s->closes; }
  bool is_broken(const connection&) const noexcept { return s->broken; }
};
static_assert(blocking_backend<scripted>);
/// The same, whose connections can be made useless for whoever has them.
struct abortable : scripted {
  std::shared_ptr<std::atomic<int>> aborted = std::make_shared<std::atomic<int>>(0);
  void abort(connection&) noexcept { ++*aborted; }
};
static_assert(detail::aborts<abortable> && !detail::aborts<scripted>);

// What is not called as it stands does not compile.
struct not_noexcept : scripted {
  bool is_broken(const connection&) const { return false; }
  void abort(connection&) {}
};
static_assert(!detail::is_broken_fits<not_noexcept> && !detail::abort_fits<not_noexcept>);
struct says_whether_alive : scripted {
  bool validate(connection&) { return true; }
  void reset(int) {}
  bool is_broken(connection&) noexcept { return false; }
};
static_assert(!detail::validate_fits<says_whether_alive> && !detail::reset_fits<says_whether_alive>);
static_assert(!detail::is_broken_fits<says_whether_alive>, "not const");
static_assert(detail::validate_fits<scripted> && detail::reset_fits<scripted> && detail::close_fits<scripted>);
static_assert(detail::is_broken_fits<scripted> && detail::abort_fits<scripted> && detail::abort_fits<abortable>);

struct plain {
  struct connection {
    int number = 0;
  };
  int made = 0;
  connection connect(const connect_context&) { return {++made}; }
};

template <class Backend>
using tested = basic_blocking_pool<Backend, manual_clock>;

class BlockingPool : public testing::Test {
 protected:
  tested<scripted> make(pool_config config = {}) { return {scripted{&s}, config, pool_threads{0}, {}, clock}; }
  /// With tick() for the pool's threads.
  template <class Pool>
  static auto get(Pool& pool) {
    auto answer = pool.try_acquire();
    for (int i = 0; !answer && i < 5; ++i) {
      pool.tick();
      answer = pool.try_acquire();
    }
    return answer;
  }

  script s;
  manual_clock clock;
};

TEST_F(BlockingPool, LendsConnectionsAndGetsThemBack) {
  auto pool = make({.max_size = 2, .min_size = 2});
  while (pool.tick()) {
  }
  {
    auto a = pool.try_acquire();
    auto b = pool.try_acquire();
    ASSERT_TRUE(a && b);
    EXPECT_NE((*a)->number, (*b)->number);
    EXPECT_EQ(pool.try_acquire().error(), errc::over_capacity);
    EXPECT_EQ(pool.snapshot().now.in_use, 2u);
  }
  pool.tick();
  EXPECT_EQ(s.resets, 2);
  EXPECT_EQ(pool.snapshot().now.idle, 2u);
}

TEST_F(BlockingPool, CleanOnesAreNotReset) {
  auto pool = make({.min_size = 1});
  pool.tick();
  pool.try_acquire()->release_clean();
  pool.tick();
  EXPECT_EQ(s.resets, 0);
  EXPECT_TRUE(pool.try_acquire().has_value());
}

TEST_F(BlockingPool, DiscardedBrokenAndDetachedOnesDoNotComeBack) {
  auto pool = make({.max_size = 1, .min_size = 1});
  pool.tick();
  pool.try_acquire()->discard();
  while (pool.tick()) {
  }
  EXPECT_EQ(s.closes, 1);
  s.broken = true;
  pool.try_acquire()->release();
  s.broken = false;
  while (pool.tick()) {
  }
  EXPECT_EQ(s.closes, 2);
  auto lease = pool.try_acquire();
  ASSERT_TRUE(lease);
  const int number = (*lease)->number;
  const auto taken = lease->detach();
  EXPECT_EQ(taken.number, number);
  while (pool.tick()) {
  }
  EXPECT_EQ(s.closes, 2);
  EXPECT_EQ(s.connects, 4);
}

TEST_F(BlockingPool, WhoEndsAConnectionMaySayWhy) {
  auto pool = make({.min_size = 1});
  pool.tick();
  pool.try_acquire()->discard("a cursor is open, and cannot be closed");
  while (pool.tick()) {
  }
  EXPECT_NE(to_json(pool.explain()).find(R"("reason":"discarded","note":"a cursor is open, and cannot be")"),
            std::string::npos);
  pool.try_acquire()->discard();
  while (pool.tick()) {
  }
  pool.invalidate("der n\u00e4chste Server \u00fcbernimmt\u00e4\u00e4");
  EXPECT_NE(to_json(pool.explain()).find("\"note\":\"der n\u00e4chste Server \u00fcbernimmt\""), std::string::npos)
      << "no half characters";
  pool.invalidate("failover");
  const pool_explanation e = pool.explain();
  ASSERT_GE(e.event_count, 4u);
  EXPECT_EQ(e.events[2].connection, 2u);
  EXPECT_STREQ(e.events[3].note, "") << "is not that of the last one";
  EXPECT_NE(to_json(e).find(R"("what":"invalidated","ago_ms":0.000000,"note":"failover"})"), std::string::npos);
}

struct counting_observer {
  std::shared_ptr<std::uint64_t> told = std::make_shared<std::uint64_t>(0);
  void on(const pool_event& e) {
    EXPECT_EQ(e.sequence, *told + 1);
    *told = e.sequence;
  }
};

TEST_F(BlockingPool, AnObserverHearsOfEverythingAlsoIfItHappensAtOnce) {
  const counting_observer observer;
  pool_config config{.max_size = 20, .min_size = 20, .max_connecting = 20};
  basic_blocking_pool<plain, manual_clock, counting_observer> pool{plain{}, config, pool_threads{0}, observer, clock};
  EXPECT_TRUE(pool.ready(20));
  pool.invalidate();
  EXPECT_EQ(*observer.told, 41u);
  config.max_size = config.min_size = 60;
  EXPECT_FALSE(pool.reconfigure(config));
  EXPECT_TRUE(pool.ready(60));
  pool.invalidate();
  const auto shown = pool.snapshot();
  EXPECT_EQ(*observer.told, shown.events);
  EXPECT_EQ(shown.missed_events, 0u);
}

TEST_F(BlockingPool, AMoveThatThrowsLosesOnlyTheConnection) {
  struct fickle {
    struct connection {
      explicit connection(bool* t) : throws(t) {}
      connection(connection&& other) : throws(other.throws) {
        if (*throws) throw std::runtime_error("no");
      }
      bool* throws;
    };
    bool* throws;
    connection connect(const connect_context&) { return connection{throws}; }
  };
  bool throws = false;
  tested<fickle> pool{fickle{&throws}, {.max_size = 1, .min_size = 1}, pool_threads{0}, {}, clock};
  pool.tick();
  auto lease = pool.try_acquire();
  throws = true;
  EXPECT_THROW(static_cast<void>(lease->detach()), std::runtime_error);
  throws = false;
  EXPECT_FALSE(*lease);
  while (pool.tick()) {
  }
  EXPECT_EQ(pool.snapshot().closed_for[static_cast<std::size_t>(close_reason::discarded)], 1u);
  EXPECT_TRUE(pool.try_acquire());
  static_assert(!noexcept(lease->detach()));
}

TEST_F(BlockingPool, AnAttemptHasItsTimeAlsoIfItHadToWaitForAThread) {
  struct punctual {
    struct connection {};
    const manual_clock* clock;
    duration* time;
    connection connect(const connect_context& c) { return *time = elapsed(clock->now(), c.deadline), connection{}; }
  };
  duration time{};
  tested<punctual> pool{punctual{&clock, &time}, {.min_size = 1, .connect_timeout = 5s}, pool_threads{0}, {}, clock};
  clock.advance(7s);
  while (pool.tick()) {
  }
  EXPECT_EQ(time, 5s);
  EXPECT_EQ(pool.snapshot().opened, 1u);
}

TEST_F(BlockingPool, AFailureIsToldWithItsCause) {
  s.refuses = true;
  auto pool = make({.name = "orders", .down_after = 1});
  auto waiting = pool.acquire({.deadline = clock.now()});
  EXPECT_EQ(waiting.error(), errc::expired);
  pool.reconfigure({.name = "orders", .min_size = 1, .down_after = 1});
  pool.tick();
  const auto refused = pool.try_acquire();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), errc::backend_down);
  ASSERT_NE(refused.error().evidence(), nullptr);
  EXPECT_EQ(refused.error().evidence()->last_failure->text, "connection refused");
  EXPECT_NE(refused.error().message().find("last_connect_error=connection refused"), std::string::npos);
  EXPECT_THROW(static_cast<void>(refused.value()), pool_error);
}

TEST_F(BlockingPool, ConfigurationsThatAreWrongSayWhich) {
  const auto message = [&](pool_config config) -> std::string {
    try {
      static_cast<void>(make(config));
    } catch (const std::invalid_argument& e) {
      return e.what();
    }
    return {};
  };
  EXPECT_EQ(message({.max_size = 0}), "pool_config.max_size: must be in [1, 10000], is 0");
  EXPECT_EQ(message({.max_size = 2, .min_size = 3}), "pool_config.min_size: must be in [0, 2], is 3");
  EXPECT_EQ(message({.connect_timeout = 0s}), "pool_config.connect_timeout: must be >= 1 ms, is 0 s");
  EXPECT_EQ(message({.max_lifetime = 5ns}), "pool_config.max_lifetime: must be >= 1 ms, is 5 ns");
  EXPECT_EQ(message({.acquire_timeout = 0s}), "pool_config.acquire_timeout: must be > 0, is 0 s");
  EXPECT_EQ(message({.leak_reclaim = 1s}), "pool_config.leak_reclaim: needs a backend with abort(connection&)");
  EXPECT_EQ(message({.leak_after = duration::max(), .leak_reclaim = 1s}), "pool_config.leak_reclaim: needs leak_after");
  EXPECT_EQ(message({.probe = {.cap = 0s}}), "pool_config.probe.cap: must be > 0, is 0 s");
  auto pool = make({.name = "a"});
  const auto wrong = pool.reconfigure({.name = "b"});
  ASSERT_TRUE(wrong);
  EXPECT_EQ(wrong->message(), "pool_config.name: cannot be changed while the pool exists");
}

TEST_F(BlockingPool, LeasesMayOutliveThePool) {
  std::optional<tested<scripted>::lease> survivor;
  {
    auto pool = make({.min_size = 2, .max_connecting = 2});
    while (pool.tick()) {
    }
    auto lease = pool.try_acquire();
    ASSERT_TRUE(lease);
    survivor.emplace(std::move(*lease));
  }
  EXPECT_EQ(s.closes, 1) << "the idle one";
  EXPECT_GT((*survivor)->number, 0);
  survivor.reset();
  EXPECT_EQ(s.closes, 2);
}

TEST_F(BlockingPool, AThreadThatComesAgainGetsItsConnectionBack) {
  tested<plain> pool{plain{}, {.max_size = 4, .min_size = 4, .max_connecting = 4}, pool_threads{0}, {}, clock};
  while (pool.tick()) {
  }
  auto mine = pool.try_acquire();
  const int number = (*mine)->number;
  auto other = pool.try_acquire();
  other->release();
  mine->release();
  std::thread{[&] {
    auto warmest = pool.try_acquire();
    EXPECT_EQ((*warmest)->number, number);
    auto next = pool.try_acquire();
    EXPECT_NE((*next)->number, number);
    warmest->release();
    next->release();  // the warmest for all, but not for the thread above
  }}.join();
  for (int i = 0; i < 3; ++i) EXPECT_EQ((*pool.try_acquire())->number, number);
}

TEST_F(BlockingPool, WhatLayForLongIsAskedFirst) {
  auto pool = make({.max_size = 1, .min_size = 1, .keepalive = duration::max()});
  pool.tick();
  pool.try_acquire()->release_clean();
  clock.advance(2s);
  EXPECT_EQ(pool.try_acquire().error(), errc::over_capacity);
  pool.tick();
  EXPECT_EQ(s.validations, 1);
  EXPECT_TRUE(pool.try_acquire().has_value());
  pool.tick();
  clock.advance(2s);
  s.dead = true;
  static_cast<void>(pool.try_acquire());
  while (pool.tick()) {
  }
  EXPECT_EQ(s.connects, 2);
}

TEST_F(BlockingPool, NothingIsLentBeyondItsLifetime) {
  auto pool = make({.max_size = 1, .min_size = 1, .validate_after_idle = 1h, .max_lifetime = 60s});
  pool.tick();
  pool.try_acquire()->release_clean();
  clock.advance(600s);  // and nobody has ticked
  EXPECT_EQ(pool.try_acquire().error(), errc::over_capacity);
  auto next = get(pool);
  ASSERT_TRUE(next);
  EXPECT_EQ((*next)->number, 2);
  EXPECT_EQ(s.closes, 1);
}

TEST_F(BlockingPool, TheLedgerBalances) {
  auto pool = make({.max_size = 1, .max_waiters = 0});
  static_cast<void>(pool.acquire());                           // queue_full
  static_cast<void>(pool.try_acquire());                       // refused
  static_cast<void>(pool.acquire({.deadline = clock.now()}));  // expired
  pool.reconfigure({.max_size = 1, .min_size = 1, .max_waiters = 0});
  pool.tick();
  {
    auto lease = pool.try_acquire();
    EXPECT_TRUE(lease);
  }
  while (pool.tick()) {
  }
  pool.suspend();
  static_cast<void>(pool.try_acquire());
  pool.close();
  static_cast<void>(pool.try_acquire());
  const auto shown = pool.snapshot();
  EXPECT_EQ(shown.immediate, 1u);
  EXPECT_EQ(shown.queue_full, 1u);
  EXPECT_EQ(shown.refused, 1u);
  EXPECT_EQ(shown.expired, 1u);
  EXPECT_EQ(shown.suspended, 1u);
  EXPECT_EQ(shown.closed_refused, 1u);
  EXPECT_EQ(shown.arrivals(), 6u);
}

TEST_F(BlockingPool, TimeInUseIsAnIntegral) {
  auto pool = make({.max_size = 2, .min_size = 2, .max_connecting = 2, .reset_on_return = false});
  while (pool.tick()) {
  }
  auto a = pool.try_acquire();
  clock.advance(3s);
  auto b = pool.try_acquire();
  if (!b) {
    pool.tick();
    b = pool.try_acquire();
  }
  ASSERT_TRUE(b);
  clock.advance(1s);
  EXPECT_DOUBLE_EQ(pool.snapshot().in_use_seconds, 5.0);
  a->release();
  clock.advance(1s);
  EXPECT_DOUBLE_EQ(pool.snapshot().in_use_seconds, 6.0);
  EXPECT_EQ(pool.histograms().held.count(), 1u);
}

TEST_F(BlockingPool, ExplainsItself) {
  auto pool = make({.name = "or\"ders", .max_size = 2, .min_size = 2, .max_connecting = 2});
  while (pool.tick()) {
  }
  auto lease = pool.try_acquire({.tag = "check\nout"});
  ASSERT_TRUE(lease);
  lease->touch();
  clock.advance(1500us);
  const pool_explanation e = pool.explain();
  ASSERT_EQ(e.connections.size(), 2u);
  EXPECT_EQ(e.event_count, 2u);
  std::string json = to_json(e);
  const auto erase = [&](std::string_view from, std::string_view to) {
    for (std::size_t at = 0; (at = json.find(from, at)) != std::string::npos;) {
      const std::size_t end = json.find(to, at + from.size());
      json.erase(at + from.size(), end - at - from.size());
      at += from.size();
    }
  };
  erase("site\":\"", "\"");
  erase("last_site\":\"", "\"");
  EXPECT_EQ(
      json,
      R"({"pool":"or\"ders","max":2,"min":2,"connections_by_state":{"idle":1,"in_use":1,"connecting":0,"validating":0,)"
      R"("resetting":0,"closing":0},"waiting":0,"oldest_wait_ms":0.000000,"predicted_wait_ms":0.000000,)"
      R"("suspended":false,"closed":false,"longest_waiting":[],"backend":{"state":"up"},"connections":[)"
      R"({"slot":0,"connection":1,"state":"idle","endpoint":0,"age_ms":1.500000,"uses":0},)"
      R"({"slot":1,"connection":2,"state":"in_use","endpoint":0,"age_ms":1.500000,"uses":1,"tag":"check\u000aout",)"
      R"("held_ms":1.500000,"site":"","last_site":""}],"events":[)"
      R"({"sequence":1,"what":"opened","ago_ms":1.500000,"slot":0,"connection":1},)"
      R"({"sequence":2,"what":"opened","ago_ms":1.500000,"slot":1,"connection":2}]})");
}

TEST_F(BlockingPool, ADrainLeavesNoSockets) {
  auto pool = make({.max_size = 3, .min_size = 3, .max_connecting = 3});
  while (pool.tick()) {
  }
  auto used = pool.try_acquire();
  std::thread drainer{[&] {
    const auto report = pool.drain();
    ASSERT_TRUE(report);
    EXPECT_TRUE(report->is_complete());
    EXPECT_EQ(s.connects - s.closes, 0);
  }};
  while (!pool.snapshot().closed) std::this_thread::yield();
  EXPECT_EQ(pool.acquire().error(), errc::closed);
  used->release();
  while (pool.snapshot().now.total() != 0) pool.tick();
  drainer.join();
  EXPECT_TRUE(pool.drain()->is_complete()) << "again: at once";
  EXPECT_EQ(s.closes, 3);
}

TEST_F(BlockingPool, ADrainEndsAtItsDeadlineAndAbortsWhatIsInUse) {
  abortable backend{{&s}};
  auto aborted = backend.aborted;
  std::optional<tested<abortable>::lease> kept, taken_out;
  {
    tested<abortable> pool{backend, {.max_size = 3, .min_size = 3, .max_connecting = 3}, pool_threads{0}, {}, clock};
    EXPECT_EQ(*pool.ready(3), 3u);
    kept.emplace(*pool.try_acquire());
    taken_out.emplace(*pool.try_acquire());
    const auto report = pool.drain(clock.now());
    ASSERT_TRUE(report);
    EXPECT_EQ(report->in_use, 2u);
    EXPECT_EQ(report->aborted, 2u);
    EXPECT_EQ(*aborted, 2);
    EXPECT_FALSE(report->is_complete());
  }
  EXPECT_EQ(s.closes, 1) << "the idle one";
  EXPECT_GT((*kept)->number, 0) << "is still there for its user";
  EXPECT_GT(taken_out->detach().number, 0);
  taken_out.reset();
  kept.reset();
  EXPECT_EQ(s.closes, 2) << "but the one that was taken out";
  EXPECT_EQ(backend.s->connects, 3);
}

TEST_F(BlockingPool, WhatIsKeptForTooLongIsAbortedAndReplaced) {
  abortable backend{{&s}};
  auto aborted = backend.aborted;
  std::optional<tested<abortable>::lease> kept;
  {
    tested<abortable> pool{
        backend, {.max_size = 1, .min_size = 1, .leak_after = 1s, .leak_reclaim = 1s}, pool_threads{0}, {}, clock};
    pool.tick();
    kept.emplace(*pool.try_acquire({.tag = "forgetful"}));
    clock.advance(2s);
    while (pool.tick()) {
    }
    EXPECT_EQ(*aborted, 1);
    auto another = pool.try_acquire();
    ASSERT_TRUE(another);
    EXPECT_EQ((*another)->number, 2);
    EXPECT_EQ((*kept)->number, 1) << "is still there for its user";
    EXPECT_EQ(pool.snapshot().lost, 1u);
    EXPECT_EQ(pool.snapshot().now.total(), 1u);
    EXPECT_DOUBLE_EQ(pool.snapshot().in_use_seconds, 2.0);
    const std::string json = to_json(pool.explain());
    EXPECT_NE(json.find(R"("state":"lost","endpoint":0,"age_ms":2000.000000,"uses":1,"tag":"forgetful")"),
              std::string::npos)
        << json;
    EXPECT_FALSE(pool.reconfigure({.max_size = 2, .min_size = 2, .max_connecting = 2}));
    while (pool.tick()) {
    }
    EXPECT_EQ(pool.snapshot().now.total(), 2u) << "the lost place is none of these";
    kept->release();
    while (pool.tick()) {
    }
    EXPECT_EQ(s.closes, 1);
    EXPECT_EQ(pool.snapshot().lost, 0u);
    EXPECT_EQ(pool.snapshot().leaks_returned, 1u);
    EXPECT_EQ(pool.snapshot().immediate, 2u);
    kept.emplace(std::move(*another));
    clock.advance(40s);
    pool.reconfigure({.max_size = 2, .min_size = 2, .leak_after = 1s, .leak_reclaim = 1s});
    while (pool.tick()) {
    }
    EXPECT_EQ(*aborted, 2);
  }
  EXPECT_EQ(s.connects - s.closes, 1) << "the lost one may outlive the pool";
  kept.reset();
  EXPECT_EQ(s.connects - s.closes, 0);
}

TEST_F(BlockingPool, ExplainsWhoHasWaitedForLongest) {
  auto pool = make({.max_size = 1, .min_size = 1, .acquire_timeout = duration::max(), .predict = false});
  pool.tick();
  auto held = pool.try_acquire();
  std::vector<std::thread> line;
  for (std::uint32_t i = 0; i < 10; ++i) {
    line.emplace_back([&pool, i, deadline = i == 0 ? never : clock.now() + 1s] {
      static_cast<void>(pool.acquire({.deadline = deadline, .tenant = i, .priority = 2, .tag = i == 0 ? "first" : ""}));
    });
    while (pool.snapshot().now.waiting != i + 1) std::this_thread::yield();
    clock.advance(10ms);
  }
  const pool_explanation e = pool.explain();
  ASSERT_EQ(e.waiter_count, 8u) << "of ten";
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(e.waiters[i].tenant, i);
    EXPECT_EQ(e.waiters[i].waited, 100ms - 10ms * static_cast<int>(i));
    if (i > 0) {
      EXPECT_EQ(e.waiters[i].remaining, 900ms + 10ms * static_cast<int>(i));
    }
  }
  EXPECT_STREQ(e.waiters[0].tag, "first");
  EXPECT_EQ(e.waiters[0].remaining, duration::max());
  EXPECT_NE(to_json(e).find(R"("longest_waiting":[{"waited_ms":100.000000,"tag":"first","tenant":0,"priority":2,"site":")"),
            std::string::npos);
  EXPECT_NE(to_json(e).find(R"({"waited_ms":90.000000,"remaining_ms":910.000000,"tag":"","tenant":1)"), std::string::npos);
  pool.close();
  for (std::thread& each : line) each.join();
}

TEST_F(BlockingPool, WhoWaitsForItselfIsToldSo) {
  for (const bool detects : {true, false}) {
    pool_config config{
        .max_size = 2, .min_size = 2, .max_connecting = 2, .max_waiters = 0, .detect_self_deadlock = detects};
    auto pool = make(config);
    while (pool.tick()) {
    }
    const auto alone = [&] { return pool.acquire().error(); };
    const auto on_another_thread = [&] {
      pool_rejection why;
      std::thread{[&] { why = alone(); }}.join();
      return why;
    };
    auto a = pool.acquire();
    auto b = pool.try_acquire();
    ASSERT_TRUE(a && b);
    EXPECT_EQ(alone(), detects ? errc::self_deadlock : errc::queue_full);
    EXPECT_EQ(on_another_thread(), errc::queue_full) << "this one may wait: for us";
    if (!detects) continue;
    EXPECT_EQ(alone(), condition::never);
    EXPECT_NE(alone().message().find("this thread holds every connection itself (total=2/2"), std::string::npos);
    EXPECT_EQ(pool.snapshot().self_deadlock, 3u);
    EXPECT_EQ(pool.snapshot().arrivals(), 6u);
    std::thread{[&] { b->touch(); }}.join();
    EXPECT_EQ(alone(), errc::queue_full) << "another thread has taken it over";
    b->touch();
    EXPECT_EQ(alone(), errc::self_deadlock);
    b->release_clean();
    std::thread{[&] { b = pool.try_acquire(); }}.join();
    ASSERT_TRUE(b);
    EXPECT_EQ(alone(), errc::queue_full) << "it is another use of that connection";
    config.detect_self_deadlock = false;
    EXPECT_TRUE(pool.reconfigure(config));
  }
}

TEST_F(BlockingPool, WaitingForThePoolCanBeStopped) {
  auto pool = make({.max_size = 2, .min_size = 2, .max_connecting = 2, .on_down = when_down::wait});
  s.refuses = true;
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(pool.ready(2, never, stop.get_token()).error(), errc::cancelled);
  const auto late = pool.ready(2, clock.now());
  EXPECT_EQ(late.error(), errc::expired);
  EXPECT_NE(late.error().evidence(), nullptr);
  s.refuses = false;
  clock.advance(1s);
  EXPECT_EQ(*pool.ready(1), 1u);
  EXPECT_EQ(pool.ready(3).error(), errc::never_admissible);
  auto used = pool.try_acquire();
  EXPECT_EQ(pool.drain(never, stop.get_token()).error(), errc::cancelled);
  EXPECT_EQ(pool.try_acquire().error(), errc::closed);
}

// ---- with threads of its own ----

// Whoever has been told that the pool is closed may find it gone: what waits must not look at it any more.
TEST(BlockingPoolThreads, TheHandleMayGoWhileThreadsWait) {
  for (int round = 0; round < 20; ++round) {
    std::optional<basic_blocking_pool<plain>> pool{std::in_place, plain{},
                                                   pool_config{.max_size = 1, .acquire_timeout = 1h}};
    auto lease = pool->acquire();
    ASSERT_TRUE(lease);
    std::vector<std::thread> waiting;
    std::atomic<int> told{0};
    for (int i = 0; i < 3; ++i) {
      waiting.emplace_back([&told, &handle = *pool] {
        if (handle.acquire().error() == errc::closed) ++told;
      });
    }
    while (pool->snapshot().now.waiting != 3) std::this_thread::yield();
    pool.reset();
    for (auto& thread : waiting) thread.join();
    EXPECT_EQ(told, 3);
  }
}

// A connect cannot be called back: resets must not wait for it.
TEST(BlockingPoolThreads, ConnectsThatHangKeepNobodyElseFromBeingServed) {
  struct state {
    std::atomic<int> connects{0};
    std::atomic<bool> released{false};
  };
  struct hanging {
    struct connection {};
    state* s;
    connection connect(const connect_context&) {
      if (++s->connects > 1) s->released.wait(false);
      return {};
    }
    void reset(connection&) {}
  };
  state s;
  {
    basic_blocking_pool<hanging> pool{hanging{&s}, {.max_size = 4, .acquire_timeout = 1h}};
    auto first = pool.acquire();
    ASSERT_TRUE(first);
    std::thread other{[&] { EXPECT_TRUE(pool.acquire()); }};
    while (s.connects != 2) std::this_thread::yield();  // for the other one, and it hangs
    first->release();                                   // to be reset, and handed on
    other.join();
    s.released = true;
    s.released.notify_all();
  }
}

TEST(BlockingPoolThreads, WhatDoesNotAnswerInTimeKeepsNobodyFromGettingAnother) {
  struct state {
    std::atomic<int> connects{0};
    std::atomic<bool> released{false};
  };
  struct silent {
    struct connection {
      int number;
    };
    state* s;
    connection connect(const connect_context&) { return {++s->connects}; }
    void validate(connection&) { s->released.wait(false); }
  };
  state s;
  {
    basic_blocking_pool<silent> pool{
        silent{&s}, {.max_size = 2, .acquire_timeout = 20s, .validate_after_idle = 0s, .validate_timeout = 1ms}};
    EXPECT_TRUE(pool.acquire());
    auto lease = pool.acquire();  // nobody but a thread of the pool's own sees that it takes too long
    EXPECT_EQ(lease ? (*lease)->number : 0, 2);
    s.released = true;
    s.released.notify_all();
  }
}

TEST(BlockingPoolThreads, ThereAreAsManyAsAttemptsMayRun) {
  struct state {
    std::atomic<int> connects{0};
    std::atomic<bool> released{false};
  };
  struct hanging {
    struct connection {};
    state* s;
    connection connect(const connect_context&) {
      ++s->connects;
      s->released.wait(false);
      return {};
    }
  };
  state s;
  {
    basic_blocking_pool<hanging> pool{hanging{&s}, {.max_size = 8, .min_size = 8, .max_connecting = 1}};
    EXPECT_FALSE(pool.reconfigure({.max_size = 8, .min_size = 8, .max_connecting = 6}));
    for (const auto until = pool.now() + 20s; s.connects != 6 && pool.now() < until;) std::this_thread::yield();
    EXPECT_EQ(s.connects, 6);
    s.released = true;
    s.released.notify_all();
  }
}

// The thread that connects cannot wait for itself.
TEST(BlockingPoolThreads, TheHandleMayGoOnAThreadOfThePool) {
  struct suicidal {
    struct connection {};
    std::shared_ptr<std::function<void()>> then;
    connection connect(const connect_context&) {
      (*then)();
      return {};
    }
  };
  const auto let_go = std::make_shared<std::function<void()>>();
  std::atomic<bool> made{false}, gone{false};
  std::optional<basic_blocking_pool<suicidal>> pool;
  *let_go = [&] {
    while (!made) std::this_thread::yield();
    pool.reset();
    gone = true;
  };
  pool.emplace(suicidal{let_go}, pool_config{.max_size = 2, .min_size = 2, .max_connecting = 1});
  made = true;
  while (!gone || let_go.use_count() > 1) std::this_thread::yield();
  EXPECT_FALSE(pool);
}

struct slow_observer {
  struct state {
    std::atomic<bool> suspected{false}, inside{false}, go_on{false};
  };
  state* s;
  std::shared_ptr<int> pool = std::make_shared<int>();
  void on(const pool_event& e) {
    if (e.kind == pool_event_kind::suspected_leak) s->suspected = true;
    if (e.kind != pool_event_kind::returned_leak) return;
    s->inside = true;
    while (!s->go_on) std::this_thread::yield();
  }
};

// The connection is idle by then, and the pool could be closed and gone.
TEST(BlockingPoolThreads, WhoGivesBackKeepsThePoolUntilEverybodyHasBeenTold) {
  slow_observer::state s;
  slow_observer observer{&s};
  std::optional<basic_blocking_pool<plain, default_clock, slow_observer>> pool;
  pool.emplace(plain{}, pool_config{.max_size = 1, .leak_after = 1ms}, observer);
  auto lease = pool->acquire();
  ASSERT_TRUE(lease);
  while (!s.suspected) std::this_thread::yield();
  {
    std::jthread gives_back{[l = std::move(*lease)]() mutable { l.release(); }};
    while (!s.inside) std::this_thread::yield();
    pool.reset();
    EXPECT_EQ(observer.pool.use_count(), 2) << "its observer, and so the pool, has gone";
    s.go_on = true;
  }
  EXPECT_EQ(observer.pool.use_count(), 1);
}

TEST(BlockingPoolThreads, WaitersAreServedAndSentAway) {
  blocking_pool<plain> pool{plain{}, {.max_size = 1}};
  auto held = pool.acquire();
  ASSERT_TRUE(held);
  auto late = pool.acquire({.deadline = pool.now() + 1ms});
  EXPECT_EQ(late.error(), errc::wait_timeout);
  EXPECT_GE(late.error().waited(), 1ms);
  std::stop_source stop;
  std::thread waiter{[&] { EXPECT_EQ(pool.acquire({}, stop.get_token()).error(), errc::cancelled); }};
  while (pool.snapshot().now.waiting == 0) std::this_thread::yield();
  stop.request_stop();
  waiter.join();
  std::thread next{[&] { EXPECT_TRUE(pool.acquire().has_value()); }};
  while (pool.snapshot().now.waiting == 0) std::this_thread::yield();
  held->release();
  next.join();
}

TEST(BlockingPoolThreads, GetsReadyAndIsDrained) {
  script s;
  blocking_pool<scripted> pool{scripted{&s}, {.max_size = 4}};
  EXPECT_EQ(*pool.ready(4), 4u);
  EXPECT_EQ(s.connects, 4);
  auto held = pool.acquire();
  EXPECT_EQ(pool.drain(pool.now() + 1ms)->in_use, 1u);
  std::thread drainer{[&] { EXPECT_TRUE(pool.drain()->is_complete()); }};
  held->release();
  drainer.join();
  EXPECT_EQ(s.closes, 4);
}

TEST(BlockingPoolThreads, ClosingSendsEverybodyAway) {
  blocking_pool<plain> pool{plain{}, {.max_size = 1}};
  auto held = pool.acquire();
  std::thread waiter{[&] { EXPECT_EQ(pool.acquire().error(), errc::closed); }};
  while (pool.snapshot().now.waiting == 0) std::this_thread::yield();
  pool.close();
  waiter.join();
}

}  // namespace
}  // namespace weir
