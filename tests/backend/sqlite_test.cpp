#include <weir/backend/sqlite.hpp>

#include "support/child_process.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using ::testing::HasSubstr;

static_assert(weir::blocking_backend<weir::sqlite_backend>);
static_assert(weir::detail::validates<weir::sqlite_backend> && weir::detail::resets<weir::sqlite_backend> &&
              weir::detail::knows_broken<weir::sqlite_backend>);

class sqlite_test : public ::testing::Test {
 protected:
  [[nodiscard]] weir::sqlite_connection open(weir::sqlite_options options = {.busy_timeout = 20ms}) const {
    return weir::sqlite_backend{path_, options}.connect({});
  }
  /// The code of the error that `f` throws; 0: none.
  template <class F>
  static int code_of(F f) {
    try {
      f();
    } catch (const weir::sqlite_error& error) {
      return error.code();
    }
    return 0;
  }

  weir::testing_support::temporary_directory directory_;
  std::string path_ = directory_.path() / "test.db";
};

TEST_F(sqlite_test, values_of_every_type_come_back_as_they_went_in) {
  auto db = open();
  db.query("CREATE TABLE t (a, b, c, d, e, f)");
  const std::string text = "'; DROP TABLE t; --\0 \xc3\xa4"s.append(1, '\n');
  const std::vector<std::byte> blob{std::byte{0}, std::byte{255}};
  const auto added = db.query("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", std::int64_t{-1} << 62, 0.1, text, blob, nullptr,
                              std::optional<std::string>{});
  EXPECT_EQ(added.changed(), 1);
  const auto rows = db.query("SELECT * FROM t");
  ASSERT_EQ(rows.rows(), 1U);
  ASSERT_EQ(rows.columns(), 6U);
  EXPECT_EQ(rows.name(2), "c");
  EXPECT_EQ(rows.get<std::int64_t>(0, 0), std::int64_t{-1} << 62);
  EXPECT_EQ(rows.get<double>(0, 1), 0.1);
  EXPECT_EQ(rows.get<std::string>(0, 2), text);
  EXPECT_EQ(rows.get<std::vector<std::byte>>(0, 3), blob);
  EXPECT_EQ(rows.get<std::optional<int>>(0, 4), std::nullopt);
  EXPECT_EQ(rows.get<std::optional<std::string>>(0, 5), std::nullopt);
  EXPECT_THROW((void)rows.get<std::string>(0, 0), std::bad_variant_access);
  EXPECT_THROW((void)rows.get<int>(0, 0), std::out_of_range);
  EXPECT_THROW((void)rows.at(1, 0), std::out_of_range);
  EXPECT_THROW((void)rows.at(0, 6), std::out_of_range);
}

TEST_F(sqlite_test, empty_text_and_blobs_are_not_null) {
  auto db = open();
  const auto row = db.query("SELECT typeof(?), typeof(?), typeof(?)", std::string_view{}, std::vector<std::byte>{}, true);
  EXPECT_EQ(row.get<std::string>(0, 0), "text");
  EXPECT_EQ(row.get<std::string>(0, 1), "blob");
  EXPECT_EQ(row.get<std::string>(0, 2), "integer");
}

TEST_F(sqlite_test, an_error_says_what_and_the_connection_goes_on) {
  auto db = open();
  db.script("CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1);");
  try {
    db.query("INSERT INTO t VALUES (?)", 1);
    FAIL();
  } catch (const weir::sqlite_error& error) {
    EXPECT_EQ(error.code(), 2067);  // SQLITE_CONSTRAINT_UNIQUE
    EXPECT_STREQ(error.what(), "UNIQUE constraint failed: t.x");
    EXPECT_FALSE(error.busy());
  }
  EXPECT_EQ(code_of([&] { db.query("SELECT nonsense"); }), 1);
  EXPECT_FALSE(db.is_broken());
  EXPECT_EQ(db.query("INSERT INTO t VALUES (?)", 2).changed(), 1);
}

TEST_F(sqlite_test, one_statement_with_as_many_parameters_as_it_has) {
  auto db = open();
  EXPECT_THROW(db.query("SELECT 1; SELECT 2"), std::invalid_argument);
  EXPECT_THROW(db.query(""), std::invalid_argument);
  EXPECT_THROW(db.query("SELECT ?"), std::invalid_argument);
  EXPECT_THROW(db.query("SELECT 1", 1), std::invalid_argument);
  EXPECT_EQ(db.query("SELECT 1;\n").get<int>(0, 0), 1);
}

