#include "server.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include "body.hpp"
#include "request_faults.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cstdio>
#include <list>
#include <optional>
#include <utility>

namespace ticketing {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using clock = std::chrono::steady_clock;
using socket_type = asio::basic_stream_socket<tcp, executor_type>;
using acceptor_type = asio::basic_socket_acceptor<tcp, executor_type>;
using timer_type = asio::basic_waitable_timer<clock, asio::wait_traits<clock>, executor_type>;
using parser_type = http::request_parser<http::string_body>;

constexpr asio::as_tuple_t<asio::use_awaitable_t<executor_type>> no_throw{};
/// One timer looks after the deadlines of all connections, instead of one timer each.
constexpr std::chrono::milliseconds sweep_period{100};
/// After a refusal the client may still be sending; closing at once would reset the connection under the answer.
constexpr std::chrono::milliseconds linger_time{2'000};

enum class phase : std::uint8_t { silent, reading, handling, writing, lingering };

struct connection {
  connection(socket_type s, std::string r) : socket(std::move(s)), remote(std::move(r)) {}

  void enter(phase p, std::chrono::milliseconds limit) {
    state = p;
    deadline = clock::now() + limit;
    timed_out = false;
  }

  socket_type socket;
  std::string remote;  // its address
  phase state = phase::silent;
  clock::time_point deadline{};
  bool timed_out = false;
  bool gone = false;               // hung up while its request was handled, or its answer streams
  bool streaming = false;          // the answer under way has no end
  std::uint64_t watch_number = 0;  // the watch of an earlier request must not speak for a later one
  asio::cancellation_signal cancel;
  std::list<std::shared_ptr<connection>>::iterator place;
};

}  // namespace

struct server::state : std::enable_shared_from_this<server::state> {
  state(asio::io_context& io, const server_options& o, connection_counters& c, request_handler h)
      : options(o),
        counters(c),
        handler(std::move(h)),
        executor(io.get_executor()),
        acceptor(executor),
        sweep_timer(executor) {}

  void listen();
  task<void> accept();
  void admit(socket_type socket);
  void sweep();
  void watch(const std::shared_ptr<connection>& c);
  task<void> converse(std::shared_ptr<connection> c);
  task<bool> serve_one(connection& c, const std::shared_ptr<connection>& shared, boost::beast::flat_buffer& buffer);
  task<std::optional<response>> read(connection& c, boost::beast::flat_buffer& buffer, parser_type& parser, request& r);
  task<response> handle(const std::shared_ptr<connection>& c, const request& r);
  task<bool> write(connection& c, response r, unsigned version, bool keep_alive, bool head);
  task<bool> write_text(connection& c, std::string_view text);
  task<void> stream(const std::shared_ptr<connection>& c, response r, bool head);
  task<void> linger(connection& c, boost::beast::flat_buffer& buffer);
  void stop();

