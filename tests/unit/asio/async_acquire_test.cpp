// async_acquire, queue_timer: where and when a wait completes, and that its permit comes back once, whatever goes wrong.
#include <weir/asio/async_acquire.hpp>
#include <weir/asio/queue_timer.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/policy/rate_limiter.hpp>
#include <weir/queue/wait_queue.hpp>
#include <weir/testing/manual_clock.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using weir::concurrency_limiter;
using weir::errc;
using weir::outcome;
using weir::wait_handle;
using permit = concurrency_limiter::permit;
using answer = weir::result<permit>;

/// A limiter with one slot, which is taken, and a context that can be destroyed at any point.
class async_acquire : public ::testing::Test {
 protected:
  static constexpr int handlers = 8;

  async_acquire() { context.emplace(1); }

  /// A handler that keeps what it gets. `alive` counts the handlers that exist.
  auto keep(std::optional<answer>& into) {
    auto token = std::shared_ptr<void>(nullptr, [this](void*) { ++destroyed; });
    return asio::bind_executor(context->get_executor(), [&into, token](answer a) { into.emplace(std::move(a)); });
  }
  void wait(std::optional<answer>& into, const weir::call& c = {}) { weir::async_acquire(queue, c, keep(into)); }

  void run() {
    context->restart();
    context->run_for(2s);
  }
  void expect_all_back() {
    const auto s = slots.snapshot();
    EXPECT_EQ(s.slots_in_use, 0u);
    EXPECT_EQ(s.calls_in_flight(), 0u);
    EXPECT_FALSE(s.waiting);
    EXPECT_EQ(queue.snapshot().waiting, 0u);
    // Every admission ended exactly once.
    EXPECT_EQ(s.admitted, s.success + s.failure + s.overload + s.ignored);
    EXPECT_EQ(s.admitted + s.cancelled, queue.snapshot().admitted());
  }

  concurrency_limiter slots{{.limit = 1}};
  weir::wait_queue<concurrency_limiter> queue{slots, {.capacity = 100, .max_wait = 1h}};
  std::optional<asio::io_context> context;
  answer held = queue.try_acquire();
  int destroyed = 0;
};

TEST_F(async_acquire, is_never_completed_inline) {
  held->release(outcome::success);
  std::optional<answer> got, refused;
  wait(got);
  wait(refused, {.cost = 2});
  EXPECT_FALSE(got || refused);
  run();
  ASSERT_TRUE(got && got->has_value());
  EXPECT_EQ(refused->error(), errc::never_admissible);
  got->value().release(outcome::success);
  expect_all_back();
}

TEST_F(async_acquire, is_granted_in_order_and_posted_to_its_executor) {
  std::vector<std::optional<answer>> got(3);
  for (auto& g : got) wait(g);
  context->poll();
  EXPECT_FALSE(got[0]);
  for (std::size_t i = 0; i < 3; ++i) {
    (i == 0 ? held.value() : got[i - 1]->value()).release(outcome::success);
    EXPECT_FALSE(got[i]) << "not on the thread that released";
    context->poll_one();
    ASSERT_TRUE(got[i] && got[i]->has_value());
  }
  got[2]->value().release(outcome::success);
  EXPECT_EQ(destroyed, 3);
  expect_all_back();
}

TEST_F(async_acquire, keeps_its_context_running) {
  std::optional<answer> got;
  wait(got);
  std::jthread releasing{[&] {
    std::this_thread::sleep_for(5ms);
    held->release(outcome::success);
  }};
  run();
  ASSERT_TRUE(got);
  got.reset();
  expect_all_back();
}

TEST_F(async_acquire, runs_on_a_strand_of_a_thread_pool) {
  asio::thread_pool pool{2};
  auto strand = asio::make_strand(pool.get_executor());
  std::atomic<int> inside{0}, done{0};
  for (int i = 0; i < 50; ++i) {
    auto handler = [&](answer a) {
      EXPECT_EQ(inside.fetch_add(1), 0);
      EXPECT_TRUE(strand.running_in_this_thread());
      a->release(outcome::success);
      inside.fetch_sub(1);
      ++done;
    };
    weir::async_acquire(queue, {}, asio::bind_executor(strand, handler));
  }
  held->release(outcome::success);
  pool.join();
  EXPECT_EQ(done, 50);
  expect_all_back();
}

TEST_F(async_acquire, works_with_futures) {
  auto future = weir::async_acquire(queue, {}, asio::use_future);
  held->release(outcome::success);
  EXPECT_TRUE(future.get());
  expect_all_back();
}

