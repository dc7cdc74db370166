#include "http_session.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/stream_traits.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>

#include <sys/socket.h>

namespace weir::load {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::uint32_t largest_header = 64'000;
constexpr std::size_t largest_unparsed = 128'000;  // a chunk's extension or a trailer has no limit of its own in Beast

time_point now() noexcept { return std::chrono::steady_clock::now(); }

struct reason {
  exchange::ending end;
  std::string_view text;
};

/// Whose fault an error is, and its name in the report.
reason classify(const error_code& ec) noexcept {
  using e = exchange::ending;
  namespace errc = boost::system::errc;
  if (ec == beast::error::timeout) return {e::timed_out, "timed out"};
  if (ec == asio::error::operation_aborted) return {e::cancelled, "cancelled"};
  if (ec == errc::address_not_available || ec == errc::address_in_use) return {e::own_error, "no free local port"};
  if (ec == errc::too_many_files_open || ec == errc::too_many_files_open_in_system) {
    return {e::own_error, "no free file descriptor"};
  }
  if (ec == errc::no_buffer_space || ec == errc::not_enough_memory) return {e::own_error, "out of memory for sockets"};
  if (ec == errc::connection_refused) return {e::broken, "connection refused"};
  if (ec == errc::connection_reset || ec == errc::broken_pipe || ec == errc::connection_aborted) {
    return {e::broken, "connection reset"};
  }
  if (ec == errc::timed_out) return {e::broken, "connect timed out"};
  if (ec == errc::host_unreachable || ec == errc::network_unreachable) return {e::broken, "host unreachable"};
  if (ec == http::error::end_of_stream) return {e::broken, "closed without an answer"};
  if (ec == http::error::partial_message) return {e::broken, "closed within the answer"};
  if (ec == http::error::body_limit || ec == http::error::header_limit) return {e::broken, "answer too large"};
  if (ec.category() == http::make_error_code(http::error::bad_version).category()) return {e::broken, "not an HTTP answer"};
  return {e::broken, "connection failed"};
}

}  // namespace

class http_session::connection {
 public:
  connection(asio::io_context& io, asio::ip::tcp::endpoint target, traffic& t, session_options o)
      : stream_(io.get_executor()), target_(std::move(target)), traffic_(t), options_(o) {}
  ~connection() { close(); }

  task<exchange> send(std::string_view request, duration timeout, bool to_head) {
    exchange out;
    out.sent = now();
    deadline_ = later(out.sent, timeout);
    stream_.expires_at(deadline_);
    error_code ec;
    heard_ = false;
    if (open_ && !is_still_open()) close();
    const bool was_idle = open_;
    if (!open_) co_await connect(ec);
    if (!ec) {
      out.sent = now();
      traffic_.bytes_sent += co_await asio::async_write(stream_, asio::buffer(request), asio::redirect_error(use_task, ec));
    }
    if (!ec) co_await read(out, to_head, ec);
    out.done = now();
    if (ec) {
      const reason why = classify(ec);
      out.end = cancelled_ ? exchange::ending::cancelled : why.end;
      out.failure = why.text;
      out.crossed = was_idle && out.end == exchange::ending::broken && !heard_;
      if (out.end == exchange::ending::own_error) ++traffic_.own_errors[std::string{why.text}];
      close();
    } else {
      stream_.expires_never();
    }
    if (!out.streams) parser_.reset();
    co_return out;
  }

  task<std::string> more(duration silence) {
    if (!open_) co_return std::string{};
    deadline_ = later(now(), silence);
    stream_.expires_at(deadline_);
    std::string& body = parser_->get().body();
    error_code ec;
    while (!ec && body.empty() && !parser_->is_done()) co_await advance(ec);
    stream_.expires_never();
    if (ec || body.empty()) close();
    co_return std::exchange(body, {});
  }

  void cancel() noexcept {
    cancelled_ = true;
    stream_.cancel();
    close();
  }

 private:
  task<void> connect(error_code& ec) {
    if (cancelled_) {
      ec = asio::error::operation_aborted;
      co_return;
    }
    buffer_.clear();
    co_await stream_.async_connect(target_, asio::redirect_error(use_task, ec));
    if (ec) {
      error_code ignored;
      stream_.socket().close(ignored);
      co_return;
    }
    open_ = true;
    traffic_.opened(now());
    error_code ignored;
    stream_.socket().set_option(asio::ip::tcp::no_delay{true}, ignored);
  }

