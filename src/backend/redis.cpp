#include "sha1.hpp"

#include <weir/backend/redis.hpp>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <span>

#include <hiredis/hiredis.h>

// hiredis parses and formats, and Asio does the rest: hiredis' own sockets resolve names blocking, and raise SIGPIPE when
// the server is gone.
namespace weir::inline v0 {
namespace asio = boost::asio;
using asio::use_awaitable;
using boost::system::error_code;
using boost::system::system_error;

namespace {

struct free_reader {
  void operator()(redisReader* reader) const noexcept { redisReaderFree(reader); }
};
struct free_reply {
  void operator()(void* reply) const noexcept { freeReplyObject(reply); }
};

redis_reply copy(const redisReply& from) {
  using kind = redis_reply::kind;
  const auto text = [&] { return std::string(from.str, static_cast<std::size_t>(from.len)); };
  switch (from.type) {
    case REDIS_REPLY_STRING: return {.type = kind::text, .text = text()};
    case REDIS_REPLY_STATUS: return {.type = kind::status, .text = text()};
    case REDIS_REPLY_ERROR: return {.type = kind::error, .text = text()};
    case REDIS_REPLY_INTEGER: return {.type = kind::integer, .integer = from.integer};
    case REDIS_REPLY_ARRAY: {
      redis_reply tree{.type = kind::array};
      for (const redisReply* element : std::span{from.element, from.elements}) tree.elements.push_back(copy(*element));
      return tree;
    }
    default: return {};
  }
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

void append(std::string& request, const redis_command& command) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  for (const auto& argument : command.arguments) {
    texts.push_back(argument.data());
    sizes.push_back(argument.size());
  }
  char* formatted = nullptr;
  const auto size = redisFormatCommandArgv(&formatted, static_cast<int>(texts.size()), texts.data(), sizes.data());
  if (size < 0) throw std::bad_alloc();
  const std::unique_ptr<char, decltype(&redisFreeCommand)> owner{formatted, redisFreeCommand};
  request.append(formatted, static_cast<std::size_t>(size));
}

/// Resolves a name; empty: not before the deadline. Asio's resolver can't be interrupted: it is left behind.
asio::awaitable<std::vector<asio::ip::tcp::endpoint>> resolve(std::string host, std::uint16_t port, time_point deadline) {
  struct search {
    asio::ip::tcp::resolver resolver;
    asio::steady_timer timer;
    error_code error{};
    std::vector<asio::ip::tcp::endpoint> found{};
    bool ended = false;
  };
  error_code not_numeric;
  const auto address = asio::ip::make_address(host, not_numeric);
  if (!not_numeric) co_return std::vector{asio::ip::tcp::endpoint{address, port}};

  const auto executor = co_await asio::this_coro::executor;
  const auto s = std::make_shared<search>(search{asio::ip::tcp::resolver{executor}, {executor, deadline}});
  const auto on_end = [s](error_code error, const asio::ip::tcp::resolver::results_type& results) {
    s->ended = true;
    s->error = error;
    for (const auto& entry : results) s->found.push_back(entry.endpoint());
    s->timer.cancel();
  };
  s->resolver.async_resolve(host, std::to_string(port), asio::bind_executor(executor, on_end));
  error_code ended;
  co_await s->timer.async_wait(asio::redirect_error(use_awaitable, ended));
  if (s->error) throw system_error(s->error);
  if (ended && !s->ended) throw system_error(ended);
  co_return s->found;
}

}  // namespace

redis_script::redis_script(std::string text) : text_(std::move(text)), sha1_(detail::sha1(text_)) {}

struct redis_connection::state {
  state(const asio::any_io_executor& executor, const redis_options& options)
      : socket(executor),
        server(options.unix_socket.empty() ? options.host + ":" + std::to_string(options.port) : options.unix_socket),
        home(options.database) {}

  asio::generic::stream_protocol::socket socket;
  std::unique_ptr<redisReader, free_reader> reader{redisReaderCreate()};
  std::array<char, 16'384> bytes;  // read and not yet parsed
  std::string server;
  int home;             // the database that it starts in
  bool broken = false;  // while replies are missing
  bool multi = false;   // MULTI was sent, and neither EXEC nor DISCARD
  bool watching = false;
  bool moved = false;  // to another database
  bool connecting = true;
  bool late = false;  // the deadline came while connecting

