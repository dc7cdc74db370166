// weir_pool_queries: queries per second over connections that are taken from a pool for each query, beside the same program
// with connections that are held for ever. Starts a PostgreSQL of its own, on a unix socket, with data in a temporary
// directory.
//
// All three ways use the same pool, the same connections, one thread, and one query in flight per connection:
//   held     each of N coroutines took a connection once, and keeps it
//   pooled   each of N coroutines takes one for every query: nobody waits
//   shared   M coroutines take turns: every connection is handed to who waits
//
// Exit: 0 within the bound, 1 below it, 2 bad arguments.
#include "options.hpp"
#include "support/postgres_server.hpp"

#include <weir/asio/pool.hpp>
#include <weir/backend/postgres.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;

struct settings {
  double seconds = 1, rounds = 15, connections = 8, coroutines = 64;
  std::vector<weir_load::number_option> options{
      {"--seconds", seconds, 0.1, 600, "of each way in each round"},
      {"--rounds", rounds, 1, 1000, "of all three ways, in another order each"},
      {"--connections", connections, 1, 100, "of the pool"},
      {"--coroutines", coroutines, 1, 1000, "that share them, in the third way"},
  };
};

constexpr double enough = 0.95;
constexpr std::array<const char*, 3> names{"held", "pooled", "shared"};

struct measurement {
  double per_second = 0;
  double client_us = 0;  // processor time of this program, per query
};

double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

class program {
 public:
  explicit program(const settings& s)
      : settings_(s), pool_(context_.get_executor(), weir::postgres_backend{server_.conninfo()}, config(s)) {
    start(warm_up());
    context_.run();
  }

  measurement measure(std::size_t way) {
    context_.restart();
    stop_ = false;
    const double coroutines = way == 2 ? settings_.coroutines : settings_.connections;
    for (double i = 0; i < coroutines; ++i) start(way == 0 ? hold() : take_turns());
    start(watch());
    context_.run();
    return last_;
  }
  [[nodiscard]] weir::pool_snapshot snapshot() const { return pool_.snapshot(); }

 private:
  static weir::pool_config config(const settings& s) {
    const auto size = static_cast<std::uint32_t>(s.connections);
    return {.name = "queries",
            .max_size = size,
            .min_size = size,
            .max_connecting = size,
            .max_waiters = 1000,
            .reset_on_return = false};
  }

  /// The context stops when all have ended: an open pool gives it work.
  void start(awaitable<void> a) {
    ++running_;
    asio::co_spawn(context_, std::move(a), [this](const std::exception_ptr& problem) {
      if (problem) std::rethrow_exception(problem);
      if (--running_ == 0) context_.stop();
    });
  }
  awaitable<void> warm_up() {
    while (pool_.snapshot().now.idle < pool_.snapshot().now.max) co_await sleep(0.01);
  }

  static awaitable<void> sleep(double seconds) {
    asio::steady_timer timer{co_await asio::this_coro::executor, weir_load::seconds(seconds)};
    co_await timer.async_wait(use_awaitable);
  }
  awaitable<void> query(weir::postgres_connection& db) {
    const auto rows = co_await db.query("SELECT $1::int", 1);
    if (rows.rows() != 1) throw std::runtime_error("no answer");
    ++queries_;
  }
  awaitable<void> hold() {
    auto lease = (co_await pool_.co_acquire()).value();
    while (!stop_) co_await query(*lease);
  }
  awaitable<void> take_turns() {
    while (!stop_) {
      auto lease = (co_await pool_.co_acquire()).value();
      co_await query(*lease);
    }
  }
  awaitable<void> watch() {
    co_await sleep(settings_.seconds / 5);  // does not count
    const auto queries = queries_;
    const double used = processor_seconds();
    const auto begin = std::chrono::steady_clock::now();
    co_await sleep(settings_.seconds);
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const auto done = static_cast<double>(queries_ - queries);
    last_ = {.per_second = done / took, .client_us = 1e6 * (processor_seconds() - used) / done};
    stop_ = true;
  }

  const settings& settings_;
  weir::testing_support::postgres_server server_;
  asio::io_context context_{1};
  weir::pool<weir::postgres_backend> pool_;
  std::uint64_t queries_ = 0;
  std::uint32_t running_ = 0;
  bool stop_ = false;
  measurement last_;
};

int run(const settings& s) {
  weir_load::print_load();
  program p{s};
  std::array<std::vector<double>, 3> rates, costs, ratios;
  for (std::size_t round = 0; round < static_cast<std::size_t>(s.rounds); ++round) {
    std::array<measurement, 3> found;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const std::size_t way = (round + i) % names.size();
      found[way] = p.measure(way);
    }
    std::printf("round %zu:", round + 1);
    for (std::size_t way = 0; way < names.size(); ++way) {
      rates[way].push_back(found[way].per_second);
      costs[way].push_back(found[way].client_us);
      ratios[way].push_back(found[way].per_second / found[0].per_second);
      std::printf("  %s %.0f/s (%.3f)", names[way], rates[way].back(), ratios[way].back());
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  std::printf("\n%-8s %10s %12s %24s %20s\n", "", "coroutines", "queries/s", "of held: median (range)", "this process, us");
  for (std::size_t way = 0; way < names.size(); ++way) {
    const auto [least, most] = std::minmax_element(ratios[way].begin(), ratios[way].end());
    std::printf("%-8s %10.0f %12.0f %8.3f (%.3f - %.3f) %20.2f\n", names[way], way == 2 ? s.coroutines : s.connections,
                weir_load::median(rates[way]), weir_load::median(ratios[way]), *least, *most,
                weir_load::median(costs[way]));
  }
  const auto shown = p.snapshot();
  std::printf("granted at once %llu, after waiting %llu; refused %llu\n", static_cast<unsigned long long>(shown.immediate),
              static_cast<unsigned long long>(shown.waited), static_cast<unsigned long long>(shown.rejected()));
  const bool good = weir_load::median(ratios[1]) >= enough && weir_load::median(ratios[2]) >= enough;
  std::printf("at least %.2f of held: %s\n", enough, good ? "ok" : "NOT MET");
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  settings s;
  return weir_load::run_with(argc, argv, s.options, "weir_pool_queries", [&] { return run(s); });
}
