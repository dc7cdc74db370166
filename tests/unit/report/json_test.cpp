#include "report/json.hpp"

#include "support/synthetic_runs.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <functional>
#include <limits>

namespace weir::report {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::random_run;
using testing_support::synthetic_bare;
using testing_support::synthetic_protected;

json::value read_back(const std::string& text) { return json::parse(text); }

std::string error_of(const json::value& document) {
  try {
    (void)from_json(document, "run.json");
  } catch (const format_error& error) {
    return error.what();
  }
  return "read without an error";
}

/// What is said about a good document after a change of its `weir` part.
std::string error_after(const std::function<void(json::object&)>& change) {
  static const json::value good = to_json(synthetic_protected());
  json::value document = good;
  change(document.as_object()["weir"].as_object());
  return error_of(document);
}

TEST(Json, EverythingComesBack) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    const load::run_result run = random_run(seed);
    const json::value written = to_json(run);
    const load::run_result found = from_json(written);
    // The documents are equal only if every member is; the histograms are compared themselves as well, buckets and exact
    // sums.
    ASSERT_EQ(to_json(found), written);
    ASSERT_EQ(found.journey_duration, run.journey_duration);
    ASSERT_EQ(found.generator.lateness, run.generator.lateness);
    for (std::size_t i = 0; i < run.seconds.size(); ++i) ASSERT_EQ(found.seconds[i].admitted, run.seconds[i].admitted);
    for (std::size_t i = 0; i < run.steps.size(); ++i) {
      ASSERT_EQ(found.steps[i].all, run.steps[i].all);
      ASSERT_EQ(found.steps[i].failures, run.steps[i].failures);
    }
    ASSERT_EQ(found.label, run.label);
    ASSERT_EQ(found.seed, run.seed);
    ASSERT_EQ(found.total, run.total);
    ASSERT_EQ(found.overload.overloaded_seconds, run.overload.overloaded_seconds);
    ASSERT_EQ(found.overload.recovered_after_s, run.overload.recovered_after_s);
  }
}

TEST(Json, TextComesBackToo) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    SCOPED_TRACE(seed);
    const load::run_result run = random_run(seed);
    const load::run_result found = from_json(read_back(json::serialize(to_json(run))));
    ASSERT_EQ(found.label, run.label);
    ASSERT_EQ(found.journey_duration, run.journey_duration);
    // Boost.JSON 1.81 parses doubles to within one unit in the last place.
    ASSERT_NEAR(found.rate_factor, run.rate_factor, 1e-15 * std::fabs(run.rate_factor));
    ASSERT_NEAR(found.time_scale, run.time_scale, 1e-15 * std::fabs(run.time_scale));
  }
}

TEST(Json, NumbersThatAreNotFiniteBecomeNull) {
  load::run_result run;
  run.rate_factor = std::numeric_limits<double>::infinity();
  const json::value written = to_json(run);
  EXPECT_TRUE(written.at("weir").at("rate_factor").is_null());
  EXPECT_TRUE(std::isnan(from_json(written).rate_factor));
}

TEST(Json, TextThatIsNotUtf8StillGivesADocument) {
  load::run_result run;
  run.label = "\xFF label";
  EXPECT_EQ(from_json(read_back(json::serialize(to_json(run)))).label, "\xEF\xBF\xBD label");
}