template <class T>
struct counting_allocator {
  using value_type = T;
  int* live;
  explicit counting_allocator(int& count) : live(&count) {}
  template <class U>
  counting_allocator(const counting_allocator<U>& other) : live(other.live) {}
  T* allocate(std::size_t n) {
    ++*live;
    return std::allocator<T>{}.allocate(n);
  }
  void deallocate(T* p, std::size_t n) {
    --*live;
    std::allocator<T>{}.deallocate(p, n);
  }
  friend bool operator==(const counting_allocator&, const counting_allocator&) = default;
};

TEST_F(async_acquire, uses_the_handlers_allocator_and_frees_before_the_handler_runs) {
  int live = 0, live_in_handler = -1;
  auto handler = [&](const answer&) { live_in_handler = live; };
  weir::async_acquire(queue, {},
                      asio::bind_executor(context->get_executor(),
                                          asio::bind_allocator(counting_allocator<int>{live}, std::move(handler))));
  EXPECT_EQ(live, 1) << "the operation";
  held->release(outcome::success);
  EXPECT_EQ(live, 2) << "and what was posted";
  run();
  EXPECT_EQ(live_in_handler, 0);
  expect_all_back();
}

TEST_F(async_acquire, the_timer_ends_waits_at_their_deadlines_and_lets_the_context_run_out) {
  weir::queue_timer timer{queue, context->get_executor()};
  std::optional<answer> early, late;
  const auto begin = queue.now();
  wait(late, {.deadline = begin + 20ms});
  wait(early, {.deadline = begin + 5ms});
  while (!early) context->run_one();
  EXPECT_EQ(early->error(), errc::wait_timeout);
  EXPECT_GE(queue.now() - begin, 5ms);
  EXPECT_FALSE(late);
  run();
  EXPECT_EQ(late->error(), errc::wait_timeout);
  EXPECT_LT(queue.now() - begin, 1s) << "the context has no more work";
  held->release(outcome::success);
  expect_all_back();
}

TEST_F(async_acquire, the_timer_brings_tokens) {
  weir::rate_limiter tokens{{.limit = {1000, 1s}, .burst = 1}};
  weir::wait_queue<weir::rate_limiter> line{tokens, {.max_wait = 1h}};
  weir::queue_timer timer{line, context->get_executor()};
  int granted = 0;
  const auto begin = line.now();
  for (int i = 0; i < 11; ++i) {
    auto handler = [&](const weir::result<weir::rate_limiter::permit>& a) { granted += a ? 1 : 0; };
    weir::async_acquire(line, {}, asio::bind_executor(context->get_executor(), handler));
  }
  run();
  EXPECT_EQ(granted, 11);
  EXPECT_GE(line.now() - begin, 9900us);
  held->release(outcome::success);
}

// Faults, at each point at which an operation can stand still.

TEST_F(async_acquire, cancelled_by_its_slot_while_it_waits) {
  asio::cancellation_signal signal;
  std::optional<answer> got;
  weir::async_acquire(queue, {}, asio::bind_cancellation_slot(signal.slot(), keep(got)));
  context->poll();
  signal.emit(asio::cancellation_type::none);
  context->poll();
  EXPECT_FALSE(got);
  signal.emit(asio::cancellation_type::total);
  EXPECT_FALSE(got) << "posted";
  run();
  EXPECT_EQ(got->error(), errc::cancelled);
  signal.emit(asio::cancellation_type::terminal);
  held->release(outcome::success);
  EXPECT_EQ(queue.snapshot().cancelled, 1u);
  expect_all_back();
}

TEST_F(async_acquire, cancelled_by_its_slot_after_the_grant_and_after_the_delivery) {
  asio::cancellation_signal early, late;
  std::optional<answer> refunded, got;
  weir::async_acquire(queue, {}, asio::bind_cancellation_slot(early.slot(), keep(refunded)));
  weir::async_acquire(queue, {}, asio::bind_cancellation_slot(late.slot(), keep(got)));
  held->release(outcome::success);
  early.emit(asio::cancellation_type::none);
  early.emit(asio::cancellation_type::total);
  run();
  EXPECT_EQ(refunded->error(), errc::cancelled) << "granted, but not yet delivered";
  EXPECT_EQ(slots.snapshot().cancelled, 1u);
  ASSERT_TRUE(got && got->has_value()) << "the permit went on to the next";
  EXPECT_FALSE(late.slot().has_handler()) << "the slot is free for the next operation";
  late.emit(asio::cancellation_type::terminal);
  got.reset();
  expect_all_back();
}

