#include "child_process.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <grp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace weir::testing_support {
namespace {

using clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds poll_interval{2};

// State and parent from /proc/PID/stat, behind the name, which may hold anything.
struct process_state {
  char state = 'X';  // gone
  pid_t parent = -1;
};
process_state state_of(const std::string& pid) {
  std::string text;
  std::getline(std::ifstream{"/proc/" + pid + "/stat"}, text);
  process_state found;
  const auto name_end = text.rfind(')');
  if (name_end != std::string::npos) std::sscanf(text.c_str() + name_end + 1, " %c %d", &found.state, &found.parent);
  return found;
}
bool gone(pid_t pid) {
  const char state = state_of(std::to_string(pid)).state;
  return state == 'X' || state == 'Z';
}

}  // namespace

temporary_directory::temporary_directory() {
  std::string name = (std::filesystem::temp_directory_path() / "weir.XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), "mkdtemp");
  path_ = name;
}
temporary_directory::~temporary_directory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

child_process::child_process(std::vector<std::string> arguments, const std::filesystem::path& log, identity as) {
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid_ != 0) return;
  const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  const int input = open("/dev/null", O_RDONLY);
  if (output < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0 || dup2(input, 0) < 0) _exit(126);
  if (as.group != identity{}.group && (setgroups(0, nullptr) != 0 || setgid(as.group) != 0)) _exit(126);
  if (as.user != identity{}.user && setuid(as.user) != 0) _exit(126);
  // Last, since a change of user forgets it; and the test may have died before.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(126);
  execvp(argv[0], argv.data());
  _exit(127);
}

child_process::child_process(child_process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      status_(other.status_),
      paused_(std::exchange(other.paused_, {})),
      guard_(std::exchange(other.guard_, -1)),
      guard_pipe_(std::exchange(other.guard_pipe_, -1)) {}

child_process& child_process::operator=(child_process&& other) noexcept {
  if (this != &other) {
    kill();
    pid_ = std::exchange(other.pid_, -1);
    status_ = other.status_;
    paused_ = std::exchange(other.paused_, {});
    guard_ = std::exchange(other.guard_, -1);
    guard_pipe_ = std::exchange(other.guard_pipe_, -1);
  }
  return *this;
}

bool child_process::running() {
  if (pid_ > 0 && waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = -1;
  return pid_ > 0;
}

void child_process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int child_process::wait(std::chrono::milliseconds limit) {
  const auto give_up = clock::now() + limit;
  while (running()) {
    if (clock::now() > give_up) return -1000;
    std::this_thread::sleep_for(poll_interval);
  }
  return WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
}

// A stopped parent neither starts children nor reaps them: their numbers stay theirs.
void child_process::kill() {
  if (!running()) return dismiss_guard();
  signal(SIGSTOP);
  const auto all = children();
  for (const pid_t child : all) ::kill(child, SIGKILL);
  signal(SIGKILL);
  waitpid(std::exchange(pid_, -1), &status_, 0);
  dismiss_guard();
  const auto give_up = clock::now() + std::chrono::seconds{5};
  for (const pid_t child : all) {
    while (!gone(child) && clock::now() < give_up) std::this_thread::sleep_for(poll_interval);
  }
}

void child_process::pause() {
  if (!running() || guard_ > 0) return;
  signal(SIGSTOP);
  paused_ = children();
  for (const pid_t child : paused_) ::kill(child, SIGSTOP);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
  guard_ = fork();
  if (guard_ == 0) {
    setsid();  // a signal to the test's group must not end it first
    // Nor must it keep the test's sockets open, or other ends of pipes.
    dup2(ends[0], 0);
    close_range(1, ~0U, 0);
    char nothing{};
    while (::read(0, &nothing, 1) < 0 && errno == EINTR) continue;
    for (const pid_t child : paused_) ::kill(child, SIGKILL);
    _exit(0);
  }
  ::close(ends[0]);
  guard_pipe_ = ends[1];
}

void child_process::resume() {
  dismiss_guard();
  for (const pid_t child : std::exchange(paused_, {})) ::kill(child, SIGCONT);
  signal(SIGCONT);
}

std::vector<pid_t> child_process::children() const {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") == std::string::npos && state_of(name).parent == pid_) {
      found.push_back(std::stoi(name));
    }
  }
  return found;
}

void child_process::dismiss_guard() {
  if (guard_ > 0) {
    ::kill(guard_, SIGKILL);
    waitpid(std::exchange(guard_, -1), nullptr, 0);
    ::close(std::exchange(guard_pipe_, -1));
  }
}

}  // namespace weir::testing_support
