// Connections that are taken and put back without the lock, beside those who wait under it, in every schedule: no two users
// of one connection, nobody waits beside an idle one, nobody is overtaken, everything comes back.
#include "world.hpp"

#include <weir/pool/detail/pool_shell.hpp>

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace {

using namespace std::chrono_literals;
using weir::errc;
using weir::pool_core;
using weir::pool_effects;
using weir::slot_state;
using weir::time_point;

struct plain {
  struct connection {
    int number = 0;
  };
  void validate(connection&) {}
};

/// Its jobs are done at once by whoever began them.
class pool final : public weir::detail::pool_shell<pool, plain, model::clock, weir::null_observer> {
  using base = weir::detail::pool_shell<pool, plain, model::clock, weir::null_observer>;

 public:
  pool(const weir::pool_config& config, model::clock time) : base({}, config, {}, std::move(time)) {}
  ~pool() { ++destroyed; }
  static inline int destroyed = 0;

  void start(slot_type& slot) noexcept {
    const slot_state job = slot.state();
    if (job == slot_state::connecting) slot.conn.emplace();
    if (job == slot_state::closing) slot.conn.reset();
    with_core([&](pool_core& core, time_point now, pool_effects& fx) {
      if (job == slot_state::connecting) return core.connected(slot, now, fx);
      if (job == slot_state::validating) return core.validated(slot, true, now, fx);
      core.was_closed(slot, now, fx);
    });
  }
  void give_up(slot_type&, std::uint64_t) noexcept {}
  void wake_at(time_point) noexcept {}
};

struct waiter : pool::operation {
  waiter() {
    complete = [](weir::wait_node& node, weir::wait_outcome) noexcept { static_cast<waiter&>(node).done.set(); };
  }
  model::event done;  // set twice: a failure
};

struct world {
  world(model::run& run, std::uint32_t size) {
    shell = std::make_shared<pool>(
        weir::pool_config{
            .max_size = size, .min_size = size, .max_connecting = size, .acquire_timeout = weir::duration::max()},
        time);
    shell->begin();
    run.name(*shell, "pool");
  }

  /// As a coroutine or a thread does: at once if possible, else waiting.
  pool::answer get() {
    auto answer = shell->try_first({});
    if (answer || !waiting_helps(answer.error())) return answer;
    waiter w;
    if (auto refused = shell->wait(w, {})) return std::move(*refused);
    w.done.wait();
    return w.take();
  }
  void use(pool::answer& lease) {
    auto& inside = users[static_cast<std::size_t>(lease->operator->()->number)];
    inside.enter();
    inside.leave();
  }
  /// Takes one, uses it, gives it back.
  void go_through() {
    auto lease = get();
    ASSERT_TRUE(lease.has_value());
    use(lease);
    lease->release();
  }
  /// Numbers the connections, and leaves this thread with a hint to the first.
  void warm(std::uint32_t size) {
    std::array<std::optional<pool::answer>, 3> all;
    for (std::uint32_t i = 0; i < size; ++i) {
      all[i].emplace(shell->try_acquire({}));
      ASSERT_TRUE(all[i]->has_value());
      (*all[i])->operator->()->number = static_cast<int>(i);
    }
    for (std::uint32_t i = size; i > 0; --i) (*all[i - 1])->release();
  }
  void expect_at_rest(std::uint32_t size) {
    const auto s = shell->snapshot();
    EXPECT_EQ(s.now.in_use, 0u);
    EXPECT_EQ(s.now.idle, size);
    EXPECT_EQ(s.now.waiting, 0u);
  }

  model::clock time;
  std::shared_ptr<pool> shell;
  std::array<model::occupancy, 3> users{model::occupancy{1}, model::occupancy{1}, model::occupancy{1}};
};

// The second and third time without the lock, unless the other has come.
TEST(model_pool, one_that_comes_again_and_one_that_waits) {
  model::explore([](model::run& run) {
    world w{run, 1};
    run.threads({[&] {
                   w.go_through();
                   w.go_through();
                   w.go_through();
                 },
                 [&] { w.go_through(); }});
    w.expect_at_rest(1);
  });
}

TEST(model_pool, two_that_come_again) {
  model::explore([](model::run& run) {
    world w{run, 1};
    const auto twice = [&] {
      w.go_through();
      w.go_through();
    };
    run.threads({twice, twice});
    w.expect_at_rest(1);
  });
}

TEST(model_pool, three_users_of_two) {
  model::explore([](model::run& run) {
    world w{run, 2};
    w.warm(2);
    run.threads({[&] { w.go_through(); }, [&] { w.go_through(); }, [&] { w.go_through(); }});
    w.expect_at_rest(2);
  });
}

TEST(model_pool, who_tries_only_overtakes_nobody) {
  model::explore([](model::run& run) {
    world w{run, 1};
    auto held = w.get();
    run.threads({[&] { w.go_through(); },
                 [&] {
                   held->release();
                   auto mine = w.shell->try_acquire({});
                   if (mine) w.use(mine);
                 }});
    w.expect_at_rest(1);
  });
}

TEST(model_pool, a_cancelled_wait_beside_a_return) {
  model::explore([](model::run& run) {
    world w{run, 1};
    auto held = w.get();
    waiter waits;
    ASSERT_FALSE(w.shell->wait(waits, {}));
    run.threads({[&] { held->release(); }, [&] { w.shell->cancel(waits); }});
    waits.done.wait();
    {
      auto answer = waits.take();
      EXPECT_TRUE(answer.has_value() || answer.error() == errc::cancelled);
    }
    w.expect_at_rest(1);
  });
}

// It is taken without the lock, lay for too long, and has to be asked first; by then somebody waits for it.
TEST(model_pool, one_that_lay_for_long_beside_who_is_getting_in_line) {
  model::explore([](model::run& run) {
    world w{run, 1};
    run.threads({[&] {
                   w.go_through();
                   w.time.advance(2s);
                   auto mine = w.shell->try_acquire({});  // does not wait itself
                   if (mine) w.use(mine);
                 },
                 [&] { w.go_through(); }});
    w.expect_at_rest(1);
  });
}

TEST(model_pool, suspending_beside_taking_and_returning) {
  model::explore([](model::run& run) {
    world w{run, 1};
    run.threads({[&] {
                   w.go_through();
                   w.go_through();  // without the lock, if the pool is open
                 },
                 [&] {
                   w.shell->suspend();
                   w.shell->resume();
                 }});
    w.expect_at_rest(1);
  });
}

TEST(model_pool, a_lease_that_comes_back_while_the_pool_goes) {
  model::explore([](model::run& run) {
    pool::destroyed = 0;
    {
      world w{run, 1};
      auto held = w.get();
      pool* const handle = w.shell.get();
      run.threads({[&] { held->release(); },
                   [&] {
                     handle->orphan();
                     w.shell.reset();
                   }});
    }
    EXPECT_EQ(pool::destroyed, 1) << "freed once, by whoever was last";
  });
}

}  // namespace
