#include <weir/asio/room.hpp>
#include <weir/asio/room_requests.hpp>
#include <weir/testing/manual_clock.hpp>

#include <support/slow_room_store.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

/// Keys are not what is tested here.
struct no_keys {
  [[nodiscard]] std::uint8_t current_key() const noexcept { return 1; }
  bool sign(std::uint8_t, std::span<const std::uint8_t>, weir::seat_mac& mac) const noexcept {
    mac.fill(0);
    return true;
  }
};

using room_type = weir::basic_waiting_room<no_keys>;
using driver_type = weir::room_driver<room_type, asio::io_context::executor_type>;
using answer = driver_type::answer;

struct room_driver : testing::Test {
  asio::io_context context{1};
  no_keys keys;

  static weir::room_config counters(std::uint32_t n) {
    weir::room_config c = weir::bank_teller(n);
    c.polls.shortest = 10ms;
    return c;
  }
  /// Until it is true, or something has hung.
  template <class F>
  bool run_until(F&& f) {
    for (const auto end = std::chrono::steady_clock::now() + 30s; !f();) {
      if (std::chrono::steady_clock::now() > end) return false;
      context.run_one_for(50ms);
    }
    return true;
  }
};

TEST_F(room_driver, turns_come_in_the_order_of_joining) {
  room_type room{counters(1), keys};
  driver_type driver{room, context.get_executor()};
  std::vector<int> order;
  std::optional<weir::room_entry<room_type>> inside;
  const auto much_later = room.now() + 1h;  // of which nothing is left when the driver goes
  for (int i = 0; i < 5; ++i) {
    weir::async_wait_turn(driver, weir::room_join{}, much_later, asio::bind_executor(context, [&, i](answer a) {
                            ASSERT_TRUE(a) << a.error().code().message();
                            order.push_back(i);
                            inside.emplace(std::move(*a));
                          }));
  }
  for (std::size_t n = 1; n <= 5; ++n) {
    ASSERT_TRUE(run_until([&] { return order.size() == n; }));
    EXPECT_EQ(room.snapshot().active, 1U);
    inside.reset();
  }
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
  EXPECT_EQ(room.snapshot().totals.completed, 5U);
}

TEST_F(room_driver, a_deadline_ends_the_wait_and_the_seat) {
  room_type room{counters(1), keys};
  driver_type driver{room, context.get_executor()};
  weir::room_request first;
  ASSERT_TRUE(room.join(first, {}));
  std::optional<weir::errc> why;
  const auto began = room.now();
  weir::async_wait_turn(driver, weir::room_join{}, began + 30ms, asio::bind_executor(context, [&](answer a) {
                          ASSERT_FALSE(a);
                          why = static_cast<weir::errc>(a.error().code().value());
                        }));
  ASSERT_TRUE(run_until([&] { return why.has_value(); }));
  EXPECT_EQ(why, weir::errc::wait_timeout);
  EXPECT_GE(room.now() - began, 30ms);
  EXPECT_EQ(room.snapshot().waiting, 0U);
  EXPECT_EQ(room.snapshot().totals.left, 1U);

  weir::room_request mine;
  ASSERT_TRUE(room.join(mine, {.subject = 5}));
  why.reset();
  weir::async_wait_turn(driver, weir::room_join{.subject = 5}, room.now() + 10ms,
                        asio::bind_executor(context, [&](answer a) {
                          ASSERT_FALSE(a);
                          why = static_cast<weir::errc>(a.error().code().value());
                        }));
  ASSERT_TRUE(run_until([&] { return why.has_value(); }));
  EXPECT_EQ(why, weir::errc::wait_timeout);
  EXPECT_EQ(room.snapshot().waiting, 1U) << "its seat was there before";
}

TEST_F(room_driver, a_slot_cancels_the_wait_and_a_seat_of_ones_own_stays) {
  room_type room{counters(1), keys};
  driver_type driver{room, context.get_executor()};
  weir::room_request first, mine;
  ASSERT_TRUE(room.join(first, {}));
  ASSERT_TRUE(room.join(mine, {}));
  asio::cancellation_signal signal;
  std::optional<weir::errc> why;
  weir::async_wait_turn(driver, weir::seat_holder{mine.answer.view.seat, 0, 0}, room.now() + 1h,
                        asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, [&](answer a) {
                                                       ASSERT_FALSE(a);
                                                       why = static_cast<weir::errc>(a.error().code().value());
                                                     })));
  context.poll();
  EXPECT_FALSE(why);
  signal.emit(asio::cancellation_type::terminal);
  ASSERT_TRUE(run_until([&] { return why.has_value(); }));
  EXPECT_EQ(why, weir::errc::cancelled);
  EXPECT_EQ(room.snapshot().waiting, 1U);
}