/// A limiter with one slot, which is released right after it has refused for the first time.
struct fickle_limiter {
  using permit = concurrency_limiter::permit;

  answer try_acquire(const weir::call& c) noexcept {
    auto refused = inner.try_acquire(c);
    if (!refused) held.release(outcome::success);
    return refused;
  }
  answer try_acquire_for_waiter(const weir::call& c) noexcept { return inner.try_acquire_for_waiter(c); }
  void attach(weir::capacity_listener* listener) noexcept { inner.attach(listener); }
  void set_waiting(bool waiting) noexcept { inner.set_waiting(waiting); }
  weir::time_point next_available(std::uint32_t cost, weir::time_point now) const noexcept {
    return inner.next_available(cost, now);
  }
  weir::time_point now() const noexcept { return inner.now(); }

  concurrency_limiter inner{{.limit = 1}};
  permit held = inner.try_acquire().value();
};

TEST_F(async_acquire, cancelled_by_its_slot_after_a_grant_at_the_door) {
  fickle_limiter fickle;
  weir::wait_queue<fickle_limiter> line{fickle, {}};
  asio::cancellation_signal signal;
  std::optional<answer> got;
  weir::async_acquire(line, {}, asio::bind_cancellation_slot(signal.slot(), keep(got)));
  EXPECT_FALSE(got) << "not inline";
  EXPECT_EQ(line.snapshot().admitted_at_once, 1u);
  signal.emit(asio::cancellation_type::terminal);
  run();
  EXPECT_EQ(got->error(), errc::cancelled);
  EXPECT_EQ(fickle.inner.snapshot().cancelled, 1u);
  fickle.held = fickle.inner.try_acquire().value();
  weir::async_acquire(line, {}, keep(got));
  run();
  EXPECT_TRUE(got->has_value());
  got.reset();
  held->release(outcome::success);
}

/// A clock that knows how often it was read.
struct read_counting_clock {
  weir::time_point now() const noexcept {
    ++*reads;
    return clock.now();
  }
  std::shared_ptr<int> reads = std::make_shared<int>(0);
  weir::default_clock clock;
};

TEST_F(async_acquire, cancelled_by_its_slot_when_the_queue_has_gone) {
  held->release(outcome::success);
  concurrency_limiter one{{.limit = 1}};
  auto busy = one.try_acquire();
  read_counting_clock clock;
  asio::cancellation_signal signal;
  std::optional<answer> got;
  {
    weir::basic_wait_queue<concurrency_limiter, read_counting_clock> line{one, {}, {}, clock};
    weir::async_acquire(line, {}, asio::bind_cancellation_slot(signal.slot(), keep(got)));
  }
  const int reads = *clock.reads;
  signal.emit(asio::cancellation_type::terminal);
  EXPECT_EQ(*clock.reads, reads) << "the queue was used after its destruction";
  run();
  EXPECT_EQ(got->error(), errc::closed);
  expect_all_back();
}

/// A cancellation slot of somebody's own, that has run out of memory.
struct exhausted_slot {
  bool is_connected() const noexcept { return true; }
  template <class F>
  void assign(F&&) {
    throw std::bad_alloc{};
  }
  void clear() noexcept {}
  [[maybe_unused]] friend bool operator==(const exhausted_slot&, const exhausted_slot&) = default;
};

TEST_F(async_acquire, a_slot_that_throws_leaves_nothing_behind) {
  std::optional<answer> got;
  wait_handle handle;
  EXPECT_THROW(weir::async_acquire(queue, {}, handle, asio::bind_cancellation_slot(exhausted_slot{}, keep(got))),
               std::bad_alloc);
  EXPECT_EQ(destroyed, 1);
  EXPECT_FALSE(handle.cancel());
  held->release(outcome::success);
  context.reset();
  EXPECT_FALSE(got);
  expect_all_back();
}

