// A pool under random use: what has to hold at every instant holds, and in the end nobody is left waiting.
#include "support/pool_driver.hpp"
#include "support/seeds.hpp"

#include <weir/core/random.hpp>

namespace weir {
namespace {

using namespace std::chrono_literals;

class random_use {
 public:
  explicit random_use(std::uint64_t seed) : random_(seed, "pool"), pool_(config(), {flip(), flip()}) {
    pool_.most_allowed = 8;
  }

  void run(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      step();
      expect_order();
      expect_each_connection_has_one_user();
    }
    wind_up();
  }

 private:
  bool flip() { return random_.below(2) == 0; }

  pool_config config() {
    return {.max_size = 1 + static_cast<std::uint32_t>(random_.below(8)),
            .min_size = 1,
            .max_connecting = 1,
            .endpoints = 1 + static_cast<std::uint32_t>(random_.below(3)),
            .order = flip() ? idle_order::lifo : idle_order::fifo,
            .acquire_timeout = duration{std::chrono::milliseconds{1 + random_.below(3000)}},
            .max_waiters = 12,
            .predict = flip(),
            .connect_timeout = 500ms,
            .validate_after_idle = 100ms,
            .keepalive = 1s,
            .max_lifetime = 5s,
            .idle_timeout = 2s,
            .on_down = flip() ? when_down::fail_fast : when_down::wait,
            .leak_after = 3s,
            .seed = random_()};
  }

  void step() {
    switch (random_.below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
      case 4: {
        auto& w = pool_.ask(flip() ? never : pool_.now + std::chrono::milliseconds{random_.below(1000)});
        if (w.granted()) holders_.push_back(w.slot);
        break;
      }
      case 5:
        // A thread with a hint.
        for (pool_slot& s : pool_.slots) {
          if (!s.try_take()) continue;
          EXPECT_TRUE(pool_.core->queue().empty()) << "overtook a waiter";
          s.begin_use(pool_.now, {}, std::source_location::current());
          holders_.push_back(&s);
          break;
        }
        break;
      case 6:
      case 7:
      case 8:
      case 9:
      case 10: give_one_back(); break;
      case 11:
        if (!pool_.waiters.empty()) {
          auto& w = pool_.waiters[random_.below(pool_.waiters.size())];
          static_cast<void>(pool_.run([&](pool_effects& fx) { return pool_.core->cancel(w, pool_.now, fx); }));
        }
        break;
      case 12:
        finish_one(pool_.connecting, [&] { random_.below(4) == 0 ? pool_.connect_fails() : pool_.connect_ok(); });
        break;
      case 13: finish_one(pool_.connecting, [&] { pool_.connect_ok(); }); break;
      case 14: finish_one(pool_.validating, [&] { pool_.validate_ends(random_.below(4) != 0); }); break;
      case 15: finish_one(pool_.resetting, [&] { pool_.reset_ends(random_.below(8) != 0); }); break;
      case 16: finish_one(pool_.closing, [&] { pool_.close_ends(); }); break;
      case 17: pool_.pass(std::chrono::microseconds{random_.below(400'000)}); break;
      case 18:
        // A clock that goes back, or ahead without anybody noticing yet.
        pool_.now += std::chrono::milliseconds{static_cast<std::int64_t>(random_.below(200)) - 100};
        break;
      default: operate(); break;
    }
    collect_grants();
  }

  void operate() {
    const auto what = random_.below(12);
    pool_.run([&](pool_effects& fx) {
      if (what == 0) pool_.core->suspend(pool_.now, fx);
      if (what == 1 || what == 2) pool_.core->resume(pool_.now, fx);
      if (what == 3) pool_.core->invalidate(pool_.now, fx);
    });
    if (what == 4) resize();
  }

  void resize() {
    pool_config config = pool_.core->config();
    config.max_size = 1 + static_cast<std::uint32_t>(random_.below(8));
    config.min_size = config.max_size / 2;
    std::vector<pool_slot*> all = pool_.core->table().slots();
    wait_queue_storage line{config.waiters_at_most(), config.waiting};
    while (all.size() < config.max_size) all.push_back(&pool_.slots.emplace_back());
    pool_.run([&](pool_effects& fx) { pool_.core->reconfigure(config, all, line, pool_.now, fx); });
  }

  template <class F>
  void finish_one(const std::deque<pool_slot*>& jobs, F&& finish) {
    if (!jobs.empty()) finish();
  }

  void give_one_back() {
    if (holders_.empty()) return;
    const auto at = holders_.begin() + static_cast<std::ptrdiff_t>(random_.below(holders_.size()));
    pool_slot* slot = *at;
    holders_.erase(at);
    if (flip()) {
      pool_.put_open(slot);
    } else {
      pool_.put(slot, static_cast<give_back>(random_.below(5)));
    }
  }

  void collect_grants() {
    for (; collected_ < pool_.finished.size(); ++collected_) {
      if (pool_.finished[collected_]->slot != nullptr) holders_.push_back(pool_.finished[collected_]->slot);
    }
  }

  /// FIFO: nobody who asked later, and waited, was granted before one who asked earlier and still waits.
  void expect_order() {
    const pool_driver::waiter* waiting = nullptr;
    for (; first_open_ < pool_.waiters.size() && pool_.waiters[first_open_].done; ++first_open_) {
    }
    for (std::size_t i = first_open_; i < pool_.waiters.size(); ++i) {
      const auto& w = pool_.waiters[i];
      if (!w.done && waiting == nullptr) waiting = &w;
      if (w.granted() && waiting != nullptr) ADD_FAILURE() << "overtook";
    }
  }

  void expect_each_connection_has_one_user() {
    std::vector<pool_slot*> sorted = holders_;
    std::sort(sorted.begin(), sorted.end());
    EXPECT_EQ(std::adjacent_find(sorted.begin(), sorted.end()), sorted.end()) << "two users of one connection";
    EXPECT_EQ(pool_.in_state(slot_state::in_use), holders_.size());
  }

  void wind_up() {
    pool_.run([&](pool_effects& fx) { pool_.core->resume(pool_.now, fx); });
    // Enough turns of everything for any deadline.
    for (int i = 0; i < 200; ++i) {
      pool_.finish_jobs();
      collect_grants();
      while (!holders_.empty()) give_one_back();
      pool_.pass(20ms);
      collect_grants();
    }
    for (const auto& w : pool_.waiters) EXPECT_TRUE(w.done) << "nobody waits for ever";
    EXPECT_TRUE(pool_.core->queue().empty());
    EXPECT_EQ(pool_.in_state(slot_state::in_use), 0u);
    EXPECT_LE(pool_.core->table().occupied(), pool_.core->config().max_size);
    std::uint64_t closed = 0;
    for (const std::uint64_t n : pool_.core->totals().closed_for) closed += n;
    EXPECT_EQ(pool_.core->totals().opened - closed, pool_.core->table().alive());
  }

  random_stream random_;
  pool_driver pool_;
  std::vector<pool_slot*> holders_;
  std::size_t collected_ = 0, first_open_ = 0;
};

TEST(PoolCoreProperty, NothingIsLostSharedOrOvertaken) {
  for (const std::uint64_t seed : testing_support::seeds(400)) {
    SCOPED_TRACE(seed);
    random_use{seed}.run(400);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace weir