  server_options options;
  connection_counters& counters;
  request_handler handler;
  executor_type executor;
  acceptor_type acceptor;
  timer_type sweep_timer;
  std::list<std::shared_ptr<connection>> connections;
  bool stopping = false;
  std::function<void()> ended;  // set by stop()
};

void server::state::listen() {
  const tcp::endpoint endpoint{asio::ip::make_address(options.address), options.port};
  acceptor.open(endpoint.protocol());
  acceptor.set_option(tcp::acceptor::reuse_address(true));
  acceptor.bind(endpoint);
  acceptor.listen(4096);  // the kernel caps it at net.core.somaxconn
  acceptor.non_blocking(true);
}

task<void> server::state::accept() {
  const auto self = shared_from_this();
  while (!stopping) {
    auto [ec, socket] = co_await acceptor.async_accept(executor, no_throw);
    if (!ec) {
      admit(std::move(socket));
    } else if (!stopping) {
      // Out of descriptors or memory: those that are open go on, and room comes back as they end.
      ++counters.accept_errors;
      timer_type pause{executor, std::chrono::milliseconds{20}};
      co_await pause.async_wait(no_throw);
    }
  }
}

void server::state::admit(socket_type socket) {
  error_code ignored;
  if (connections.size() >= options.max_connections) {
    // Not worth a coroutine: one attempt to say why, and closed. A client that is still sending may see a reset instead.
    ++counters.refused;
    static constexpr std::string_view full =
        "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nConnection: close\r\nContent-Type: application/json\r\n"
        "Content-Length: 32\r\n\r\n{\"error\":\"too many connections\"}";
    (void)::send(socket.native_handle(), full.data(), full.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    socket.shutdown(tcp::socket::shutdown_both, ignored);
    return;
  }
  ++counters.accepted;
  ++counters.open;
  socket.set_option(tcp::no_delay(true), ignored);
  const auto from = socket.remote_endpoint(ignored);
  auto c = std::make_shared<connection>(std::move(socket), ignored ? std::string{} : from.address().to_string());
  c->enter(phase::silent, options.idle_timeout);
  c->place = connections.insert(connections.end(), c);
  asio::co_spawn(executor, converse(c), asio::bind_cancellation_slot(c->cancel.slot(), asio::detached));
}

void server::state::sweep() {
  const auto now = clock::now();
  for (const auto& c : connections) {
    if (c->state == phase::handling || now < c->deadline) continue;
    // The coroutine sees the aborted operation and knows by timed_out why. Missed it between two operations: the next
    // sweep.
    c->timed_out = true;
    error_code ignored;
    c->socket.cancel(ignored);
  }
  if (stopping && connections.empty()) {
    if (ended) std::exchange(ended, nullptr)();
    return;
  }
  sweep_timer.expires_after(sweep_period);
  sweep_timer.async_wait([self = shared_from_this()](const error_code& ec) {
    if (!ec) self->sweep();
  });
}

/// While a handler runs, or an answer streams, nobody reads the socket; this tells whether the client is still there. A
/// client that closes its sending half counts as gone; one that pipelines its next request is not watched any further.
void server::state::watch(const std::shared_ptr<connection>& c) {
  const std::uint64_t number = ++c->watch_number;
  c->socket.async_wait(tcp::socket::wait_read, [c, number](const error_code& ec) {
    if (ec || number != c->watch_number || (c->state != phase::handling && !c->streaming)) return;
    char byte = 0;
    const auto peeked = ::recv(c->socket.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (peeked > 0 || (peeked < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))) return;
    c->gone = true;
    c->cancel.emit(asio::cancellation_type::terminal);
  });
}

task<void> server::state::converse(std::shared_ptr<connection> c) {
  const auto self = shared_from_this();
  // A cancelled handler still has its permits and counters to put in order: it is told by results, not by exceptions.
  co_await asio::this_coro::throw_if_cancelled(false);
  try {
    // Bounded: the heads of chunks and what follows a body have no limit of their own.
    boost::beast::flat_buffer buffer{2 * std::size_t{options.header_limit}};
    while (co_await serve_one(*c, c, buffer)) {
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: connection dropped: %s\n", options.name.c_str(), e.what());
  }
  error_code ignored;
  c->socket.close(ignored);
  connections.erase(c->place);
  --counters.open;
}

/// One request and its answer. False: the connection ends here.
task<bool> server::state::serve_one(connection& c, const std::shared_ptr<connection>& shared,
                                    boost::beast::flat_buffer& buffer) {
  parser_type parser;
  parser.header_limit(options.header_limit);
  parser.body_limit(options.body_limit);
  if (buffer.size() == 0) {
    if (stopping) co_return false;
    c.enter(phase::silent, options.idle_timeout);
    const auto [ec, n] = co_await c.socket.async_read_some(buffer.prepare(4096), no_throw);
    if (ec) {
      if (c.timed_out) ++counters.timed_out;
      co_return false;
    }
    buffer.commit(n);
  }
  const auto arrival = weir::time_point(clock::now());
  c.enter(phase::reading, options.request_timeout);
  request r;
  r.remote = c.remote;
  r.arrival = arrival;
  r.client_gone = &c.gone;
  if (auto refused = co_await read(c, buffer, parser, r)) {
    if (refused->status != 0 && co_await write(c, std::move(*refused), 11, false, false)) co_await linger(c, buffer);
    co_return false;
  }
  const auto& message = parser.get();
  response answer = co_await handle(shared, r);
  if (c.gone) {
    ++counters.hung_up;
    co_return false;
  }
  const bool head = message.method() == http::verb::head;
  if (answer.source) {
    co_await stream(shared, std::move(answer), head);
    co_return false;
  }
  const bool keep_alive = message.keep_alive() && !stopping;
  co_return co_await write(c, std::move(answer), message.version(), keep_alive, head) && keep_alive;
}

/// The whole of a request; or what its sender is told, with status 0: nothing, it is gone.
task<std::optional<response>> server::state::read(connection& c, boost::beast::flat_buffer& buffer, parser_type& parser,
                                                  request& r) {
  const auto failed = [&](const error_code& ec) {
    if (c.timed_out) {
      ++counters.timed_out;
      return problem(408, "the request did not arrive in time");
    }
    response answer = refusal(ec, options);
    ++(answer.status == 0 ? counters.hung_up : counters.malformed);
    return answer;
  };
  auto [ec, n] = co_await http::async_read_header(c.socket, buffer, parser, no_throw);
  if (ec) co_return failed(ec);
  const auto& message = parser.get();
  if (const auto why = ambiguity(message); !why.empty()) {
    ++counters.malformed;
    co_return problem(400, why);
  }
  r.method = {message.method_string().data(), message.method_string().size()};
  r.target = {message.target().data(), message.target().size()};
  // Now, because what follows a body is no header, and Beast puts it among them.
  for (const auto& field : message) {
    r.headers.push_back(
        {{field.name_string().data(), field.name_string().size()}, {field.value().data(), field.value().size()}});
  }
  if (boost::beast::iequals(message[http::field::expect], "100-continue") && !parser.is_done()) {
    static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
    const auto [unsent, written] =
        co_await asio::async_write(c.socket, asio::const_buffer(go_on.data(), go_on.size()), no_throw);
    if (unsent) co_return failed(unsent);
  }
  std::tie(ec, n) = co_await http::async_read(c.socket, buffer, parser, no_throw);
  if (ec) co_return failed(ec);
  r.body = message.body();
  co_return std::nullopt;
}

task<response> server::state::handle(const std::shared_ptr<connection>& c, const request& r) {
  c->state = phase::handling;
  if (options.watch_clients) watch(c);
  response answer;
  try {
    answer = co_await handler(r);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %.*s: %s\n", options.name.c_str(), static_cast<int>(r.target.size()), r.target.data(),
                 e.what());
    answer = {.status = 500, .body = error_json("internal error")};
  }
  if (options.watch_clients) {
    ++c->watch_number;
    error_code ignored;
    c->socket.cancel(ignored);  // only the watch is pending
  }
  co_return answer;
}

task<bool> server::state::write(connection& c, response r, unsigned version, bool keep_alive, bool head) {
  http::response<http::string_body> message{static_cast<http::status>(r.status), version};
  message.set(http::field::server, options.name);
  if (!r.body.empty()) message.set(http::field::content_type, "application/json");
  if (r.retry_after.count() > 0) message.set(http::field::retry_after, std::to_string(r.retry_after.count()));
  if (!r.allow.empty()) message.set(http::field::allow, boost::beast::string_view(r.allow.data(), r.allow.size()));
  for (const auto& [name, value] : r.headers) {
    if (weir::same_but_for_case(name, "Content-Type") || weir::same_but_for_case(name, "Server")) {
      message.set(name, value);
    } else {
      message.insert(name, value);
    }
  }
  message.keep_alive(keep_alive);
  if (r.status != 204 && r.status != 304) message.content_length(r.body.size());
  if (!head) message.body() = std::move(r.body);
  c.enter(phase::writing, options.request_timeout);
  const auto [ec, n] = co_await http::async_write(c.socket, message, no_throw);
  if (ec) ++(c.timed_out ? counters.timed_out : counters.hung_up);
  co_return !ec;
}

task<bool> server::state::write_text(connection& c, std::string_view text) {
  c.enter(phase::writing, options.request_timeout);
  const auto [ec, n] = co_await asio::async_write(c.socket, asio::const_buffer(text.data(), text.size()), no_throw);
  if (ec) ++(c.timed_out ? counters.timed_out : counters.hung_up);
  co_return !ec;
}

/// The end of the connection is the end of the body.
task<void> server::state::stream(const std::shared_ptr<connection>& c, response r, bool head) {
  std::string text = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
  bool has_server = false;
  for (const auto& [name, value] : r.headers) {
    has_server = has_server || weir::same_but_for_case(name, "Server");
    text.append(name).append(": ").append(value).append("\r\n");
  }
  if (!has_server) text.append("Server: ").append(options.name).append("\r\n");
  text += "\r\n";
  c->streaming = !head;
  if (c->streaming) watch(c);
  while (!text.empty() && !c->gone) {
    const bool written = co_await write_text(*c, text);
    if (!written || head || stopping) co_return;
    c->state = phase::handling;  // nothing to wait for but what comes next
    text = co_await r.source->next();
  }
}

task<void> server::state::linger(connection& c, boost::beast::flat_buffer& buffer) {
  error_code ec;
  c.socket.shutdown(tcp::socket::shutdown_send, ec);
  c.enter(phase::lingering, std::min(linger_time, options.request_timeout));
  std::size_t n = 0;
  while (!ec && clock::now() < c.deadline) {  // the sweep finds nothing to cancel while there is always more to read
    buffer.clear();
    std::tie(ec, n) = co_await c.socket.async_read_some(buffer.prepare(16 * 1024), no_throw);
  }
}

void server::state::stop() {
  if (std::exchange(stopping, true)) return;
  error_code ignored;
  acceptor.close(ignored);
  const auto open = connections;  // a copy: one that ends at once takes itself out
  for (const auto& c : open) {
    if (c->state == phase::silent) c->socket.cancel(ignored);
    if (c->streaming) c->cancel.emit(asio::cancellation_type::terminal);
  }
}

server::server(asio::io_context& io, const server_options& options, connection_counters& counters, request_handler handler)
    : state_(std::make_shared<state>(io, options, counters, std::move(handler))) {
  state_->listen();
  asio::co_spawn(state_->executor, state_->accept(), asio::detached);
  state_->sweep();
}

server::~server() = default;

std::uint16_t server::port() const { return state_->acceptor.local_endpoint().port(); }

void server::stop(std::function<void()> ended) {
  state_->ended = std::move(ended);
  state_->stop();
}

void server::abort() {
  state_->stop();
  const auto open = state_->connections;  // a copy: a handler that ends at once takes itself out
  for (const auto& c : open) {
    error_code ignored;
    c->gone = true;
    c->socket.close(ignored);
    c->cancel.emit(asio::cancellation_type::terminal);
  }
}

}  // namespace ticketing