  void close() { socket = decltype(socket){socket.get_executor()}; }
  asio::awaitable<void> open(const redis_options& options, time_point deadline);
  asio::awaitable<std::vector<redis_reply>> exchange(std::vector<redis_command> commands);
  void note(const redis_command& command);
};

/// Refuses what would upset the order of replies, and remembers what a reset has to undo.
void redis_connection::state::note(const redis_command& command) {
  static constexpr std::string_view refused[] = {"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR",
                                                 "SYNC",      "PSYNC",      "HELLO"};
  const std::string what = upper(command.arguments.front());
  if (std::ranges::find(refused, what) != std::end(refused) ||
      (what == "CLIENT" && command.arguments.size() > 1 && upper(command.arguments[1]) == "REPLY")) {
    throw std::invalid_argument("redis_connection: " + what + " does not have one reply");
  }
  if (what == "MULTI") multi = true;
  if (what == "WATCH") watching = true;
  if (what == "SELECT") moved = true;
  if (what == "UNWATCH") watching = false;
  if (what == "EXEC" || what == "DISCARD") multi = watching = false;
}

asio::awaitable<std::vector<redis_reply>> redis_connection::state::exchange(std::vector<redis_command> commands) {
  if (broken) throw redis_error("the connection to " + server + " is broken");
  std::string request;
  for (const auto& command : commands) {
    note(command);
    append(request, command);
  }
  std::vector<redis_reply> replies;
  broken = true;  // until the last reply is here
  try {
    co_await asio::async_write(socket, asio::buffer(request), use_awaitable);
    while (replies.size() < commands.size()) {
      void* parsed = nullptr;
      if (redisReaderGetReply(reader.get(), &parsed) != REDIS_OK) throw redis_error(reader->errstr);
      if (parsed != nullptr) {
        const std::unique_ptr<void, free_reply> reply{parsed};
        replies.push_back(copy(*static_cast<const redisReply*>(parsed)));
        continue;
      }
      const std::size_t size = co_await socket.async_read_some(asio::buffer(bytes), use_awaitable);
      redisReaderFeed(reader.get(), bytes.data(), size);
    }
  } catch (const system_error& error) {
    if (error.code() == asio::error::operation_aborted) throw;
    throw redis_error("connection to " + server + " lost: " + error.code().message());
  }
  broken = reader->pos != reader->len;  // more than was asked for
  co_return replies;
}

redis_connection::redis_connection(std::shared_ptr<state> s) noexcept : state_(std::move(s)) {}
redis_connection::redis_connection(redis_connection&&) noexcept = default;
redis_connection& redis_connection::operator=(redis_connection&&) noexcept = default;
redis_connection::~redis_connection() = default;

asio::awaitable<redis_reply> redis_connection::command(redis_command c) {
  std::vector<redis_command> one;
  one.push_back(std::move(c));
  auto replies = co_await pipeline(std::move(one));
  if (replies.front().is_error()) throw redis_error(replies.front().text);
  co_return std::move(replies.front());
}

asio::awaitable<std::vector<redis_reply>> redis_connection::pipeline(std::vector<redis_command> commands) {
  return state_->exchange(std::move(commands));
}

asio::awaitable<redis_reply> redis_connection::run_script(redis_command call, std::string text) {
  try {
    co_return co_await command(call);
  } catch (const redis_error& error) {
    if (error.code() != "NOSCRIPT") throw;
  }
  call.arguments[0] = "EVAL";
  call.arguments[1] = std::move(text);
  co_return co_await command(std::move(call));
}

bool redis_connection::is_broken() const noexcept { return state_->broken; }

redis_backend::redis_backend(std::vector<redis_options> endpoints) : endpoints_(std::move(endpoints)) {
  if (endpoints_.empty()) throw std::invalid_argument("redis_backend: no endpoint");
}

/// Connects and logs in.
asio::awaitable<void> redis_connection::state::open(const redis_options& options, time_point deadline) {
  std::vector<asio::generic::stream_protocol::endpoint> candidates;
  if (!options.unix_socket.empty()) {
    candidates.emplace_back(asio::local::stream_protocol::endpoint{options.unix_socket});
  } else {
    const auto found = co_await resolve(options.host, options.port, deadline);
    candidates.assign(found.begin(), found.end());
  }
  late = candidates.empty();
  error_code error = asio::error::timed_out;
  for (const auto& candidate : candidates) {
    if (late) break;
    close();
    co_await socket.async_connect(candidate, asio::redirect_error(use_awaitable, error));
    if (!error || error == asio::error::operation_aborted) break;
  }
  if (error) throw system_error(error);
  if (options.unix_socket.empty()) socket.set_option(asio::ip::tcp::no_delay{true});

  std::vector<redis_command> login;
  if (!options.password.empty()) {
    login.push_back(options.user.empty() ? redis_command{"AUTH", options.password}
                                         : redis_command{"AUTH", options.user, options.password});
  }
  if (home != 0) login.emplace_back("SELECT", home);
  login.emplace_back("PING");  // a socket that was accepted is not yet a server that answers
  const auto replies = co_await exchange(std::move(login));
  moved = false;
  for (const auto& reply : replies) {
    if (reply.is_error()) throw redis_error("connection to " + server + ": " + reply.text);
  }
}

asio::awaitable<redis_connection> redis_backend::connect(connect_context c) {
  const redis_options& options = endpoints_.at(c.endpoint);
  const auto executor = co_await asio::this_coro::executor;
  const auto s = std::make_shared<redis_connection::state>(executor, options);
  asio::steady_timer alarm{executor, c.deadline};
  const auto on_deadline = [s](error_code error) {
    if (error || !s->connecting) return;
    s->late = true;
    s->close();
  };
  alarm.async_wait(asio::bind_executor(executor, on_deadline));
  try {
    co_await s->open(options, c.deadline);
  } catch (const std::exception& failure) {
    if (s->late) throw redis_error("connection to " + s->server + ": no answer before the deadline");
    const auto* error = dynamic_cast<const system_error*>(&failure);
    if (error == nullptr || error->code() == asio::error::operation_aborted) throw;
    throw redis_error("connection to " + s->server + " failed: " + error->code().message());
  }
  s->connecting = false;
  co_return redis_connection{s};
}

asio::awaitable<void> redis_backend::validate(redis_connection& c) { co_await c.command("PING"); }

asio::awaitable<void> redis_backend::reset(redis_connection& c) {
  auto& s = *c.state_;
  std::vector<redis_command> undo;
  if (s.multi) undo.emplace_back("DISCARD");
  if (s.watching && !s.multi) undo.emplace_back("UNWATCH");
  if (s.moved) undo.emplace_back("SELECT", s.home);
  if (undo.empty()) co_return;
  const auto replies = co_await s.exchange(std::move(undo));
  for (const auto& reply : replies) {
    if (reply.is_error()) throw redis_error(reply.text);
  }
  s.moved = false;
}

}  // namespace weir::inline v0
