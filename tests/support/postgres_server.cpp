#include "postgres_server.hpp"

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <pwd.h>
#include <unistd.h>

namespace weir::testing_support {
namespace {

namespace fs = std::filesystem;

// Debian keeps each version's programs apart and out of PATH; the highest version there is.
std::string directory_of_programs() {
  std::string found;
  int highest = 0;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator{"/usr/lib/postgresql", none}) {
    const int version = std::atoi(entry.path().filename().c_str());
    if (version > highest && fs::exists(entry.path() / "bin/initdb")) {
      highest = version;
      found = entry.path() / "bin/";
    }
  }
  return found;
}

identity unprivileged() {
  if (geteuid() != 0) return {};
  for (const char* name : {"postgres", "nobody"}) {
    if (const passwd* user = getpwnam(name)) return {.user = user->pw_uid, .group = user->pw_gid};
  }
  throw std::runtime_error("postgres_server: no user to run it as");
}

std::string read(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream{file}.rdbuf();
  return text.str();
}

}  // namespace

postgres_server::postgres_server() : as_(unprivileged()), programs_(directory_of_programs()) {
  fs::permissions(directory_.path(), fs::perms{0755});
  for (const char* name : {"data", "socket", "log"}) {
    const fs::path path = directory_.path() / name;
    if (path.filename() == "log") {
      std::ofstream{path};
    } else {
      fs::create_directory(path);
    }
    if (as_.user != identity{}.user && chown(path.c_str(), as_.user, as_.group) != 0) {
      throw std::runtime_error("postgres_server: chown " + path.string());
    }
  }
  const fs::path& d = directory_.path();
  child_process init{{programs_ + "initdb", "--no-sync", "--auth=trust", "--username=weir", "--encoding=UTF8", "--locale=C",
                      "--pgdata=" + (d / "data").string()},
                     d / "log",
                     as_};
  if (init.wait(std::chrono::seconds{60}) != 0) {
    throw std::runtime_error("postgres_server: initdb failed (Debian package postgresql): " + log());
  }
  start();
}

postgres_server::~postgres_server() { kill(); }

std::string postgres_server::conninfo(const std::string& database) const {
  return "host=" + (directory_.path() / "socket").string() + " user=weir dbname=" + database;
}

void postgres_server::launch() {
  const fs::path& d = directory_.path();
  std::vector<std::string> arguments{programs_ + "postgres", "-D", (d / "data").string()};
  for (const std::string& setting :
       {"unix_socket_directories=" + (d / "socket").string(), std::string{"listen_addresses="}, std::string{"fsync=off"},
        std::string{"synchronous_commit=off"}, std::string{"full_page_writes=off"}, std::string{"autovacuum=off"},
        std::string{"shared_buffers=16MB"}, std::string{"max_connections=200"}}) {
    arguments.insert(arguments.end(), {"-c", setting});
  }
  process_ = child_process{std::move(arguments), d / "log", as_};
}

// As pg_ctl does it: the server writes its number in the first line of this file and its state in the eighth.
bool postgres_server::ready() {
  if (!process_.running()) throw std::runtime_error("postgres_server: it has ended: " + log());
  std::istringstream text{read(directory_.path() / "data/postmaster.pid")};
  std::string line;
  for (int number = 1; std::getline(text, line); ++number) {
    if (number == 1 && std::atoi(line.c_str()) != process_.pid()) return false;  // of the one before
    if (number == 8) return line.starts_with("ready");
  }
  return false;
}

void postgres_server::start() {
  launch();
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (!ready()) {
    if (std::chrono::steady_clock::now() > give_up) throw std::runtime_error("postgres_server: not ready: " + log());
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
}

void postgres_server::stop() {
  resume();
  process_.signal(SIGINT);
  if (process_.wait(std::chrono::seconds{30}) == -1000) kill();
}

std::string postgres_server::log() const { return read(directory_.path() / "log"); }

}  // namespace weir::testing_support
