// The weir command as a user meets it: exit status, messages, files.

#include <support/scripted_server.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

namespace {

using testing::HasSubstr;
using testing::Not;
using weir::testing_support::scripted_server;
using weir::testing_support::server_reply;
using weir::testing_support::server_request;

struct outcome {
  int status;
  std::string output;  ///< both streams
};

outcome weir(const std::string& arguments) {
  const std::string command = std::string{WEIR_COMMAND} + " " + arguments + " 2>&1";
  std::FILE* pipe = popen(command.c_str(), "r");
  outcome out{-1, {}};
  if (pipe == nullptr) return out;
  std::array<char, 4096> chunk;
  while (const std::size_t n = std::fread(chunk.data(), 1, chunk.size(), pipe)) out.output.append(chunk.data(), n);
  const int status = pclose(pipe);
  out.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return out;
}

class Cli : public testing::Test {
 protected:
  Cli() : folder_(std::filesystem::temp_directory_path() / ("weir_cli_test_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~Cli() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream{path(name)} << text;
    return path(name);
  }
  static std::string read(const std::string& path) {
    std::ifstream file{path};
    return {std::istreambuf_iterator<char>{file}, {}};
  }
  std::string scenario(const std::string& thresholds = "",
                       const std::string& load = "rate = 20\nduration = '500ms'") const {
    return write(
        "s.toml",
        "[scenario]\nname = 'cli'\nslo = { within = '4s' }\n[[load]]\nexecutor = 'constant-arrival-rate'\njourney = 'j'\n"
        "arrivals = 'uniform'\n" +
            load + "\n[[journey]]\nname = 'j'\nsteps = [{ name = 'get', request = 'GET /' }]\n[thresholds]\n" + thresholds);
  }

  std::filesystem::path folder_;
  scripted_server server_{[](const server_request&) { return server_reply{}; }};
};

TEST_F(Cli, SaysItsVersionAndHelp) {
  EXPECT_EQ(weir("--version").status, 0);
  EXPECT_THAT(weir("--version").output, HasSubstr("weir 0."));
  EXPECT_EQ(weir("load --help").status, 0);
  EXPECT_THAT(weir("load --help").output, HasSubstr("--rate-factor"));
}

TEST_F(Cli, UnknownWordsAreBadInput) {
  EXPECT_EQ(weir("").status, 2);
  EXPECT_EQ(weir("lod").status, 2);
  EXPECT_EQ(weir("load").status, 2);
  EXPECT_EQ(weir("load x.toml --rate-factor 0").status, 2);
  EXPECT_EQ(weir("load x.toml --rate-factor much").status, 2);
  EXPECT_EQ(weir("load x.toml --no-such-option").status, 2);
}

TEST_F(Cli, WrongScenariosAreSaidByFileAndLine) {
  const std::string file = write("bad.toml",
                                 "[scenario]\nname = 'x'\n[[load]]\nexectuor = 'constant-vus'\njourney = 'j'\n"
                                 "[[journey]]\nname = 'j'\nsteps = [{ name = 'a', request = 'GET /' }]\n");
  const outcome out = weir("load " + file);
  EXPECT_EQ(out.status, 2);
  EXPECT_THAT(out.output, HasSubstr(file + ":4: unknown key 'exectuor' in [[load]]; did you mean 'executor'?"));
  EXPECT_EQ(weir("load /nonexistent.toml").status, 2);
  EXPECT_THAT(weir("load /nonexistent.toml").output, HasSubstr("/nonexistent.toml: cannot be read"));
}

TEST_F(Cli, NeedsATargetOnThisMachine) {
  EXPECT_EQ(weir("load " + scenario()).status, 2);
  EXPECT_THAT(weir("load " + scenario()).output, HasSubstr("no target"));
  const outcome remote = weir("load " + scenario() + " --target http://192.0.2.1:80");
  EXPECT_EQ(remote.status, 2);
  EXPECT_THAT(remote.output, HasSubstr("--allow-remote"));
  EXPECT_EQ(weir("load " + scenario() + " --target nonsense").status, 2);
}

TEST_F(Cli, OutputThatCannotBeWrittenIsSaidBeforeTheLoad) {
  const outcome out = weir("load " + scenario() + " --target " + server_.url() + " --json " + path("no/folder.json"));
  EXPECT_EQ(out.status, 2);
  EXPECT_THAT(out.output, HasSubstr("cannot be written: No such file or directory"));
  EXPECT_EQ(server_.requests().size(), 0u);
}

TEST_F(Cli, NanIsNoNumber) {
  EXPECT_EQ(weir("load " + scenario() + " --target " + server_.url() + " --rate-factor nan").status, 2);
  const outcome out = weir("load " + scenario() + " --target " + server_.url() + " --capacity nan");
  EXPECT_EQ(out.status, 2);
  EXPECT_THAT(out.output, HasSubstr("'nan' is not a number from 1e-06 to 1e+09"));
  EXPECT_EQ(server_.requests().size(), 0u);
}

TEST_F(Cli, ACapacityInJourneysNeedsOneCallOfEachThatCounts) {
  const std::string file = write("two.toml",
                                 "[scenario]\nname = 'x'\n[[load]]\nexecutor = 'constant-arrival-rate'\njourney = 'j'\n"
                                 "rate = 1\nduration = '1s'\n[[journey]]\nname = 'j'\nsteps = ["
                                 "{ name = 'a', request = 'GET /' }, { name = 'b', request = 'GET /' }]\n");
  const outcome out = weir("load " + file + " --target " + server_.url() + " --capacity 10");
  EXPECT_EQ(out.status, 2);
  EXPECT_THAT(out.output, HasSubstr("journey 'j' makes 2 calls under the SLO"));
}

TEST_F(Cli, AReaderThatHasGoneEndsNothing) {
  const outcome out =
      weir("load " + scenario() + " --target " + server_.url() + " --json " + path("a.json") + " 2>/dev/null | true");
  EXPECT_EQ(out.status, 0) << "that of `true`";
  EXPECT_EQ(server_.requests().size(), 10u);
  EXPECT_THAT(read(path("a.json")), HasSubstr("\"cli\""));
}

TEST_F(Cli, ClosedStandardStreamsAreNoPlaceForSockets) {
  const outcome out = weir("load " + scenario("", "rate = 20\nduration = '6s'") + " --target " + server_.url() +
                           " --json " + path("a.json") + " <&- >&- 2>&- | cat");
  EXPECT_EQ(out.output, "");
  EXPECT_EQ(server_.requests().size(), 120u) << "and no progress among them";
  EXPECT_THAT(read(path("a.json")), HasSubstr("\"cli\""));
}

TEST_F(Cli, AFullDiskIsSaid) {
  const outcome file = weir("load " + scenario() + " --quiet --target " + server_.url() + " --json /dev/full");
  EXPECT_EQ(file.status, 2);
  EXPECT_THAT(file.output, HasSubstr("/dev/full: cannot be written: No space left on device"));
  const outcome stream = weir("load " + scenario() + " --quiet --target " + server_.url() + " 3>&1 >/dev/full 2>&3");
  EXPECT_NE(stream.status, 0);
}

TEST_F(Cli, RunsReportsAndCompares) {
  const std::string common = " --target " + server_.url() + " --quiet";
  const outcome first = weir("load " + scenario("http_req_failed = ['rate<0.01']") + common +
                             " --label before --rate-factor 2 --json " + path("a.json") + " --html " + path("a.html"));
  // On a machine that is too busy the run is invalid, and says so; everything else holds.
  EXPECT_TRUE(first.status == 0 || first.status == 98) << first.output;
  EXPECT_THAT(first.output, HasSubstr("http_req_failed"));
  EXPECT_EQ(server_.requests().size(), 20u) << "rate 20 for half a second, doubled";
  EXPECT_THAT(read(path("a.json")), HasSubstr("\"before\""));
  EXPECT_THAT(read(path("a.html")), HasSubstr("<html"));

  const outcome second = weir("load " + scenario() + common + " --seed 9 --json " + path("b.json"));
  EXPECT_TRUE(second.status == 0 || second.status == 98) << second.output;
  const outcome compared =
      weir("compare " + path("a.json") + " " + path("b.json") + " --html " + path("c.html") + " --json " + path("c.json"));
  EXPECT_EQ(compared.status, 0) << compared.output;
  EXPECT_THAT(compared.output, HasSubstr("before"));
  EXPECT_THAT(read(path("c.html")), HasSubstr("<html"));
  EXPECT_THAT(read(path("c.json")), HasSubstr("\"after\""));

  EXPECT_EQ(weir("compare " + path("a.json") + " " + path("s.toml")).status, 2);
  EXPECT_EQ(weir("compare " + path("a.json") + " " + path("none.json")).status, 2);
}

TEST_F(Cli, ACrossedThresholdHasItsStatus) {
  const outcome out = weir("load " + scenario("iterations = ['count>1000000']") + " --target " + server_.url());
  EXPECT_TRUE(out.status == 99 || out.status == 98) << out.output;
  EXPECT_THAT(out.output, HasSubstr("cli against " + server_.url()));
}

TEST_F(Cli, AnInvalidLoadOutranksThresholds) {
  server_reply slow;
  slow.delay = std::chrono::seconds{2};
  scripted_server server{[&slow](const server_request&) { return slow; }};
  const outcome out =
      weir("load " + scenario("iterations = ['count>1000000']", "rate = 20\nduration = '500ms'\nmax_vus = 1") +
           " --quiet --target " + server.url());
  EXPECT_EQ(out.status, 98) << out.output;
  EXPECT_THAT(out.output, HasSubstr("INVALID"));
}

}  // namespace
