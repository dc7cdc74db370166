// docs/scenarios.md and the scenario files that we ship are read by the parser that they describe.

#include <scenario/parse.hpp>
#include <scenario/threshold.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace {

using namespace weir::scenario;
using testing::HasSubstr;

const std::filesystem::path source{WEIR_SOURCE_DIR};

std::string manual() {
  std::ifstream file{source / "docs/scenarios.md"};
  return {std::istreambuf_iterator<char>{file}, {}};
}

TEST(Documentation, ItsExampleIsAScenario) {
  const std::string text = manual();
  const std::size_t begin = text.find("```toml\n");
  ASSERT_NE(begin, std::string::npos);
  const std::size_t end = text.find("```\n", begin + 8);
  const parsed p = parse(std::string_view{text}.substr(begin + 8, end - begin - 8), "docs/scenarios.md");
  for (const diagnostic& d : p.errors) ADD_FAILURE() << d.text();
}

TEST(Documentation, NamesEveryMetric) {
  const std::string text = manual();
  for (const metric_info& m : metrics()) EXPECT_THAT(text, HasSubstr("`" + std::string{m.name} + "`"));
}

TEST(Documentation, ShippedScenariosAreRight) {
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{source / "examples"}) {
    if (entry.path().extension() != ".toml") continue;
    ++files;
    for (const diagnostic& d : parse_file(entry.path().string()).errors) ADD_FAILURE() << d.text();
  }
  EXPECT_GE(files, 6u);
}

}  // namespace