TEST_F(async_acquire, takes_any_token_and_any_executor) {
  held->release(outcome::success);
  // A handler that can only be moved, on a strand of an executor of unknown type.
  asio::any_io_executor any = context->get_executor();
  auto strand = asio::make_strand(any);
  int number = 0;
  auto handler = [&, owned = std::make_unique<int>(7)](answer a) { number = a ? *owned : -1; };
  auto occupied = queue.try_acquire();
  weir::async_acquire(queue, {}, asio::bind_executor(strand, std::move(handler)));
  // What is deferred is not begun until it is launched.
  auto deferred = weir::async_acquire(queue, {}, asio::deferred);
  EXPECT_EQ(queue.snapshot().arrivals(), 3u);
  std::optional<answer> got;
  std::move(deferred)(keep(got));
  std::optional<std::tuple<answer>> whole;
  auto keep_whole = [&](std::tuple<answer> t) { whole.emplace(std::move(t)); };
  weir::async_acquire(queue, {}, asio::as_tuple(asio::bind_executor(any, keep_whole)));
  context->poll();
  EXPECT_EQ(queue.snapshot().waiting, 3u);
  occupied->release(outcome::success);
  context->poll();
  EXPECT_EQ(number, 7);
  ASSERT_TRUE(got && got->has_value());
  got.reset();
  context->poll();
  EXPECT_TRUE(std::get<0>(whole.value()));
  whole.reset();
  expect_all_back();
}

TEST_F(async_acquire, a_refusal_at_the_door_leaves_the_slot_free) {
  EXPECT_FALSE(queue.reconfigure({.capacity = 0}));
  asio::cancellation_signal signal;
  std::optional<answer> got;
  wait_handle handle;
  weir::async_acquire(queue, {}, handle, asio::bind_cancellation_slot(signal.slot(), keep(got)));
  EXPECT_FALSE(signal.slot().has_handler());
  EXPECT_FALSE(handle.cancel());
  run();
  EXPECT_EQ(got->error(), errc::queue_full);
  held->release(outcome::success);
  expect_all_back();
}

TEST_F(async_acquire, cancelled_by_its_handle) {
  wait_handle handle, unused;
  const wait_handle copy = handle;
  std::optional<answer> first, second;
  EXPECT_FALSE(handle.cancel()) << "not begun";
  weir::async_acquire(queue, {}, handle, keep(first));
  std::jthread{[&] { EXPECT_TRUE(copy.cancel()); }}.join();
  EXPECT_FALSE(handle.cancel());
  weir::async_acquire(queue, {}, handle, keep(second));
  held->release(outcome::success);
  EXPECT_FALSE(handle.cancel()) << "granted, not yet delivered";
  run();
  EXPECT_FALSE(handle.cancel()) << "delivered";
  EXPECT_FALSE(unused.cancel());
  EXPECT_EQ(first->error(), errc::cancelled);
  EXPECT_TRUE(second->has_value());
  second.reset();
  expect_all_back();
}

TEST_F(async_acquire, closed_while_it_waits) {
  std::optional<answer> got, late;
  wait(got);
  queue.close();
  wait(late);
  run();
  EXPECT_EQ(got->error(), errc::closed);
  EXPECT_EQ(late->error(), errc::closed);
  held->release(outcome::success);
  expect_all_back();
}

TEST_F(async_acquire, the_context_is_destroyed_while_it_waits) {
  std::vector<std::optional<answer>> got(handlers);
  for (auto& g : got) wait(g);
  asio::cancellation_signal signal;  // goes before the context, as locals do
  wait_handle handle;
  {
    std::optional<answer> one_more;
    weir::async_acquire(queue, {}, handle, asio::bind_cancellation_slot(signal.slot(), keep(one_more)));
  }
  context.reset();
  EXPECT_EQ(destroyed, handlers + 1);
  EXPECT_FALSE(handle.cancel());
  for (auto& g : got) EXPECT_FALSE(g) << "a handler ran";
  EXPECT_EQ(queue.snapshot().cancelled, handlers + 1u);
  held->release(outcome::success);
  expect_all_back();
}

TEST_F(async_acquire, the_context_is_destroyed_between_grant_and_delivery) {
  std::vector<std::optional<answer>> got(handlers);
  for (auto& g : got) wait(g);
  held->release(outcome::success);
  EXPECT_EQ(slots.snapshot().slots_in_use, 1u);
  context.reset();
  EXPECT_EQ(destroyed, handlers);
  for (auto& g : got) EXPECT_FALSE(g);
  EXPECT_EQ(slots.snapshot().cancelled, 1u) << "refunded: its call never began";
  expect_all_back();
}

TEST_F(async_acquire, the_context_is_destroyed_with_an_immediate_answer_on_its_way) {
  held->release(outcome::success);
  std::optional<answer> got;
  wait(got);
  context.reset();
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(slots.snapshot().cancelled, 1u);
  expect_all_back();
}

