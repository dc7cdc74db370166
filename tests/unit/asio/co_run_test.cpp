// co_run: coroutines under policies and queues, and a fault at each of their suspension points.
#include <weir/asio/co_run.hpp>

#if defined(BOOST_ASIO_HAS_CO_AWAIT)

#include <weir/asio/queue_timer.hpp>
#include <weir/pipeline/pipeline.hpp>
#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using asio::awaitable;
using weir::concurrency_limiter;
using weir::errc;
using weir::outcome;

class co_run : public ::testing::Test {
 protected:
  co_run() { context.emplace(1); }

  void spawn(auto f) { asio::co_spawn(*context, std::move(f), asio::detached); }
  void run() {
    context->restart();
    context->run_for(2s);
  }
  void expect_all_back() {
    const auto s = slots.snapshot();
    EXPECT_EQ(s.slots_in_use, 0u);
    EXPECT_FALSE(s.waiting);
    EXPECT_EQ(s.admitted, s.success + s.failure + s.overload + s.ignored);
    EXPECT_EQ(queue.snapshot().waiting, 0u);
  }

  concurrency_limiter slots{{.limit = 1}};
  weir::wait_queue<concurrency_limiter> queue{slots, {.capacity = 100, .max_wait = 1h}};
  std::optional<asio::io_context> context;
};

TEST_F(co_run, returns_what_the_coroutine_returned_and_tells_the_policy) {
  weir::pipeline pipe{slots};
  std::vector<std::string> log;
  spawn([&]() -> awaitable<void> {
    auto number = [](int n) -> awaitable<int> { co_return n + 1; };
    auto nothing = []() -> awaitable<void> { co_return; };
    auto refusing = []() -> awaitable<weir::result<int>> { co_return weir::rejection{errc::circuit_open, {}}; };
    auto move_only = [](std::unique_ptr<int> p) -> awaitable<std::unique_ptr<int>> { co_return p; };
    auto a = co_await weir::co_run(pipe, number, 41);
    log.push_back(std::to_string(a.value()));
    auto b = co_await weir::co_run(slots, nothing);
    log.push_back(b ? "done" : "refused");
    weir::result<int> c = co_await weir::co_run(queue, refusing);  // not a result of a result
    log.push_back(c.error().code().message());
    auto argument = std::make_unique<int>(7);
    auto d = co_await weir::co_run(slots, move_only, std::move(argument));
    log.push_back(std::to_string(*d.value()));
    auto held = slots.try_acquire();
    auto e = co_await weir::co_run(slots, number, 1);
    log.push_back(e.error() == errc::over_capacity ? "over capacity" : "?");
    weir::call large;
    large.cost = 2;
    auto f = co_await weir::co_run(queue, large, number, 1);
    log.push_back(f.error() == errc::never_admissible ? "never" : "?");
  });
  run();
  EXPECT_EQ(log, (std::vector<std::string>{"42", "done", "the circuit breaker is open", "7", "over capacity", "never"}));
  EXPECT_EQ(slots.snapshot().success, 3u);
  EXPECT_EQ(slots.snapshot().ignored, 2u) << "a refusal by one of our own layers, and the test's own permit";
  expect_all_back();
}

TEST_F(co_run, does_not_suspend_when_admitted_at_once) {
  int polls_before = -1;
  bool other_ran = false;
  spawn([&]() -> awaitable<void> {
    asio::post(*context, [&] { other_ran = true; });
    auto body = []() -> awaitable<void> { co_return; };
    for (int i = 0; i < 1000; ++i) static_cast<void>(co_await weir::co_run(queue, body));
    polls_before = other_ran ? 1 : 0;
  });
  run();
  EXPECT_EQ(polls_before, 0);
  EXPECT_EQ(queue.snapshot().admitted_at_once, 1000u);
  expect_all_back();
}

TEST_F(co_run, awaits_its_turn_in_a_queue) {
  std::vector<int> order;
  for (int i = 0; i < 5; ++i) {
    spawn([&, i]() -> awaitable<void> {
      auto body = [&](int n) -> awaitable<void> {
        order.push_back(n);
        asio::steady_timer timer{co_await asio::this_coro::executor, 1ms};
        co_await timer.async_wait(asio::use_awaitable);
        EXPECT_EQ(order.back(), n) << "another one was inside";
      };
      auto r = co_await weir::co_run(queue, body, i);
      EXPECT_TRUE(r);
    });
  }
  run();
  EXPECT_EQ(order, (std::vector{0, 1, 2, 3, 4}));
  EXPECT_EQ(queue.snapshot().admitted_after_wait, 4u);
  EXPECT_EQ(queue.snapshot().arrivals(), 5u) << "who waits has arrived once";
  expect_all_back();
}