TEST_F(sqlite_test, prepared_statements_are_kept_up_to_the_bound) {
  auto db = open({.cached_statements = 3});
  const auto before = db.cached_statements();
  EXPECT_EQ(before, 0U);  // the PRAGMAs of connecting are scripts
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) EXPECT_EQ(db.query("SELECT " + std::to_string(i)).get<int>(0, 0), i);
  }
  EXPECT_EQ(db.cached_statements(), 3U);
  // A kept one sees the new column.
  db.script("CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  EXPECT_EQ(db.query("SELECT * FROM t").columns(), 1U);
  db.script("ALTER TABLE t ADD COLUMN y");
  EXPECT_EQ(db.query("SELECT * FROM t").columns(), 2U);
}

TEST_F(sqlite_test, a_transaction_ends_with_its_block) {
  auto db = open();
  db.script("CREATE TABLE t (x)");
  {
    weir::sqlite_transaction lost{db};
    db.query("INSERT INTO t VALUES (1)");
  }
  EXPECT_FALSE(db.in_transaction());
  {
    weir::sqlite_transaction kept{db};
    db.query("INSERT INTO t VALUES (2)");
    kept.commit();
  }
  const auto rows = db.query("SELECT x FROM t");
  ASSERT_EQ(rows.rows(), 1U);
  EXPECT_EQ(rows.get<int>(0, 0), 2);
}

TEST_F(sqlite_test, somebody_elses_lock_is_waited_for_and_then_an_error) {
  auto first = open();
  auto second = open();
  first.script("CREATE TABLE t (x)");
  weir::sqlite_transaction writing{first};
  first.query("INSERT INTO t VALUES (1)");
  const auto started = std::chrono::steady_clock::now();
  try {
    weir::sqlite_transaction refused{second};
    FAIL();
  } catch (const weir::sqlite_error& error) {
    EXPECT_TRUE(error.busy());
    EXPECT_THAT(error.what(), HasSubstr("locked"));
  }
  EXPECT_GE(std::chrono::steady_clock::now() - started, 15ms);  // SQLite sleeps in steps
  EXPECT_FALSE(second.is_broken());
  EXPECT_EQ(second.query("SELECT count(*) FROM t").get<int>(0, 0), 0);  // readers are not locked out
  writing.commit();
  weir::sqlite_transaction next{second};
}

TEST_F(sqlite_test, read_only_ones_read) {
  EXPECT_EQ(code_of([&] { (void)open({.read_only = true}); }), 14);  // SQLITE_CANTOPEN: there is no file
  auto db = open();
  db.script("CREATE TABLE t (x)");
  auto reader = open({.read_only = true});
  EXPECT_EQ(reader.query("SELECT * FROM t").rows(), 0U);
  EXPECT_EQ(code_of([&] { reader.query("INSERT INTO t VALUES (1)"); }), 8);  // SQLITE_READONLY
}

TEST_F(sqlite_test, reset_rolls_back_and_validate_reads_the_file) {
  weir::sqlite_backend backend{path_};
  auto db = backend.connect({.deadline = std::chrono::steady_clock::now() + 1s});
  db.script("CREATE TABLE t (x)");
  db.query("BEGIN");
  db.query("INSERT INTO t VALUES (1)");
  backend.reset(db);
  EXPECT_FALSE(db.in_transaction());
  backend.reset(db);
  backend.validate(db);
  EXPECT_EQ(db.query("SELECT count(*) FROM t").get<int>(0, 0), 0);
}

TEST_F(sqlite_test, options_are_applied) {
  auto db = open({.synchronous = weir::sqlite_synchronous::full});
  EXPECT_EQ(db.query("PRAGMA journal_mode").get<std::string>(0, 0), "wal");
  EXPECT_EQ(db.query("PRAGMA synchronous").get<int>(0, 0), 2);
  EXPECT_EQ(db.query("PRAGMA foreign_keys").get<int>(0, 0), 1);
  EXPECT_EQ(db.query("PRAGMA busy_timeout").get<int>(0, 0), 1000);
  EXPECT_THROW(weir::sqlite_backend("x", {.busy_timeout = -1ms}), std::invalid_argument);
  EXPECT_THROW(weir::sqlite_backend("x", {.cached_statements = 0}), std::invalid_argument);
}

TEST_F(sqlite_test, a_file_that_is_no_database_breaks_the_connection) {
  auto db = open({.write_ahead_log = false});
  EXPECT_FALSE(db.is_broken());
  db.script("CREATE TABLE t (x)");
  {
    std::ofstream file{path_, std::ios::binary};
    file << std::string(8192, 'x');
  }
  weir::sqlite_backend backend{path_};
  EXPECT_EQ(code_of([&] { backend.validate(db); }), 26);  // SQLITE_NOTADB
  EXPECT_TRUE(backend.is_broken(db));
  EXPECT_EQ(code_of([&] { (void)backend.connect({}); }), 26);
}

}  // namespace
