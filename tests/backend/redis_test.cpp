#include <weir/backend/redis.hpp>

#include "coroutine_test.hpp"
#include "support/redis_server.hpp"

#include <gmock/gmock.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using boost::asio::awaitable;
using ::testing::HasSubstr;
using weir::redis_command;
using weir::redis_error;
using weir::testing_support::failure;
using weir::testing_support::in;
using weir::testing_support::soon;
using kind = weir::redis_reply::kind;

static_assert(weir::pool_backend<weir::redis_backend>);
static_assert(weir::detail::validates<weir::redis_backend> && weir::detail::resets<weir::redis_backend> &&
              weir::detail::knows_broken<weir::redis_backend>);

class redis_test : public weir::testing_support::coroutine_test {
 protected:
  static weir::testing_support::redis_server& server() {
    static weir::testing_support::redis_server one;
    return one;
  }
  weir::redis_backend backend_{weir::redis_options{.unix_socket = server().socket()}};
};

TEST_F(redis_test, replies_of_every_kind) {
  run([this]() -> awaitable<void> {
    auto r = co_await backend_.connect({.deadline = in(5s)});
    co_await r.command("FLUSHALL");
    const auto set = co_await r.command("SET", "k", "a\0\r\n"s);
    EXPECT_EQ(set.type, kind::status);
    EXPECT_EQ(set.text, "OK");
    const auto get = co_await r.command("GET", "k");
    EXPECT_EQ(get.type, kind::text);
    EXPECT_EQ(get.text, "a\0\r\n"s);
    const auto none = co_await r.command("GET", "none");
    EXPECT_TRUE(none.is_nil());
    const auto number = co_await r.command("INCRBY", "n", -5);
    EXPECT_EQ(number.type, kind::integer);
    EXPECT_EQ(number.integer, -5);
    const auto tree = co_await r.command("EVAL", "return {1, {'two', {}}, false}", 0);
    EXPECT_EQ(tree.type, kind::array);
    EXPECT_EQ(tree.elements.at(0).integer, 1);
    EXPECT_EQ(tree.elements.at(1).elements.at(0).text, "two");
    EXPECT_EQ(tree.elements.at(1).elements.at(1).type, kind::array);
    EXPECT_TRUE(tree.elements.at(2).is_nil());
  });
}

TEST_F(redis_test, an_error_reply_is_thrown_and_the_connection_goes_on) {
  run([this]() -> awaitable<void> {
    auto r = co_await backend_.connect({.deadline = in(5s)});
    co_await r.command("SET", "k", "text");
    const auto error = co_await failure<redis_error>(r.command("INCR", "k"));
    EXPECT_TRUE(error && error->code() == "ERR");
    EXPECT_FALSE(r.is_broken());
    const auto next = co_await r.command("GET", "k");
    EXPECT_EQ(next.text, "text");
    for (const auto* wrong : {"SUBSCRIBE", "monitor", "HELLO"}) {
      EXPECT_TRUE(co_await failure<std::invalid_argument>(r.command(wrong, "x"))) << wrong;
    }
    co_await backend_.validate(r);
  });
}

TEST_F(redis_test, a_pipeline_keeps_the_order_errors_included) {
  run([this]() -> awaitable<void> {
    auto r = co_await backend_.connect({.deadline = in(5s)});
    std::vector<redis_command> commands;
    constexpr int count = 5'000;
    const std::string filler(100, 'x');
    for (int i = 0; i < count; ++i) {
      if (i % 1'000 == 500) {
        commands.emplace_back("NO_SUCH_COMMAND");
      } else {
        commands.emplace_back("ECHO", std::to_string(i) + filler);
      }
    }
    const auto replies = co_await r.pipeline(std::move(commands));
    EXPECT_EQ(replies.size(), static_cast<std::size_t>(count));
    int wrong = 0;
    for (std::size_t i = 0; i < replies.size(); ++i) {
      wrong += i % 1'000 == 500 ? !replies[i].is_error() : replies[i].text != std::to_string(i) + filler;
    }
    EXPECT_EQ(wrong, 0);
    const auto nothing = co_await r.pipeline({});
    EXPECT_TRUE(nothing.empty());
  });
}

