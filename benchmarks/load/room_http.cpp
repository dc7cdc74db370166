// What a waiting room's handlers cost beside a Beast handler that answers with a constant: the public status, and the
// signed view of a seat, over loopback. One server thread, the same loop for all; each beside a constant of the same length
// for the same requests, in turn, in one run.

#include "options.hpp"

#include <weir/core/default_clock.hpp>
#include <weir/http/beast_room.hpp>
#include <weir/http/room_handler.hpp>
#include <weir/room/hmac_signer.hpp>
#include <weir/room/waiting_room.hpp>

#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using request = http::request<http::string_body>;
using response = http::response<http::string_body>;

struct settings {
  double users = 100'000;
  double connections = 32;
  double pipeline = 1;
  double seconds = 2;
  double rounds = 7;
};

/// One after the other, on the thread of the server.
class session : public std::enable_shared_from_this<session> {
 public:
  session(tcp::socket socket, const std::function<response(const request&)>& answer)
      : socket_(std::move(socket)), answer_(answer) {}

  void read() {
    request_ = {};
    http::async_read(socket_, buffer_, request_, [self = shared_from_this()](const auto& ec, std::size_t) {
      if (!ec) self->write();
    });
  }

 private:
  void write() {
    response_ = answer_(request_);
    http::async_write(socket_, response_, [self = shared_from_this()](const auto& ec, std::size_t) {
      if (!ec) self->read();
    });
  }

  tcp::socket socket_;
  const std::function<response(const request&)>& answer_;
  boost::beast::flat_buffer buffer_;
  request request_;
  response response_;
};

class server {
 public:
  explicit server(std::function<void()> every_100_ms)
      : acceptor_(io_, {asio::ip::address_v4::loopback(), 0}), timer_(io_), tick_(std::move(every_100_ms)), thread_([this] {
          accept();
          tick();
          io_.run();
        }) {}
  ~server() {
    io_.stop();
    thread_.join();
  }
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void answer_with(std::function<response(const request&)> f) {
    run([&] { answer_ = std::move(f); });
  }
  /// Seconds of the processor that its thread has used.
  [[nodiscard]] double used() {
    double seconds = 0;
    run([&] {
      timespec t{};
      ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
      seconds = static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
    });
    return seconds;
  }

 private:
  template <class F>
  void run(F&& f) {
    weir::detail::atomic<bool> done{false};
    asio::post(io_, [&] {
      f();
      done.store(true, weir::detail::release);
    });
    while (!done.load(weir::detail::acquire)) std::this_thread::yield();
  }
  void accept() {
    acceptor_.async_accept([this](const auto& ec, tcp::socket socket) {
      if (ec) return;
      socket.set_option(tcp::no_delay(true));
      std::make_shared<session>(std::move(socket), answer_)->read();
      accept();
    });
  }
  void tick() {
    timer_.expires_after(std::chrono::milliseconds{100});
    timer_.async_wait([this](const auto& ec) {
      if (ec) return;
      tick_();
      tick();
    });
  }

  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::basic_waitable_timer<std::chrono::steady_clock> timer_;
  std::function<void()> tick_;
  std::function<response(const request&)> answer_;
  std::thread thread_;
};

/// Sends what was prepared, and counts answers: less work than any server has.
class client {
 public:
  client(std::uint16_t port, const settings& s) : depth_(static_cast<std::size_t>(s.pipeline)) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(s.connections); ++i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      const int on = 1;
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) throw std::runtime_error{"cannot connect"};
      sockets_.push_back(fd);
    }
  }
  ~client() {
    for (const int fd : sockets_) ::close(fd);
  }

  struct result {
    double per_second = 0;
    double client_load = 0;  // of a processor
    std::size_t body = 0;    // of the last answer
  };
  /// `requests` in turn, from where it was.
  result run(const std::vector<std::string>& requests, double seconds) {
    for (const int fd : sockets_) send(fd, requests);
    const weir::default_clock clock;
    const weir::time_point began = clock.now(), until = weir::later(began, weir_load::seconds(seconds));
    const double cpu = used();
    std::uint64_t answers = 0;
    while (clock.now() < until) {
      for (const int fd : sockets_) {
        receive(fd);
        send(fd, requests);
        answers += depth_;
      }
    }
    const double took = std::chrono::duration<double>(weir::elapsed(began, clock.now())).count();
    result r{static_cast<double>(answers) / took, (used() - cpu) / took, 0};
    for (const int fd : sockets_) receive(fd);
    r.body = body_;
    return r;
  }

 private:
  static double used() {
    timespec t{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
  }
  void send(int fd, const std::vector<std::string>& requests) {
    out_.clear();
    for (std::size_t i = 0; i < depth_; ++i) out_ += requests[next_++ % requests.size()];
    if (::send(fd, out_.data(), out_.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out_.size())) {
      throw std::runtime_error{"the server does not take requests"};
    }
  }
  void receive(int fd) {
    std::size_t have = 0, at = 0;
    for (std::size_t n = 0; n < depth_;) {
      const ssize_t got = ::recv(fd, in_.data() + have, in_.size() - have, 0);
      if (got <= 0) throw std::runtime_error{"the server has hung up"};
      have += static_cast<std::size_t>(got);
      for (; n < depth_; ++n) {
        const std::string_view rest{in_.data() + at, have - at};
        const auto head = rest.find("\r\n\r\n");
        if (head == std::string_view::npos) break;
        const auto length = rest.find("Content-Length: ");
        if (!rest.starts_with("HTTP/1.1 200 ") || length > head) {
          throw std::runtime_error{"not the answer that was asked for: " + std::string{rest.substr(0, 400)}};
        }
        body_ = std::strtoul(rest.data() + length + 16, nullptr, 10);
        if (rest.size() < head + 4 + body_) break;
        at += head + 4 + body_;
      }
    }
  }

  const std::size_t depth_;
  std::vector<int> sockets_;
  std::string out_;
  std::vector<char> in_ = std::vector<char>(1 << 20);
  std::size_t next_ = 0;
  std::size_t body_ = 0;
};