TEST_F(room_driver, a_turn_that_is_unwanted_before_it_is_told_is_given_back) {
  room_type room{counters(1), keys};
  driver_type driver{room, context.get_executor()};
  asio::cancellation_signal signal;
  std::optional<weir::errc> why;
  weir::async_wait_turn(driver, weir::room_join{}, weir::never,
                        asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, [&](answer a) {
                                                       ASSERT_FALSE(a);
                                                       why = static_cast<weir::errc>(a.error().code().value());
                                                     })));
  ASSERT_EQ(room.snapshot().active, 1U) << "its turn came at once";
  signal.emit(asio::cancellation_type::terminal);
  ASSERT_TRUE(run_until([&] { return why.has_value(); }));
  EXPECT_EQ(why, weir::errc::cancelled);
  EXPECT_EQ(room.snapshot().active, 0U);
}

TEST_F(room_driver, a_refusal_may_be_told_when_the_room_has_gone) {
  std::optional<weir::rejection> why;
  asio::cancellation_signal signal;
  {
    weir::room_config config = counters(1);
    config.name = "gone";
    room_type room{config, keys};
    driver_type driver{room, context.get_executor()};
    weir::room_request first;
    ASSERT_TRUE(room.join(first, {}));
    weir::async_wait_turn(
        driver, weir::room_join{}, weir::never,
        asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(context, [&](answer a) { why = a.error(); })));
    signal.emit(asio::cancellation_type::terminal);
  }
  context.run();
  ASSERT_TRUE(why);
  EXPECT_EQ(why->code(), weir::errc::cancelled);
  EXPECT_EQ(why->policy(), "gone");
}

TEST_F(room_driver, waits_until_the_same_instant_all_end_then) {
  room_type room{counters(1), keys};
  driver_type driver{room, context.get_executor()};
  weir::room_request first;
  ASSERT_TRUE(room.join(first, {}));
  const weir::time_point closing = room.now() + 30ms;
  int late = 0;
  for (int i = 0; i < 50; ++i) {
    weir::async_wait_turn(driver, weir::room_join{}, closing, asio::bind_executor(context, [&](answer a) {
                            ASSERT_FALSE(a);
                            EXPECT_EQ(a.error().code(), weir::errc::wait_timeout);
                            ++late;
                          }));
  }
  ASSERT_TRUE(run_until([&] { return late == 50; }));
  EXPECT_EQ(room.snapshot().waiting, 0U);
}

TEST_F(room_driver, what_a_room_refuses_is_an_error) {
  weir::room_config config = counters(1);
  config.capacity = 1;
  room_type room{config, keys};
  driver_type driver{room, context.get_executor()};
  weir::room_request first, second;
  ASSERT_TRUE(room.join(first, {}));
  ASSERT_TRUE(room.join(second, {}));
  std::vector<weir::errc> why;
  auto note = asio::bind_executor(context, [&](answer a) {
    ASSERT_FALSE(a);
    why.push_back(static_cast<weir::errc>(a.error().code().value()));
  });
  weir::async_wait_turn(driver, weir::room_join{}, weir::never, note);
  room.set_mode(weir::room_mode::closed);
  weir::async_wait_turn(driver, weir::room_join{}, weir::never, note);
  ASSERT_TRUE(run_until([&] { return why.size() == 2; }));
  EXPECT_EQ(why, (std::vector{weir::errc::room_full, weir::errc::closed}));
}

TEST_F(room_driver, a_place_of_another_device_is_not_shared) {
  weir::room_config config = counters(2);
  room_type room{config, keys};
  driver_type driver{room, context.get_executor()};
  weir::room_request inside;
  ASSERT_TRUE(room.join(inside, {.subject = 5, .bind = 1}));
  ASSERT_EQ(inside.answer.view.state, weir::seat_state::active);
  std::optional<weir::errc> why;
  weir::async_wait_turn(driver, weir::room_join{.subject = 5, .bind = 2}, weir::never,
                        asio::bind_executor(context, [&](answer a) {
                          ASSERT_FALSE(a) << "it has a place that nobody has claimed there";
                          why = static_cast<weir::errc>(a.error().code().value());
                        }));
  ASSERT_TRUE(run_until([&] { return why.has_value(); }));
  EXPECT_EQ(why, weir::errc::quota);
  EXPECT_EQ(room.snapshot().active, 1U);
}

