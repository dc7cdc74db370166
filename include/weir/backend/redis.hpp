#pragma once
/// \file
/// Redis for a `pool`: commands, pipelines and scripts in coroutines. RESP2, parsed by hiredis.
///
/// ```cpp
/// weir::redis_backend backend{{.unix_socket = "/run/redis/redis.sock"}};
/// weir::redis_connection r = co_await backend.connect({.deadline = clock.now() + 2s});    // or a pool's lease
/// co_await r.command("SET", "seats", 250);
/// std::int64_t left = (co_await r.command("DECR", "seats")).integer;
/// const weir::redis_script take{"return redis.call('DECRBY', KEYS[1], ARGV[1])"};
/// std::vector<std::string> keys{"seats"};
/// co_await r.evalsha(take, keys, 2);
/// ```
/// Thread-safety: redis_backend may be used by several threads at once; a connection by one coroutine at a time, on any
/// executor that runs one handler at a time (a strand, or an io_context with one thread).
///
/// Cancellation (terminal, partial, total): the coroutine ends at once with operation_aborted, and the connection is
/// broken: replies come in the order of commands, and the next one would get the reply of the cancelled one. Redis may have
/// run it. Link weir::redis.

#include <weir/asio/pool_backend.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace weir::inline v0 {

/// What Redis says is wrong, or why it can't be reached. After an error reply the connection is still usable; `is_broken`
/// says whether it is.
class redis_error : public std::runtime_error {
 public:
  using runtime_error::runtime_error;
  /// The first word: "ERR", "WRONGTYPE", "NOSCRIPT", ...
  [[nodiscard]] std::string_view code() const noexcept {
    const std::string_view text{what()};
    return text.substr(0, text.find(' '));
  }
};

/// A reply: a value, or a tree of them.
struct redis_reply {
  enum class kind : std::uint8_t { nil, status, error, integer, text, array };

  kind type = kind::nil;
  std::int64_t integer = 0;  ///< of kind integer
  std::string text{};        ///< of status, error and text; any bytes
  std::vector<redis_reply> elements{};

  [[nodiscard]] bool is_nil() const noexcept { return type == kind::nil; }
  [[nodiscard]] bool is_error() const noexcept { return type == kind::error; }
};

/// A command and its arguments: text with any bytes in it, or numbers.
struct redis_command {
  template <class... Args>
  explicit redis_command(std::string_view command, const Args&... args)
      : arguments{std::string{command}, argument(args)...} {}

  std::vector<std::string> arguments;

 private:
  template <class T>
  static std::string argument(const T& value) {
    if constexpr (std::is_arithmetic_v<T>) {
      char text[64];
      return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
    } else {
      return std::string{std::string_view{value}};
    }
  }
};

/// A Lua script and its name on the server.
class redis_script {
 public:
  explicit redis_script(std::string text);
  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] const std::string& sha1() const noexcept { return sha1_; }  ///< 40 hexadecimal digits

 private:
  std::string text_, sha1_;
};

/// One session. Movable, not during an operation. Its destructor closes without blocking.
class redis_connection {
 public:
  redis_connection(redis_connection&&) noexcept;
  redis_connection& operator=(redis_connection&&) noexcept;
  ~redis_connection();

  /// Runs one command; the arguments are copied before it returns. Errors: redis_error, for an error reply too;
  /// std::invalid_argument for a command whose replies are none or many, such as SUBSCRIBE; boost::system::system_error if
  /// cancelled.
  boost::asio::awaitable<redis_reply> command(redis_command c);
  template <class... Args>
  boost::asio::awaitable<redis_reply> command(std::string_view c, const Args&... args) {
    return command(redis_command{c, args...});
  }
  /// Runs the commands in one round trip; their replies in that order, errors among them as replies. Not a transaction:
  /// send MULTI and EXEC for one. Errors: as `command`, but for error replies.
  boost::asio::awaitable<std::vector<redis_reply>> pipeline(std::vector<redis_command> commands);
  /// Runs a script by its name, and once by its text if the server does not know it. Not inside of MULTI, where that shows
  /// too late. Errors: as `command`.
  template <class... Args>
  boost::asio::awaitable<redis_reply> evalsha(const redis_script& script, const std::vector<std::string>& keys,
                                              const Args&... args) {
    redis_command call{"EVALSHA", script.sha1(), keys.size()};
    call.arguments.insert(call.arguments.end(), keys.begin(), keys.end());
    const redis_command values{"", args...};
    call.arguments.insert(call.arguments.end(), values.arguments.begin() + 1, values.arguments.end());
    return run_script(std::move(call), script.text());
  }

  /// Lost, or in a state that is unknown. Reads nothing from the socket: that is what `validate` does.
  [[nodiscard]] bool is_broken() const noexcept;

 private:
  friend class redis_backend;
  struct state;
  explicit redis_connection(std::shared_ptr<state>) noexcept;
  boost::asio::awaitable<redis_reply> run_script(redis_command call, std::string text);

  std::shared_ptr<state> state_;
};

/// Where a Redis server is, and as whom to log in.
struct redis_options {
  std::string host = "127.0.0.1";  ///< an address or a name
  std::uint16_t port = 6379;
  std::string unix_socket{};  ///< a path; if not empty, instead of host and port
  std::string user{};         ///< empty: the default one
  std::string password{};     ///< empty: no AUTH
  int database = 0;           ///< >= 0
};

/// Connects a pool to Redis.
class redis_backend {
 public:
  using connection = redis_connection;

  explicit redis_backend(redis_options options) : redis_backend(std::vector{std::move(options)}) {}
  /// One for each endpoint of the pool. Errors: std::invalid_argument if there is none.
  explicit redis_backend(std::vector<redis_options> endpoints);

  /// Errors: redis_error, also when the deadline has passed; std::out_of_range for an endpoint that there is not.
  boost::asio::awaitable<redis_connection> connect(connect_context c);
  /// PING. Errors: redis_error.
  boost::asio::awaitable<void> validate(redis_connection& c);
  /// Ends an open MULTI and WATCH, and goes back to the database of the options: no round trip if there is nothing of that.
  /// What AUTH, CLIENT and others changed stays. Errors: redis_error.
  boost::asio::awaitable<void> reset(redis_connection& c);
  [[nodiscard]] bool is_broken(const redis_connection& c) const noexcept { return c.is_broken(); }

 private:
  std::vector<redis_options> endpoints_;
};

}  // namespace weir::inline v0
