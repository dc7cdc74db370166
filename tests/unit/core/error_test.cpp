#include <weir/core/error.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using weir::condition;
using weir::errc;
using weir::rejection;

TEST(error, the_table_is_in_the_order_of_the_enumerators) {
  ASSERT_EQ(std::size(weir::errc_table), static_cast<unsigned>(errc::self_deadlock));
  for (unsigned i = 0; i < std::size(weir::errc_table); ++i) {
    EXPECT_EQ(static_cast<unsigned>(weir::errc_table[i].code), i + 1);
    EXPECT_EQ(&weir::info(weir::errc_table[i].code), &weir::errc_table[i]);
  }
}

TEST(error, labels_are_unique_and_usable_as_metric_labels) {
  std::set<std::string> labels;
  for (const auto& row : weir::errc_table) {
    EXPECT_TRUE(labels.insert(row.label).second) << row.label;
    EXPECT_EQ(std::string{row.label}.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string::npos) << row.label;
    EXPECT_FALSE(std::string{row.description}.empty());
    EXPECT_GE(row.http_status, 400u);
    EXPECT_LT(row.http_status, 600u);
  }
}

TEST(error, codes_convert_and_compare_with_their_condition) {
  for (const auto& row : weir::errc_table) {
    const boost::system::error_code code = row.code;
    EXPECT_EQ(code.category(), weir::category());
    EXPECT_EQ(code.message(), row.description);
    for (const auto c :
         {condition::rejected, condition::timed_out, condition::closed, condition::never, condition::cancelled}) {
      EXPECT_EQ(code == c, row.meaning == c) << row.label;
    }
  }
}

TEST(error, every_code_is_true_as_an_error) {
  for (const auto& row : weir::errc_table) EXPECT_TRUE(boost::system::error_code{row.code}.failed()) << row.label;
}

TEST(error, values_outside_of_the_table_are_named_as_such) {
  for (const int value : {-1, 0, static_cast<int>(errc::self_deadlock) + 1, 1'000'000}) {
    const boost::system::error_code code{value, weir::category()};
    EXPECT_EQ(code.message(), "unknown weir error " + std::to_string(value));
    EXPECT_FALSE(code == condition::rejected);
  }
  const auto unknown = weir::make_error_condition(static_cast<condition>(99));
  EXPECT_EQ(unknown.message(), "unknown weir condition 99");
}

TEST(error, the_category_has_a_fixed_id) {
  // Two copies of the header in two shared objects must agree: a second instance equals the first.
  const weir::detail::errc_category other;
  EXPECT_EQ(other, weir::category());
  const weir::detail::condition_category conditions;
  EXPECT_NE(static_cast<const boost::system::error_category&>(conditions), weir::category());
}

TEST(rejection, is_a_small_value) {
  static_assert(std::is_trivially_copyable_v<rejection>);
  static_assert(sizeof(rejection) <= 48);
  static_assert(std::is_nothrow_constructible_v<rejection, errc, weir::name>);
}

TEST(rejection, says_who_why_and_when) {
  const rejection r{errc::rate_limited, weir::name{"search"}, 20ms};
  EXPECT_EQ(r, errc::rate_limited);
  EXPECT_EQ(r, condition::rejected);
  EXPECT_FALSE(r == errc::quota);
  EXPECT_FALSE(r == condition::never);
  EXPECT_EQ(r.policy(), "search");
  EXPECT_EQ(r.retry_after(), 20ms);
  EXPECT_EQ(r.predicted_wait(), 0ns);
}

TEST(rejection, default_is_none) {
  const rejection none;
  EXPECT_FALSE(none.code().failed());
  EXPECT_EQ(none.policy(), "");
  EXPECT_FALSE(none == condition::rejected);
}

TEST(rejection, message_names_policy_reason_and_times) {
  EXPECT_EQ((rejection{errc::rate_limited, weir::name{"search"}, 20ms}.message()),
            "'search': the rate limit is reached (retry after 20 ms)");
  EXPECT_EQ((rejection{errc::would_miss_deadline, weir::name{"db"}, 1ms, 1500us}.message()),
            "'db': the predicted wait exceeds the deadline (predicted wait 2 ms) (retry after 1 ms)");
  EXPECT_EQ((rejection{errc::closed, weir::name{}}.message()), "closed");
}

