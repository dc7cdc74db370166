#include "options.hpp"

#include "time_option.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string_view>
#include <thread>

namespace ticketing {
namespace {

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

/// "50/10s": so many in so long.
weir::rate rate_in(const std::string& text) {
  weir::rate r;
  const char* const end = text.data() + text.size();
  const auto [slash, wrong] = std::from_chars(text.data(), end, r.permits);
  double per = 0;
  if (wrong == std::errc{} && slash != end && *slash == '/') {
    const auto [unit, bad] = std::from_chars(slash + 1, end, per);
    const auto known = bad == std::errc{} ? time_units().find(std::string(unit, end)) : time_units().end();
    per = known == time_units().end() ? 0 : per * known->second;
  }
  if (r.permits < 1 || r.permits > 1'000'000 || !(per >= 1 && per <= 86'400'000)) {
    throw CLI::ValidationError("--admit", "must be N/TIME, such as 50/10s, with N from 1 to 1000000, is '" + text + "'");
  }
  if (static_cast<double>(r.permits) > 1000 * per) {
    throw CLI::ValidationError("--admit", "must be at most 1000000 per second, is '" + text + "'");
  }
  r.per = std::chrono::microseconds{static_cast<std::int64_t>(per * 1000)};
  return r;
}

/// CLI::Range takes what is no number for one that fits.
void add_number(CLI::App& app, const std::string& name, double& value, const std::string& help, double least) {
  const auto fits = [least](const std::string& text) {
    double number = 0;
    const bool right = CLI::detail::lexical_cast(text, number) && number >= least && number <= 1e6;
    return right ? std::string{} : "must be from " + std::to_string(static_cast<int>(least)) + " to 1000000";
  };
  app.add_option(name, value, help)->check(fits);
}

/// `n` digits at the front of `text`, which is shortened by them. Nothing: there are others.
std::optional<int> digits(std::string_view& text, std::size_t n) {
  if (text.size() < n) return {};
  int value = 0;
  for (const char c : text.substr(0, n)) {
    if (c < '0' || c > '9') return {};
    value = 10 * value + (c - '0');
  }
  text.remove_prefix(n);
  return value;
}
bool skip(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

/// "2026-12-01T20:00+09:00", seconds if wanted, 'Z' for UTC (ISO 8601).
std::optional<std::chrono::sys_seconds> date_in(std::string_view text) {
  using namespace std::chrono;
  const auto in_year = digits(text, 4);
  if (!in_year || !skip(text, '-')) return {};
  const auto in_month = digits(text, 2);
  if (!in_month || !skip(text, '-')) return {};
  const auto on_day = digits(text, 2);
  if (!on_day || !skip(text, 'T')) return {};
  const auto at_hour = digits(text, 2);
  if (!at_hour || !skip(text, ':')) return {};
  const auto at_minute = digits(text, 2);
  const auto at_second = skip(text, ':') ? digits(text, 2) : std::optional{0};
  const year_month_day date{year{*in_year}, month{static_cast<unsigned>(*in_month)}, day{static_cast<unsigned>(*on_day)}};
  if (!date.ok() || !at_minute || !at_second || *at_hour > 23 || *at_minute > 59 || *at_second > 59) return {};
  minutes east{};
  if (!skip(text, 'Z')) {
    const int sign = skip(text, '+') ? 1 : skip(text, '-') ? -1 : 0;
    const auto ahead = digits(text, 2);
    if (sign == 0 || !ahead || !skip(text, ':')) return {};
    const auto rest = digits(text, 2);
    if (!rest || *ahead > 14 || *rest > 59) return {};
    east = sign * (hours{*ahead} + minutes{*rest});
  }
  if (!text.empty()) return {};
  return sys_days{date} + hours{*at_hour} + minutes{*at_minute} + seconds{*at_second} - east;
}

/// So long after now, or at a date.
weir::time_point opening_in(const std::string& text) {
  const auto wrong = [&text](const char* why) {
    return CLI::ValidationError("--opens-at", std::string("must be ") + why + ", is '" + text + "'");
  };
  constexpr std::chrono::hours longest{366 * 24};
  const char* const end = text.data() + text.size();
  weir::duration wait{};
  double number = 0;
  const auto [unit, error] = std::from_chars(text.data(), end, number);
  const auto known = error == std::errc{} ? time_units().find(std::string(unit, end)) : time_units().end();
  if (known != time_units().end()) {
    const double milliseconds = number * known->second;
    if (!(milliseconds > 0 && milliseconds <= 366 * 86'400'000.0)) throw wrong("in the future, and within a year");
    wait = std::chrono::milliseconds{static_cast<std::int64_t>(milliseconds)};
  } else if (const auto date = date_in(text)) {
    const auto away = *date - std::chrono::system_clock::now();
    if (away > longest) throw wrong("within a year");
    if (away < std::chrono::seconds::zero()) {
      std::fprintf(stderr, "ticketing: %s has passed: the rooms open at once\n", text.c_str());
    }
    // Long ago is now: what counts is that it has passed.
    wait = std::max<weir::duration>(std::chrono::duration_cast<weir::duration>(away), weir::duration::zero());
  } else {
    throw wrong("a time from now, such as 30s or 5min, or a date with its zone, such as 2026-12-01T20:00+09:00");
  }
  return std::chrono::time_point_cast<weir::duration>(std::chrono::steady_clock::now()) + wait;
}

/// What the waiting rooms are told, and what stood in their place.
void add_queues(CLI::App& app, options& o, std::string& room, std::string& style) {
  app.add_option("--room", room,
                 "on: weir's waiting rooms stand before the dates of concerts and the flash sale; off: the reports' tables")
      ->check(CLI::IsMember({"off", "on"}));
  app.add_option_function<std::string>(
         "--admit", [&o](const std::string& text) { o.rooms.admit = rate_in(text); }, "how many are let in, N/TIME")
      ->default_str("50/10s");
  app.add_option("--admit-style", style, "strict: never more in any such time; smooth: evenly; batch: all of them at once")
      ->check(CLI::IsMember({"strict", "smooth", "batch"}));
  app.add_option("--max-active", o.rooms.max_active, "at most so many inside at a time; 0: no limit");
  add_time(app, "--claim-window", o.claim_window, "how long a turn is kept for who does not come", 1000);
  add_time(app, "--session", o.session, "how long somebody may be inside", 1000);
  add_number(app, "--polls", o.rooms.polls_per_s, "polls per second that all who wait may make together", 1);
  app.add_option_function<std::string>(
      "--opens-at", [&o](const std::string& text) { o.rooms.opens_at = opening_in(text); },
      "until then who comes is collected, and then drawn by lot: 30s, 5min, or a date with its zone, "
      "2026-12-01T20:00+09:00. Without: open");
  app.add_option("--room-store", o.rooms.file,
                 "SQLite file in which the rooms survive the server; beside it FILE.key. Empty: none");
  app.add_option("--operator-token", o.rooms.operator_token,
                 "what an operator of the rooms has to show; empty: nobody is one");
  app.add_option_function<double>(
         "--issue-time",
         [&o](const double& ms) {
           if (!(ms >= 0 && ms <= 60'000)) throw CLI::ValidationError("--issue-time", "must be from 0ms to 1min");
           o.issue_time = std::chrono::nanoseconds{static_cast<std::int64_t>(ms * 1e6)};
         },
         "let a table take so long to give out a token, and the longer the more ask (without rooms)")
      ->transform(CLI::AsNumberWithUnit(time_units(), CLI::AsNumberWithUnit::UNIT_REQUIRED, "TIME"))
      ->default_str("0ms");
  add_number(app, "--backend-rate", o.back_end_rate,
             "requests per second that the flash sale's back end does at best; 0: any", 0);
}

/// What is said to rooms where there are none would go unheard.
std::optional<std::string> said_to_nobody(const CLI::App& app) {
  for (const char* name :
       {"--max-active", "--claim-window", "--session", "--polls", "--opens-at", "--room-store", "--operator-token"}) {
    if (app.count(name) > 0) return std::string(name) + " needs --room on";
  }
  return std::nullopt;
}

}  // namespace

std::variant<options, int> parse_options(int argc, char** argv) {
  options o;
  std::string protection = "off", room = "off", style = "strict";
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
  add_queues(app, o, room, style);
  add_time(app, "--request-timeout", o.request_timeout, "time for reading one request, and for writing one answer");
  add_time(app, "--idle-timeout", o.idle_timeout, "time that a connection may be silent between requests");
  add_time(app, "--drain", o.drain, "time for finishing what runs after SIGTERM or SIGINT");
  app.add_option("--max-connections", o.max_connections, "beyond, a connection is answered 503 and closed")
      ->check(CLI::Range(std::size_t{1}, std::size_t{1'000'000}));
  auto* measure = app.add_option_function<double>(
      "--measure-hash-rate",
      [&o](const double& seconds) {
        if (!(seconds >= 0.1 && seconds <= 600))
          throw CLI::ValidationError("--measure-hash-rate", "must be from 0.1 to 600");
        o.measure_hash_rate = std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1000)};
      },
      "hash for SECONDS (3) on all workers, print the hashes per second, and exit");
  measure->expected(0, 1)->default_str("3");
  try {
    app.parse(argc, argv);
    const auto unheard = room == "on" ? std::nullopt : said_to_nobody(app);
    if (unheard) throw CLI::ValidationError(*unheard);
  } catch (const CLI::ParseError& e) {
    // CLI11 has codes of its own; a mistake on the command line is 2 in all of our programs.
    return app.exit(e) == 0 ? 0 : 2;
  }
  o.protection = protection == "on";
  o.room = room == "on";
  o.rooms.pace = style == "smooth"  ? weir::room_pace::smooth
                 : style == "batch" ? weir::room_pace::batch
                                    : weir::room_pace::strict;
  o.rooms.claim_window = o.claim_window;
  o.rooms.session = o.session;
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
