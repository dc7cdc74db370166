#pragma once
/// \file
/// For the tests of the demo server and its gateway: a program as a process on a port of its own, and a client that can
/// misbehave.

#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>

#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace weir_tests {

/// A directory of the test's own, removed at its end.
class scratch_directory {
 public:
  scratch_directory() {
    std::string name = (std::filesystem::temp_directory_path() / "ticketing-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    path_ = name;
  }
  ~scratch_directory() {
    std::error_code ignored;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all, ignored);
    std::filesystem::remove_all(path_, ignored);
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  [[nodiscard]] std::filesystem::path operator/(const std::string& file) const { return path_ / file; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// One run of the server, or of another program that says where it listens. `obey_permissions`: also if the test runs as
/// root, to whom files are never read-only.
class server_process {
 public:
  explicit server_process(std::vector<std::string> arguments, bool obey_permissions = false,
                          const char* program = TICKETING_PROGRAM) {
    arguments.insert(arguments.begin(), program);
    if (std::ranges::find(arguments, "--port") == arguments.end()) arguments.insert(arguments.end(), {"--port", "0"});
    std::vector<char*> argv;
    for (auto& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    const std::string out = (logs_ / "out").string(), err = (logs_ / "err").string();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      setenv("TMPDIR", logs_.path().c_str(), 1);  // one that is killed leaves its database there
      if (obey_permissions) prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE);
      if (std::freopen(out.c_str(), "w", stdout) == nullptr || std::freopen(err.c_str(), "w", stderr) == nullptr)
        _exit(126);
      execv(argv[0], argv.data());
      _exit(127);
    }
  }
  ~server_process() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;

  /// Waits until it listens. Errors: std::runtime_error with what it said.
  std::uint16_t port() {
    if (port_ != 0) return port_;
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (std::chrono::steady_clock::now() < give_up) {
      const std::string text = out();
      const auto colon = text.find(':'), end = text.find('\n');
      if (text.starts_with("listening on ") && end != std::string::npos) {
        return port_ = static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1, end - colon)));
      }
      if (waitpid(pid_, &status_, WNOHANG) == pid_) {
        pid_ = -1;
        break;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    throw std::runtime_error("the server does not listen: " + err());
  }

  void signal(int number) const { kill(pid_, number); }
  /// Waits for the end; the exit code, or minus the signal; -1000 if it does not end within `limit`.
  int wait(std::chrono::milliseconds limit = std::chrono::seconds{30}) {
    const auto give_up = std::chrono::steady_clock::now() + limit;
    while (pid_ > 0 && waitpid(pid_, &status_, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > give_up) return -1000;
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    pid_ = -1;
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
  }
  /// The counters that it prints at its end. Precondition: wait() returned.
  [[nodiscard]] boost::json::object final_counters() const {
    const std::string text = out();
    return boost::json::parse(text.substr(text.find('{'))).as_object();
  }
  [[nodiscard]] std::string out() const { return read("out"); }
  [[nodiscard]] std::string err() const { return read("err"); }

 private:
  [[nodiscard]] std::string read(const std::string& file) const {
    std::ostringstream text;
    text << std::ifstream(logs_ / file).rdbuf();
    return text.str();
  }

  scratch_directory logs_;
  pid_t pid_ = -1;
  int status_ = 0;
  std::uint16_t port_ = 0;
};

struct answer {
  unsigned status = 0;  ///< 0: closed without an answer
  std::string head, body;

  [[nodiscard]] boost::json::object json() const { return boost::json::parse(body).as_object(); }
  [[nodiscard]] std::string error() const { return json().at("error").as_string().c_str(); }
};

/// One connection, blocking, with a time limit on everything.
class client {
 public:
  explicit client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(socket_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) throw std::runtime_error("connect");
  }
  ~client() { hang_up(); }
  client(client&& other) noexcept : socket_(std::exchange(other.socket_, -1)), unread_(std::move(other.unread_)) {}
  client& operator=(client&&) = delete;

  void hang_up() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }
  /// As much as the server takes; whether that was all.
  bool send(std::string_view text) const {
    while (!text.empty()) {
      const auto n = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }
  void post(const std::string& target, const std::string& body) const {
    send("POST " + target + " HTTP/1.1\r\nHost: t\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  answer receive() {
    std::size_t head_end = 0;
    while ((head_end = unread_.find("\r\n\r\n")) == std::string::npos) {
      if (!more()) return {};
    }
    answer a{
        .status = static_cast<unsigned>(std::stoi(unread_.substr(9, 3))), .head = unread_.substr(0, head_end), .body = {}};
    const auto field = a.head.find("Content-Length: ");
    const std::size_t size = field == std::string::npos ? 0 : std::stoul(a.head.substr(field + 16));
    while (unread_.size() < head_end + 4 + size) {
      if (!more()) return {};
    }
    a.body = unread_.substr(head_end + 4, size);
    unread_.erase(0, head_end + 4 + size);
    return a;
  }
  /// What came up to `mark`, and `mark`; empty: it did not come.
  std::string until(std::string_view mark) {
    std::size_t at = 0;
    while ((at = unread_.find(mark)) == std::string::npos) {
      if (!more()) return {};
    }
    std::string text = unread_.substr(0, at + mark.size());
    unread_.erase(0, text.size());
    return text;
  }
  /// Whether the server has closed, or closes within the time limit.
  [[nodiscard]] bool closed() { return unread_.empty() && !more(); }

  answer get(const std::string& target) {
    send("GET " + target + " HTTP/1.1\r\nHost: t\r\n\r\n");
    return receive();
  }
  answer ask(const std::string& target, const std::string& body) {
    post(target, body);
    return receive();
  }

 private:
  bool more() {
    char buffer[4096];
    const auto n = ::recv(socket_, buffer, sizeof buffer, 0);
    if (n > 0) unread_.append(buffer, static_cast<std::size_t>(n));
    return n > 0;
  }

  int socket_;
  std::string unread_;
};

}  // namespace weir_tests
