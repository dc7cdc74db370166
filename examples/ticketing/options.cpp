#include "options.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdio>
#include <map>
#include <thread>

namespace ticketing {
namespace {

/// "800ms", "10s", "2min"; the unit may not be left out.
void add_time(CLI::App& app, const std::string& name, std::chrono::milliseconds& value, const std::string& help,
              double least = 1) {
  static const std::map<std::string, double> units{{"ms", 1}, {"s", 1000}, {"min", 60'000}};
  const auto assign = [&value, name, least](const double& milliseconds) {
    const bool too_short = milliseconds < 1 && !(least == 0 && milliseconds == 0);
    if (too_short || !(milliseconds <= 86'400'000)) {
      throw CLI::ValidationError(name, std::string{"must be "} + (least == 0 ? "0ms, or " : "") + "from 1ms to 1440min");
    }
    value = std::chrono::milliseconds{static_cast<std::int64_t>(milliseconds)};
  };
  app.add_option_function<double>(name, assign, help)
      ->transform(CLI::AsNumberWithUnit(units, CLI::AsNumberWithUnit::UNIT_REQUIRED, "TIME"))
      ->default_str(std::to_string(value.count()) + "ms");
}

/// "sqlite", "sqlite:FILE", "postgres://…".
void set_database(options& o, const std::string& text) {
  constexpr std::string_view file = "sqlite:";
  o.postgres.clear();
  o.sqlite.clear();
  if (text == "sqlite") return;
  if (text.starts_with("postgres://") || text.starts_with("postgresql://")) {
    o.postgres = text;
  } else if (text == "sqlite::memory:") {
    throw CLI::ValidationError("--db",
                               "in memory each connection would have a database of its own; sqlite is a temporary file");
  } else if (text.starts_with(file) && text.size() > file.size()) {
    o.sqlite = text.substr(file.size());
  } else {
    throw CLI::ValidationError("--db", "must be sqlite, sqlite:FILE or postgres://user@host/database, is '" + text + "'");
  }
}

}  // namespace

std::variant<options, int> parse_options(int argc, char** argv) {
  options o;
  std::string protection = "off";
  CLI::App app{
      "A ticket shop's order service: register (bcrypt), charge points, order; dates of concerts. HTTP/1.1 and JSON."};
  app.option_defaults()->always_capture_default();
  app.add_option("--address", o.address, "address to listen on");
  app.add_option("--port", o.port, "port to listen on; 0: a free one, printed");
  app.add_option_function<std::string>(
         "--db", [&o](const std::string& text) { set_database(o, text); },
         "sqlite (a fresh temporary file, removed at the end), sqlite:FILE, or postgres://user@host/database")
      ->default_str("sqlite");
  app.add_option("--pool-size", o.pool_size, "connections to the database")->check(CLI::Range(1U, 1000U));
  add_time(app, "--acquire-timeout", o.acquire_timeout, "longest wait for a connection of the pool");
  app.add_option("--stock", o.stock, "tickets on sale when the database is created")
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1'000'000'000'000}));
  app.add_option("--workers", o.workers, "hash threads; 0: processors - 1, at least 1")->check(CLI::Range(0U, 256U));
  app.add_option("--cost", o.cost, "bcrypt cost: 2^cost rounds")->check(CLI::Range(4U, 16U));
  app.add_option("--protection", protection, "on: weir stands in front of the hash workers and the database")
      ->check(CLI::IsMember({"off", "on"}));
  add_time(app, "--slo", o.slo, "time in which a registration is to be answered (used by --protection on)");
  add_time(app, "--date-slo", o.date_slo, "time in which the dates of a concert are to be answered (with --protection on)");
  add_time(app, "--date-query", o.date_query, "let the query for dates take so long alone, and the longer the more ask", 0);
  app.add_option("--date-limit", o.date_limit, "such queries at a time (used by --protection on)")
      ->check(CLI::Range(1U, 1000U));
  add_time(app, "--request-timeout", o.request_timeout, "time for reading one request, and for writing one answer");
  add_time(app, "--idle-timeout", o.idle_timeout, "time that a connection may be silent between requests");
  add_time(app, "--drain", o.drain, "time for finishing what runs after SIGTERM or SIGINT");
  app.add_option("--max-connections", o.max_connections, "beyond, a connection is answered 503 and closed")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}));
  auto* measure = app.add_option_function<double>(
      "--measure-hash-rate",
      [&o](const double& seconds) {
        o.measure_hash_rate = std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1000)};
      },
      "hash for SECONDS (3) on all workers, print the hashes per second, and exit");
  measure->expected(0, 1)->default_str("3")->check(CLI::Range(0.1, 600.0));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    // CLI11 has codes of its own; a mistake on the command line is 2 in all of our programs.
    return app.exit(e) == 0 ? 0 : 2;
  }
  o.protection = protection == "on";
  if (o.protection && 2 * o.date_query >= o.date_slo) {
    std::fprintf(
        stderr,
        "--date-query must be less than half of --date-slo with --protection on: nothing could be answered in time\n");
    return 2;
  }
  if (o.workers == 0) o.workers = std::max(2U, std::thread::hardware_concurrency()) - 1;
  return o;
}

}  // namespace ticketing