TEST_F(co_run, the_deadline_ends_the_wait) {
  weir::queue_timer timer{queue, context->get_executor()};
  auto held = slots.try_acquire();
  std::optional<errc> code;
  spawn([&]() -> awaitable<void> {
    auto body = []() -> awaitable<void> { co_return; };
    weir::call c;
    c.deadline = queue.now() + 5ms;
    auto r = co_await weir::co_run(queue, c, body);
    code = static_cast<errc>(r.error().code().value());
  });
  run();
  EXPECT_EQ(code, errc::wait_timeout);
  held->release(outcome::success);
  expect_all_back();
}

TEST_F(co_run, an_exception_is_told_and_propagates) {
  int caught = 0;
  spawn([&]() -> awaitable<void> {
    auto failing = []() -> awaitable<int> {
      throw std::runtime_error{"callee"};
      co_return 1;
    };
    auto not_even_a_coroutine = []() -> awaitable<int> { throw std::runtime_error{"before"}; };
    auto cancelled = []() -> awaitable<int> {
      throw boost::system::system_error{asio::error::operation_aborted};
      co_return 1;
    };
    for (const std::function<awaitable<int>()>& f :
         {std::function<awaitable<int>()>{failing}, {not_even_a_coroutine}, {cancelled}}) {
      try {
        static_cast<void>(co_await weir::co_run(queue, f));
      } catch (const std::runtime_error&) {
        ++caught;
      }
    }
  });
  run();
  EXPECT_EQ(caught, 3);
  EXPECT_EQ(slots.snapshot().failure, 2u);
  EXPECT_EQ(slots.snapshot().ignored, 1u) << "cancelled by the caller: not the callee's fault";
  expect_all_back();
}

/// Where the coroutine under test stands when something happens to it.
enum class point { waiting, granted, in_the_body, done };
enum class fault { cancel, destroy_context, stop_context, close_queue, release_only };

class co_run_faults : public co_run, public ::testing::WithParamInterface<std::tuple<point, fault>> {};

TEST_P(co_run_faults, every_permit_comes_back_once) {
  const auto [where, what] = GetParam();
  asio::cancellation_signal signal;
  auto held = slots.try_acquire();
  std::optional<std::string> ended;
  bool began = false;
  auto body = [&]() -> awaitable<void> {
    began = true;
    asio::steady_timer timer{co_await asio::this_coro::executor, where == point::done ? 0ms : 1h};
    co_await timer.async_wait(asio::use_awaitable);
  };
  auto whole = [&]() -> awaitable<std::string> {
    try {
      auto r = co_await weir::co_run(queue, body);
      co_return r ? "done" : r.error().code().message();
    } catch (const std::exception&) {
      co_return "thrown";
    }
  };
  asio::co_spawn(*context, whole,
                 asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr, std::string s) { ended = s; }));
  context->poll();
  EXPECT_EQ(queue.snapshot().waiting, 1u);
  if (where >= point::granted) held->release(outcome::success);
  if (where >= point::in_the_body) context->poll();
  EXPECT_EQ(began, where >= point::in_the_body);
  if (where == point::done) run();

  switch (what) {
    case fault::cancel:
      signal.emit(asio::cancellation_type::terminal);
      context->poll();  // co_spawn passes it on by way of the executor
      break;
    case fault::destroy_context: context.reset(); break;
    case fault::stop_context:
      context->stop();
      context->run();
      break;
    case fault::close_queue: queue.close(); break;
    case fault::release_only: break;
  }
  held->release(outcome::success);
  if (context) context->poll();
  if (what == fault::cancel && where != point::done) {
    EXPECT_EQ(ended, where == point::waiting ? "cancelled by the caller" : "thrown");
  }
  if (what == fault::close_queue && where == point::waiting) {
    EXPECT_EQ(ended, "closed");
  }
  if (what == fault::destroy_context && where != point::done) {
    EXPECT_FALSE(ended);
  }
  context.reset();  // whatever is still inside its body goes with it
  expect_all_back();
  const auto s = slots.snapshot();
  EXPECT_EQ(s.admitted + s.cancelled, 1 + queue.snapshot().admitted());
  EXPECT_EQ(queue.snapshot().arrivals(), 1u);
}

INSTANTIATE_TEST_SUITE_P(all, co_run_faults,
                         ::testing::Combine(::testing::Values(point::waiting, point::granted, point::in_the_body,
                                                              point::done),
                                            ::testing::Values(fault::cancel, fault::destroy_context, fault::stop_context,
                                                              fault::close_queue, fault::release_only)));

}  // namespace

#endif