/// Tells what it was given only when it is asked to.
class slow_store final : public weir::room_store {
 public:
  weir::room_image load(const weir::room_config&, weir::time_point) override { return {.epoch = 7}; }
  void start(listener& to) override { to_ = &to; }
  void write(std::vector<weir::room_record>, std::uint64_t upto) override { upto_ = upto; }
  void stop() noexcept override {}
  void commit() { to_->stored(upto_); }
  void fail() { to_->store_fails("disk full"); }

 private:
  listener* to_ = nullptr;
  std::uint64_t upto_ = 0;
};

TEST_F(room_driver, what_the_store_keeps_from_being_told_is_given_back) {
  slow_store store;
  room_type room{counters(1), keys, &store};
  driver_type driver{room, context.get_executor()};
  store.commit();
  std::vector<weir::errc> why;
  const auto wait = [&](weir::time_point deadline) {
    weir::async_wait_turn(driver, weir::room_join{}, deadline, asio::bind_executor(context, [&](answer a) {
                            ASSERT_FALSE(a);
                            why.push_back(static_cast<weir::errc>(a.error().code().value()));
                          }));
  };
  wait(weir::never);  // comes in at once, which is not stored
  store.fail();
  ASSERT_TRUE(run_until([&] { return why.size() == 1; }));
  EXPECT_EQ(why[0], weir::errc::backend_down);
  EXPECT_EQ(room.snapshot().active, 0U) << "nobody can come back for it";
  store.commit();
  wait(room.now() + 30ms);  // the same, given up before that is stored: its turn had come
  run_until([&, until = room.now() + 60ms] { return room.now() > until; });
  EXPECT_EQ(why.size(), 1U);
  store.fail();
  ASSERT_TRUE(run_until([&] { return why.size() == 2; }));
  EXPECT_EQ(room.snapshot().active, 0U);
}

TEST_F(room_driver, comes_and_goes_while_others_use_the_room) {
  room_type room{counters(1), keys};
  std::atomic<bool> enough{false};
  std::thread others{[&] {
    while (!enough) {
      weir::room_request r;
      if (!room.join(r, {})) continue;
      if (r.answer.view.session != 0) room.complete({r.answer.view.seat, 0, 0}, r.answer.view.session);
      (void)room.leave({r.answer.view.seat, 0, 0});
    }
  }};
  for (int i = 0; i < 200; ++i) {
    asio::io_context own{1};
    const driver_type driver{room, own.get_executor()};
    own.poll();
  }
  enough = true;
  others.join();
  EXPECT_EQ(room.snapshot().totals.joined, room.snapshot().totals.ended());
}

TEST_F(room_driver, smooth_admission_keeps_its_gaps) {
  weir::room_config config;
  config.admit = weir::rate{50, 1s};  // one every 20 ms
  room_type room{config, keys};
  driver_type driver{room, context.get_executor()};
  std::vector<weir::time_point> entered;
  for (int i = 0; i < 10; ++i) {
    weir::async_wait_turn(driver, weir::room_join{}, weir::never, asio::bind_executor(context, [&](answer a) {
                            ASSERT_TRUE(a);
                            entered.push_back(room.now());
                          }));
  }
  ASSERT_TRUE(run_until([&] { return entered.size() == 10; }));
  // How late a timer is depends on the machine; never early is a promise.
  EXPECT_GE(entered.back() - entered.front(), 9 * 19ms);
}