TEST_F(redis_test, a_script_that_the_server_does_not_know_is_sent) {
  EXPECT_EQ(weir::redis_script{"abc"}.sha1(), "a9993e364706816aba3e25717850c26c9cd0d89d");
  EXPECT_EQ(weir::redis_script{std::string(1'000, 'a')}.sha1(), "291e9a6c66994949b57ba5e650361e98fc36b1ba");
  run([this]() -> awaitable<void> {
    auto r = co_await backend_.connect({.deadline = in(5s)});
    co_await r.command("SCRIPT", "FLUSH");
    const weir::redis_script script{"return {KEYS[1], ARGV[1], ARGV[2]}"};
    const std::vector<std::string> keys{"key"};
    for (int round = 0; round < 2; ++round) {
      const auto reply = co_await r.evalsha(script, keys, 7, "text");
      EXPECT_EQ(reply.elements.size(), 3U);
      EXPECT_EQ(reply.elements.at(0).text, "key");
      EXPECT_EQ(reply.elements.at(1).text, "7");
      EXPECT_EQ(reply.elements.at(2).text, "text");
    }
    const auto known = co_await r.command("SCRIPT", "EXISTS", script.sha1());
    EXPECT_EQ(known.elements.at(0).integer, 1);
    const weir::redis_script wrong{"return redis.call('INCR', 'k', 'k')"};
    const auto error = co_await failure<redis_error>(r.evalsha(wrong, keys));
    EXPECT_TRUE(error && error->code() != "NOSCRIPT");
  });
}

TEST_F(redis_test, reset_undoes_what_the_session_holds) {
  run([this]() -> awaitable<void> {
    auto r = co_await backend_.connect({.deadline = in(5s)});
    auto other = co_await backend_.connect({.deadline = in(5s)});
    co_await r.command("SET", "k", 1);
    co_await r.command("WATCH", "k");
    co_await r.command("MULTI");
    co_await r.command("SET", "k", 2);
    co_await backend_.reset(r);
    const auto kept = co_await r.command("GET", "k");
    EXPECT_EQ(kept.text, "1");

    co_await r.command("WATCH", "k");
    co_await backend_.reset(r);
    co_await other.command("SET", "k", 3);
    co_await r.command("MULTI");
    co_await r.command("SET", "k", 4);
    const auto done = co_await r.command("EXEC");
    EXPECT_EQ(done.type, kind::array);  // nil, if it still watched

    co_await r.command("SELECT", 5);
    co_await backend_.reset(r);
    const auto same = co_await r.command("GET", "k");
    EXPECT_EQ(same.text, "4");
  });
}

TEST_F(redis_test, a_cancelled_command_breaks_the_connection) {
  std::optional<weir::redis_connection> r;
  run([&]() -> awaitable<void> { r = co_await backend_.connect({.deadline = in(5s)}); });
  const auto end = finish([&]() -> awaitable<void> { co_await r->command("BLPOP", "nothing.comes", 10); }, 50ms);
  EXPECT_TRUE(end.cancelled());
  EXPECT_LT(end.took, soon);
  EXPECT_TRUE(r->is_broken());
  run([&]() -> awaitable<void> { EXPECT_TRUE(co_await failure<redis_error>(r->command("PING"))); });
}

// Over TCP, found by name, and a server that does not keep to the protocol.
TEST_F(redis_test, replies_that_nobody_asked_for_break_the_connection) {
  using boost::asio::ip::tcp;
  tcp::acceptor acceptor{context_, {boost::asio::ip::address_v4::loopback(), 0}};
  weir::redis_backend backend{weir::redis_options{.host = "localhost", .port = acceptor.local_endpoint().port()}};
  const auto serve = [&](std::string reply) -> awaitable<void> {
    auto socket = co_await acceptor.async_accept(boost::asio::use_awaitable);
    char request[1024];
    for (const auto& text : {"+PONG\r\n"s, reply}) {
      co_await socket.async_read_some(boost::asio::buffer(request), boost::asio::use_awaitable);
      co_await socket.async_send(boost::asio::buffer(text), boost::asio::use_awaitable);
    }
  };
  for (const auto& reply : {":1\r\n"s, ":1\r\n:2\r\n"s, "nonsense\r\n"s, ":"s}) {
    boost::asio::co_spawn(context_, serve(reply), [](std::exception_ptr) {});
    run([&]() -> awaitable<void> {
      auto r = co_await backend.connect({.deadline = in(5s)});
      const auto error = co_await failure<redis_error>(r.command("INCR", "n"));
      EXPECT_EQ(error.has_value(), !reply.starts_with(":1")) << reply;
      EXPECT_EQ(r.is_broken(), reply != ":1\r\n") << reply;
    });
  }
}

TEST_F(redis_test, coroutines_that_are_destroyed_leave_nothing) {
  boost::asio::io_context context;
  bool asking = false;
  const auto forget = [&]() -> awaitable<void> {
    auto r = co_await backend_.connect({.deadline = in(5s)});
    asking = true;
    co_await r.command("BLPOP", "nothing.comes", 10);
  };
  boost::asio::co_spawn(context, forget(), [](std::exception_ptr) {});
  while (!asking) context.run_one();
  context.run_for(10ms);
}

TEST_F(redis_test, what_can_not_be_reached_is_said) {
  run([]() -> awaitable<void> {
    weir::redis_backend nowhere{weir::redis_options{.unix_socket = "/nowhere/redis.sock"}};
    const auto missing = co_await failure<redis_error>(nowhere.connect({.deadline = in(5s)}));
    EXPECT_TRUE(missing);
    EXPECT_THAT(missing ? missing->what() : "", HasSubstr("/nowhere/redis.sock failed: No such file"));
    weir::redis_backend closed{weir::redis_options{.host = "localhost", .port = 1}};
    const auto refused = co_await failure<redis_error>(closed.connect({.deadline = in(5s)}));
    EXPECT_THAT(refused ? refused->what() : "", HasSubstr("localhost:1 failed: Connection refused"));
  });
  run([this]() -> awaitable<void> {
    weir::redis_backend locked_out{
        weir::redis_options{.unix_socket = server().socket(), .user = "nobody", .password = "wrong", .database = 3}};
    const auto error = co_await failure<redis_error>(locked_out.connect({.deadline = in(5s)}));
    EXPECT_THAT(error ? error->what() : "", HasSubstr("WRONGPASS"));
    const auto no_endpoint = co_await failure<std::out_of_range>(backend_.connect({.deadline = in(5s), .endpoint = 1}));
    EXPECT_TRUE(no_endpoint);
  });
}

TEST_F(redis_test, a_paused_server_is_left_in_time) {
  std::optional<weir::redis_connection> r;
  run([&]() -> awaitable<void> { r = co_await backend_.connect({.deadline = in(5s)}); });
  server().pause();
  const auto connecting = finish([&]() -> awaitable<void> {
    const auto late = co_await failure<redis_error>(backend_.connect({.deadline = in(50ms)}));
    EXPECT_THAT(late ? late->what() : "", HasSubstr("no answer before the deadline"));
  });
  EXPECT_FALSE(connecting.error);
  EXPECT_LT(connecting.took, soon);
  const auto asking = finish([&]() -> awaitable<void> { co_await backend_.validate(*r); }, 50ms);
  EXPECT_TRUE(asking.cancelled());
  EXPECT_LT(asking.took, soon);
  server().resume();
}

TEST_F(redis_test, a_killed_server_is_an_error_and_the_next_one_serves) {
  run([this]() -> awaitable<void> {
    auto waiting = co_await backend_.connect({.deadline = in(5s)});
    auto idle = co_await backend_.connect({.deadline = in(5s)});
    boost::asio::steady_timer timer{context_, 50ms};
    timer.async_wait([](boost::system::error_code) { server().kill(); });
    const auto error = co_await failure<redis_error>(waiting.command("BLPOP", "nothing.comes", 10));
    EXPECT_THAT(error ? error->what() : "", HasSubstr("lost"));
    EXPECT_TRUE(waiting.is_broken());
    EXPECT_TRUE(co_await failure<redis_error>(backend_.validate(idle)));  // and no SIGPIPE
    EXPECT_TRUE(idle.is_broken());
    EXPECT_TRUE(co_await failure<redis_error>(backend_.connect({.deadline = in(5s)})));
    server().start();
    auto next = co_await backend_.connect({.deadline = in(5s)});
    co_await backend_.validate(next);
  });
}

}  // namespace