TEST(rejection, carries_foreign_codes) {
  const rejection r{boost::system::errc::make_error_code(boost::system::errc::connection_refused), weir::name{"db"}};
  EXPECT_FALSE(r == errc::backend_down);
  EXPECT_EQ(r.code(), boost::system::errc::connection_refused);
  EXPECT_EQ(r.policy(), "db");
}

TEST(result, value_of_a_rejection_throws_rejected_error) {
  const weir::result<int> refused = rejection{errc::over_capacity, weir::name{"workers"}, 5ms};
  try {
    static_cast<void>(refused.value());
    FAIL() << "no exception";
  } catch (const weir::rejected_error& e) {
    EXPECT_EQ(e.why(), errc::over_capacity);
    EXPECT_EQ(e.retry_after(), 5ms);
    EXPECT_EQ(e.code(), condition::rejected);
    EXPECT_NE(std::string{e.what()}.find("'workers'"), std::string::npos) << e.what();
  }
}

TEST(result, error_of_a_value_is_none) {
  const weir::result<int> granted = 7;
  EXPECT_EQ(*granted, 7);
  EXPECT_FALSE(granted.error().code().failed());
}

// --- docs/errors.md -------------------------------------------------------------------------------------------------

struct documented {
  std::string value, meaning, http_status, label, description;
  friend bool operator==(const documented&, const documented&) = default;
  friend std::ostream& operator<<(std::ostream& out, const documented& d) {
    return out << d.value << '|' << d.meaning << '|' << d.http_status << '|' << d.label << '|' << d.description;
  }
};

std::string trimmed(std::string text) {
  const auto strip = [&text](const char* what) {
    const auto first = text.find_first_not_of(what);
    const auto last = text.find_last_not_of(what);
    text = first == std::string::npos ? std::string{} : text.substr(first, last - first + 1);
  };
  strip(" ");
  strip("`");
  return text;
}

/// Rows of the table that starts with "| errc |": errc, value, condition, HTTP, label, description, (anything).
std::map<std::string, documented> table_of_docs() {
  std::ifstream file{WEIR_SOURCE_DIR "/docs/errors.md"};
  EXPECT_TRUE(file) << "docs/errors.md is missing";
  std::map<std::string, documented> rows;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with('|')) {
      inside = false;
      continue;
    }
    std::vector<std::string> cells;
    std::istringstream in{line.substr(1)};
    for (std::string cell; std::getline(in, cell, '|');) cells.push_back(trimmed(cell));
    if (cells.at(0) == "errc") {
      inside = true;
    } else if (inside && !cells.at(0).starts_with("-")) {
      EXPECT_GE(cells.size(), 6u) << line;
      cells.resize(6);
      EXPECT_TRUE(rows.emplace(cells[0], documented{cells[1], cells[2], cells[3], cells[4], cells[5]}).second) << line;
    }
  }
  return rows;
}

std::string name_of(condition c) {
  switch (c) {
    case condition::rejected: return "rejected";
    case condition::timed_out: return "timed_out";
    case condition::closed: return "closed";
    case condition::never: return "never";
    case condition::cancelled: return "cancelled";
  }
  return "?";
}

TEST(error, the_table_is_what_docs_errors_md_says) {
  std::map<std::string, documented> in_code;
  for (const auto& row : weir::errc_table) {
    // The enumerator is spelt like its label; a typo in either shows here.
    in_code.emplace(row.label, documented{std::to_string(static_cast<unsigned>(row.code)), name_of(row.meaning),
                                          std::to_string(row.http_status), row.label, row.description});
  }
  const auto in_docs = table_of_docs();
  for (const auto& [key, row] : in_code) {
    const auto found = in_docs.find(key);
    ASSERT_NE(found, in_docs.end()) << key << " is not in docs/errors.md";
    EXPECT_EQ(found->second, row);
  }
  for (const auto& [key, row] : in_docs) EXPECT_TRUE(in_code.contains(key)) << key << " is only in docs/errors.md";
}

}  // namespace