TEST_F(async_acquire, handlers_that_hold_permits_are_destroyed_with_the_context) {
  // Destroying one handler grants to the next, whose context is going down as well.
  for (int i = 0; i < handlers; ++i) {
    auto mine = std::make_shared<answer>(i == 0 ? std::move(held) : queue.try_acquire());
    auto handler = [mine](const answer&) { FAIL(); };
    weir::async_acquire(queue, {}, asio::bind_executor(context->get_executor(), handler));
  }
  held = weir::rejection{};
  context.reset();
  expect_all_back();
}

TEST_F(async_acquire, the_context_is_destroyed_inside_of_a_completion) {
  // That completion has granted to a wait of the context, whose own completion is put off until this one has returned.
  struct destroyer : weir::wait_operation<permit> {
    std::optional<asio::io_context>* context = nullptr;
  } first;
  first.context = &context;
  first.complete = [](weir::wait_node& node, weir::wait_outcome) noexcept {
    auto& self = static_cast<destroyer&>(node);
    self.take()->release(outcome::success);
    self.context->reset();
  };
  ASSERT_FALSE(queue.start(first));
  std::optional<answer> got;
  wait(got);
  held->release(outcome::success);
  EXPECT_FALSE(context || got);
  EXPECT_EQ(destroyed, 1);
  EXPECT_EQ(slots.snapshot().cancelled, 1u);
  expect_all_back();
}

TEST_F(async_acquire, one_of_two_contexts_is_destroyed) {
  asio::io_context survivor{1};
  std::optional<answer> lost, kept;
  wait(lost);
  weir::async_acquire(queue, {},
                      asio::bind_executor(survivor.get_executor(), [&](answer a) { kept.emplace(std::move(a)); }));
  held->release(outcome::success);  // to the first, whose context dies with it undelivered
  context.reset();
  survivor.run_for(2s);
  ASSERT_TRUE(kept && kept->has_value()) << "the permit went on to the next";
  kept.reset();
  expect_all_back();
}

TEST_F(async_acquire, the_context_is_stopped_and_goes_on_later) {
  std::vector<std::optional<answer>> got(2);
  for (auto& g : got) wait(g);
  context->stop();
  held->release(outcome::success);
  context->run();
  EXPECT_FALSE(got[0]);
  context->restart();
  context->poll();
  ASSERT_TRUE(got[0] && got[0]->has_value());
  got[0]->value().release(outcome::success);
  run();
  got[1].reset();
  expect_all_back();
}

TEST_F(async_acquire, a_handler_throws) {
  auto handler = [](answer a) {
    if (a) throw std::runtime_error{"handler"};
  };
  std::optional<answer> next;
  weir::async_acquire(queue, {}, asio::bind_executor(context->get_executor(), handler));
  wait(next);
  held->release(outcome::success);
  EXPECT_THROW(context->run(), std::runtime_error);
  run();
  ASSERT_TRUE(next && next->has_value());
  next.reset();
  EXPECT_EQ(slots.snapshot().ignored, 2u);
  expect_all_back();
}

TEST_F(async_acquire, the_queue_is_destroyed_first) {
  asio::io_context own{1};
  concurrency_limiter one{{.limit = 1}};
  std::optional<answer> got;
  {
    weir::wait_queue<concurrency_limiter> line{one, {}};
    auto busy = line.try_acquire();
    weir::async_acquire(line, {}, asio::bind_executor(own.get_executor(), [&](answer a) { got.emplace(std::move(a)); }));
  }
  own.run();
  // `busy` went first and granted: the permit outlives the queue by its delivery, but not the limiter.
  EXPECT_TRUE(got->has_value());
  got.reset();
  held->release(outcome::success);
  EXPECT_EQ(one.snapshot().slots_in_use, 0u);
}

TEST_F(async_acquire, contexts_come_and_go_under_threads) {
  held->release(outcome::success);
  std::atomic<bool> stop{false};
  std::atomic<int> answered{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        while (!stop) {
          asio::io_context own{1};
          wait_handle handle;
          for (int i = 0; i < 4; ++i) {
            auto handler = [&](answer a) {
              ++answered;
              if (t == 0) std::this_thread::yield();
              if (a && t == 1) a->release(outcome::failure);
            };
            weir::async_acquire(queue, {}, handle, asio::bind_executor(own.get_executor(), handler));
          }
          if (t == 2) handle.cancel();
          own.poll();  // and whatever waits still, or is granted by another thread meanwhile, dies with the context
        }
      });
    }
    while (answered < 2000) std::this_thread::yield();
    stop = true;
  }
  expect_all_back();
}

}  // namespace