  task<void> read(exchange& out, bool to_head, error_code& ec) {
    do {
      parser_.emplace();
      parser_->body_limit(options_.largest_body);
      parser_->header_limit(largest_header);
      parser_->skip(to_head);
      parser_->eager(true);
      parse(ec);  // what came with the one before
      while (!ec && !parser_->is_done() && !streams()) co_await advance(ec);
    } while (!ec && is_interim(parser_->get().result_int()));
    if (ec) co_return;
    auto& answer = parser_->get();
    out.end = exchange::ending::answered;
    out.status = answer.result_int();
    if (const auto found = answer.find(http::field::retry_after); found != answer.end()) {
      out.retry_after = parse_retry_after({found->value().data(), found->value().size()});
    }
    if (options_.keep_headers) {
      for (const auto& field : answer)
        out.headers.emplace_back(std::string{field.name_string()}, std::string{field.value()});
    }
    out.streams = streams();
    if (out.streams) {
      parser_->body_limit(boost::none);
      co_return;
    }
    const bool keep = answer.keep_alive();
    out.body = std::move(answer.body());
    if (!keep) close();
  }

  /// An answer still follows (RFC 9110, 15.2). What comes after 101 is no HTTP.
  static bool is_interim(unsigned status) noexcept { return status >= 100 && status < 200 && status != 101; }

  /// The head is there, and is one of those that are told without their body.
  bool streams() noexcept {
    if (options_.streamed_type.empty() || !parser_->is_header_done() || parser_->get().result_int() != 200) return false;
    beast::string_view type = parser_->get()[http::field::content_type];
    type = type.substr(0, type.find_first_of("; \t"));
    return beast::iequals(type, {options_.streamed_type.data(), options_.streamed_type.size()});
  }

  /// Reads on. The end of the connection may be that of the body.
  task<void> advance(error_code& ec) {
    co_await receive(ec);
    if (ec == asio::error::eof) {
      ec = {};
      if (parser_->got_some()) {
        parser_->put_eof(ec);
      } else {
        ec = http::error::end_of_stream;
      }
    } else if (!ec) {
      heard_ = true;
      parse(ec);
    }
  }

  /// Some more bytes into the buffer.
  task<void> receive(error_code& ec) {
    // The stream's own timer is not seen as long as the server has more to say at once.
    if (now() >= deadline_) {
      ec = beast::error::timeout;
    } else if (buffer_.size() >= largest_unparsed) {
      ec = http::error::header_limit;
    } else {
      const std::size_t room = std::clamp<std::size_t>(buffer_.capacity() - buffer_.size(), 512, 65536);
      const std::size_t n = co_await stream_.async_read_some(buffer_.prepare(room), asio::redirect_error(use_task, ec));
      buffer_.commit(n);
      traffic_.bytes_received += n;
    }
  }

  /// As much as there is in the buffer.
  void parse(error_code& ec) {
    while (buffer_.size() > 0 && !parser_->is_done()) {
      const std::size_t used = parser_->put(buffer_.data(), ec);
      buffer_.consume(used);
      if (ec == http::error::need_more) {
        ec = {};
        return;
      }
      if (ec || used == 0) return;
    }
  }

  /// A look at the socket without reading: whether the server hung up while the connection was idle.
  bool is_still_open() noexcept {
    if (buffer_.size() > 0) return false;  // bytes that nobody asked for: out of step
    char byte = 0;
    const auto got = ::recv(stream_.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }

  void close() noexcept {
    error_code ignored;
    stream_.socket().close(ignored);
    if (open_) traffic_.closed();
    open_ = false;
  }

  beast::basic_stream<asio::ip::tcp, loop_executor> stream_;
  asio::ip::tcp::endpoint target_;
  traffic& traffic_;
  session_options options_;
  beast::flat_buffer buffer_;
  std::optional<http::response_parser<http::string_body>> parser_;  // of the exchange under way, as what follows
  time_point deadline_{};
  bool heard_ = false;  // at least a byte of an answer
  bool open_ = false;
  bool cancelled_ = false;
};

http_session::http_session(asio::io_context& io, asio::ip::tcp::endpoint target, traffic& t, session_options o)
    : connection_(std::make_unique<connection>(io, std::move(target), t, o)) {}
http_session::~http_session() = default;

task<exchange> http_session::send(std::string_view request, duration timeout, bool to_head) {
  return connection_->send(request, timeout, to_head);
}

task<std::string> http_session::more(duration silence) { return connection_->more(silence); }

void http_session::cancel() noexcept { connection_->cancel(); }

std::optional<duration> parse_retry_after(std::string_view value) noexcept {
  if (value.empty() || value.front() < '0' || value.front() > '9') return std::nullopt;
  double seconds = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds, std::chars_format::fixed);
  if (error != std::errc{} || end != value.data() + value.size() || !(seconds < 1e9)) return std::nullopt;
  return duration{std::llround(seconds * 1e9)};
}

}  // namespace weir::load
