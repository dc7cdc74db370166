#include "scripted_server.hpp"

#include <algorithm>
#include <stdexcept>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace weir::testing_support {
namespace {

bool send_all(int socket, const std::string& text) {
  for (std::size_t sent = 0; sent < text.size();) {
    const auto n = ::send(socket, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
    if (n <= 0) return false;
    sent += static_cast<std::size_t>(n);
  }
  return true;
}

/// Reads one request; `buffer` keeps what came behind it. False: the client hung up.
bool read_request(int socket, std::string& buffer, server_request& out) {
  char chunk[4096];
  const auto more = [&] {
    const auto n = ::recv(socket, chunk, sizeof chunk, 0);
    if (n <= 0) return false;
    buffer.append(chunk, static_cast<std::size_t>(n));
    return true;
  };
  std::size_t end = 0;
  while ((end = buffer.find("\r\n\r\n")) == std::string::npos) {
    if (!more()) return false;
  }
  const std::size_t first = buffer.find(' ');
  const std::size_t second = buffer.find(' ', first + 1);
  out.method = buffer.substr(0, first);
  out.path = buffer.substr(first + 1, second - first - 1);
  for (std::size_t line = buffer.find("\r\n") + 2; line < end + 2;) {
    const std::size_t stop = buffer.find("\r\n", line);
    const std::size_t colon = buffer.find(':', line);
    std::string name = buffer.substr(line, colon - line);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(tolower(c)); });
    std::string& value = out.headers[name];
    value += (value.empty() ? "" : ", ") + buffer.substr(colon + 2, stop - colon - 2);
    line = stop + 2;
  }
  const std::size_t length = out.headers.contains("content-length") ? std::stoul(out.headers["content-length"]) : 0;
  while (buffer.size() < end + 4 + length) {
    if (!more()) return false;
  }
  out.body = buffer.substr(end + 4, length);
  buffer.erase(0, end + 4 + length);
  return true;
}

}  // namespace

scripted_server::scripted_server(std::function<server_reply(const server_request&)> script) : script_(std::move(script)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (listener_ < 0 || ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      ::listen(listener_, 512) != 0 || ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    throw std::runtime_error("scripted_server: cannot listen");
  }
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread{[this] { accept_all(); }};
}

scripted_server::~scripted_server() {
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR);
  acceptor_.join();
  {
    std::lock_guard lock{mutex_};
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  for (std::thread& t : threads_) t.join();
  for (const int socket : sockets_) ::close(socket);
  ::close(listener_);
}

std::vector<server_request> scripted_server::requests() const {
  std::lock_guard lock{mutex_};
  return requests_;
}

void scripted_server::accept_all() {
  for (;;) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (stopping_) {
      if (socket >= 0) ::close(socket);
      return;
    }
    if (socket < 0) continue;
    const int on = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const std::size_t connection = connections_++;
    {
      std::lock_guard lock{mutex_};
      sockets_.push_back(socket);
    }
    threads_.emplace_back([this, socket, connection] { serve(socket, connection); });
  }
}

// Sockets are shut down here and closed by the destructor: a number must not be used again while it is in sockets_.
void scripted_server::serve(int socket, std::size_t connection) {
  std::string buffer;
  for (;;) {
    server_request request;
    if (!read_request(socket, buffer, request)) return;
    request.connection = connection;
    request.at = std::chrono::steady_clock::now();
    {
      std::lock_guard lock{mutex_};
      request.number = requests_.size();
      requests_.push_back(request);
    }
    const server_reply reply = script_(request);
    for (auto left = reply.delay; left.count() > 0 && !stopping_; left -= std::chrono::milliseconds{10}) {
      std::this_thread::sleep_for(std::min(left, std::chrono::milliseconds{10}));
    }
    using k = reply_kind;
    switch (reply.kind) {
      case k::nothing: continue;
      case k::hang_up: ::shutdown(socket, SHUT_RDWR); return;
      case k::reset: {
        // Disconnecting by AF_UNSPEC sends RST and keeps the descriptor.
        sockaddr none{};
        none.sa_family = AF_UNSPEC;
        ::connect(socket, &none, sizeof none);
        return;
      }
      case k::raw:
        send_all(socket, reply.body);
        ::shutdown(socket, SHUT_RDWR);
        return;
      case k::endless:
        for (bool there = send_all(socket, reply.body); there && !stopping_;) there = send_all(socket, reply.more);
        return;
      case k::answer:
      case k::answer_and_close: {
        std::string text = "HTTP/1.1 " + std::to_string(reply.status) +
                           " Scripted\r\nContent-Length: " + std::to_string(reply.body.size()) + "\r\n";
        for (const auto& [name, value] : reply.headers) text += name + ": " + value + "\r\n";
        send_all(socket, text + "\r\n" + (request.method == "HEAD" ? "" : reply.body));
        const auto connection_header = reply.headers.find("Connection");
        if (reply.kind == k::answer_and_close ||
            (connection_header != reply.headers.end() && connection_header->second == "close")) {
          ::shutdown(socket, SHUT_RDWR);
          return;
        }
      }
    }
  }
}

}  // namespace weir::testing_support
