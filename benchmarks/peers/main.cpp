// Pools of others and plain ones, side by side. See README.md.

#include "report.hpp"
#include "rows.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <regex>
#include <sstream>

extern char** environ;

namespace weir_peers {
namespace {

struct mistake : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct number_option {
  const char* flag;
  double settings::* field;
  const char* text;
};
constexpr number_option number_options[] = {
    {"--seconds", &settings::seconds, "measured in one process, not of the storm"},
    {"--rate", &settings::rate, "storm: arrivals per second"},
    {"--hold-us", &settings::hold_us, "storm: for how long a connection is held, before and after it"},
    {"--factor", &settings::factor, "storm: times as long while it lasts"},
    {"--before", &settings::before, "storm: seconds before it"},
    {"--storm", &settings::storm, "storm: seconds that it lasts"},
    {"--after", &settings::after, "storm: seconds of arrivals after it"},
    {"--deadline", &settings::deadline, "storm: seconds that each may wait, from its intended start"},
};

struct command_line {
  settings given;
  int processes = 7;
  std::string filter = ".*";
  std::string json;    ///< file
  std::string run;     ///< one row, in this process
  std::string hikari;  ///< class path; empty: without
  bool list = false;
};

void print_usage() {
  std::cout << "Usage: weir_peers [options]\n"
               "  --processes N   fresh processes for each row; medians are printed (default 7)\n"
               "  --filter REGEX  only rows workload/pool in which it is found; --list prints them\n"
               "  --json FILE     writes all numbers there too\n"
               "  --hikari PATH   class path of HikariPeer and HikariCP (scripts/peers gives it)\n"
               "  --run ROW       that row once, in this process\n";
  for (const number_option& each : number_options) {
    std::printf("  %-10s X    %s (default %g)\n", each.flag, each.text, settings{}.*each.field);
  }
}

double positive(const std::string& flag, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value > 0) || value > 1e9)
    throw mistake(flag + " " + text + ": must be a number > 0");
  return value;
}

command_line parse(int count, char** arguments) {
  command_line line;
  for (int i = 1; i < count; ++i) {
    const std::string flag = arguments[i];
    if (flag == "--list") {
      line.list = true;
      continue;
    }
    if (i + 1 == count) throw mistake(flag + ": unknown, or needs a value (--help)");
    const std::string value = arguments[++i];
    const auto* const number = std::find_if(std::begin(number_options), std::end(number_options),
                                            [&flag](const number_option& each) { return flag == each.flag; });
    if (number != std::end(number_options)) {
      line.given.*number->field = positive(flag, value);
    } else if (flag == "--processes") {
      line.processes = std::max(1, static_cast<int>(positive(flag, value)));
    } else if (flag == "--filter") {
      line.filter = value;
    } else if (flag == "--json") {
      line.json = value;
    } else if (flag == "--run") {
      line.run = value;
    } else if (flag == "--hikari") {
      line.hikari = value;
    } else {
      throw mistake(flag + ": unknown (--help)");
    }
  }
  return line;
}

/// How one run of a row is started: this program again, or Java.
std::vector<std::string> command_of(const row& r, const command_line& line) {
  if (r.pool == "hikari") {
    // A pool that hangs must not take the others with it.
    return {"timeout",
            "120",
            "java",
            "-Xms512m",
            "-Xmx512m",
            "-XX:+UseParallelGC",
            "-cp",
            line.hikari,
            "HikariPeer",
            r.workload,
            std::to_string(line.given.seconds)};
  }
  std::vector<std::string> words{std::filesystem::read_symlink("/proc/self/exe"), "--run", r.name()};
  for (const number_option& each : number_options) {
    words.insert(words.end(), {each.flag, std::to_string(line.given.*each.field)});
  }
  return words;
}

/// One fresh process, which prints "name<tab>value" lines. Throws if it failed.
metrics run_process(const std::vector<std::string>& words) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("no pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawnp(&child, pointers[0], &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  std::string text;
  char buffer[4096];
  for (ssize_t got = 0; error == 0 && (got = read(ends[0], buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(got));
  }
  close(ends[0]);
  if (error != 0) throw std::runtime_error(words[0] + ": " + std::strerror(error));
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) throw std::runtime_error(std::string("ended by: ") + strsignal(WTERMSIG(status)));
  if (WEXITSTATUS(status) != 0) throw std::runtime_error("exit status " + std::to_string(WEXITSTATUS(status)));
  metrics found;
  std::istringstream lines(text);
  for (std::string each; std::getline(lines, each);) {
    const auto tab = each.find('\t');
    if (tab != std::string::npos) found.push_back({each.substr(0, tab), std::strtod(each.c_str() + tab + 1, nullptr)});
  }
  return found;
}

int run_here(const std::vector<row>& rows, const command_line& line) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&line](const row& r) { return r.name() == line.run; });
  if (found == rows.end() || !found->run) throw mistake("--run " + line.run + ": no such row (--list)");
  // A pool that hangs must not take the others with it.
  const settings& s = line.given;
  alarm(static_cast<unsigned>(30 + 4 * s.seconds + 3 * (s.before + s.storm + s.after + s.deadline)));
  for (const metric& each : found->run(s)) std::printf("%s\t%.17g\n", each.name.c_str(), each.value);
  return 0;
}

int run_all(const std::vector<row>& rows, const command_line& line) {
  report all(line.processes);
  for (int process = 0; process < line.processes; ++process) {
    for (const row& r : rows) {
      std::cerr << "process " << process + 1 << " of " << line.processes << ": " << r.name() << '\n';
      try {
        all.add(r, run_process(command_of(r, line)));
      } catch (const std::runtime_error& error) {
        all.add_failure(r, error.what());
      }
    }
  }
  all.print(std::cout);
  if (!line.json.empty()) {
    std::ofstream out(line.json);
    all.write_json(out);
    if (!out.flush()) throw mistake("--json " + line.json + ": cannot be written");
  }
  return all.failed() ? 1 : 0;
}

int start(int count, char** arguments) {
  if (count == 2 && (std::strcmp(arguments[1], "--help") == 0 || std::strcmp(arguments[1], "-h") == 0)) {
    print_usage();
    return 0;
  }
  const command_line line = parse(count, arguments);
  std::vector<row> rows = thread_rows();
  for (row& each : coroutine_rows()) rows.push_back(std::move(each));
  if (!line.run.empty()) return run_here(rows, line);
  if (!line.hikari.empty()) {
    for (const char* workload : {"idle_1", "idle_2", "crowd"}) rows.push_back({workload, "hikari", {}});
  }
  std::erase_if(rows, [filter = std::regex(line.filter)](const row& r) { return !std::regex_search(r.name(), filter); });
  if (rows.empty()) throw mistake("--filter " + line.filter + ": matches no row (--list)");
  // Those of one workload run one after the other: they are compared.
  std::stable_sort(rows.begin(), rows.end(), [](const row& a, const row& b) { return order_of(a) < order_of(b); });
  if (line.list) {
    for (const row& r : rows) std::cout << r.name() << '\n';
    return 0;
  }
  return run_all(rows, line);
}

}  // namespace
}  // namespace weir_peers

int main(int count, char** arguments) {
  try {
    return weir_peers::start(count, arguments);
  } catch (const std::exception& error) {
    std::cerr << "weir_peers: " << error.what() << '\n';
    return 2;
  }
}