TEST_F(room_driver, a_coroutine_waits_on_a_context_of_several_threads) {
  room_type room{counters(3), keys};
  driver_type driver{room, context.get_executor()};
  std::atomic<int> served{0}, given_up{0}, inside{0}, too_many{0}, running{0};
  constexpr int users = 200;
  for (int i = 0; i < users; ++i) {
    ++running;
    const auto work = [&, i]() -> asio::awaitable<void> {
      const weir::time_point deadline = i % 4 == 0 ? room.now() + std::chrono::microseconds{i * 20} : weir::never;
      const weir::room_wait wanted{.deadline = deadline};
      auto entry = co_await weir::async_wait_turn(driver, wanted, asio::use_awaitable);
      if (entry) {
        if (++inside > 3) ++too_many;
        ++served;
        --inside;
      } else {
        ++given_up;
      }
    };
    asio::co_spawn(context, work, [&](std::exception_ptr e) {
      if (e) std::terminate();
      if (--running == 0) context.stop();
    });
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) threads.emplace_back([&] { context.run(); });
  for (auto& t : threads) t.join();
  EXPECT_EQ(served + given_up, users);
  EXPECT_GE(served, users * 3 / 4);
  EXPECT_EQ(too_many, 0);
  const auto s = room.snapshot();
  EXPECT_EQ(s.active, 0U);
  EXPECT_EQ(s.waiting, 0U);
  EXPECT_EQ(s.totals.joined, s.totals.completed + s.totals.left);
}

TEST_F(room_driver, a_request_is_answered_on_the_executor_of_its_handler_never_inline) {
  room_type room{counters(1), keys};
  std::optional<weir::room_answer> joined, claimed;
  weir::async_join(room, {.subject = 7}, asio::bind_executor(context, [&](weir::room_answer a) { joined = a; }));
  EXPECT_FALSE(joined) << "although it was there at once";
  context.run();
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->view.state, weir::seat_state::active);

  const weir::seat_holder who{joined->view.seat, 7};
  const auto claim = [&]() -> asio::awaitable<void> {
    claimed = co_await weir::async_claim(room, who, asio::use_awaitable);
  };
  asio::co_spawn(context, claim, asio::detached);
  context.restart();
  context.run();
  ASSERT_TRUE(claimed);
  EXPECT_EQ(claimed->view.session, joined->view.session) << "the session that it has";
}

/// Counts what a handler's allocator is asked for.
template <class T>
struct counting {
  using value_type = T;
  explicit counting(std::pair<int, int>& n) : taken_and_freed(&n) {}
  template <class U>
  counting(const counting<U>& other) : taken_and_freed(other.taken_and_freed) {}
  T* allocate(std::size_t n) {
    ++taken_and_freed->first;
    return std::allocator<T>{}.allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    ++taken_and_freed->second;
    std::allocator<T>{}.deallocate(p, n);
  }
  template <class U>
  bool operator==(const counting<U>& other) const {
    return taken_and_freed == other.taken_and_freed;
  }
  std::pair<int, int>* taken_and_freed;
};

TEST_F(room_driver, a_request_takes_the_executor_and_the_memory_of_its_handler) {
  room_type room{counters(1), keys};
  const asio::strand<asio::any_io_executor> strand{context.get_executor()};
  int on_strand = 0;
  const auto note = [&](const weir::room_answer&) { on_strand += strand.running_in_this_thread() ? 1 : 0; };
  weir::async_join(room, {}, asio::bind_executor(strand, note));
  std::pair<int, int> memory;
  bool is_free = false;
  auto told = [&](const weir::room_answer&) { is_free = memory.first == memory.second; };
  weir::async_join(room, {}, asio::bind_allocator(counting<void>{memory}, asio::bind_executor(context, told)));
  EXPECT_EQ(on_strand, 0);
  context.run();
  EXPECT_EQ(on_strand, 1);
  EXPECT_EQ(memory.first, 2) << "for the request, and for its answer on the way";
  EXPECT_TRUE(is_free) << "the handler may begin the next one with it";
}

TEST_F(room_driver, a_request_that_waits_for_its_store_keeps_its_context_at_work) {
  weir::testing_support::slow_store store;
  room_type room{counters(1), keys, &store};
  store.commit();  // the numbers that it gives out
  std::optional<weir::room_answer> joined;
  std::thread::id on;
  weir::async_join(room, {}, asio::bind_executor(context, [&](weir::room_answer a) {
                     joined = a;
                     on = std::this_thread::get_id();
                   }));
  EXPECT_EQ(context.run_for(20ms), 0U) << "it has nothing to do, and does not end";
  EXPECT_FALSE(context.stopped());
  std::thread disk{[&] { store.commit(); }};
  context.run();
  disk.join();
  ASSERT_TRUE(joined);
  EXPECT_EQ(joined->why, weir::room_refusal::none);
  EXPECT_EQ(on, std::this_thread::get_id()) << "not on the store's thread";
}

}  // namespace