struct series {
  const char* name;
  const std::vector<std::string>& requests;
  std::size_t length;  // of a constant body; 0: the room's
  std::vector<double> per_second{}, server_us{}, client_load{};
};

std::vector<std::string> views_of(weir::waiting_room<weir::hmac_signer>& room, std::uint64_t users) {
  const std::string device = "0123456789abcdef0123456789abcdef";
  const std::uint64_t bind = weir::room_hash(device);
  std::vector<std::string> views;
  views.reserve(users);
  while (views.size() < users) {
    weir::room_request r;
    (void)room.join(r, {.bind = bind});
    if (r.answer.why != weir::room_refusal::none) throw std::runtime_error{"the room takes nobody"};
    if (r.answer.view.state != weir::seat_state::waiting) continue;
    views.push_back("GET /rooms/room/ticket HTTP/1.1\r\nHost: localhost\r\nX-Weir-Device: " + device +
                    "\r\nAuthorization: Bearer " + std::string{room.ticket_for(r.answer.view.seat, 0, bind).view()} +
                    "\r\n\r\n");
  }
  return views;
}

int run(const settings& s) {
  weir_load::print_load();
  weir::room_config config = weir::bank_teller(1000);
  config.presence_least = std::chrono::hours{1};
  // Who polls again after a turn of all seats is never early: so every answer is a whole one.
  config.polls = {
      .budget_per_s = 1e9, .shortest = std::chrono::microseconds{100}, .longest = std::chrono::microseconds{100}};
  const weir::hmac_signer keys{1, std::string(32, 'k')};
  weir::waiting_room<weir::hmac_signer> room{config, keys};
  weir::room_handler handler{weir::room_http_config{}};
  handler.add(room);
  const std::vector<std::string> status{"GET /rooms/room/status HTTP/1.1\r\nHost: localhost\r\n\r\n"};
  const std::vector<std::string> views = views_of(room, static_cast<std::uint64_t>(s.users));

  const std::function<response(const request&)> by_room = [&](const request& r) {
    std::optional<weir::http_response> answer;
    handler.handle(weir::from_beast(r), [&](weir::http_response a) { answer = std::move(a); });
    return weir::to_beast(*std::move(answer), weir::beast_response_head{r});
  };
  const auto constant = [](std::size_t length) -> std::function<response(const request&)> {
    return [body = std::string(length, 'x')](const request& r) {
      response to{http::status::ok, r.version()};
      to.set(http::field::content_type, "application/json");
      to.set(http::field::cache_control, "no-store");
      to.keep_alive(r.keep_alive());
      to.body() = body;
      to.content_length(body.size());
      return to;
    };
  };

  server at{[&] { room.pass(); }};
  client asks{at.port(), s};
  at.answer_with(by_room);
  const std::size_t status_length = asks.run(status, 0.1).body, view_length = asks.run(views, 0.1).body;
  std::array<series, 4> all{series{"constant, as status", status, status_length}, series{"status", status, 0},
                            series{"constant, as view", views, view_length}, series{"signed view", views, 0}};
  for (int round = 0; round < static_cast<int>(s.rounds); ++round) {
    for (series& one : all) {
      at.answer_with(one.length == 0 ? by_room : constant(one.length));
      (void)asks.run(one.requests, 0.1);
      const double before = at.used();
      const client::result r = asks.run(one.requests, s.seconds);
      one.per_second.push_back(r.per_second);
      one.server_us.push_back((at.used() - before) * 1e6 / (r.per_second * s.seconds));
      one.client_load.push_back(r.client_load);
    }
  }
  std::printf("%g users wait, %g connections, %g requests ahead on each, medians of %g rounds of %g s:\n", s.users,
              s.connections, s.pipeline, s.rounds, s.seconds);
  for (const series& one : all) {
    std::printf("  %-20s %8.0f requests/s  %6.2f us of the server's thread each; the client's is busy %3.0f %%\n", one.name,
                weir_load::median(one.per_second), weir_load::median(one.server_us),
                100 * weir_load::median(one.client_load));
  }
  const auto ratio = [&](std::size_t a, std::size_t b) {
    std::vector<double> ratios;
    for (std::size_t i = 0; i < all[a].per_second.size(); ++i) {
      ratios.push_back(100 * all[a].per_second[i] / all[b].per_second[i]);
    }
    return weir_load::median(ratios);
  };
  std::printf("  status:      %5.1f %% of a constant of %zu bytes (asked: 80)\n", ratio(1, 0), status_length);
  std::printf("  signed view: %5.1f %% of a constant of %zu bytes (asked: 65)\n", ratio(3, 2), view_length);
  const weir::room_totals totals = room.snapshot().totals;
  std::printf("  %llu polls were answered in full, %llu were early\n", static_cast<unsigned long long>(totals.polls),
              static_cast<unsigned long long>(totals.early_polls));
  return totals.early_polls == 0 ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  settings s;
  const std::array options{weir_load::number_option{"--users", s.users, 1000, 1e6, "who waits, and polls in turn"},
                           weir_load::number_option{"--conns", s.connections, 1, 1000, "connections"},
                           weir_load::number_option{"--ahead", s.pipeline, 1, 64, "requests on the way on each"},
                           weir_load::number_option{"--seconds", s.seconds, 0.1, 60, "of each measurement"},
                           weir_load::number_option{"--rounds", s.rounds, 1, 100, "of all four"}};
  return weir_load::run_with(count, words, options, "room_http", [&] { return run(s); });
}