TEST(Json, MetricsHaveTheShapeOfK6) {
  const json::value document = to_json(synthetic_bare());
  const json::value& duration = document.at("metrics").at("http_req_duration{step:register}");
  EXPECT_EQ(duration.at("type"), "trend");
  EXPECT_EQ(duration.at("contains"), "time");
  EXPECT_NEAR(duration.at("values").at("p(95)").to_number<double>(), 10'000, 100);
  EXPECT_EQ(duration.at("thresholds").at("p(95)<800").at("ok"), false);
  EXPECT_EQ(document.at("thresholds").at("http_req_failed").at("rate<0.02").at("ok"), false);
  const json::value& failed = document.at("metrics").at("http_req_failed").at("values");
  EXPECT_EQ(failed.at("passes").to_number<std::uint64_t>() + failed.at("fails").to_number<std::uint64_t>(),
            document.at("metrics").at("http_reqs").at("values").at("count").to_number<std::uint64_t>());
}

TEST(Json, CensoredTrendsSaySo) {
  const json::value bare = to_json(synthetic_bare());
  EXPECT_EQ(bare.at("metrics").at("req_total").at("censored").at("values_are_lower_bounds_from_ms"), 10'000.0);
  const json::value calm = to_json(synthetic_protected());
  EXPECT_FALSE(calm.at("metrics").at("req_total").as_object().contains("censored"));
}

TEST(FromJson, NamesThePlaceAndWhatWasExpected) {
  EXPECT_EQ(error_of(json::value(7)), "run.json: expected an object, found the number 7");
  EXPECT_EQ(error_of(json::object{}), "run.json: expected the member 'weir': this is not a result of weir");
  EXPECT_EQ(error_after([](auto& w) { w.erase("seed"); }), "run.json: weir.seed: missing");
  EXPECT_EQ(error_after([](auto& w) { w["seed"] = -1; }),
            "run.json: weir.seed: expected a whole number >= 0, found the number -1");
  EXPECT_EQ(error_after([](auto& w) { w["seed"] = 1.5; }),
            "run.json: weir.seed: expected a whole number >= 0, found the number 1.5");
  EXPECT_EQ(error_after([](auto& w) { w["label"] = nullptr; }), "run.json: weir.label: expected a string, found null");
  EXPECT_EQ(error_after([](auto& w) { w["seconds"].as_array()[3].as_object()["in_flight"] = "many"; }),
            "run.json: weir.seconds[3].in_flight: expected a whole number >= 0, found a string");
  EXPECT_EQ(error_after([](auto& w) { w["seconds"].as_array()[3].as_object()["by_end"].as_object().erase("slow"); }),
            "run.json: weir.seconds[3].by_end.slow: missing");
  EXPECT_EQ(error_after([](auto& w) { w["steps"].as_array()[0].as_object()["statuses"].as_object()["2o1"] = 1; }),
            "run.json: weir.steps[0].statuses.2o1: expected an HTTP status as name");
  EXPECT_EQ(error_after([](auto& w) { w["generator"].as_object()["valid"] = 1; }),
            "run.json: weir.generator.valid: expected true or false, found the number 1");
  EXPECT_EQ(error_after([](auto& w) { w["total_ns"] = std::uint64_t{1} << 63U; }),
            "run.json: weir.total_ns: expected at most 9223372036854775807, found 9223372036854775808");
}

TEST(FromJson, AnotherVersionIsRefused) {
  EXPECT_EQ(error_after([](auto& w) { w["version"] = 2; }),
            "run.json: weir.version: expected 3, found 2: written by another version of weir");
}

TEST(FromJson, UnknownMembersAreIgnored) {
  EXPECT_EQ(error_after([](auto& w) { w["new_in_1_1"] = json::array{1, 2}; }), "read without an error");
}

TEST(FromJson, HistogramsMustBeConsistent) {
  const auto with = [](const char* text) {
    return error_after([&](auto& w) { w["journey_duration"] = json::parse(text); });
  };
  EXPECT_EQ(with(R"({"min_ns":5,"max_ns":9,"sum_ns":21,"buckets":[[5,1],[7,1],[9,1]]})"), "read without an error");
  EXPECT_THAT(with(R"({"min_ns":5,"max_ns":9,"sum_ns":22,"buckets":[[5,1],[7,1],[9,1]]})"), HasSubstr("fit the buckets"));
  EXPECT_THAT(with(R"({"min_ns":5,"max_ns":9,"sum_ns":20,"buckets":[[5,1],[7,1],[9,1]]})"), HasSubstr("fit the buckets"));
  EXPECT_THAT(with(R"({"min_ns":6,"max_ns":9,"sum_ns":14,"buckets":[[5,1],[9,1]]})"), HasSubstr("fit the buckets"));
  EXPECT_THAT(with(R"({"min_ns":1000,"max_ns":1001,"sum_ns":1000,"buckets":[[1000,1]]})"), HasSubstr("fit the buckets"));
  EXPECT_THAT(with(R"({"min_ns":5,"max_ns":9,"sum_ns":14,"buckets":[[9,1],[5,1]]})"),
              HasSubstr("buckets[1]: expected buckets in ascending"));
  EXPECT_THAT(with(R"({"min_ns":5,"max_ns":5,"sum_ns":5,"buckets":[[5,0]]})"),
              HasSubstr("buckets[0]: expected a bucket that is not empty"));
  EXPECT_THAT(with(R"({"min_ns":5,"max_ns":5,"sum_ns":5,"buckets":[[5]]})"),
              HasSubstr("buckets[0]: expected [lower bound in ns, count]"));
  EXPECT_THAT(with(R"({"min_ns":1001,"max_ns":1001,"sum_ns":1001,"buckets":[[1001,1]]})"),
              HasSubstr("expected the lower bound of a bucket"));
  EXPECT_THAT(with(R"({"max_ns":5,"sum_ns":5,"buckets":[[5,1]]})"), HasSubstr("journey_duration.min_ns: missing"));
  EXPECT_THAT(with(R"({"min_ns":5,"max_ns":5,"sum_ns":5,"buckets":[[5,18446744073709551615]]})"),
              HasSubstr("buckets[0][1]: expected at most"));
}

TEST(FromJson, SizesAreBounded) {
  EXPECT_EQ(error_after([](auto& w) { w["label"] = std::string(5000, 'x'); }),
            "run.json: weir.label: expected at most 4096 bytes");
  EXPECT_EQ(error_after([](auto& w) { w["steps"] = json::array(1001, json::value(nullptr)); }),
            "run.json: weir.steps: expected at most 1000 items, found 1001");
  EXPECT_EQ(error_after([](auto& w) { w["seconds"] = json::array(86401, json::value(nullptr)); }),
            "run.json: weir.seconds: expected at most 86400 items, found 86401");
  // Small in the file, 18 KB each in memory.
  const std::string error = error_after([](auto& w) {
    json::array& seconds = w["seconds"].as_array();
    json::value one = seconds[0];
    one.as_object()["admitted"] =
        json::parse(R"({"min_ns":1,"max_ns":4000000000000,"sum_ns":4000000000001,"buckets":[[1,1],[3985729650688,1]]})");
    seconds = json::array(40'000, one);
  });
  EXPECT_THAT(error, AllOf(HasSubstr("weir.seconds["), HasSubstr("].admitted: too many histograms for one run")));
}

TEST(FromJson, EveryDamagedDocumentIsAnErrorNotACrash) {
  std::mt19937_64 random{7};
  const std::string good = json::serialize(to_json(synthetic_protected()).at("weir"));
  for (int i = 0; i < 400; ++i) {
    std::string text = good;
    for (int k = 0; k < 3; ++k) text[random() % text.size()] = "0123456789[]{},:\"-e."[random() % 20];
    boost::system::error_code error;
    const json::value damaged = json::parse(text, error);
    if (error) continue;
    try {
      (void)from_json(json::object{{"weir", damaged}});
    } catch (const format_error&) {
    }
  }
}

/// A file that goes with the test.
class temporary_file {
 public:
  explicit temporary_file(const std::string& content) {
    path_ = ::testing::TempDir() + "weir_report_" + std::to_string(::getpid()) + ".json";
    std::ofstream(path_, std::ios::binary) << content;
  }
  ~temporary_file() { std::remove(path_.c_str()); }
  temporary_file(const temporary_file&) = delete;
  temporary_file& operator=(const temporary_file&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string error_of_file(const std::string& path) {
  try {
    (void)read_run(path);
  } catch (const format_error& error) {
    return error.what();
  }
  return "read without an error";
}

TEST(ReadRun, ReadsWhatWasWritten) {
  const temporary_file file(json::serialize(to_json(synthetic_bare())) + "\n");
  EXPECT_EQ(read_run(file.path()).journeys.intended, synthetic_bare().journeys.intended);
}

TEST(ReadRun, NamesTheFileAndTheLine) {
  EXPECT_EQ(error_of_file("/nowhere/run.json"), "/nowhere/run.json: cannot be opened");
  const temporary_file broken("{\n\"weir\": {,\n}");
  EXPECT_THAT(error_of_file(broken.path()), AllOf(HasSubstr(broken.path() + ": not JSON: "), HasSubstr(" in line 2")));
  const temporary_file half("{\"weir\": {");
  EXPECT_THAT(error_of_file(half.path()), HasSubstr("not JSON: "));
  const temporary_file more("{} {}");
  EXPECT_THAT(error_of_file(more.path()), HasSubstr("not JSON: "));
  const temporary_file empty("");
  EXPECT_THAT(error_of_file(empty.path()), HasSubstr("not JSON: "));
  const temporary_file deep(std::string(100'000, '['));
  EXPECT_THAT(error_of_file(deep.path()), HasSubstr("not JSON: "));
  EXPECT_THAT(error_of_file("/"), ::testing::StartsWith("/: "));
}

TEST(ReadRun, AnEndlessFileIsGivenUp) { EXPECT_THAT(error_of_file("/dev/zero"), HasSubstr("larger than 67.1 MB")); }

}  // namespace
}  // namespace weir::report
