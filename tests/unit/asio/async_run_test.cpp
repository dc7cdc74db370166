// async_run: Asio's own operations under policies.
#include <weir/asio/async_run.hpp>

#include <weir/policy/concurrency_limiter.hpp>
#include <weir/queue/wait_queue.hpp>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <unistd.h>
#include <array>
#include <optional>
#include <stdexcept>

namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using boost::system::error_code;
using weir::concurrency_limiter;
using weir::errc;
using weir::outcome;

class async_run : public ::testing::Test {
 protected:
  async_run() {
    context.emplace(1);
    timer.emplace(*context);
  }
  auto wait_for(std::chrono::milliseconds d) {
    timer->expires_after(d);
    return timer->async_wait(asio::deferred);
  }
  auto keep(std::optional<error_code>& into) {
    return asio::bind_executor(context->get_executor(), [&into](error_code e) { into = e; });
  }
  void destroy_context() {
    timer.reset();
    context.reset();
  }
  void expect_all_back() {
    const auto s = slots.snapshot();
    EXPECT_EQ(s.slots_in_use, 0u);
    EXPECT_EQ(s.admitted, s.success + s.failure + s.overload + s.ignored);
    EXPECT_EQ(queue.snapshot().waiting, 0u);
  }

  concurrency_limiter slots{{.limit = 1}};
  weir::wait_queue<concurrency_limiter> queue{slots, {.capacity = 10, .max_wait = 1h}};
  std::optional<asio::io_context> context;
  std::optional<asio::steady_timer> timer;
};

TEST_F(async_run, runs_the_operation_and_tells_the_policy_before_the_handler) {
  std::optional<error_code> code;
  std::uint64_t told = 0;
  auto handler = [&](error_code e) {
    code = e;
    told = slots.snapshot().success;
  };
  weir::async_run<void(error_code)>(slots, wait_for(1ms), asio::bind_executor(context->get_executor(), handler));
  EXPECT_EQ(slots.snapshot().slots_in_use, 1u);
  context->run();
  EXPECT_EQ(code, error_code{});
  EXPECT_EQ(told, 1u);
  expect_all_back();
}

TEST_F(async_run, a_refusal_is_posted_in_the_operations_own_signature) {
  std::array<int, 2> fds{};
  ASSERT_EQ(::pipe(fds.data()), 0);
  {
    asio::posix::stream_descriptor reader{*context, fds[0]};
    std::array<char, 8> buffer{};
    auto read = [&](auto&& token) {
      return reader.async_read_some(asio::buffer(buffer), std::forward<decltype(token)>(token));
    };
    std::optional<error_code> code;
    std::size_t bytes = 99;
    auto handler = asio::bind_executor(context->get_executor(), [&](error_code e, std::size_t n) {
      code = e;
      bytes = n;
    });
    auto held = slots.try_acquire();
    weir::async_run<void(error_code, std::size_t)>(slots, read, handler);
    EXPECT_FALSE(code);
    context->run();
    EXPECT_EQ(code, errc::over_capacity);
    EXPECT_EQ(bytes, 0u);

    held->release(outcome::success);
    ASSERT_EQ(::write(fds[1], "abc", 3), 3);
    weir::async_run<void(error_code, std::size_t)>(slots, read, handler);
    context->restart();
    context->run();
    EXPECT_EQ(code, error_code{});
    EXPECT_EQ(bytes, 3u);

    ::close(fds[1]);
    weir::async_run<void(error_code, std::size_t)>(slots, read, handler);
    context->restart();
    context->run();
    EXPECT_EQ(code, asio::error::eof);
  }
  EXPECT_EQ(slots.snapshot().failure, 1u);
  expect_all_back();
}

TEST_F(async_run, waits_in_a_queue_before_it_begins) {
  auto held = slots.try_acquire();
  std::optional<error_code> code;
  bool begun = false;
  auto operation = [&](auto&& token) {
    begun = true;
    return wait_for(1ms)(std::forward<decltype(token)>(token));
  };
  weir::async_run<void(error_code)>(queue, operation, keep(code));
  context->poll();
  EXPECT_FALSE(begun);
  held->release(outcome::success);
  EXPECT_FALSE(begun) << "on the handler's executor";
  context->run();
  EXPECT_TRUE(begun);
  EXPECT_EQ(code, error_code{});
  EXPECT_EQ(slots.snapshot().success, 2u);
  expect_all_back();
}

