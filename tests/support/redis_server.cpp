#include "redis_server.hpp"

#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace weir::testing_support {

void redis_server::launch() {
  std::filesystem::remove(socket());  // of the one before, if that was killed
  process_ = child_process{{"redis-server", "--port", "0", "--unixsocket", socket(), "--dir", directory_.path().string(),
                            "--save", "3600 1", "--appendonly", "no", "--daemonize", "no"},
                           directory_.path() / "log"};
}

bool redis_server::ready() {
  if (!process_.running()) throw std::runtime_error("redis_server: it has ended (Debian package redis-server): " + log());
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, socket().c_str(), sizeof address.sun_path - 1);
  const int client = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const bool accepts = ::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(client);
  return accepts;
}

void redis_server::start() {
  launch();
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{30};
  while (!ready()) {
    if (std::chrono::steady_clock::now() > give_up) throw std::runtime_error("redis_server: not ready: " + log());
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
}

void redis_server::stop() {
  resume();
  process_.signal(SIGTERM);
  if (process_.wait(std::chrono::seconds{30}) == -1000) kill();
}

std::string redis_server::log() const {
  std::ostringstream text;
  text << std::ifstream{directory_.path() / "log"}.rdbuf();
  return text.str();
}

}  // namespace weir::testing_support