TEST_F(async_run, works_with_futures) {
  auto future = weir::async_run<void(error_code)>(slots, wait_for(1ms), asio::use_future);
  context->run();
  EXPECT_NO_THROW(future.get());
  expect_all_back();
}

TEST_F(async_run, cancelled_while_it_waits_and_while_it_runs) {
  asio::cancellation_signal signal;
  std::optional<error_code> code;
  auto held = slots.try_acquire();
  weir::async_run<void(error_code)>(queue, wait_for(1h), asio::bind_cancellation_slot(signal.slot(), keep(code)));
  context->poll();
  signal.emit(asio::cancellation_type::terminal);
  context->poll();
  EXPECT_EQ(code, errc::cancelled);

  code.reset();
  weir::async_run<void(error_code)>(queue, wait_for(1h), asio::bind_cancellation_slot(signal.slot(), keep(code)));
  held->release(outcome::success);
  context->restart();
  context->poll();
  EXPECT_EQ(slots.snapshot().slots_in_use, 1u) << "runs";
  signal.emit(asio::cancellation_type::terminal);
  context->poll();
  EXPECT_EQ(code, asio::error::operation_aborted);
  EXPECT_EQ(slots.snapshot().ignored, 1u);
  expect_all_back();
}

TEST_F(async_run, cancelled_between_grant_and_beginning) {
  asio::cancellation_signal signal;
  std::optional<error_code> code;
  bool begun = false;
  auto operation = [&](auto&& token) {
    begun = true;
    return wait_for(1h)(std::forward<decltype(token)>(token));
  };
  auto held = slots.try_acquire();
  weir::async_run<void(error_code)>(queue, operation, asio::bind_cancellation_slot(signal.slot(), keep(code)));
  held->release(outcome::success);
  signal.emit(asio::cancellation_type::terminal);
  context->poll();
  EXPECT_FALSE(begun) << "nothing could cancel it any more";
  EXPECT_EQ(code, errc::cancelled);
  EXPECT_EQ(slots.snapshot().cancelled, 1u);
  expect_all_back();
}

TEST_F(async_run, the_context_is_destroyed_while_it_runs) {
  std::optional<error_code> code;
  weir::async_run<void(error_code)>(slots, wait_for(1h), keep(code));
  context->poll();
  destroy_context();
  EXPECT_FALSE(code);
  EXPECT_EQ(slots.snapshot().ignored, 1u);
  expect_all_back();
}

TEST_F(async_run, the_context_is_destroyed_while_it_waits) {
  std::optional<error_code> code;
  auto held = slots.try_acquire();
  weir::async_run<void(error_code)>(queue, wait_for(1h), keep(code));
  destroy_context();
  EXPECT_FALSE(code);
  held->release(outcome::success);
  expect_all_back();
}

TEST_F(async_run, the_context_is_destroyed_between_grant_and_beginning) {
  std::optional<error_code> code;
  auto held = slots.try_acquire();
  weir::async_run<void(error_code)>(queue, wait_for(1h), keep(code));
  held->release(outcome::success);
  destroy_context();
  EXPECT_FALSE(code);
  EXPECT_EQ(slots.snapshot().cancelled, 1u);
  expect_all_back();
}

TEST_F(async_run, the_operation_cannot_be_begun) {
  auto operation = [](auto&&) { throw std::runtime_error{"initiation"}; };
  std::optional<error_code> code;
  EXPECT_THROW(weir::async_run<void(error_code)>(slots, operation, keep(code)), std::runtime_error);
  expect_all_back();
}

TEST_F(async_run, the_handler_throws) {
  auto handler = [](error_code) { throw std::runtime_error{"handler"}; };
  weir::async_run<void(error_code)>(slots, wait_for(0ms), asio::bind_executor(context->get_executor(), handler));
  EXPECT_THROW(context->run(), std::runtime_error);
  EXPECT_EQ(slots.snapshot().success, 1u);
  expect_all_back();
}

}  // namespace
